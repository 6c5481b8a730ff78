"""Options that several commands of `python -m serving` share."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Annotated, Optional

import typer

from features.terminal import parse_clock
from serving.startup import Start, choose_start

WorkOption = Annotated[
    Path, typer.Option("--work", help="folder with release/, online.sqlite and keys.yaml")
]
CatalogOption = Annotated[
    Optional[str],  # noqa: UP045 (typer reads it)
    typer.Option("--catalog", help="name under configs/catalog; default: the release's"),
]
ClockOption = Annotated[
    Optional[str],  # noqa: UP045
    typer.Option("--clock", help="pin the present, as in 2026-07-01T10:00+08:00"),
]
AsOfOption = Annotated[
    Optional[str],  # noqa: UP045
    typer.Option("--as-of", help="the moment, as in 2026-07-01T10:00+08:00; default: now"),
]
DoorOption = Annotated[
    Optional[str],  # noqa: UP045
    typer.Option("--channel", help="the door they stand at; default: the bank's app"),
]
PlacesOption = Annotated[int, typer.Option("--limit", min=1, max=20, help="places of an answer")]
SampleOption = Annotated[
    Optional[int],  # noqa: UP045
    typer.Option("--customers", min=2, help="a fixed sample of so many; default: everybody"),
]
JsonOption = Annotated[bool, typer.Option("--json", help="print one JSON object last")]


def start_at(
    work: Path, catalog: str | None, clock: str | None, as_of: str | None
) -> tuple[Start, datetime]:
    """Choose what to open, and the moment asked about: `--as-of`, else the clock's present."""
    start = choose_start(work, catalog, parse_clock(clock) if clock else None, False)
    return start, parse_clock(as_of) if as_of or start.clock is None else start.clock
