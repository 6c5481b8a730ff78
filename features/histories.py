"""Every history that a feature may aggregate, by name: the table it needs and how it is made."""

from __future__ import annotations

from collections.abc import Callable

import narwhals.stable.v2 as nw

from features.history import YEAR_DAYS, Frame, attributes, latest, made_contacts, managed, past
from features.spine import Spine
from features.tags import histories_channels, histories_events, histories_money


def open_journey(spine: Spine) -> Frame:
    """Interactions since the customer's last purchase: what is under way."""
    touched = past(spine, "interactions", YEAR_DAYS)
    bought = (
        past(spine, "holdings")
        .group_by("row_id")
        .agg(nw.col("event_time").max().alias("bought_at"))
    )
    joined = touched.join(bought, on="row_id", how="left")
    return joined.filter(
        nw.col("bought_at").is_null() | (nw.col("event_time") > nw.col("bought_at"))
    )


HISTORIES: dict[str, tuple[str, Callable[[Spine], Frame]]] = {
    "attributes": ("customers", attributes),
    "interactions": ("interactions", lambda spine: past(spine, "interactions", YEAR_DAYS)),
    "open_journey": ("interactions", open_journey),
    "holdings": ("holdings", lambda spine: past(spine, "holdings")),
    "balances": ("balances", lambda spine: latest(spine, "balances", ("asset_class",))),
    "balances_30d_ago": ("balances", lambda spine: latest(spine, "balances", ("asset_class",), 30)),
    "balances_90d_ago": ("balances", lambda spine: latest(spine, "balances", ("asset_class",), 90)),
    "balances_180d_ago": (
        "balances",
        lambda spine: latest(spine, "balances", ("asset_class",), 180),
    ),
    "accounts": ("accounts", lambda spine: latest(spine, "accounts", ("kind",))),
    "accounts_past": ("accounts", lambda spine: past(spine, "accounts", YEAR_DAYS)),
    "transactions": ("transactions", lambda spine: past(spine, "transactions", YEAR_DAYS)),
    "contacts": ("contacts", made_contacts),
    "ratings": ("ratings", lambda spine: past(spine, "ratings", YEAR_DAYS)),
    "risk_assessment": ("risk_assessments", lambda spine: latest(spine, "risk_assessments")),
    "reachability": ("reachability", lambda spine: latest(spine, "reachability", ("channel",))),
    "credit_offers": ("credit_offers", lambda spine: latest(spine, "credit_offers", ("offer",))),
    "benefits": ("benefits", lambda spine: past(spine, "benefits", YEAR_DAYS)),
    "assignments": ("assignments", managed),
    **histories_money.HISTORIES,
    **histories_events.HISTORIES,
    **histories_channels.HISTORIES,
}
"""Every history by name: the table it needs and how it is made."""
