"""`python -m serving frontier`: what experience costs in value, swept over a customer base."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from features.errors import OnePointError
from features.terminal import print_json, steps
from serving.base import open_policies, sample
from serving.front_desk import WIDTH
from serving.frontier import DIALS, Frontier, trace
from serving.options import (
    AsOfOption,
    CatalogOption,
    ClockOption,
    DoorOption,
    JsonOption,
    SampleOption,
    WorkOption,
    start_at,
)


def frontier_command(
    work: WorkOption,
    out: Annotated[Path, typer.Option("--out", help="the picture, a .png")],
    points: Annotated[
        str, typer.Option("--points", help="dials to try (CNY a point), at least two")
    ] = ",".join(map(str, DIALS)),
    customers: SampleOption = None,
    channel: DoorOption = None,
    as_of: AsOfOption = None,
    catalog: CatalogOption = None,
    clock: ClockOption = None,
    as_json: JsonOption = False,
) -> None:
    """Sweep the dial experience_cny, draw experience against value, price a point of experience.

    Customers are taken as they were published, on a day of which no staff time is used yet: what
    was told since is left out, so that the same words give the same numbers at any hour.
    """
    if out.suffix.lower() != ".png" or not out.parent.is_dir():
        raise OnePointError(f"--out {out}: give a .png in a folder that exists")
    dials = _dials(points)
    start, moment = start_at(work, catalog, clock, as_of)
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
