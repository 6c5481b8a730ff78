"""`python -m serving frontier`: what experience costs in value, swept over a customer base."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Optional

import typer
from rich.console import Console
from rich.table import Table

from features.errors import OnePointError
from features.terminal import parse_clock, print_json, steps
from serving.base import open_policies, sample
from serving.front_desk import WIDTH
from serving.frontier import DIALS, Frontier, trace
from serving.options import CatalogOption, ClockOption, WorkOption
from serving.startup import choose_start


def frontier_command(
    work: WorkOption,
    out: Annotated[Path, typer.Option("--out", help="the picture, a .png")],
    points: Annotated[
        str, typer.Option("--points", help="dials to try (CNY a point), at least two")
    ] = ",".join(map(str, DIALS)),
    customers: Annotated[
        Optional[int],  # noqa: UP045 (typer reads it)
        typer.Option("--customers", min=2, help="a fixed sample of so many; default: everybody"),
    ] = None,
    channel: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option("--channel", help="the door they stand at; default: the bank's app"),
    ] = None,
    as_of: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option("--as-of", help="the moment, as in 2026-07-01T10:00+08:00; default: now"),
    ] = None,
    catalog: CatalogOption = None,
    clock: ClockOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="print one JSON object last")] = False,
) -> None:
    """Sweep the dial experience_cny, draw experience against value, price a point of experience."""
    if out.suffix.lower() != ".png" or not out.parent.is_dir():
        raise OnePointError(f"--out {out}: give a .png in a folder that exists")
    dials = _dials(points)
    start = choose_start(work, catalog, parse_clock(clock) if clock else None, False)
    moment = parse_clock(as_of) if as_of or start.clock is None else start.clock
    with open_policies(start, [None], moment, channel) as [base]:
        chosen = sample(base.customer_ids(), customers)
        with steps("sweeping the dial", len(chosen)) as advance:
            found = trace(base.chunks(chosen), base.rules, dials, advance)
    # Only this command draws: nothing else of the room waits for matplotlib.
    from serving.frontier_picture import draw

    draw(found, out)
    if as_json:
        print_json(asdict(found) | {"picture": str(out)})
    else:
        _show(found, Console(width=max(WIDTH, Console().width)))
        print(f"picture: {out}")


def _dials(points: str) -> list[float]:
    try:
        dials = [float(point) for point in points.split(",")]
    except ValueError:
        dials = []
    if len(set(dials)) < 2 or not all(0 <= dial < 1e6 for dial in dials):
        raise OnePointError(
            f"--points '{points}': give at least two amounts in CNY, as in 0,5,10,20,60"
        )
    return dials


def _show(found: Frontier, console: Console) -> None:
    table = Table(
        "旋钮 dial\nCNY a point", "价值 value\nCNY a decision", "与现行之差 against today\n95 %",
        "体验 experience\npoints", "与现行之差 against today\n95 %",
        "一点体验的代价\na point costs, CNY",
        title=f"{found.customers:,} customers, first places",
        caption="价值按模型 · value as modelled; the price is of the step from the line before",
    )  # fmt: skip
    prices = [None, *found.steps]
    for one, step in zip(found.settings, prices, strict=True):
        price = "–" if step is None or step.price_cny is None else f"{step.price_cny:,.1f}"
        today = " ← 现行 today" if one.experience_cny == found.today_cny else ""
        table.add_row(
            f"{one.experience_cny:g}{today}",
            f"{one.value_cny:,.3f}",
            "{:+.3f} … {:+.3f}".format(*one.value_gap),
            f"{one.experience:.4f}",
            "{:+.4f} … {:+.4f}".format(*one.experience_gap),
            price,
        )
    console.print(table)
