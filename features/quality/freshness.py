"""Freshness: is the newest row of a table older than the table's own rhythm allows?

The rhythm of a table is the gap that 95 of 100 of its gaps do not exceed, between one of the
bank's calendar days with rows and the next, over the two years before its newest row: 1 for a
table that fills every day, 3 where weekends are empty, 31 for one of month-ends. A table warns
when its newest row is older than `warning_gaps` such gaps and alarms beyond `alarm_gaps`, never
within `fresh_days`.
"""

from __future__ import annotations

from features.config import StrictConfig
from features.quality.limits import Level, Limits
from features.sources import Source, local_time
from features.spine import MICROSECONDS_A_DAY

RHYTHM_DAYS = 730
FEWEST_GAPS = 5
"""A table with fewer gaps has no rhythm yet."""


class Freshness(StrictConfig):
    """Age of a table's newest row and the ages that warn and alarm, in days; None: no rhythm."""

    level: Level
    age_days: float
    usual_gap_days: int | None = None
    warning_days: float | None = None
    alarm_days: float | None = None


def freshness(source: Source, table: str, newest: int, clock_us: int, limits: Limits) -> Freshness:
    """Hold the age of `newest` (microseconds since 1970) to the rhythm of the table."""
    age = (clock_us - newest) / MICROSECONDS_A_DAY
    gap = _usual_gap(source, table, newest)
    if gap is None:
        return Freshness(level="ok", age_days=age)
    warning = max(gap * limits.warning_gaps, limits.fresh_days)
    alarm = max(gap * limits.alarm_gaps, limits.fresh_days)
    level: Level = "alarm" if age > alarm else "warning" if age > warning else "ok"
    return Freshness(
        level=level, age_days=age, usual_gap_days=gap, warning_days=warning, alarm_days=alarm
    )


def _usual_gap(source: Source, table: str, newest: int) -> int | None:
    day = f"cast({local_time('event_time', source.config.time_zone)} as date)"
    gaps, usual = source.con.execute(
        f"""with days as (select distinct {day} as day from "{table}" where event_time > $since),
            gaps as (select day - lag(day) over (order by day) as gap from days)
            select count(gap), quantile_disc(gap, 0.95) from gaps""",  # noqa: S608
        {"since": newest - RHYTHM_DAYS * MICROSECONDS_A_DAY},
    ).fetchall()[0]
    return int(usual) if gaps >= FEWEST_GAPS else None
