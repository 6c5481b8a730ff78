"""Days and ages as the bank counts them: in its own time zone, to the day."""

from __future__ import annotations

from datetime import UTC, date, datetime
from zoneinfo import ZoneInfo


def utc(moment: datetime) -> datetime:
    """Return the moment in UTC; a moment without a zone is UTC, as everywhere in the tables."""
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


def local_day(moment: datetime, zone: ZoneInfo) -> date:
    """Return the calendar day of a moment in the bank's time zone.

    >>> local_day(datetime(2026, 6, 30, 16, 0, tzinfo=UTC), ZoneInfo("Asia/Shanghai"))
    datetime.date(2026, 7, 1)
    """
    return utc(moment).astimezone(zone).date()


def age_on(birth_date: date, day: date) -> int:
    """Return the age in full years on a day.

    >>> age_on(date(1961, 7, 2), date(2026, 7, 1)), age_on(date(1961, 7, 1), date(2026, 7, 1))
    (64, 65)
    """
    return day.year - birth_date.year - ((day.month, day.day) < (birth_date.month, birth_date.day))


def months_after(day: date, months: int) -> date:
    """Return the same day some months later, or that month's last day where it is shorter.

    >>> months_after(date(2024, 2, 29), 12)
    datetime.date(2025, 2, 28)
    """
    year, month = divmod(day.year * 12 + day.month - 1 + months, 12)
    for last in (day.day, 30, 29, 28):
        try:
            return date(year, month + 1, last)
        except ValueError:
            continue
    raise AssertionError("every month has 28 days")
