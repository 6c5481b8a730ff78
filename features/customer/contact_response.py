"""Response to contacts: by channel, by mode and by hour, and what else customers answer."""

from __future__ import annotations

import narwhals.stable.v2 as nw

from features.catalog import MODES, Catalog
from features.customer.naming import MODE_NAMES, channels_of
from features.feature import Feature, count, is_, ratio
from features.spine import MICROSECONDS_A_DAY

ANY = ~nw.col("row_id").is_null()
RESPONDED = ~nw.col("responded_at").is_null()
RESPONSES = ("contacts.responded_at",)

HOURS = {
    "morning": ("上午(9–12点)", "in the morning (9–12)", 9, 12),
    "afternoon": ("下午(14–18点)", "in the afternoon (14–18)", 14, 18),
    "evening": ("晚间(18–22点)", "in the evening (18–22)", 18, 22),
}
"""Parts of the day in which customers are called: names, first hour, hour of the end."""

HOUR_US = MICROSECONDS_A_DAY // 24


def features(catalog: Catalog) -> list[Feature]:
    """Declare response by reach channel, mode and hour, delivery, recency and opting out."""
    return [*_by_channel(catalog), *_by_hour(), *_answers()]


def _by_channel(catalog: Catalog) -> list[Feature]:
    """Channels that only speak are told one by one; the others by mode, they are contacted less."""
    speak = [channel for channel in catalog.channels if channel.roles == ("reach",)]
    by_channel = [
        Feature(
            f"{channel.id}_response_rate_365d", "channel_history", "share",
            f"一年{channel.names.zh}响应率",
            f"Share of contacts by {channel.names.en} answered within a year",
            ratio(
                count(is_("channel", channel.id) & RESPONDED), count(is_("channel", channel.id))
            ),
            history="contacts", needs=RESPONSES, high=1,
        )
        for channel in speak
    ]  # fmt: skip
    alone = [[channel.id] for channel in speak]  # the only channel of its mode is told already
    by_mode = [
        Feature(
            f"{mode}_response_rate_365d", "channel_history", "share",
            f"一年{MODE_NAMES[mode][0]}触达响应率",
            f"Share of contacts {MODE_NAMES[mode][1]} answered within a year",
            ratio(nw.col(f"{mode}_responses_365d"), nw.col(f"{mode}_contacts_365d")),
            inputs=(f"{mode}_responses_365d", f"{mode}_contacts_365d"), high=1,
        )
        for mode in MODES
        if channels_of(catalog, mode) and channels_of(catalog, mode) not in alone
    ]  # fmt: skip
    return [*by_channel, *by_mode]


def _by_hour() -> list[Feature]:
    declared = []
    for part, (zh, en, first, end) in HOURS.items():
        then = (nw.col("clock_us") >= first * HOUR_US) & (nw.col("clock_us") < end * HOUR_US)
        declared += [
            Feature(
                f"{part}_responses_365d", "channel_history", "responses", f"一年{zh}触达响应次数",
                f"Contacts made {en} and answered, within a year", count(then & RESPONDED),
                history="contacts", needs=RESPONSES, empty=0,
            ),
            Feature(
                f"{part}_response_rate_365d", "channel_history", "share", f"一年{zh}触达响应率",
                f"Share answered of the contacts made {en} within a year",
                ratio(count(then & RESPONDED), count(then)), history="contacts", needs=RESPONSES,
                high=1,
            ),
        ]  # fmt: skip
    return declared


def _answers() -> list[Feature]:
    since = (nw.col("as_of") - nw.col("responded_at")).min()
    return [
        Feature(
            "delivered_share_365d", "channel_history", "share", "一年触达送达率",
            "Share of contacts delivered within a year",
            ratio(count(~nw.col("delivered_at").is_null()), count(ANY)), history="contacts",
            needs=("contacts.delivered_at",), high=1,
        ),
        Feature(
            "days_since_response", "channel_history", "days", "距上次响应天数",
            "Days since the customer last answered a contact",
            since / MICROSECONDS_A_DAY, history="contacts", needs=RESPONSES, high=365,
        ),
        Feature(
            "opt_outs_365d", "channel_history", "opt-outs", "一年退订次数",
            "Contacts after which the customer opted out, within a year",
            count(~nw.col("opted_out_at").is_null()), history="contacts",
            needs=("contacts.opted_out_at",), empty=0,
        ),
    ]  # fmt: skip
