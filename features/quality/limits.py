"""What a bank tolerates before it is warned, and before an alarm."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from features.config import StrictConfig

Level = Literal["ok", "warning", "alarm"]
LEVELS: tuple[Level, ...] = ("ok", "warning", "alarm")


class Limits(StrictConfig):
    """Thresholds of the quality check.

    ``recent_days``: drift is looked for in the rows of so many days before each table's newest
    row, since a month that went wrong is lost among three good years; tables without `event_time`
    are taken whole. ``psi_floor``: smaller shifts do not matter, however certain.
    ``false_alarm_share``: how often a whole check may raise an alarm over distributions although
    nothing drifted; every column tested gets an equal part of it. ``missing_rise``: rise of a
    missing share that matters. A table is late when its newest row is older than so many of its
    usual gaps (``warning_gaps``, ``alarm_gaps``), never within ``fresh_days`` days.
    ``fewer_rows_warning``, ``fewer_rows_alarm``: share of the rows of before that may be gone.
    """

    recent_days: int = Field(default=90, ge=1)
    psi_floor: float = Field(default=0.1, ge=0)
    false_alarm_share: float = Field(default=0.01, gt=0, lt=1)
    missing_rise: float = Field(default=0.05, ge=0, lt=1)
    warning_gaps: float = Field(default=1.5, gt=0)
    alarm_gaps: float = Field(default=3.0, gt=0)
    fresh_days: float = Field(default=2.0, ge=0)
    fewer_rows_warning: float = Field(default=0.01, ge=0, lt=1)
    fewer_rows_alarm: float = Field(default=0.1, ge=0, lt=1)

    @model_validator(mode="after")
    def _warned_before_the_alarm(self) -> Limits:
        if self.warning_gaps > self.alarm_gaps:
            raise ValueError("warning_gaps lies above alarm_gaps; a warning comes first")
        if self.fewer_rows_warning > self.fewer_rows_alarm:
            raise ValueError(
                "fewer_rows_warning lies above fewer_rows_alarm; a warning comes first"
            )
        return self


def worst(levels: list[Level]) -> Level:
    """Give the gravest of some levels; none is ok.

    >>> worst(["ok", "alarm", "warning"])
    'alarm'
    """
    return max(levels, key=LEVELS.index, default="ok")
