"""Asset size: what the customer has with the bank, how it moves, what he owes."""

from __future__ import annotations

import narwhals.stable.v2 as nw

from features.catalog import Catalog
from features.customer import average_assets, main_bank
from features.feature import Feature, count, is_, largest, ratio, total, within
from features.spine import MICROSECONDS_A_DAY
from features.tables import ASSET_CLASSES

EVERY_ROW = ~nw.col("row_id").is_null()

CLASS_NAMES = {
    "demand": ("活期", "demand money"),
    "deposit": ("定期存款", "deposits"),
    "wealth": ("理财", "wealth products"),
    "fund": ("基金", "funds"),
    "insurance": ("保险", "insurance"),
    "metal": ("贵金属", "precious metal"),
}


def features(catalog: Catalog) -> list[Feature]:
    """Declare the group; the catalog is not needed."""
    del catalog
    return [
        *_levels(),
        *_changes(),
        *average_assets.features(),
        *_flows(),
        *main_bank.flow_features(),
        *_debts(),
    ]


def _levels() -> list[Feature]:
    by_class = [
        Feature(
            f"{name}_balance_cny", "asset_size", "CNY", f"{CLASS_NAMES[name][0]}余额",
            f"Balance of {CLASS_NAMES[name][1]}", total("balance_cny", is_("asset_class", name)),
            history="balances", low=None, empty=0,
        )
        for name in ASSET_CLASSES
    ]  # fmt: skip
    lags = [
        Feature(
            f"total_assets_{days}d_ago_cny", "asset_size", "CNY", f"{days}日前总资产",
            f"Total assets {days} days ago", _assets_ago(days * MICROSECONDS_A_DAY),
            history="asset_steps", low=None,
        )
        for days in (30, 90, 180)
    ]  # fmt: skip
    return [
        Feature(
            "total_assets_cny", "asset_size", "CNY", "总资产", "Total assets with the bank",
            total("balance_cny", EVERY_ROW), history="balances", low=None, empty=0,
        ),
        *by_class,
        *lags,
        Feature(
            "demand_share", "asset_size", "share", "活期占比", "Share of assets on demand",
            ratio(nw.col("demand_balance_cny"), nw.col("total_assets_cny")),
            inputs=("demand_balance_cny", "total_assets_cny"), low=None,
        ),
        Feature(
            "investment_share", "asset_size", "share", "投资类占比",
            "Share of assets in wealth products and funds",
            ratio(
                nw.col("wealth_balance_cny") + nw.col("fund_balance_cny"),
                nw.col("total_assets_cny"),
            ),
            inputs=("wealth_balance_cny", "fund_balance_cny", "total_assets_cny"), low=None,
        ),
    ]  # fmt: skip


def _assets_ago(lag_us: int) -> nw.Expr:
    """Assets of the step that was held then; missing before the first balance."""
    then = (nw.col("age_us") > lag_us) & (nw.col("until_age_us") <= lag_us)
    return largest("assets_cny", then)


def _changes() -> list[Feature]:
    return [
        Feature(
            f"total_assets_change_{days}d", "asset_size", "ratio", f"{days}日资产变化率",
            f"Change of total assets over {days} days, as a share of then",
            ratio(
                nw.col("total_assets_cny") - nw.col(f"total_assets_{days}d_ago_cny"),
                nw.col(f"total_assets_{days}d_ago_cny"),
            ),
            inputs=("total_assets_cny", f"total_assets_{days}d_ago_cny"), low=None,
        )
        for days in (30, 90, 180)
    ]  # fmt: skip


def _flows() -> list[Feature]:
    flows = [
        Feature(
            f"{zh_en[2]}_{days}d_cny", "asset_size", "CNY", f"{days}日{zh_en[0]}",
            f"{zh_en[1]} of {days} days", total("amount_cny", is_("direction", way) & within(days)),
            history="transactions", empty=0,
        )
        for way, zh_en in (
            ("in", ("流入", "Inflow", "inflow")),
            ("out", ("流出", "Outflow", "outflow")),
        )
        for days in (30, 90)
    ]  # fmt: skip
    return [
        *flows,
        Feature(
            "net_flow_30d_cny", "asset_size", "CNY", "30日净流入", "Net inflow of 30 days",
            nw.col("inflow_30d_cny") - nw.col("outflow_30d_cny"),
            inputs=("inflow_30d_cny", "outflow_30d_cny"), low=None,
        ),
        Feature(
            "largest_inflow_30d_cny", "asset_size", "CNY", "30日最大单笔流入",
            "Largest single inflow of 30 days",
            largest("amount_cny", is_("direction", "in") & within(30)),
            history="transactions", empty=0,
        ),
        Feature(
            "transfer_out_90d_cny", "asset_size", "CNY", "90日转出", "Transfers out of 90 days",
            total("amount_cny", is_("kind", "transfer_out") & within(90)),
            history="transactions", empty=0,
        ),
    ]  # fmt: skip


def _debts() -> list[Feature]:
    return [
        Feature(
            f"{kind}_debt_cny", "asset_size", "CNY", f"{zh}余额", f"{en} debt",
            total("balance_cny", is_("kind", kind)), history="accounts",
            needs=("accounts.balance_cny",), low=None, empty=0,
        )
        for kind, zh, en in (("loan", "贷款", "Loan"), ("card", "信用卡欠款", "Card"))
    ] + [
        Feature(
            "card_limit_cny", "asset_size", "CNY", "信用卡额度", "Card limit",
            total("limit_cny", is_("kind", "card")), history="accounts",
            needs=("accounts.limit_cny",), empty=0,
        ),
        Feature(
            "card_limit_use", "asset_size", "share", "信用卡额度使用率",
            "Card debt as a share of limit",
            ratio(nw.col("card_debt_cny"), nw.col("card_limit_cny")),
            inputs=("card_debt_cny", "card_limit_cny"), low=None,
        ),
        Feature(
            "overdue_days_365d", "asset_size", "days", "一年内最长逾期天数",
            "Most days overdue within a year", largest("overdue_days", EVERY_ROW),
            history="accounts_past", needs=("accounts.overdue_days",), empty=0, high=36_500,
        ),
        Feature(
            "credit_offers_live", "asset_size", "offers", "有效预授信数",
            "Pre-approved credit in force",
            count(nw.col("expires_at") > nw.col("as_of")), history="credit_offers", empty=0,
        ),
    ]  # fmt: skip
