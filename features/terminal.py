"""What every command line shares: errors without a traceback, a clock, JSON last, progress."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from features.errors import OnePointError

stderr = Console(stderr=True)


def run(app: typer.Typer) -> None:
    """Run a command line; an error of ours is printed, not traced, and exits with 2."""
    try:
        app()
    except OnePointError as error:
        # plain print: a message may hold brackets that rich would take for markup
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)


def parse_clock(text: str | None) -> datetime:
    """Now, or the moment given with `--clock`, which needs a time zone.

    >>> parse_clock("2026-07-01T10:00+08:00").isoformat()
    '2026-07-01T10:00:00+08:00'
    """
    if text is None:
        return datetime.now(UTC)
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise OnePointError(
            f"'{text}' is not a time; write it as in 2026-07-01T10:00+08:00"
        ) from None
    if moment.tzinfo is None:
        raise OnePointError(f"'{text}' has no time zone; write it as in 2026-07-01T10:00+08:00")
    return moment


def print_json(value: Any) -> None:
    """Print one JSON object on a line of its own."""
    print(json.dumps(value, ensure_ascii=False, default=str))


def print_gaps(tables: int, columns: int) -> None:
    """Say on stderr, in one line, how much of the contract a source does not bring."""
    if tables or columns:
        gaps = f"{tables} tables and {columns} columns of the contract are not in the source"
        told = f"{gaps}; `python -m features check` names them and what is lost"
        stderr.print(told, soft_wrap=True)


@contextmanager
def steps(title: str, total: int | None = None) -> Iterator[Callable[[str], None]]:
    """Show a progress bar on stderr; call what it gives with the name of each step as it begins."""
    columns = (
        SpinnerColumn(), TextColumn("[bold]{task.description}"), BarColumn(),
        TextColumn("{task.fields[step]}"), TimeElapsedColumn(),
    )  # fmt: skip
    with Progress(*columns, console=stderr, transient=not stderr.is_terminal) as progress:
        task = progress.add_task(title, total=total, step="")
        begun = 0

        def advance(step: str) -> None:
            nonlocal begun
            progress.update(task, completed=begun, step=step)
            begun += 1

        yield advance
        progress.update(task, completed=begun, total=begun, step="done")
