"""The bank's calendar: months and days in the bank's time zone, times in UTC microseconds."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np

from experiments.simulated_bank.luck import Ints

SECOND = 1_000_000
HOUR = 3600 * SECOND
DAY = 24 * HOUR
NEVER = int(np.iinfo(np.int64).min)
"""Stands for null in columns of time and money."""


@dataclass(frozen=True)
class Timeline:
    """Months 0 to ``months`` − 1 from ``first_year``-``first_month`` on, ``utc_offset_hours`` east.

    >>> Timeline(2024, 1, 30, 8).day(2)  # days since 1970-01-01, local
    19783
    """

    first_year: int
    first_month: int
    months: int
    utc_offset_hours: int

    def day(self, month: int) -> int:
        """Give the first local day of a month, in days since 1970-01-01; -1 is the month before."""
        offset = self.first_year * 12 + self.first_month - 1 + month
        return int(np.datetime64(f"{offset // 12:04d}-{offset % 12 + 1:02d}", "D").astype(np.int64))

    def days(self, month: int) -> int:
        """Count the days of a month."""
        return self.day(month + 1) - self.day(month)

    def month_of_year(self, month: int) -> int:
        """January is 0, December 11."""
        return (self.first_month - 1 + month) % 12

    def year(self, month: int) -> float:
        """Give the middle of a month as a year with its fraction."""
        return self.first_year + (self.first_month - 1 + month + 0.5) / 12

    def at(self, local_day: Ints | int, local_us: Ints | int = 0) -> Ints:
        """UTC microseconds of a local day and the microseconds since its midnight."""
        days = np.asarray(local_day, dtype=np.int64)
        moments: Ints = days * DAY + local_us - self.utc_offset_hours * HOUR
        return moments

    def start(self, month: int) -> int:
        """UTC microseconds of the first moment of a month."""
        return int(self.at(self.day(month)))

    @property
    def end(self) -> int:
        """The first moment after the data, in UTC microseconds."""
        return self.start(self.months)

    def local_day(self, moment: Ints) -> Ints:
        """Local day (days since 1970-01-01) of UTC microseconds."""
        days: Ints = (moment + self.utc_offset_hours * HOUR) // DAY
        return days

    def add_months(self, local_day: Ints, months: Ints | int) -> Ints:
        """Find the same day of the month some months later, as deposits count their tenor."""
        days = np.asarray(local_day, dtype=np.int64).astype("datetime64[D]")
        first = days.astype("datetime64[M]")
        within = (days - first.astype("datetime64[D]")).astype(np.int64)
        later = first + np.asarray(months, dtype="timedelta64[M]")
        length = (
            (later + np.timedelta64(1, "M")).astype("datetime64[D]") - later.astype("datetime64[D]")
        ).astype(np.int64)
        start = later.astype("datetime64[D]").astype(np.int64)
        return np.asarray(start + np.minimum(within, length - 1), dtype=np.int64)


def next_business_day(local_day: Ints) -> Ints:
    """Saturday and Sunday become the Monday after; 1970-01-01 was a Thursday.

    >>> next_business_day(np.array([20636, 20637]))  # Wednesday and Thursday stay
    array([20636, 20637])
    """
    weekday = (np.asarray(local_day) + 3) % 7
    return np.asarray(local_day + np.where(weekday == 5, 2, np.where(weekday == 6, 1, 0)))


def utc(moment: int) -> datetime:
    """UTC microseconds as an aware datetime."""
    return datetime.fromtimestamp(moment / SECOND, tz=UTC)
