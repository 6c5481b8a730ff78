"""A feature: one number or category about a customer at `as_of`, declared once.

A feature either aggregates a history (the past of the spine row) or is computed row by row from
other features and the spine. Its expression is narwhals, so that one definition runs on every
engine; it must not depend on the order of rows. Sums of money are exact (DECIMAL).
"""

from __future__ import annotations

from dataclasses import dataclass

import narwhals.stable.v2 as nw

from features.groups import Group
from features.spine import MICROSECONDS_A_DAY


@dataclass(frozen=True)
class Feature:
    """One feature.

    ``history`` names the past it aggregates (`features.histories.HISTORIES`), empty = row by row
    over the features in ``inputs``. ``needs`` are optional columns (`table.column`) without which
    the feature is left out. ``low`` and ``high`` are inclusive bounds; ``empty`` is the value
    where there is no past (None = missing). A ``category`` is text, encoded by a vocabulary.
    """

    name: str
    group: Group
    unit: str
    zh: str
    en: str
    expr: nw.Expr
    history: str = ""
    inputs: tuple[str, ...] = ()
    needs: tuple[str, ...] = ()
    low: float | None = 0.0
    high: float | None = None
    empty: float | None = None
    category: bool = False


def within(days: float) -> nw.Expr:
    """Rows of the window [as_of − days, as_of)."""
    return nw.col("age_us") <= round(days * MICROSECONDS_A_DAY)


def is_(column: str, *values: str) -> nw.Expr:
    """Rows whose column has one of these values."""
    if len(values) == 1:
        return nw.col(column) == values[0]
    return nw.col(column).is_in(list(values))


def count(condition: nw.Expr) -> nw.Expr:
    """How many rows meet the condition."""
    return nw.when(condition).then(nw.lit(1)).count()


def total(column: str, condition: nw.Expr) -> nw.Expr:
    """Sum of a column over the rows that meet the condition; missing where none does."""
    return nw.when(condition).then(nw.col(column)).sum()


def largest(column: str, condition: nw.Expr) -> nw.Expr:
    """Largest value of a column over the rows that meet the condition."""
    return nw.when(condition).then(nw.col(column)).max()


def happened(condition: nw.Expr) -> nw.Expr:
    """1 where any row meets the condition, else 0."""
    return nw.when(condition).then(nw.lit(1)).otherwise(nw.lit(0)).max()


def distinct(value: nw.Expr) -> nw.Expr:
    """How many different values there are; a null is none."""
    nulls = nw.when(value.is_null()).then(nw.lit(1)).otherwise(nw.lit(0)).max()
    return value.n_unique() - nulls  # narwhals counts null as a value


def whole(column: str) -> nw.Expr:
    """A column of decimals to the nearest integer, halves up: sums of integers have no order."""
    return (nw.col(column) + 0.5).floor().cast(nw.Int64)


def mean(value: nw.Expr, condition: nw.Expr) -> nw.Expr:
    """Mean of money or integers over the rows that meet the condition, from an exact sum."""
    taken = nw.when(condition).then(value)
    return ratio(taken.sum(), taken.count())


def deviation(column: str, condition: nw.Expr) -> nw.Expr:
    """Standard deviation of money (of the population), from exact sums of x and x².

    √(n·Σx² − (Σx)²) ÷ n: equal amounts give 0, not what rounding leaves.
    """
    taken = nw.when(condition).then(nw.col(column))
    n, x, xx = taken.count(), taken.sum(), (taken * taken).sum()
    return ratio(((n * xx - x * x).cast(nw.Float64)).sqrt(), n)


def newest_days(condition: nw.Expr) -> nw.Expr:
    """Days since the newest row that meets the condition; missing where none does."""
    return nw.when(condition).then(nw.col("age_us")).min() / MICROSECONDS_A_DAY


def days_until(column: str, condition: nw.Expr) -> nw.Expr:
    """Days from `as_of` to the nearest moment in a column, of the rows that meet the condition."""
    return nw.when(condition).then(nw.col(column) - nw.col("as_of")).min() / MICROSECONDS_A_DAY


def ratio(numerator: nw.Expr, denominator: nw.Expr) -> nw.Expr:
    """Numerator ÷ denominator; missing where the denominator is not positive."""
    # Spark divides decimals into decimals of few digits
    value = numerator.cast(nw.Float64) / denominator.cast(nw.Float64)
    return nw.when(denominator > 0).then(value)
