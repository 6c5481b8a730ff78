"""Channel history: which doors the customer uses, and how he answers when we knock."""

from __future__ import annotations

from functools import reduce

import narwhals.stable.v2 as nw

from features.catalog import MODES, Catalog
from features.customer import contact_response, journeys
from features.customer.naming import MODE_NAMES, channels_of
from features.feature import Feature, count, distinct, is_, newest_days, ratio, within

ANY = ~nw.col("row_id").is_null()


def features(catalog: Catalog) -> list[Feature]:
    """Declare the group over the catalog's modes and handle channels."""
    return [
        *_modes(catalog),
        *journeys.app_features(catalog),
        *_channels(catalog),
        *journeys.outcome_features(catalog),
        *journeys.handover_features(),
        *_contacts(catalog),
        *contact_response.features(catalog),
        *_reachability(),
    ]


def _modes(catalog: Catalog) -> list[Feature]:
    declared = []
    present = [mode for mode in MODES if channels_of(catalog, mode)]
    for mode in present:
        ids = channels_of(catalog, mode)
        zh, en = MODE_NAMES[mode]
        for days in (30, 90, 365):
            declared.append(
                Feature(
                    f"{mode}_interactions_{days}d", "channel_history", "interactions",
                    f"{days}日{zh}交互次数", f"Interactions {en} in {days} days",
                    count(is_("channel", *ids) & within(days)), history="interactions", empty=0,
                )
            )  # fmt: skip
        if len(present) <= 2 and mode == present[-1]:
            continue  # of two modes, the second's share is what the first leaves
        declared += [
            Feature(
                f"{mode}_share_90d", "channel_history", "share", f"90日{zh}占比",
                f"Share of interactions {en} in 90 days",
                ratio(nw.col(f"{mode}_interactions_90d"), nw.col("interactions_90d")),
                inputs=(f"{mode}_interactions_90d", "interactions_90d"), high=1,
            ),
            Feature(
                f"{mode}_share_change", "channel_history", "share", f"{zh}占比变化",
                f"Share of interactions {en} in 30 days, less that in a year",
                ratio(nw.col(f"{mode}_interactions_30d"), nw.col("interactions_30d"))
                - ratio(nw.col(f"{mode}_interactions_365d"), nw.col("interactions_365d")),
                inputs=(
                    f"{mode}_interactions_30d", "interactions_30d",
                    f"{mode}_interactions_365d", "interactions_365d",
                ),
                low=-1, high=1,
            ),
        ]  # fmt: skip
    return declared


def _channels(catalog: Catalog) -> list[Feature]:
    declared = []
    handles = [channel for channel in catalog.channels if "handle" in channel.roles]
    for channel in handles:
        zh, en = channel.names.zh, channel.names.en
        own = is_("channel", channel.id)
        if [one.mode for one in catalog.channels].count(channel.mode) > 1:
            # the only channel of its mode would repeat the mode's own count
            declared.append(
                Feature(
                    f"{channel.id}_interactions_90d", "channel_history", "interactions",
                    f"90日{zh}交互次数", f"Interactions at {en} in 90 days",
                    count(own & within(90)), history="interactions", empty=0,
                )
            )  # fmt: skip
        declared += [
            Feature(
                f"days_since_{channel.id}", "channel_history", "days", f"距上次使用{zh}天数",
                f"Days since {en} was last used", newest_days(own), history="interactions",
                high=365,
            ),
            Feature(
                f"{channel.id}_choices_365d", "channel_history", "choices", f"一年内在{zh}办理次数",
                f"Business begun or taken on at {en} within a year",
                count(own & is_("kind", "apply", "step", "service")), history="interactions",
                needs=("interactions.kind",), empty=0,
            ),
            Feature(
                f"{channel.id}_since_purchase", "channel_history", "interactions",
                f"上次购买后{zh}交互次数", f"Interactions at {en} since the last purchase",
                count(own),
                history="open_journey", needs=("holdings",), empty=0,
            ),
        ]  # fmt: skip
    recencies = [f"days_since_{channel.id}" for channel in handles]
    newest = nw.min_horizontal(*(nw.col(name) for name in recencies))
    # nested from the last channel to the first: on a tie the first of the catalog is taken
    index = reduce(
        lambda rest, pair: nw.when(nw.col(pair[1]) == newest).then(nw.lit(pair[0])).otherwise(rest),
        reversed(list(enumerate(recencies))),
        nw.lit(None),
    )
    return [
        *declared,
        Feature(
            "last_channel_index", "channel_history", "position in the catalog", "上次使用渠道",
            "Last channel used, as its position among the catalog's handle channels",
            index, inputs=tuple(recencies), high=len(handles) - 1,
        ),
        Feature(
            "channels_used_90d", "channel_history", "channels", "90日使用渠道数",
            "Different channels used in 90 days",
            distinct(nw.when(within(90)).then(nw.col("channel"))), history="interactions", empty=0,
        ),
    ]  # fmt: skip


def _contacts(catalog: Catalog) -> list[Feature]:
    responded = ~nw.col("responded_at").is_null()
    declared = [
        Feature(
            f"contacts_{days}d", "channel_history", "contacts", f"{days}日触达次数",
            f"Contacts of {days} days", count(within(days)), history="contacts", empty=0,
        )
        for days in (7, 30, 90)
    ]  # fmt: skip
    for mode in MODES:
        ids = channels_of(catalog, mode)
        if not ids:
            continue
        zh, en = MODE_NAMES[mode]
        declared += [
            Feature(
                f"{mode}_contacts_365d", "channel_history", "contacts", f"一年{zh}触达次数",
                f"Contacts {en} within a year", count(is_("channel", *ids)), history="contacts",
                empty=0,
            ),
            Feature(
                f"{mode}_responses_365d", "channel_history", "responses", f"一年{zh}触达响应次数",
                f"Contacts {en} answered within a year", count(is_("channel", *ids) & responded),
                history="contacts", needs=("contacts.responded_at",), empty=0,
            ),
        ]  # fmt: skip
    return [
        *declared,
        Feature(
            "response_rate_365d", "channel_history", "share", "一年触达响应率",
            "Share of contacts answered within a year",
            ratio(count(responded), count(ANY)), history="contacts",
            needs=("contacts.responded_at",), high=1,
        ),
        Feature(
            "days_since_contact", "channel_history", "days", "距上次触达天数",
            "Days since the last contact",
            newest_days(ANY), history="contacts", high=365,
        ),
    ]  # fmt: skip


def _reachability() -> list[Feature]:
    return [
        Feature(
            "channels_reachable", "channel_history", "channels", "可触达渠道数",
            "Channels that reach the customer", count(nw.col("reachable")),
            history="reachability", empty=0,
        ),
        Feature(
            "has_manager", "channel_history", "yes or no", "是否有管户经理",
            "Whether a manager looks after the customer",
            nw.when(ANY).then(1).otherwise(0).max(), history="assignments", empty=0, high=1,
        ),
    ]  # fmt: skip
