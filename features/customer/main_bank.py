"""Main bank (主办行): whether the customer's salary and everyday payments go through this bank."""

from __future__ import annotations

from functools import reduce
from operator import add

import narwhals.stable.v2 as nw

from features.feature import (
    Feature,
    count,
    deviation,
    happened,
    is_,
    mean,
    newest_days,
    ratio,
    total,
    within,
)
from features.histories import MONTH_DAYS
from features.spine import MICROSECONDS_A_DAY

LARGE_INFLOW_CNY = 50_000
"""A single inflow from which on it is large."""

PAYROLL = is_("kind", "payroll")
IN = is_("direction", "in")
OUT = is_("direction", "out")


def salary_features() -> list[Feature]:
    """Declare how much salary comes, how evenly, and what part of all inflow it is."""
    payroll_180d = PAYROLL & within(180)
    first_to_last = (
        nw.when(payroll_180d).then(nw.col("age_us")).max()
        - nw.when(payroll_180d).then(nw.col("age_us")).min()
    )
    months = [
        Feature(
            f"payroll_months_{number}m", "life_stage", "months", f"近{number}月有代发的月数",
            f"How many of the last {number} months brought a salary (months of 30.4375 days)",
            reduce(add, (happened(PAYROLL & _in_month(one)) for one in range(number))),
            history="transactions", empty=0, high=number,
        )
        for number in (3, 6)
    ]  # fmt: skip
    return [
        Feature(
            "payroll_mean_180d_cny", "life_stage", "CNY", "180日代发均额",
            "Mean salary payment of 180 days", mean(nw.col("amount_cny"), payroll_180d),
            history="transactions",
        ),
        Feature(
            "payroll_deviation_180d_cny", "life_stage", "CNY", "180日代发金额标准差",
            "Standard deviation of the salary payments of 180 days",
            deviation("amount_cny", payroll_180d), history="transactions",
        ),
        Feature(
            "payroll_gap_days", "life_stage", "days", "180日代发平均间隔天数",
            "Mean days between the salary payments of 180 days",
            ratio(first_to_last, count(payroll_180d) - 1) / MICROSECONDS_A_DAY,
            history="transactions", high=180,
        ),
        *months,
        Feature(
            "payroll_share_of_inflow_90d", "life_stage", "share", "90日代发占流入比",
            "Salary as a share of the inflow of 90 days",
            ratio(
                total("amount_cny", PAYROLL & IN & within(90)),
                total("amount_cny", IN & within(90)),
            ),
            history="transactions", high=1,
        ),
    ]  # fmt: skip


def _in_month(number: int) -> nw.Expr:
    """Rows of the month that ended `number` months before `as_of`."""
    older = nw.col("age_us") > round(number * MONTH_DAYS * MICROSECONDS_A_DAY)
    return older & within((number + 1) * MONTH_DAYS)


def main_bank_features() -> list[Feature]:
    """Declare the four signs of a main bank, and how many of them there are."""
    signs = [
        Feature(
            f"{name}_active_90d", "activity", "yes or no", f"90日内有{zh}",
            f"Whether there was {en} in 90 days", happened(is_("kind", kind) & within(90)),
            history="transactions", empty=0, high=1,
        )
        for name, kind, zh, en in (
            ("payroll", "payroll", "代发工资", "a salary"),
            ("repayment", "repayment", "贷款还款", "a loan repayment"),
            ("bill", "bill", "生活缴费", "a bill paid"),
            ("card", "spend", "刷卡消费", "spending by card"),
        )
    ]  # fmt: skip
    names = tuple(sign.name for sign in signs)
    return [
        *signs,
        Feature(
            "main_bank_degree", "activity", "signs", "主办行程度",
            "Main-bank degree: how many of salary, repayment, bills and card were active",
            reduce(add, (nw.col(name) for name in names)), inputs=names, high=4,
        ),
    ]  # fmt: skip


def flow_features() -> list[Feature]:
    """Declare what becomes of the money that comes in."""
    return [
        Feature(
            "transfer_out_share_90d", "asset_size", "share", "90日转出占流出比",
            "Transfers out as a share of the outflow of 90 days",
            ratio(
                total("amount_cny", is_("kind", "transfer_out") & OUT & within(90)),
                total("amount_cny", OUT & within(90)),
            ),
            history="transactions", high=1,
        ),
        Feature(
            "spend_to_inflow_90d", "asset_size", "ratio", "90日消费与流入之比",
            "Spending of 90 days as a ratio to the inflow",
            ratio(
                total("amount_cny", is_("kind", "spend") & within(90)),
                total("amount_cny", IN & within(90)),
            ),
            history="transactions",
        ),
        Feature(
            "days_since_large_inflow", "asset_size", "days", "距上次大额流入天数",
            "Days since the last single inflow of 50,000 CNY or more",
            newest_days(IN & (nw.col("amount_cny") >= LARGE_INFLOW_CNY)), history="transactions",
            high=365,
        ),
    ]  # fmt: skip
