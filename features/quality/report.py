"""The quality report: a source's profile beside the reference, and the findings that follow."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

from features.config import StrictConfig
from features.errors import ConfigError
from features.quality.counting import count_source
from features.quality.drift import compare
from features.quality.findings import (
    AGAINST_REFERENCE,
    ColumnReport,
    Finding,
    column_findings,
    lost,
    table_findings,
)
from features.quality.freshness import Freshness, freshness
from features.quality.limits import Level, Limits, worst
from features.quality.profile import Distribution, Profile, TableProfile
from features.sources import Source
from features.spine import microseconds, moment
from features.tables import TABLES, Column, Dtype

COMMONEST = 3
"""Words of a column that a report names."""


class TableReport(StrictConfig):
    """One table now; ``freshness`` where it has `event_time` and its source has a calendar."""

    rows: int
    rows_before: int | None
    recent_rows: int
    sample: int
    newest: datetime | None
    freshness: Freshness | None
    level: Level
    columns: dict[str, ColumnReport]


class Report(StrictConfig):
    """What a check found. ``reference`` is the clock of the reference, where there is one."""

    source: str
    time_zone: str
    clock: datetime
    reference: str | None
    limits: Limits
    level: Level
    findings: tuple[Finding, ...]
    tables: dict[str, TableReport]


def check_quality(
    source: Source,
    clock: datetime,
    limits: Limits,
    reference: Profile | None = None,
    progress: Callable[[str], None] = lambda _: None,
) -> tuple[Report, Profile]:
    """Report on every table of an opened source; give its profile too, to be a reference itself.

    Raises
    ------
    ConfigError
        The reference is another source's, or counted other days than the limits ask for.
    """
    grids: dict[str, dict[str, Distribution]] = {}
    if reference is not None:
        _check_comparable(source, limits, reference)
        grids = {
            name: {c: one.recent for c, one in table.columns.items() if one.recent is not None}
            for name, table in reference.tables.items()
        }
    profile, recounted = count_source(
        source, clock.isoformat(), limits.recent_days, grids, progress
    )
    before = reference.tables if reference is not None else {}
    chance = _chance(profile, before, limits)
    zone = ZoneInfo(source.config.time_zone)
    tables, findings = {}, lost(profile, before)
    for name, table in profile.tables.items():
        fresh = _freshness(source, name, table, clock, limits)
        columns = {
            column: _column_report(
                TABLES[name].column(column), table, before.get(name),
                recounted[name].get(column), limits, chance, zone,
            )
            for column in table.columns
        }  # fmt: skip
        found = [
            *table_findings(name, table, before.get(name), fresh, limits),
            *column_findings(name, table, before.get(name), columns, limits, chance),
        ]
        findings += found
        tables[name] = _table_report(table, before.get(name), fresh, columns, found, zone)
    ordered = sorted(findings, key=lambda one: one.level != "alarm")
    report = Report(
        source=source.config.name,
        time_zone=source.config.time_zone,
        clock=clock.astimezone(zone),
        reference=reference.clock if reference is not None else None,
        limits=limits,
        level=worst([one.level for one in findings]),
        findings=tuple(ordered),
        tables=tables,
    )
    return report, profile


def may_be_reference(report: Report) -> bool:
    """Whether a profile may be saved as a reference: no alarm was raised against an earlier one.

    Saved all the same, what went wrong would be the next normal.
    """
    return not any(
        one.level == "alarm" and one.kind in AGAINST_REFERENCE for one in report.findings
    )


def _check_comparable(source: Source, limits: Limits, reference: Profile) -> None:
    if reference.source != source.config.name:
        raise ConfigError(
            f"the reference is of source '{reference.source}', not '{source.config.name}'; "
            "give this source's, or save one with --save-reference"
        )
    if reference.recent_days != limits.recent_days:
        raise ConfigError(
            f"the reference counts the last {reference.recent_days} days and recent_days is "
            f"{limits.recent_days}; make them equal, or save the reference again"
        )


def _chance(profile: Profile, before: dict[str, TableProfile], limits: Limits) -> float:
    """Chance of a false alarm that each test may have, so that all keep to the limit (Bonferroni).

    A column is tested twice: its distribution, and its missing share.
    """
    compared = [
        column
        for name, table in profile.tables.items()
        for column in table.columns
        if name in before and column in before[name].columns
    ]
    return limits.false_alarm_share / max(2 * len(compared), 1)


def _freshness(
    source: Source, name: str, table: TableProfile, clock: datetime, limits: Limits
) -> Freshness | None:
    # a set whose next purchase is the horizon has an order of events, not a calendar
    if table.newest is None or source.config.horizon == "next_event":
        return None
    return freshness(source, name, table.newest, microseconds(clock), limits)


def _column_report(
    column: Column,
    table: TableProfile,
    before: TableProfile | None,
    recounted: Distribution | None,
    limits: Limits,
    chance: float,
    zone: ZoneInfo,
) -> ColumnReport:
    now = table.columns[column.name]
    drift = missing_before = None
    if before is not None and column.name in before.columns:
        was = before.columns[column.name]
        missing_before = _share(was.recent_missing, before.recent_rows)
        if was.recent is not None and recounted is not None:
            drift = compare(recounted, was.recent, table.sample, before.sample, limits, chance)
    words = zip(now.recent.words, now.recent.counts, strict=False) if now.recent else ()
    return ColumnReport(
        dtype=now.dtype,
        unit=column.unit,
        missing=now.missing,
        missing_share=_share(now.missing, table.rows),
        recent_missing_share=_share(now.recent_missing, table.recent_rows),
        missing_before=missing_before,
        distinct=now.distinct,
        low=_readable(now.low, now.dtype, zone),
        high=_readable(now.high, now.dtype, zone),
        commonest=dict(list(words)[:COMMONEST]),
        drift=drift,
    )


def _readable(value: float | None, dtype: Dtype, zone: ZoneInfo) -> int | float | str | None:
    """Write times and dates in ISO 8601; leave other numbers as they are."""
    if value is None or dtype not in ("time", "date"):
        return value
    if dtype == "date":
        return (date(1970, 1, 1) + timedelta(days=value)).isoformat()
    return _local(int(value), zone).isoformat()


def _local(us: int, zone: ZoneInfo) -> datetime:
    return moment(us).replace(microsecond=0).astimezone(zone)


def _table_report(
    table: TableProfile,
    before: TableProfile | None,
    fresh: Freshness | None,
    columns: dict[str, ColumnReport],
    found: list[Finding],
    zone: ZoneInfo,
) -> TableReport:
    return TableReport(
        rows=table.rows,
        rows_before=before.rows if before is not None else None,
        recent_rows=table.recent_rows,
        sample=table.sample,
        newest=None if table.newest is None else _local(table.newest, zone),
        freshness=fresh,
        level=worst([one.level for one in found]),
        columns=columns,
    )


def _share(part: int, whole: int) -> float:
    return part / whole if whole else 0.0
