"""Does it work? `python -m experiments simulate` makes a bank with a known truth."""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from experiments.audit import AUDIT_YAML, LOCK, AuditConfig, audit_lock, judge
from experiments.benchmarks import run_benchmarks
from experiments.demo import run_demo
from experiments.running_service import interrupted_by_sigterm
from experiments.simulated_bank.bank import simulate as simulate_bank
from experiments.simulated_bank.config import load_simulation
from experiments.soak_command import soak_command
from experiments.studies import STUDIES, run_study
from experiments.studies.study import StudyResult, shown
from features.config import load_yaml
from features.terminal import print_json, run, steps

BANK = Path("configs/simulation/bank.yaml")
SIMULATED_BANK = Path("configs/sources/simulated_bank.yaml")
app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    help="Does it work? The simulated bank, studies on public data, benchmarks.",
)


app.command("soak")(soak_command)


@app.callback()
def experiments() -> None:
    """Show whether it works: the simulated bank, studies on public data, benchmarks."""


@app.command()
def simulate(
    out: Annotated[Path, typer.Option(help="Folder for the tables; an earlier one is replaced.")],
    customers: Annotated[int, typer.Option(help="Number of customers, 50 or more.")] = 20_000,
    seed: Annotated[int, typer.Option(help="Equal seeds give equal bytes.")] = 1,
    config: Annotated[Path, typer.Option(help="Parameters of the bank.")] = BANK,
    signal: Annotated[
        float | None, typer.Option(help="0 removes what could be learnt, 1 is the bank as it is.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object last.")] = False,
) -> None:
    """Make a bank with a known truth: 30 months of tables as Parquet."""
    begun = time.perf_counter()
    settings = load_simulation(config, signal)
    with Progress(
        TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn(),
        console=Console(stderr=True),
    ) as bar:  # fmt: skip
        task = bar.add_task("simulating")
        folder = simulate_bank(
            settings, customers, seed, out,
            progress=lambda done, total, what: bar.update(
                task, completed=done, total=total, description=what),
        )  # fmt: skip
    seconds = time.perf_counter() - begun
    tables = {path.stem: path.stat().st_size for path in sorted(folder.glob("*.parquet"))}
    if as_json:
        typer.echo(json.dumps({
            "out": str(folder), "customers": customers, "seed": seed, "signal": settings.signal,
            "months": settings.months, "seconds": round(seconds, 1), "bytes": tables,
        }))  # fmt: skip
        return
    typer.echo(f"{customers} customers, {settings.months} months, {len(tables)} tables in {folder}")


@app.command()
def audit(
    lock: Annotated[Path, typer.Option(help="Lock file to audit.")] = LOCK,
    config: Annotated[Path, typer.Option(help="What passes, why and until when.")] = AUDIT_YAML,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Look for known vulnerabilities in the locked packages; exit code 1 where one may not pass."""
    passing = load_yaml(config, AuditConfig)
    verdict = judge(audit_lock(lock), passing, datetime.now(UTC).date())
    if as_json:
        print_json({"problems": verdict.problems, "notes": verdict.notes})
    else:
        for line in (*verdict.notes, *verdict.problems, f"{len(verdict.problems)} problems"):
            typer.echo(line)
    if verdict.problems:
        raise typer.Exit(1)


@app.command()
def demo(
    source: Annotated[Path, typer.Option(help="Source YAML.")] = SIMULATED_BANK,
    data: Annotated[Path | None, typer.Option(help="Folder that {data} stands for.")] = None,
    work: Annotated[Path, typer.Option(help="Folder for all that is made.")] = Path(".onepoint"),
    once: Annotated[bool, typer.Option("--once", help="Stop after the answer.")] = False,
    customers: Annotated[int, typer.Option(help="Customers to simulate.")] = 20_000,
    seed: Annotated[int, typer.Option(help="Seed of the simulation.")] = 1,
) -> None:
    """Do the whole job: simulate or read, build, train, serve, ask, print the answer."""
    run_demo(source, data, work, once, customers, seed)


@app.command("run")
def run_one_study(
    study: Annotated[str, typer.Argument(help=f"One of {', '.join(STUDIES)}.")],
    data: Annotated[
        Path | None, typer.Option(help="Folder of the set; default: in ONEPOINT_DATA.")
    ] = None,
    test_from: Annotated[
        str | None, typer.Option(help="A day or an event number; everything after it is test.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object last.")] = False,
) -> None:
    """Run a study and hold it against naive rules and published numbers."""
    with steps(study) as progress:
        result = run_study(study, data, test_from, progress)
    _print_study(result)
    if as_json:
        print_json(result.as_json())


def _print_study(result: StudyResult) -> None:
    console = Console()
    table = Table("metric", "measured", "naive", "published", "bar", title=result.study)
    for name, value in result.metrics.items():
        reference = result.references.get(name)
        if reference is None:
            table.add_row(name, shown(value))
            continue
        beside = [shown(one) for one in (reference.naive, reference.published)]
        bar = "" if reference.bar is None else f"{reference.must} {shown(reference.bar)}"
        table.add_row(name, shown(value), *beside, bar, style="bold" if bar else "")
    console.print(table)
    console.print(result.verdict, soft_wrap=True, highlight=False)


@app.command()
def bench(
    only: Annotated[str | None, typer.Option(help="Name of one benchmark; default: all.")] = None,
    scale: Annotated[float, typer.Option(help="Share of the full size, to try out.")] = 1.0,
) -> None:
    """Measure truth and speed: one JSON object a line."""
    with steps("measuring") as progress, interrupted_by_sigterm():
        for found in run_benchmarks(only, scale, progress):
            typer.echo(json.dumps(found))


if __name__ == "__main__":
    run(app)
