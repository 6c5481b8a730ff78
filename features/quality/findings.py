"""Findings: what in a report a person should look at, in both languages."""

from __future__ import annotations

from typing import Literal

from features.config import StrictConfig
from features.page import number
from features.quality.drift import Drift, rise_bound
from features.quality.freshness import Freshness
from features.quality.limits import Level, Limits
from features.quality.profile import Profile, TableProfile
from features.tables import Dtype

Kind = Literal["stale", "empty", "lost", "fewer_rows", "missing", "drift"]
AGAINST_REFERENCE: tuple[Kind, ...] = ("lost", "fewer_rows", "missing", "drift")
"""Findings that are about what the reference says."""


class Finding(StrictConfig):
    """Something a person should look at; ``column`` is empty where it is the whole table."""

    level: Level
    kind: Kind
    table: str
    column: str = ""
    zh: str
    en: str


class ColumnReport(StrictConfig):
    """One column now.

    ``missing``, ``distinct``, ``low`` and ``high`` (times in ISO 8601 with the bank's zone) are of
    all rows, ``commonest`` words, ``recent_missing_share`` and ``drift`` of the recent ones;
    ``missing_before`` is the recent share (0–1) in the reference.
    """

    dtype: Dtype
    unit: str
    missing: int
    missing_share: float
    recent_missing_share: float
    missing_before: float | None
    distinct: int
    low: int | float | str | None
    high: int | float | str | None
    commonest: dict[str, int]
    drift: Drift | None


def range_end(value: float | str) -> str:
    """Write an end of a column's range: a number, or the day and minute of a time.

    >>> range_end(1234.5), range_end("2026-06-30T22:31:07+08:00")
    ('1,234', '2026-06-30 22:31')
    """
    return value[:16].replace("T", " ") if isinstance(value, str) else number(value)


def lost(profile: Profile, before: dict[str, TableProfile]) -> list[Finding]:
    """Name the tables and columns of the reference that the source brings no longer."""
    lost = [(name, "") for name in before if name not in profile.tables]
    lost += [
        (name, column)
        for name, table in profile.tables.items()
        if name in before
        for column in before[name].columns
        if column not in table.columns
    ]
    return [
        Finding(
            level="alarm", kind="lost", table=table, column=column,
            zh="基准中有，现已不再提供", en="was in the reference and is no longer brought",
        )
        for table, column in lost
    ]  # fmt: skip


def table_findings(
    name: str,
    table: TableProfile,
    before: TableProfile | None,
    fresh: Freshness | None,
    limits: Limits,
) -> list[Finding]:
    """Say where a table is late, empty, or shorter than it was."""
    found = []
    if fresh is not None and fresh.level != "ok":
        limit = fresh.alarm_days if fresh.level == "alarm" else fresh.warning_days
        found.append(
            Finding(
                level=fresh.level, kind="stale", table=name,
                zh=f"最新一行距今 {fresh.age_days:,.1f} 天，超过 {limit:,.1f} 天的限度"
                   f"（通常间隔 {fresh.usual_gap_days} 天）",
                en=f"newest row is {fresh.age_days:,.1f} days old, beyond the limit of "
                   f"{limit:,.1f} days (usual gap {fresh.usual_gap_days} days)",
            )
        )  # fmt: skip
    if not table.rows:
        found.append(
            Finding(level="warning", kind="empty", table=name, zh="没有数据行", en="has no rows")
        )
    fell = 1 - table.rows / before.rows if before is not None and before.rows else 0.0
    if before is not None and fell > limits.fewer_rows_warning:
        found.append(
            Finding(
                level="alarm" if fell > limits.fewer_rows_alarm else "warning",
                kind="fewer_rows", table=name,
                zh=f"行数由 {before.rows:,} 减至 {table.rows:,}（−{fell:.1%}）",
                en=f"rows fell from {before.rows:,} to {table.rows:,} (−{fell:.1%})",
            )
        )  # fmt: skip
    return found


def column_findings(
    name: str,
    table: TableProfile,
    before: TableProfile | None,
    columns: dict[str, ColumnReport],
    limits: Limits,
    chance: float,
) -> list[Finding]:
    """Say which columns of a table are empty, miss more than they did, or drifted."""
    found = []
    for column, one in columns.items():
        if table.rows and one.missing_share == 1 and one.missing_before != 1:
            # once empty in the reference too it is the bank's way, and told no more
            found.append(
                Finding(level="warning", kind="empty", table=name, column=column,
                        zh="整列为空", en="is brought, and empty in every row")
            )  # fmt: skip
        if before is not None and _missing_jumped(one, table, before, limits, chance):
            found.append(
                Finding(
                    level="alarm", kind="missing", table=name, column=column,
                    zh=f"缺失率由 {one.missing_before:.1%} 升至 {one.recent_missing_share:.1%}",
                    en=f"missing share rose from {one.missing_before:.1%} to "
                       f"{one.recent_missing_share:.1%}",
                )
            )  # fmt: skip
        if one.drift is not None and one.drift.level != "ok":
            told = f"PSI {one.drift.psi:.2f} > {one.drift.psi_floor:g}, {one.drift.psi_bound:.2f}"
            found.append(
                Finding(
                    level=one.drift.level, kind="drift", table=name, column=column,
                    zh=f"分布漂移：{told}（实际限度，偶然限度）",
                    en=f"distribution drifted: {told} (what matters, what chance could do)",
                )
            )  # fmt: skip
    return found


def _missing_jumped(
    one: ColumnReport, table: TableProfile, before: TableProfile, limits: Limits, chance: float
) -> bool:
    if one.missing_before is None or not (table.sample and before.sample):
        return False
    rise = one.recent_missing_share - one.missing_before
    could_be_chance = rise_bound(
        one.recent_missing_share, one.missing_before, table.sample, before.sample, chance
    )
    return rise > max(limits.missing_rise, could_be_chance)
