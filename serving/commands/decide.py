"""`python -m serving decide`: what to offer everybody in the base, in one Parquet file."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Optional

import typer

from features.errors import OnePointError
from features.terminal import parse_clock, print_json, stderr, steps
from serving.batch import Batch, decide_base
from serving.options import CatalogOption, JsonOption, WorkOption
from serving.startup import choose_start


def decide_command(
    work: WorkOption,
    as_of: Annotated[str, typer.Option("--as-of", help="the moment, as in 2026-07-01T10:00+08:00")],
    out: Annotated[Path, typer.Option("--out", help="Parquet file to write")],
    channel: Annotated[
        Optional[str],  # noqa: UP045 (typer reads it)
        typer.Option("--channel", help="door everybody stands at; default: the bank's app"),
    ] = None,
    limit: Annotated[int, typer.Option("--limit", min=1, max=20, help="places a customer")] = 3,
    customers: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option("--customers", help="file with one customer id a line; default: everybody"),
    ] = None,
    processes: Annotated[
        Optional[int],  # noqa: UP045
        typer.Option("--processes", min=1, help="side by side; default: one a core"),
    ] = None,
    catalog: CatalogOption = None,
    without_release: Annotated[
        bool, typer.Option("--without-release", help="no models: rules and popularity only")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Decide on everybody in the online store, as the service would at that moment and door.

    One row a place, best first: the decision (id, versions, counts after each gate, what was
    missing), the action with every term of its score and its propensity, reasons as codes and as
    each audience is told them, contributions by group of features, and in a decision's first row
    what was excluded and why. Who gets nothing keeps one row with an empty rank.

    Killed, the same command goes on where it was; run again, it writes the same bytes.
    """
    moment = parse_clock(as_of)
    start = choose_start(work, catalog, moment, without_release)
    listed = _read(customers) if customers is not None else None
    batch = Batch(start, moment, out, channel, limit, listed)
    with steps("deciding") as progress:
        found = decide_base(batch, processes or os.cpu_count() or 1, progress)
    if as_json:
        print_json({"out": str(out), **found.__dict__})
        return
    kept = f" ({found.chunks_kept} of {found.chunks} chunks were done before)"
    told = f"{found.customers:,} customers decided on, {found.rows:,} rows in {out}"
    stderr.print(told + (kept if found.chunks_kept else ""), soft_wrap=True)


def _read(path: Path) -> tuple[str, ...]:
    try:
        lines = path.read_text("utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise OnePointError(f"{path}: cannot be read ({error}); give one id a line") from None
    return tuple(line.strip() for line in lines if line.strip())
