"""What only tags of value read: averages of assets, idle and borrowed money, money elsewhere."""

from __future__ import annotations

import narwhals.stable.v2 as nw

from features.catalog import Catalog
from features.feature import Feature, count, is_, total, within
from features.tags.asset_windows import assets_ago, average_assets, lowest_demand, window_days
from features.tags.book import TagBook
from features.tags.parts import largest
from features.tags.tag import positive

TODAY = nw.col("as_of_day")


def facts(catalog: Catalog, book: TagBook) -> list[Feature]:
    """Declare the facts of the group."""
    return [
        *_averages(book),
        *_churn(book),
        *_idle(book),
        *_held(catalog),
        *_elsewhere(book),
        *_borrowed(book),
    ]


def _averages(book: TagBook) -> list[Feature]:
    periods = int(book["downgrade_risk"].number("periods"))
    days = window_days(book, "downgrade_risk", "period_days", periods)
    names = [f"fact_value_average_{number}_cny" for number in range(periods)]
    return [
        *(
            _money(
                name, f"前第{number}期日均资产", f"Daily average of assets, {number} periods back",
                average_assets(TODAY - (number + 1) * days, TODAY - number * days), "asset_steps",
            )
            for number, name in enumerate(names)
        ),
        _row(
            "fact_value_peak_cny", "CNY", "近期日均资产峰值", "Highest of the periods' averages",
            largest(names), tuple(names),
        ),
    ]  # fmt: skip


def _churn(book: TagBook) -> list[Feature]:
    days = window_days(book, "churn_risk", "days")
    amount = nw.col("amount_cny")
    outward = nw.when(is_("direction", "out")).then(amount).otherwise(nw.lit(0) - amount)
    return [
        _money(
            "fact_value_assets_before_cny", "期初资产", "Assets when the outflow is counted from",
            assets_ago(days), "asset_steps",
        ),
        _money(
            # one exact sum: the difference of two floats would blur the share
            "fact_value_net_outflow_cny", "净流出", "Outflow less inflow",
            nw.when(within(days)).then(outward).sum(), "transactions", empty=0,
        ),
        Feature(
            "fact_value_interactions", "activity", "interactions", "主动交互次数",
            "Interactions while the outflow is counted", count(within(days)),
            history="interactions", empty=0,
        ),
    ]  # fmt: skip


def _idle(book: TagBook) -> list[Feature]:
    return [
        _money(
            "fact_value_lowest_demand_cny", "期内最低活期余额", "Lowest balance on demand",
            lowest_demand(window_days(book, "idle_cash", "days")), "asset_steps",
        ),
    ]  # fmt: skip


def _held(catalog: Catalog) -> list[Feature]:
    offers = [one.id for one in catalog.offers if one.suitability in ("investment", "fund")]
    return [
        Feature(
            "fact_value_investments_held", "holdings", "holdings", "持有投资类产品数",
            "Investments held", count(is_("product", *offers) & nw.col("closed_at").is_null()),
            history="holdings", needs=("holdings.closed_at",), empty=0,
        ),
    ]  # fmt: skip


def _elsewhere(book: TagBook) -> list[Feature]:
    potential = book["offbank_potential"]
    days = potential.number("days")
    amount = nw.col("amount_cny")
    received = nw.when(is_("kind", "transfer_in")).then(nw.lit(0) - amount)
    moved = nw.when(is_("kind", "transfer_out")).then(amount).otherwise(received)
    assets = nw.col("total_assets_cny")
    salary = positive(nw.col("fact_value_payroll_cny")) * potential.number("payroll_times")
    limit = positive(nw.col("card_limit_cny")) * potential.number("card_limit_times")
    transfers = positive(nw.col("fact_value_moved_out_cny")) * potential.number("moved_out_times")
    told = nw.max_horizontal(salary - assets, limit - assets, transfers)
    return [
        _money(
            "fact_value_payroll_cny", "代发额", "Salary of the year",
            total("amount_cny", is_("kind", "payroll") & within(days)), "transactions",
        ),
        _money(
            "fact_value_moved_out_cny", "净转出额", "Transfers out less transfers in",
            nw.when(within(days)).then(moved).sum(), "transactions",
        ),
        _row(
            "fact_value_offbank_cny", "CNY", "行外资产估计", "Assets elsewhere, as estimated",
            nw.when(~told.is_null()).then(nw.max_horizontal(told, nw.lit(0))),
            (
                "fact_value_payroll_cny", "card_limit_cny", "fact_value_moved_out_cny",
                "total_assets_cny",
            ),
        ),
    ]  # fmt: skip


def _borrowed(book: TagBook) -> list[Feature]:
    offers = book["loan_band"].strings("instalment_offers")
    return [
        Feature(
            "fact_value_instalments_cny", "holdings", "CNY", "未结清分期金额",
            "Instalment plans not settled, at the amount they began with",
            total("amount_cny", is_("product", *offers) & nw.col("closed_at").is_null()),
            history="holdings", needs=("holdings.amount_cny", "holdings.closed_at"), empty=0,
        ),
        _row(
            "fact_value_debt_cny", "CNY", "贷款与分期余额", "Loans and instalments owed",
            nw.col("loan_debt_cny") + nw.col("fact_value_instalments_cny"),
            ("loan_debt_cny", "fact_value_instalments_cny"),
        ),
    ]  # fmt: skip


def _money(
    name: str, zh: str, en: str, expr: nw.Expr, history: str, empty: float | None = None
) -> Feature:
    return Feature(name, "asset_size", "CNY", zh, en, expr, history=history, low=None, empty=empty)


def _row(name: str, unit: str, zh: str, en: str, expr: nw.Expr, inputs: tuple[str, ...]) -> Feature:
    return Feature(name, "asset_size", unit, zh, en, expr, inputs=inputs, low=None)
