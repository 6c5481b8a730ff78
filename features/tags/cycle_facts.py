"""What only tags of the relationship read: how long it lasts, and what goes through this bank."""

from __future__ import annotations

import narwhals.stable.v2 as nw

from features.catalog import Catalog
from features.feature import Feature, count, happened, is_, newest_days, within
from features.spine import MICROSECONDS_A_DAY
from features.tags.asset_windows import assets_ago, window_days
from features.tags.book import TagBook

EVERY_ROW = ~nw.col("row_id").is_null()
OPEN = nw.col("closed_at").is_null()


def facts(catalog: Catalog, book: TagBook) -> list[Feature]:
    """Declare the facts of the group."""
    return [*_relation(book), *_activation(book), *_investments(catalog, book), *_main_bank(book)]


def _relation(book: TagBook) -> list[Feature]:
    rule = book["lifecycle"]
    back = rule.number("back_days")
    before = ~within(back) & within(back + rule.number("silent_days"))
    joined = nw.when(nw.col("joined_at") <= nw.col("as_of")).then(nw.col("joined_at"))
    own = is_("kind", *book["dormant"].strings("own_kinds"))
    return [
        Feature(
            "fact_cycle_days_with_bank", "life_stage", "days", "开户天数",
            "Days since the customer joined",
            (nw.col("as_of") - joined).max() / MICROSECONDS_A_DAY, history="attributes",
            needs=("customers.joined_at",),
        ),
        Feature(
            "fact_cycle_assets_before_cny", "asset_size", "CNY", "期初资产",
            "Assets when the trend is counted from",
            assets_ago(window_days(book, "lifecycle", "trend_days")), history="asset_steps",
            low=None, empty=0,
        ),
        Feature(
            "fact_cycle_interactions_before", "activity", "interactions", "此前交互次数",
            "Interactions of the silent time before he was back", count(before),
            history="interactions", empty=0,
        ),
        Feature(
            "fact_cycle_own_transaction_days", "activity", "days", "距上次主动动账天数",
            "Days since the last transaction the customer made himself", newest_days(own),
            history="transactions",
        ),
    ]  # fmt: skip


def _activation(book: TagBook) -> list[Feature]:
    offers = book["new_inactive"].strings("binding_offers")
    return [
        Feature(
            "fact_cycle_transactions", "activity", "transactions", "一年内动账笔数",
            "Transactions within a year", count(EVERY_ROW), history="transactions", empty=0,
        ),
        Feature(
            "fact_cycle_logins", "activity", "logins", "一年内登录次数", "Logins within a year",
            count(is_("kind", "login")), history="interactions", needs=("interactions.kind",),
            empty=0,
        ),
        Feature(
            "fact_cycle_bindings", "holdings", "holdings", "绑卡数", "Wallets bound",
            count(is_("product", *offers) & OPEN), history="holdings",
            needs=("holdings.closed_at",), empty=0,
        ),
    ]  # fmt: skip


def _investments(catalog: Catalog, book: TagBook) -> list[Feature]:
    categories = book["first_invest_ready"].strings("categories")
    offers = [offer.id for offer in catalog.offers if offer.category in categories]
    return [
        Feature(
            "fact_cycle_investments_ever", "holdings", "purchases", "累计购买投资类次数",
            "Investments ever bought", count(is_("product", *offers)), history="holdings", empty=0,
        ),
    ]  # fmt: skip


def _main_bank(book: TagBook) -> list[Feature]:
    rule = book["main_bank"]
    recent = within(rule.number("days"))
    return [
        *(
            Feature(
                f"fact_cycle_{kind}", "activity", "yes or no", f"有{zh}", f"Whether there was {en}",
                happened(is_("kind", kind) & recent), history="transactions", empty=0, high=1,
            )
            for kind, zh, en in (
                ("payroll", "代发", "a salary"),
                ("repayment", "还款", "a repayment"),
                ("bill", "缴费", "a bill paid"),
            )
        ),
        Feature(
            "fact_cycle_binding", "holdings", "yes or no", "有绑卡", "Whether a wallet is bound",
            happened(is_("product", *rule.strings("binding_offers")) & OPEN), history="holdings",
            needs=("holdings.closed_at",), empty=0, high=1,
        ),
    ]  # fmt: skip
