"""`python -m serving export`: what was served, as tables of the data contract."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Optional

import typer

from features.source_config import load_source_config
from features.terminal import parse_clock, print_json, steps
from serving.config import Clock, WorkFolder
from serving.exporting import export
from serving.options import CatalogOption, ClockOption, JsonOption, WorkOption
from serving.startup import catalog_name, choose_start, load_rules
from serving.stores.log import PAGE, DecisionLog


def export_command(
    work: WorkOption,
    out: Annotated[Path, typer.Option("--out", help="new folder for the tables")],
    since: Annotated[
        Optional[str],  # noqa: UP045 (typer reads it)
        typer.Option("--since", help="from this time with zone on; default: from the beginning"),
    ] = None,
    until: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option("--until", help="before this time with zone; default: all there is"),
    ] = None,
    source: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option("--source", help="the bank's own source: read both together"),
    ] = None,
    catalog: CatalogOption = None,
    clock: ClockOption = None,
    as_json: JsonOption = False,
) -> None:
    """Write decisions, outcomes and live events as Parquet tables and a source to train from."""
    start = choose_start(work, catalog, parse_clock(clock) if clock else None, False)
    rules = load_rules(WorkFolder(work), catalog)
    bank = load_source_config(source) if source else None
    log = DecisionLog.open(work)
    try:
        with steps("exporting", log.count() // PAGE + 1) as advance:
            found = export(
                log,
                out,
                catalog_name(catalog, start.work),
                rules.zone.key,
                Clock(start.clock).now(),
                parse_clock(since) if since else None,
                parse_clock(until) if until else None,
                bank,
                lambda decisions: advance(f"{decisions:,} decisions"),
            )
    finally:
        log.close()
    if as_json:
        print_json({"rows": found.rows, "orphaned_outcomes": found.orphaned})
        return
    told = ", ".join(f"{rows:,} {table}" for table, rows in found.rows.items())
    print(f"{out}: {told}; read them by {out / 'source.yaml'}")
    if found.orphaned:
        print(f"  {found.orphaned:,} outcomes are of no decision in {log.name}, and stay there")
