"""`python -m training`: train a release and keep the run for the reviewer."""

from __future__ import annotations

import getpass
import math
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Annotated, Any, Optional

import typer
from rich.console import Console
from rich.table import Table

from features.histories import HISTORIES
from features.quality.profile import write_text
from features.sources import load_source_config, open_source
from features.spine import data_end
from features.terminal import parse_clock, print_gaps, print_json, run, stderr, steps
from training.breakdown import MODEL
from training.comparison import compare as compare_releases
from training.comparison_page import comparison_page
from training.config import load_run_config
from training.models.release import Release, check_replaceable
from training.promotion import MARGIN, Approval, rollback
from training.promotion import promote as promote_release
from training.report import rules_table
from training.run import TrainingRun, train
from training.scoring import write_scores
from training.tracking import (
    TRAINED_BY,
    Registry,
    database_url,
    log_run,
    log_study,
    release_of,
)
from training.tuning import HeadStudy
from training.tuning import tune as tune_heads

app = typer.Typer(no_args_is_help=True, help="From features to a release, kept in MLflow.")

DataOption = Annotated[
    Optional[Path],  # noqa: UP045 (typer reads it)
    typer.Option("--data", help="folder that {data} stands for"),
]
TestFromOption = Annotated[
    Optional[str],  # noqa: UP045
    typer.Option("--test-from", help="a time or an event id; everything after it is test"),
]
ClockOption = Annotated[
    Optional[str],  # noqa: UP045
    typer.Option("--clock", help="now, as in 2026-07-01T10:00+08:00"),
]
TrainedByOption = Annotated[
    Optional[str],  # noqa: UP045
    typer.Option("--trained-by", help="who trains; default: the user of this machine"),
]
SourceOption = Annotated[Path, typer.Option("--source", help="source YAML")]
ApprovedByOption = Annotated[str, typer.Option("--approved-by", help="who agrees; not who trained")]
ReasonOption = Annotated[str, typer.Option("--reason", help="why, in a sentence")]
ReleaseOutOption = Annotated[
    Optional[Path],  # noqa: UP045
    typer.Option("--out", help="folder to put the champion's release into, as .onepoint/release"),
]
JsonOption = Annotated[bool, typer.Option("--json", help="print one JSON object last")]
WorkOption = Annotated[Path, typer.Option("--work", help="folder of the MLflow database and runs")]


@app.command("run")
def run_training(
    config: Annotated[Path, typer.Argument(help="training YAML, as configs/training/release.yaml")],
    source: SourceOption,
    data: DataOption = None,
    test_from: TestFromOption = None,
    work: WorkOption = Path(".onepoint"),
    out: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option("--out", help="release folder; default: WORK/releases/SOURCE-CONFIG"),
    ] = None,
    clock: ClockOption = None,
    trained_by: TrainedByOption = None,
    as_json: JsonOption = False,
) -> None:
    """Train the heads of CONFIG on a source, evaluate them on later time, write a release."""
    settings = load_run_config(config)
    with steps("reading the source"):
        opened = open_source(source, data, parse_clock(clock))
    print_gaps(*opened.gaps)
    folder = out or work / "releases" / f"{opened.config.name}-{settings.name}"
    with steps("training") as progress:
        finished = train(settings, opened, folder, test_from, progress)
        progress("MLflow")
        tags = {TRAINED_BY: trained_by or getpass.getuser()}
        run_id = log_run(finished, work, os.environ.get("MLFLOW_TRACKING_URI"), tags)
    _print(finished, run_id)
    if as_json:
        print_json(
            {
                "release": finished.release.id,
                "folder": str(folder),
                "mlflow_run": run_id,
                "rows": finished.rows,
                # a metric that does not exist (no start in the test) is null: JSON has no NaN
                **{n: None if math.isnan(v) else v for n, v in finished.metrics().items()},
            }
        )


def _print(finished: TrainingRun, run_id: str) -> None:
    console = Console()
    for head, report in finished.reports.items():
        names, rows = rules_table(report.metrics)
        table = Table("rule", *names, title=f"{head} on {finished.source}, test rows")
        for rule, values in rows:
            shown = ["–" if value is None else f"{value:.4f}" for value in values]
            table.add_row(rule, *shown, style="bold" if rule == MODEL else "")
        console.print(table)
    folder = finished.release.folder
    console.print(f"release {finished.release.id} in {folder}", soft_wrap=True)
    console.print(f"MLflow run {run_id}; `make mlflow` shows it", soft_wrap=True)


@app.command()
def tune(
    config: Annotated[Path, typer.Argument(help="training YAML: the first trial of each head")],
    source: SourceOption,
    data: DataOption = None,
    trials: Annotated[
        int, typer.Option("--trials", min=1, help="finished trials a head, the default included")
    ] = 20,
    timeout: Annotated[
        Optional[float],  # noqa: UP045
        typer.Option("--timeout", min=0, help="seconds after which no further trial begins"),
    ] = None,
    storage: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option("--storage", help="SQLAlchemy URL of the studies; default: WORK/optuna.db"),
    ] = None,
    test_from: TestFromOption = None,
    work: WorkOption = Path(".onepoint"),
    out: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option("--out", help="release folder; default: WORK/releases/SOURCE-CONFIG-tuned"),
    ] = None,
    clock: ClockOption = None,
    trained_by: TrainedByOption = None,
    as_json: JsonOption = False,
) -> None:
    """Look for better parameters of CONFIG on time before the test, then train with the best.

    Killed, it goes on where it was when called again with the same words (one process a study).
    """
    settings = load_run_config(config)
    with steps("reading the source"):
        opened = open_source(source, data, parse_clock(clock))
    print_gaps(*opened.gaps)
    folder = out or work / "releases" / f"{opened.config.name}-{settings.name}-tuned"
    check_replaceable(folder)
    uri = os.environ.get("MLFLOW_TRACKING_URI")
    kept: dict[str, str] = {}
    work.mkdir(parents=True, exist_ok=True)
    with steps("tuning") as progress:

        def keep(study: HeadStudy) -> None:
            kept[study.head] = log_study(study, opened.config.name, work, uri)

        database = storage or f"sqlite:///{(work / 'optuna.db').resolve()}"
        best, studies = tune_heads(
            settings, opened, database, trials, timeout, test_from, progress, keep
        )
        finished = train(best, opened, folder, test_from, progress)
        progress("MLflow")
        tuned = {f"tuned_{head}": run_id for head, run_id in kept.items()}
        tags = {TRAINED_BY: trained_by or getpass.getuser(), **tuned}
        run_id = log_run(finished, work, uri, tags)
    _print_studies(studies)
    _print(finished, run_id)
    if as_json:
        print_json(
            {
                "studies": [_told(study) for study in studies],
                "release": finished.release.id,
                "folder": str(folder),
                "mlflow_run": run_id,
                **{n: None if math.isnan(v) else v for n, v in finished.metrics().items()},
            }
        )


def _print_studies(studies: list[HeadStudy]) -> None:
    console = Console()
    for study in studies:
        table = Table(title=f"tuning {study.head}")
        for name in ("trial", *study.default.parameters, "log-loss"):
            table.add_column(name, overflow="fold")
        for trial in study.trials:
            loss = "pruned" if trial.loss is None else f"{trial.loss:.5f}"
            shown = [f"{value:.4g}" for value in trial.parameters.values()]
            name = f"{trial.number} (default)" if trial is study.default else str(trial.number)
            table.add_row(name, *shown, loss, style="bold" if trial is study.best else "")
        console.print(table)
        console.print(study.verdict, soft_wrap=True)


def _told(study: HeadStudy) -> dict[str, Any]:
    return {
        "head": study.head,
        "study": study.name,
        "trials": len(study.trials),
        "pruned": sum(trial.loss is None for trial in study.trials),
        "default_log_loss": study.default.loss,
        "best_log_loss": study.best.loss,
        "best_trial": study.best.number,
        "best_parameters": study.best.parameters,
        "gain": study.gain,
        "verdict": study.verdict,
    }


@app.command()
def promote(
    release: Annotated[str, typer.Argument(help="MLflow run, release id or release folder")],
    source: SourceOption,
    approved_by: ApprovedByOption,
    reason: ReasonOption,
    data: DataOption = None,
    margin: Annotated[
        float, typer.Option("--margin", min=0, help="how much a metric may be worse")
    ] = MARGIN,
    work: WorkOption = Path(".onepoint"),
    out: ReleaseOutOption = None,
    clock: ClockOption = None,
    as_json: JsonOption = False,
) -> None:
    """Make RELEASE the champion if it passes every gate; exit code 1 where one refuses."""
    now = parse_clock(clock)
    approval = Approval.given(approved_by, now, reason)
    with steps("reading the source"):
        opened = open_source(source, data, now)
    print_gaps(*opened.gaps)
    registry = Registry(opened.config.name, work, os.environ.get("MLFLOW_TRACKING_URI"))
    with steps("gates") as progress:
        report = promote_release(registry, opened, release, approval, margin, out, progress)
    # plain print: what the gates say may hold brackets that rich would take for markup
    print(report.markdown())
    if report.accepted:
        print(f"'{registry.model}' has the champion {report.challenger}")
    else:
        print("nothing was moved")
    if as_json:
        print_json(report.told())
    if not report.accepted:
        raise typer.Exit(1)


@app.command("rollback")
def roll_back(
    source: SourceOption,
    approved_by: ApprovedByOption,
    reason: ReasonOption,
    work: WorkOption = Path(".onepoint"),
    out: ReleaseOutOption = None,
    clock: ClockOption = None,
    as_json: JsonOption = False,
) -> None:
    """Make the champion before this one the champion again."""
    name = load_source_config(source).name
    registry = Registry(name, work, os.environ.get("MLFLOW_TRACKING_URI"))
    approval = Approval.given(approved_by, parse_clock(clock), reason)
    left, restored = rollback(registry, approval, out)
    told = f"'{registry.model}' has the champion {restored.release} again, after {left.release}"
    print(f"{told}: {approval.reason} ({approval.by})")
    if as_json:
        print_json({"champion": restored.release, "left": left.release, **approval.model_dump()})


@app.command()
def score(
    release: Annotated[Path, typer.Option("--release", help="release folder to score with")],
    source: SourceOption,
    out: Annotated[Path, typer.Option("--out", help="Parquet file to write, as scores.parquet")],
    data: DataOption = None,
    as_of: Annotated[
        str, typer.Option("--as-of", help="a time with zone, or `end` of the data")
    ] = "end",
    clock: ClockOption = None,
    threads: Annotated[int, typer.Option("--threads", min=1, help="threads of LightGBM")] = 2,
    as_json: JsonOption = False,
) -> None:
    """Score every customer with a release, for the tags that a model gives."""
    loaded = Release.load(release)
    with steps("reading the source"):
        opened = open_source(source, data, parse_clock(clock))
    print_gaps(*opened.gaps)
    at = data_end(opened) if as_of == "end" else parse_clock(as_of)
    with steps("scoring", total=len(HISTORIES)) as progress:
        scored = write_scores(loaded, opened, at, out, threads, progress)
    Console().print(
        f"{out}: {scored.customers:,} customers, {scored.rows:,} scores of release {loaded.id} "
        f"as of {at}",
        soft_wrap=True,
    )
    if as_json:
        print_json(
            {
                "out": str(out),
                "release": loaded.id,
                "as_of": at.isoformat(),
                "customers": scored.customers,
                "rows": scored.rows,
            }
        )


@app.command()
def compare(
    a: Annotated[str, typer.Argument(help="release folder or MLflow run: what is served, say")],
    b: Annotated[str, typer.Argument(help="release folder or MLflow run: what might replace it")],
    html: Annotated[
        Optional[Path],  # noqa: UP045 (typer reads it)
        typer.Option("--html", help="write the whole comparison as one page"),
    ] = None,
    work: WorkOption = Path(".onepoint"),
    as_json: Annotated[bool, typer.Option("--json", help="print one JSON object last")] = False,
) -> None:
    """Hold two releases side by side: metrics, products, groups, calibration, settings."""
    with tempfile.TemporaryDirectory() as fetched:
        sides = [
            _release(name, work, Path(fetched) / place) for name, place in ((a, "a"), (b, "b"))
        ]
        found = compare_releases(*sides)
    console = Console()
    for _, caveat in found.caveats:
        console.print(f"beware: {caveat}", soft_wrap=True)
    for head, one in found.heads.items():
        columns = ("metric", f"A {found.a.id}", f"B {found.b.id}", "B − A", "verdict")
        table = Table(*columns, title=f"{head}, each on its own test")
        for pair in one.metrics:
            shown = [
                "–" if value is None else f"{value:{form}}"
                for value, form in ((pair.a, ".4f"), (pair.b, ".4f"), (pair.difference, "+.4f"))
            ]
            table.add_row(pair.name, *shown, pair.verdict)
        console.print(table)
        for lost in one.losing_segments:
            told = f"{lost.segment} {lost.name} loses {-100 * (lost.difference or 0):.1f} points"
            certain = "beyond both intervals" if lost.apart else "chance could do it"
            console.print(f"{head}: {told} ({certain})", soft_wrap=True)
    if html is not None:
        write_text(html, comparison_page(found))
        console.print(f"the page: {html}", soft_wrap=True)
    if as_json:
        print_json(found.model_dump(mode="json"))


def _release(name: str, work: Path, into: Path) -> Release:
    """Load a release from its folder, or from the MLflow run that made it."""
    if Path(name).is_dir():
        return Release.load(Path(name))
    into.mkdir()
    return Release.load(release_of(name, work, into, os.environ.get("MLFLOW_TRACKING_URI")))


@app.command()
def mlflow(
    work: WorkOption = Path(".onepoint"),
    port: Annotated[int, typer.Option("--port", help="port of the page")] = 5000,
) -> None:
    """Open the reviewer's page of runs."""
    uri = os.environ.get("MLFLOW_TRACKING_URI") or database_url(work)
    server = [sys.executable, "-W", "ignore", "-m", "mlflow", "server", "--backend-store-uri", uri]
    address = ["--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    stderr.print(f"the page of runs: http://127.0.0.1:{port} (Ctrl-C ends it)")
    subprocess.run([*server, *address], check=True)  # noqa: S603


if __name__ == "__main__":
    run(app)
