"""How often a customer may be contacted: the day from which there is room again."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, timedelta

from serving.decide.policy import Caps


def free_from(days: Sequence[date], most: int, window_days: int) -> date:
    """Return the first day with room for one more contact.

    ``days`` are those of the contacts made, newest first; at most ``most`` may lie in
    ``window_days`` days of the calendar, today included. `date.max` where none is ever allowed.

    >>> free_from([date(2026, 7, 1), date(2026, 6, 28)], most=2, window_days=7)
    datetime.date(2026, 7, 5)
    """
    if most == 0:
        return date.max
    if len(days) < most:
        return date.min
    return days[most - 1] + timedelta(days=window_days)


def contact_free_from(days: Sequence[date], caps: Caps) -> date:
    """Return the first day with room under the caps of all channels together."""
    windows = ((caps.per_day, 1), (caps.per_7_days, 7), (caps.per_30_days, 30))
    return max(free_from(days, most, window) for most, window in windows)
