"""Activity: how often and how lately the customer does something with the bank."""

from __future__ import annotations

import narwhals.stable.v2 as nw

from features.catalog import Catalog
from features.feature import Feature, count, is_, newest_days, ratio, total, within

KINDS = ("interactions.kind",)
ANY = ~nw.col("row_id").is_null()


def features(catalog: Catalog) -> list[Feature]:
    """Declare the group; browsing is told by offer category where there are several."""
    return [*_interactions(), *_journeys(), *_transactions(), *_browsing(catalog)]


def _interactions() -> list[Feature]:
    windows = [
        Feature(
            f"interactions_{days}d", "activity", "interactions", f"{days}日交互次数",
            f"Interactions of {days} days", count(within(days)), history="interactions", empty=0,
        )
        for days in (1, 7, 30, 90, 365)
    ]  # fmt: skip
    by_kind = [
        Feature(
            f"{kind}_count_{days}d", "activity", "interactions", f"{days}日{zh}次数",
            f"{en} of {days} days", count(is_("kind", kind) & within(days)),
            history="interactions", needs=KINDS, empty=0,
        )
        for kind, zh, en, days in (
            ("login", "登录", "Logins", 7),
            ("login", "登录", "Logins", 30),
            ("login", "登录", "Logins", 90),
            ("browse", "浏览", "Product views", 7),
            ("browse", "浏览", "Product views", 30),
            ("inquiry", "咨询", "Inquiries", 30),
            ("call", "来电", "Calls", 30),
            ("service", "服务办理", "Services", 90),
        )
    ]  # fmt: skip
    return [
        *windows,
        *by_kind,
        Feature(
            "days_since_interaction", "activity", "days", "最近主动交互天数",
            "Days since the last interaction", newest_days(ANY), history="interactions", high=365,
        ),
        Feature(
            "interaction_trend_30d", "activity", "ratio", "活跃趋势",
            "Interactions a day of 30 days, against those of 90 days",
            ratio(nw.col("interactions_30d") * 3, nw.col("interactions_90d")),
            inputs=("interactions_30d", "interactions_90d"), high=3,
        ),
    ]  # fmt: skip


def _journeys() -> list[Feature]:
    return [
        Feature(
            f"{kind}_count_{days}d", "activity", "applications", f"{days}日{zh}",
            f"{en} in {days} days",
            count(is_("kind", kind) & within(days)), history="interactions", needs=KINDS, empty=0,
        )
        for kind, zh, en in (
            ("apply", "申请次数", "Applications begun"),
            ("complete", "办成次数", "Applications completed"),
            ("abandon", "放弃次数", "Applications given up"),
        )
        for days in (90, 365)
    ] + [
        Feature(
            "days_since_apply", "activity", "days", "距上次申请天数",
            "Days since the last application",
            newest_days(is_("kind", "apply")), history="interactions", needs=KINDS, high=365,
        ),
        Feature(
            "touches_since_purchase", "activity", "interactions", "上次购买后交互次数",
            "Interactions since the last purchase", count(ANY), history="open_journey",
            needs=("holdings",), empty=0,
        ),
        Feature(
            "sessions_since_purchase", "activity", "sessions", "上次购买后会话数",
            "Sessions since the last purchase",
            nw.col("session_id").n_unique()
            - nw.when(nw.col("session_id").is_null()).then(1).otherwise(0).max(),  # null is a value
            history="open_journey", needs=("holdings", "interactions.session_id"), empty=0,
        ),
    ]  # fmt: skip


def _transactions() -> list[Feature]:
    counts = [
        Feature(
            f"{kind}_transactions_{days}d", "activity", "transactions", f"{days}日{zh}笔数",
            f"{en} transactions of {days} days", count(is_("kind", kind) & within(days)),
            history="transactions", empty=0,
        )
        for kind, zh, en, days in (
            ("spend", "消费", "Spending", 30),
            ("bill", "缴费", "Bill", 90),
            ("transfer_out", "转出", "Transfer-out", 30),
            ("transfer_in", "转入", "Transfer-in", 30),
        )
    ]  # fmt: skip
    return [
        Feature(
            "transactions_30d", "activity", "transactions", "30日动账笔数",
            "Transactions of 30 days",
            count(within(30)), history="transactions", empty=0,
        ),
        *counts,
        Feature(
            "days_since_transaction", "activity", "days", "最近动账天数",
            "Days since the last transaction",
            newest_days(ANY), history="transactions", high=365,
        ),
        Feature(
            "spend_30d_cny", "activity", "CNY", "30日消费金额", "Spending of 30 days",
            total("amount_cny", is_("kind", "spend") & within(30)), history="transactions", empty=0,
        ),
    ]  # fmt: skip


def _browsing(catalog: Catalog) -> list[Feature]:
    categories = list(dict.fromkeys(o.category for o in catalog.offers if o.kind == "product"))
    if len(categories) < 2:
        return []
    return [
        Feature(
            f"views_{category}_30d", "activity", "views", f"30日浏览{category}类次数",
            f"Views of {category} products in 30 days",
            count(
                is_("kind", "browse", "inquiry")
                & is_("product", *(o.id for o in catalog.offers if o.category == category))
                & within(30)
            ),
            history="interactions", needs=("interactions.kind", "interactions.product"), empty=0,
        )
        for category in categories
    ]  # fmt: skip
