"""Activity: how often and how lately the customer does something with the bank."""

from __future__ import annotations

import narwhals.stable.v2 as nw

from features.catalog import Catalog
from features.customer import journeys, main_bank
from features.feature import (
    Feature,
    count,
    distinct,
    happened,
    is_,
    mean,
    newest_days,
    ratio,
    total,
    whole,
    within,
)
from features.spine import MICROSECONDS_A_DAY

KINDS = ("interactions.kind",)
ANY = ~nw.col("row_id").is_null()


def features(catalog: Catalog) -> list[Feature]:
    """Declare the group; browsing is told by offer category where there are several."""
    return [
        *_interactions(),
        *_rhythm(),
        *_sessions(),
        *_journeys(),
        *journeys.unfinished_features(),
        *_transactions(),
        *main_bank.main_bank_features(),
        *_browsing(catalog),
        *journeys.interest_features(),
    ]


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


def _rhythm() -> list[Feature]:
    day, hour_us = nw.col("day"), MICROSECONDS_A_DAY // 24
    at_night = (nw.col("clock_us") >= 21 * hour_us) | (nw.col("clock_us") < 6 * hour_us)
    at_weekend = (day + 3) % 7 >= 5  # day 0, 1970-01-01, was a Thursday
    days = [
        Feature(
            f"active_days_{window}d", "activity", "days", f"{window}日活跃天数",
            f"Days with an interaction, of {window}", distinct(nw.when(within(window)).then(day)),
            history="interactions", empty=0, high=window + 1,
        )
        for window in (30, 90)
    ]  # fmt: skip
    shares = [
        Feature(
            f"{name}_share_90d", "activity", "share", f"90日{zh}交互占比",
            f"Share of the interactions of 90 days {en}",
            ratio(count(when & within(90)), count(within(90))), history="interactions", high=1,
        )
        for name, when, zh, en in (
            ("night", at_night, "夜间(21–6点)", "at night (21–6)"),
            ("weekend", at_weekend, "周末", "at weekends"),
        )
    ]  # fmt: skip
    active = [happened(within(30))]
    active += [
        happened(within(30 * number) & ~within(30 * (number - 1))) for number in range(2, 13)
    ]
    streak = active[-1]
    for period in reversed(active[:-1]):
        streak = period * (1 + streak)
    return [
        *days,
        *shares,
        Feature(
            "active_streak_periods", "activity", "periods of 30 days", "连续活跃期数(每期30日)",
            "Periods of 30 days in a row with an interaction, up to now (at most 12)", streak,
            history="interactions", empty=0, high=12,
        ),
    ]  # fmt: skip


def _sessions() -> list[Feature]:
    return [
        Feature(
            "sessions_30d", "activity", "sessions", "30日会话数", "Sessions of 30 days",
            distinct(nw.when(within(30)).then(nw.col("session_id"))), history="interactions",
            needs=("interactions.session_id",), empty=0,
        ),
        Feature(
            "mean_duration_90d_s", "activity", "s", "90日平均交互时长",
            "Mean duration of the interactions of 90 days", mean(whole("duration_s"), within(90)),
            history="interactions", needs=("interactions.duration_s",),
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
            distinct(nw.col("session_id")), history="open_journey",
            needs=("holdings", "interactions.session_id"), empty=0,
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
            "transaction_kinds_90d", "activity", "kinds", "90日动账种类数",
            "Different kinds of transactions of 90 days",
            distinct(nw.when(within(90)).then(nw.col("kind"))), history="transactions", empty=0,
        ),
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
