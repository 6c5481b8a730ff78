"""Age and life stage: who the customer is, and what comes in every month."""

from __future__ import annotations

import narwhals.stable.v2 as nw

from features.catalog import Catalog
from features.customer import main_bank
from features.feature import Feature, count, is_, newest_days, ratio, total, within
from features.spine import MICROSECONDS_A_DAY

DAYS_A_YEAR = 365.2425


def features(catalog: Catalog) -> list[Feature]:
    """Declare the group; the catalog is not needed."""
    del catalog
    return [*_attributes(), *_regular_money(), *main_bank.salary_features()]


def _attributes() -> list[Feature]:
    texts = [
        Feature(
            name, "life_stage", "category", zh, en, nw.col(name).max(), history="attributes",
            needs=(f"customers.{name}",), low=None, category=True,
        )
        for name, zh, en in (
            ("gender", "性别", "Gender"),
            ("region", "地区", "Region"),
            ("occupation", "职业", "Occupation"),
            ("join_channel", "开户渠道", "Channel of entry"),
        )
    ]  # fmt: skip
    return [
        Feature(
            "age_years", "life_stage", "years", "年龄", "Age on the bank's calendar day",
            (nw.col("as_of_day") - nw.col("birth_date")).max() / DAYS_A_YEAR, history="attributes",
            needs=("customers.birth_date",), high=130,
        ),
        Feature(
            "months_with_bank", "life_stage", "months", "开户月数",
            "Months since the customer joined",
            nw.when(nw.col("joined_at") <= nw.col("as_of"))
            .then(nw.col("as_of") - nw.col("joined_at"))
            .max()
            / (MICROSECONDS_A_DAY * DAYS_A_YEAR / 12),
            history="attributes", needs=("customers.joined_at",),
        ),
        Feature(
            "declared_income_cny", "life_stage", "CNY/year", "申报年收入", "Declared yearly income",
            nw.col("income_cny").max(), history="attributes", needs=("customers.income_cny",),
        ),
        Feature(
            "month_of_year", "life_stage", "month", "月份", "Calendar month of the moment",
            nw.col("as_of_month"), low=1, high=12,
        ),
        *texts,
    ]  # fmt: skip


def _regular_money() -> list[Feature]:
    regular = []
    for kind, zh, en in (("payroll", "代发工资", "Salary"), ("pension", "养老金", "Pension")):
        regular += [
            Feature(
                f"{kind}_90d_cny", "life_stage", "CNY", f"90日{zh}", f"{en} received in 90 days",
                total("amount_cny", is_("kind", kind) & within(90)), history="transactions",
                empty=0,
            ),
            Feature(
                f"{kind}_count_90d", "life_stage", "payments", f"90日{zh}笔数",
                f"{en} payments in 90 days", count(is_("kind", kind) & within(90)),
                history="transactions", empty=0,
            ),
        ]  # fmt: skip
    return [
        *regular,
        Feature(
            "days_since_payroll", "life_stage", "days", "距上次代发天数",
            "Days since the last salary",
            newest_days(is_("kind", "payroll")), history="transactions", high=365,
        ),
        Feature(
            "repayment_90d_cny", "life_stage", "CNY", "90日还款", "Loan repayments of 90 days",
            total("amount_cny", is_("kind", "repayment") & within(90)), history="transactions",
            empty=0,
        ),
        Feature(
            "salary_to_declared_income", "life_stage", "ratio", "代发与申报收入之比",
            "Salary of 90 days as a share of a quarter of declared income",
            ratio(nw.col("payroll_90d_cny") * 4, nw.col("declared_income_cny")),
            inputs=("payroll_90d_cny", "declared_income_cny"),
        ),
    ]  # fmt: skip
