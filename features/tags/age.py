"""Age in whole years by the calendar: law and suitability count birthdays, not days."""

from __future__ import annotations

import narwhals.stable.v2 as nw

from features.tags.months import day_of_month, month_number


def whole_years(born: nw.Expr, today: nw.Expr) -> nw.Expr:
    """Birthdays from one day to another (days since 1970-01-01, integers, of 1900-03 to 2099).

    Who was born on 29 February has a birthday on 1 March in other years.
    """
    not_yet = nw.when(day_of_month(today) < day_of_month(born)).then(nw.lit(1))
    months = month_number(today) - month_number(born) - not_yet.otherwise(nw.lit(0))
    return (months / 12).floor().cast(nw.Int64)
