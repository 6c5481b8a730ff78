"""`python -m experiments soak`: long runs against the real service."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Optional

import typer

from experiments.running_service import interrupted_by_sigterm
from experiments.soak import RUNS, Size, run_soak
from features.terminal import steps

USUAL = Size()


def soak_command(
    only: Annotated[
        Optional[str],  # noqa: UP045 (typer reads it)
        typer.Option(help=f"One of {', '.join(RUNS)}; default: all."),
    ] = None,
    kills: Annotated[int, typer.Option(min=1, help="`kill -9`, on each store.")] = USUAL.kills,
    swaps: Annotated[int, typer.Option(min=1, help="Hot swaps.")] = USUAL.swaps,
    restarts: Annotated[int, typer.Option(min=1, help="SIGTERMs.")] = USUAL.restarts,
    minutes: Annotated[float, typer.Option(min=0.05, help="Of the soak.")] = USUAL.minutes,
    requests_per_second: Annotated[
        float, typer.Option(min=0.1, help="Of the soak; 56 for half an hour are 100,000.")
    ] = USUAL.per_s,
    train: Annotated[
        bool, typer.Option("--train/--no-train", help="Train on the soak's export.")
    ] = True,
    work: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(help="Bank to serve copies of; default: one is made."),
    ] = None,
) -> None:
    """Kill, swap, restart and soak a running service; one JSON object a line, exit 1 where bad."""
    size = Size(kills, swaps, restarts, minutes, requests_per_second, train)
    well = True
    with steps("soaking") as progress, interrupted_by_sigterm():
        for told in run_soak(only, size, work, progress):
            typer.echo(json.dumps(told))
            well = well and told["well"]
    if not well:
        raise typer.Exit(1)
