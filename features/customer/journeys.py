"""Journeys: an application from its beginning to its end, and the doors it passes through."""

from __future__ import annotations

import narwhals.stable.v2 as nw

from features.catalog import MODES, Catalog
from features.customer.naming import MODE_NAMES, channels_of
from features.feature import Feature, count, is_, ratio, within
from features.spine import MICROSECONDS_A_DAY

KINDS = ("interactions.kind",)
PRODUCTS = ("interactions.product",)
BROKEN_OFF = ~nw.col("applied_us").is_null() & (
    nw.col("completed_us").is_null() | (nw.col("completed_us") > nw.col("applied_us"))
)
"""Products applied for and not completed since."""


def outcome_features(catalog: Catalog) -> list[Feature]:
    """Declare what became of applications, by handle channel and by mode."""
    declared = []
    for channel in catalog.channels:
        if "handle" not in channel.roles:
            continue
        zh, en = channel.names.zh, channel.names.en
        own = is_("channel", channel.id)
        completed = own & is_("kind", "complete")
        declared += [
            Feature(
                f"{channel.id}_completions_365d", "channel_history", "applications",
                f"一年内在{zh}办成次数", f"Applications completed at {en} within a year",
                count(completed), history="ended_applications", needs=KINDS, empty=0,
            ),
            Feature(
                f"{channel.id}_completion_rate_365d", "channel_history", "share",
                f"一年{zh}办成率",
                f"Share completed of the applications ended at {en} within a year",
                ratio(count(completed), count(own)), history="ended_applications", needs=KINDS,
                high=1,
            ),
        ]  # fmt: skip
    return [*declared, *_abandonments(catalog)]


def _abandonments(catalog: Catalog) -> list[Feature]:
    return [
        Feature(
            f"{mode}_abandons_365d", "channel_history", "applications",
            f"一年内{MODE_NAMES[mode][0]}放弃次数",
            f"Applications given up {MODE_NAMES[mode][1]} within a year",
            count(is_("channel", *channels_of(catalog, mode)) & is_("kind", "abandon")),
            history="ended_applications", needs=KINDS, empty=0,
        )
        for mode in MODES
        if channels_of(catalog, mode)
    ]  # fmt: skip


def app_features(catalog: Catalog) -> list[Feature]:
    """Declare the share of the app (online handle channels) against that of the branch."""
    apps = channels_of(catalog, "online", "handle")
    branches = channels_of(catalog, "offline", "handle")
    if not apps or not branches:
        return []
    app, either = is_("channel", *apps), is_("channel", *apps, *branches)

    def share(window: nw.Expr) -> nw.Expr:
        return ratio(count(app & window), count(either & window))

    return [
        Feature(
            "app_share_90d", "channel_history", "share", "90日线上自助占比(对网点)",
            "Share of online self-service of 90 days, against the branch", share(within(90)),
            history="interactions", high=1,
        ),
        Feature(
            "app_share_trend", "channel_history", "share", "线上自助占比趋势",
            "Share of online self-service of 90 days, less that of the rest of the year",
            share(within(90)) - share(~within(90)), history="interactions", low=-1, high=1,
        ),
    ]  # fmt: skip


def handover_features() -> list[Feature]:
    """Declare how often the next step about a product was taken elsewhere within 30 days."""
    return [
        Feature(
            f"handovers_{column}", "channel_history", "hand-overs", zh, en,
            nw.col(source).sum(), history="product_journeys", needs=PRODUCTS, empty=0,
        )
        for column, source, zh, en in (
            ("30d", "handovers_30d", "30日同一产品跨渠道次数",
             "Changes of channel about one product in 30 days"),
            ("365d", "handovers_365d", "一年同一产品跨渠道次数",
             "Changes of channel about one product within a year"),
            ("to_person_365d", "to_person_365d", "一年内由线上转人工或网点次数",
             "Changes from online to staff or branch about one product within a year"),
            ("to_online_365d", "to_online_365d", "一年内回到线上次数",
             "Changes from staff or branch to online about one product within a year"),
        )
    ]  # fmt: skip


def unfinished_features() -> list[Feature]:
    """Declare what was begun and not finished, and what stopped at an error."""
    applied = nw.col("applied_us")
    errors = (*KINDS, *PRODUCTS, "interactions.error_code")
    return [
        Feature(
            "unfinished_products_90d", "activity", "products", "90日申请后未办成产品数",
            "Products applied for in 90 days and not completed since",
            count(BROKEN_OFF & _youngest_within(applied, 90)), history="product_journeys",
            needs=(*KINDS, *PRODUCTS), empty=0,
        ),
        Feature(
            "days_since_unfinished", "activity", "days", "距最近未办成申请天数",
            "Days since the newest application not completed since",
            nw.when(BROKEN_OFF).then(applied).min() / MICROSECONDS_A_DAY,
            history="product_journeys", needs=(*KINDS, *PRODUCTS), high=365,
        ),
        Feature(
            "error_stopped_products_30d", "experience", "products", "30日报错后未办成产品数",
            "Products with an error in 30 days and not completed since",
            count(
                _youngest_within(nw.col("error_us"), 30)
                & (
                    nw.col("completed_us").is_null()
                    | (nw.col("completed_us") > nw.col("error_us"))
                )
            ),
            history="product_journeys", needs=errors, empty=0,
        ),
    ]  # fmt: skip


def interest_features() -> list[Feature]:
    """Declare how broad and how insistent the customer's interest in products is."""
    needs = (*KINDS, *PRODUCTS)
    return [
        Feature(
            "products_viewed_30d", "activity", "products", "30日浏览或咨询产品数",
            "Different products viewed or asked about in 30 days",
            count(nw.col("views_30d") > 0), history="product_journeys", needs=needs, empty=0,
        ),
        Feature(
            "repeat_views_7d", "activity", "views", "7日同一产品最多浏览次数",
            "Most views of one product in 7 days", nw.col("views_7d").max(),
            history="product_journeys", needs=needs, empty=0,
        ),
    ]  # fmt: skip


def _youngest_within(age: nw.Expr, days: int) -> nw.Expr:
    return age <= days * MICROSECONDS_A_DAY
