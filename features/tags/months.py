"""Calendar months of the bank's days, where 30 days will not do: paydays, months in a row."""

from __future__ import annotations

import narwhals.stable.v2 as nw

BEGIN_DAYS = 671
"""Days from 1968-03-01, a year before whose end no leap day lies, to 1970-01-01."""

FOUR_YEARS_DAYS = 1461
FIVE_MONTHS_DAYS = 153
"""March to July, and August to December; January and February come last in these years."""


def month_number(day: nw.Expr) -> nw.Expr:
    """Count the months from March 1968 to the month of a day; the next month has the next number.

    ``day`` is days since 1970-01-01, an integer of the years 1970 to 2099 (2100 is no leap year).
    The years begin on 1 March, so that the leap day is the last (H. Hinnant, "chrono-Compatible
    Low-Level Date Algorithms", `civil_from_days`).
    """
    year, day_of_year = _year_and_day(day)
    return year * 12 + _month(day_of_year)


def day_of_month(day: nw.Expr) -> nw.Expr:
    """Give the day of the month, 1 to 31, of a day; ``day`` as for `month_number`."""
    _, day_of_year = _year_and_day(day)
    return day_of_year - _whole(_month(day_of_year) * FIVE_MONTHS_DAYS + 2, 5) + 1


def _year_and_day(day: nw.Expr) -> tuple[nw.Expr, nw.Expr]:
    since = day + BEGIN_DAYS
    year = _whole(since * 4 + 3, FOUR_YEARS_DAYS)
    return year, since - _whole(year * FOUR_YEARS_DAYS, 4)


def _month(day_of_year: nw.Expr) -> nw.Expr:
    return _whole(day_of_year * 5 + 2, FIVE_MONTHS_DAYS)


def _whole(value: nw.Expr, divisor: int) -> nw.Expr:
    # `//` spells its dividend several times in DuckDB's SQL; nested, that grows without measure
    return (value / divisor).floor().cast(nw.Int64)
