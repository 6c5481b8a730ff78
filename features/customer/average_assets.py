"""Average assets (日均资产): what the customer has over days, not at one moment.

Averages are of the closing balances of the bank's days, the last of them yesterday, as banks count
them for tiers; a day before the first balance closed with nothing.
"""

from __future__ import annotations

from functools import reduce
from operator import add

import narwhals.stable.v2 as nw

from features.feature import Feature, ratio
from features.spine import MICROSECONDS_A_DAY

TIER_FLOORS_CNY = (10_000, 50_000, 200_000, 500_000, 1_000_000, 6_000_000)
"""Average assets from which the next tier begins: tier 0 lies under the first."""


def features() -> list[Feature]:
    """Declare averages, the tier, what they are against before, and money that lies idle."""
    return [*_averages(), *_swings(), *_comparisons()]


def _averages() -> list[Feature]:
    # sums are cast before they are divided: Spark divides decimals into decimals of few digits
    this_month = nw.col("as_of_day") - nw.col("month_start_day")
    return [
        Feature(
            "average_assets_30d_cny", "asset_size", "CNY", "30日日均资产",
            "Average closing assets of the last 30 days",
            _balance_days("assets_cny", "days_30").cast(nw.Float64) / 30, history="asset_steps",
            low=None, empty=0,
        ),
        Feature(
            "average_assets_before_30d_cny", "asset_size", "CNY", "前90日日均资产(不含近30日)",
            "Average closing assets of the 90 days before the last 30",
            _balance_days("assets_cny", "days_before_30").cast(nw.Float64) / 90,
            history="asset_steps", low=None, empty=0,
        ),
        Feature(
            "average_assets_month_cny", "asset_size", "CNY", "当月日均资产",
            "Average closing assets from the 1st to yesterday; missing on the 1st",
            ratio(_balance_days("assets_cny", "days_month"), this_month.max()),
            history="asset_steps", low=None,
        ),
    ]  # fmt: skip


def _comparisons() -> list[Feature]:
    average = nw.coalesce("average_assets_month_cny", "average_assets_30d_cny")
    steps = (
        nw.when(average >= floor).then(nw.lit(1)).otherwise(nw.lit(0)) for floor in TIER_FLOORS_CNY
    )
    month, before = nw.col("average_assets_30d_cny"), nw.col("average_assets_before_30d_cny")
    return [
        Feature(
            "asset_tier", "asset_size", "tier", "资产层级",
            "Tier of the month's average assets (on the 1st, of 30 days), 0 to 6",
            reduce(add, steps), inputs=("average_assets_month_cny", "average_assets_30d_cny"),
            high=len(TIER_FLOORS_CNY),
        ),
        Feature(
            "average_assets_change", "asset_size", "ratio", "日均资产变化率",
            "Average assets of 30 days against the 90 days before, as a share of those",
            ratio(month - before, before),
            inputs=("average_assets_30d_cny", "average_assets_before_30d_cny"), low=None,
        ),
        Feature(
            "average_assets_to_peak", "asset_size", "ratio", "日均资产与半年峰值之比",
            "Average assets of 30 days as a share of the peak of 180 days",
            ratio(month, nw.col("peak_assets_180d_cny")),
            inputs=("average_assets_30d_cny", "peak_assets_180d_cny"), low=None,
        ),
    ]  # fmt: skip


def _swings() -> list[Feature]:
    n = nw.col("days_180").sum().cast(nw.Int64)
    x = _balance_days("assets_cny", "days_180")
    xx = (nw.col("assets_cny") * nw.col("assets_cny") * nw.col("days_180")).sum()
    month_us = 30 * MICROSECONDS_A_DAY
    demand = nw.when(nw.col("until_age_us") < month_us).then(nw.col("demand_cny")).min()
    came_lately = nw.col("age_us").max() < month_us
    return [
        Feature(
            "peak_assets_180d_cny", "asset_size", "CNY", "180日日终资产峰值",
            "Highest closing assets of 180 days",
            nw.when(nw.col("days_180") > 0).then(nw.col("assets_cny")).max(),
            history="asset_steps", low=None,
        ),
        Feature(
            "asset_volatility_180d", "asset_size", "ratio", "180日资产波动率",
            "Standard deviation of the closing assets of 180 days, as a share of their mean",
            # √(n·Σx² − (Σx)²) ÷ n is the deviation and Σx ÷ n the mean: n drops out
            ratio((n * xx - x * x).cast(nw.Float64).sqrt(), x), history="asset_steps",
        ),
        Feature(
            "lowest_demand_30d_cny", "asset_size", "CNY", "30日活期最低余额",
            "Least demand money of 30 days: what lay idle",
            # who has had a balance for less than 30 days had none before it
            nw.when(came_lately & (demand > 0)).then(nw.lit(0)).otherwise(demand),
            history="asset_steps", low=None, empty=0,
        ),
    ]  # fmt: skip


def _balance_days(column: str, days: str) -> nw.Expr:
    return (nw.col(column) * nw.col(days)).sum()
