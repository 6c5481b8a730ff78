"""Assets over windows that a bank sets, from the history `asset_steps`."""

from __future__ import annotations

import narwhals.stable.v2 as nw

from features.errors import ConfigError
from features.feature import largest, ratio
from features.spine import MICROSECONDS_A_DAY
from features.tags.book import TagBook

REACH_DAYS = 180
"""How far `asset_steps` reaches back."""

MONTH_AVERAGE = ("average_assets_month_cny", "average_assets_30d_cny")
"""Features of the month's daily average: on the 1st there is none, and that of 30 days serves."""


def window_days(book: TagBook, code: str, name: str, times: int = 1) -> int:
    """Read a window in whole days; ``times`` of it must not reach further back than the history."""
    days = book[code].number(name)
    if not 1 <= days * times <= REACH_DAYS or days != int(days):
        raise ConfigError(
            f"tag {code}: threshold '{name}' is {days:g}; give whole days, and no more than "
            f"{REACH_DAYS // times}: balances are read {REACH_DAYS} days back"
        )
    return int(days)


def month_average() -> nw.Expr:
    """Mean closing assets of the month's days up to yesterday, CNY."""
    return nw.coalesce(*MONTH_AVERAGE)


def average_assets(first: nw.Expr, end: nw.Expr) -> nw.Expr:
    """Mean closing assets of the bank's days in [first, end), CNY; nothing before the first row."""
    common = nw.min_horizontal(nw.col("until_day"), end) - nw.max_horizontal(nw.col("day"), first)
    closed = nw.max_horizontal(common, nw.lit(0))
    return ratio((nw.col("assets_cny") * closed).sum(), (end - first).max())


def assets_ago(days: int) -> nw.Expr:
    """Assets held that many days ago, CNY; missing before the first balance."""
    lag_us = days * MICROSECONDS_A_DAY
    return largest("assets_cny", (nw.col("age_us") > lag_us) & (nw.col("until_age_us") <= lag_us))


def lowest_demand(days: int) -> nw.Expr:
    """Least money on demand in the window, CNY; 0 where there were no balances when it began."""
    window_us = days * MICROSECONDS_A_DAY
    lowest = nw.when(nw.col("until_age_us") < window_us).then(nw.col("demand_cny")).min()
    came_lately = nw.col("age_us").max() < window_us
    return nw.when(came_lately & (lowest > 0)).then(nw.lit(0)).otherwise(lowest)
