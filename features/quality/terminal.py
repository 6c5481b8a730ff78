"""The quality report in a terminal: columns, tables, and last what a person should look at."""

from __future__ import annotations

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from features.page import number, percent
from features.quality.findings import ColumnReport, range_end
from features.quality.limits import Level
from features.quality.report import Report

STYLES: dict[Level, str] = {"ok": "green", "warning": "yellow", "alarm": "bold red"}


def print_report(report: Report, console: Console) -> None:
    """Print every column, every table, then the findings, the gravest first."""
    console.print(_columns(report))
    console.print(_tables(report))
    for one in report.findings:
        place = f"{one.table}.{one.column}" if one.column else one.table
        style = STYLES[one.level]
        console.print(
            f"[{style}]{one.level}[/{style}] {escape(place)}: {escape(f'{one.en} {one.zh}')}",
            highlight=False, soft_wrap=True,
        )  # fmt: skip
    against = f"against the reference of {report.reference}" if report.reference else "no reference"
    told = f"{report.source}: {report.level}, {against}"
    console.print(told, style=STYLES[report.level], highlight=False, soft_wrap=True)


def _columns(report: Report) -> Table:
    table = Table(box=None)
    table.add_column("column", no_wrap=True)
    table.add_column("missing", justify="right", no_wrap=True)
    table.add_column("different", justify="right", no_wrap=True)
    table.add_column("range or commonest words", no_wrap=True, overflow="ellipsis")
    table.add_column("PSI", justify="right", no_wrap=True)
    table.add_column("by chance", justify="right", no_wrap=True)
    for name, one in report.tables.items():
        table.add_row(f"[bold]{name}[/bold]")
        for column, told in one.columns.items():
            table.add_row(
                f"  {column}", percent(told.missing_share), f"{told.distinct:,}",
                escape(_range(told)), *_drift(told),
            )  # fmt: skip
    return table


def _range(told: ColumnReport) -> str:
    if told.commonest:
        return ", ".join(f"{word} {rows:,}" for word, rows in told.commonest.items())
    if told.low is None or told.high is None:
        return ""
    return f"{range_end(told.low)} … {range_end(told.high)} {told.unit}".strip()


def _drift(told: ColumnReport) -> tuple[str, str]:
    if told.drift is None or told.drift.psi is None or told.drift.psi_bound is None:
        return "", ""
    style = STYLES[told.drift.level]
    return f"[{style}]{told.drift.psi:.3f}[/{style}]", f"{told.drift.psi_bound:.3f}"


def _tables(report: Report) -> Table:
    title = f"{report.source}: every table keeps the contract"
    table = Table(title=title, box=None)
    table.add_column("table", no_wrap=True)
    for heading in ("rows", "newest row", "days old", "warns after", "alarms after", "level"):
        table.add_column(heading, justify="right", no_wrap=True)
    for name, one in report.tables.items():
        fresh = one.freshness
        table.add_row(
            name,
            f"{one.rows:,}",
            one.newest.strftime("%Y-%m-%d %H:%M") if one.newest else "",
            f"{fresh.age_days:,.1f}" if fresh else "",
            number(fresh.warning_days) if fresh else "",
            number(fresh.alarm_days) if fresh else "",
            f"[{STYLES[one.level]}]{one.level}[/{STYLES[one.level]}]",
        )
    return table
