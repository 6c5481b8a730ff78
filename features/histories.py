"""Every history that a feature may aggregate, by name: the table it needs and how it is made."""

from __future__ import annotations

from collections.abc import Callable

import narwhals.stable.v2 as nw

from features.feature import count, happened, is_, within
from features.history import (
    YEAR_DAYS,
    Frame,
    attributes,
    latest,
    made_contacts,
    managed,
    newest_demand,
    on_the_clock,
    past,
    refusals,
)
from features.spine import MICROSECONDS_A_DAY, Spine
from features.tags import histories_channels, histories_events, histories_money

MONTH_DAYS = 30.4375
"""Days of a month of windows and lags: 365.25 ÷ 12."""

LAG_MONTHS = (1, 2, 3, 4, 5, 6, 12)
"""How long ago holdings are told."""

HANDOVER_DAYS = 30
"""A product taken up elsewhere later than this is a new matter, not a hand-over."""


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


def asset_steps(spine: Spine) -> Frame:
    """Total assets and demand money as step functions of time, back to 180 days.

    A row is a step: `assets_cny` and `demand_cny` held from `event_time` (`age_us` before `as_of`)
    until `until_age_us` before it. `days_30`, `days_before_30` (the 90 days before those),
    `days_month` (since the 1st) and `days_180` count the bank days of each window, the last of
    them yesterday, that closed with the step. A class of assets has nothing before its first row.
    """
    rows = past(spine, "balances")
    order = ("event_time", "asset_class")
    earlier = nw.col("balance_cny").shift(1).over("row_id", "asset_class", order_by="event_time")
    change = nw.col("balance_cny") - earlier.fill_null(0)
    in_demand = nw.when(is_("asset_class", "demand")).then(nw.col("change_cny")).otherwise(0)
    steps = rows.with_columns(change.alias("change_cny")).with_columns(
        nw.col("change_cny").cum_sum().over("row_id", order_by=order).alias("assets_cny"),
        in_demand.cum_sum().over("row_id", order_by=order).alias("demand_cny"),
        nw.col("event_time").shift(-1).over("row_id", order_by=order).alias("next_time"),
    )
    until = nw.coalesce("next_time", "as_of")
    day = (nw.col("event_time") + nw.col("utc_offset_us")) // MICROSECONDS_A_DAY
    until_day = (until + nw.col("utc_offset_us")) // MICROSECONDS_A_DAY
    lasting = steps.with_columns(
        (nw.col("as_of") - until).alias("until_age_us"),
        day.cast(nw.Int64).alias("day"),
        until_day.cast(nw.Int64).alias("until_day"),
    ).filter(
        # rows of one moment follow each other in no time; only the last of them is a step
        nw.col("until_age_us") < nw.col("age_us"),
        nw.col("until_age_us") <= 181 * MICROSECONDS_A_DAY,
    )
    today = nw.col("as_of_day")
    return lasting.with_columns(
        _days(today - 30, today).alias("days_30"),
        _days(today - 120, today - 30).alias("days_before_30"),
        _days(nw.col("month_start_day"), today).alias("days_month"),
        _days(today - 180, today).alias("days_180"),
    )


def _days(first: nw.Expr, end: nw.Expr) -> nw.Expr:
    """Days of [first, end) that closed with the step from `day` to before `until_day`."""
    common = nw.min_horizontal("until_day", end) - nw.max_horizontal("day", first)
    return nw.max_horizontal(common, nw.lit(0))


def ended_applications(spine: Spine) -> Frame:
    """Keep what ended an application within a year: few rows, told channel by channel."""
    return past(spine, "interactions", YEAR_DAYS).filter(is_("kind", "complete", "abandon"))


def product_journeys(spine: Spine) -> Frame:
    """What the customer did about each product within a year, one row a product.

    `views_7d` counts views, `views_30d` views and inquiries; `handovers_30d` and `handovers_365d`
    how often the next step about the product was at another channel, `to_person_365d` and
    `to_online_365d` those away from and back to an online channel. `applied_us`, `completed_us`
    and `error_us` are the ages of the newest such row.
    """
    online = [one.id for one in spine.source.catalog.channels if one.mode == "online"]
    rows = past(spine, "interactions", YEAR_DAYS).filter(~nw.col("product").is_null())
    # two rows of one moment and channel are alike here: which comes first makes no difference
    order = ("event_time", "channel")
    steps = rows.with_columns(
        nw.col("channel").shift(1).over("row_id", "product", order_by=order).alias("came_from"),
        nw.col("age_us").shift(1).over("row_id", "product", order_by=order).alias("age_before_us"),
    )
    soon = nw.col("age_before_us") - nw.col("age_us") <= HANDOVER_DAYS * MICROSECONDS_A_DAY
    moved = (nw.col("came_from") != nw.col("channel")) & soon
    was_online, is_online = is_("came_from", *online), is_("channel", *online)
    return steps.group_by("row_id", "product").agg(
        count(is_("kind", "browse") & within(7)).alias("views_7d"),
        count(is_("kind", "browse", "inquiry") & within(30)).alias("views_30d"),
        count(moved & within(30)).alias("handovers_30d"),
        count(moved).alias("handovers_365d"),
        count(moved & was_online & ~is_online).alias("to_person_365d"),
        count(moved & ~was_online & is_online).alias("to_online_365d"),
        _youngest(is_("kind", "apply")).alias("applied_us"),
        _youngest(is_("kind", "complete")).alias("completed_us"),
        _youngest(~nw.col("error_code").is_null()).alias("error_us"),
    )


def _youngest(condition: nw.Expr) -> nw.Expr:
    return nw.when(condition).then(nw.col("age_us")).min()


def product_positions(spine: Spine) -> Frame:
    """Each product the customer has had: `open_now` counts, `held_<n>m_ago` is 1 or 0."""
    closed_us = nw.col("as_of") - nw.col("closed_at")

    def held(months: int) -> nw.Expr:
        lag = round(months * MONTH_DAYS * MICROSECONDS_A_DAY)
        return (nw.col("age_us") > lag) & (nw.col("closed_at").is_null() | (closed_us < lag))

    return (
        past(spine, "holdings")
        .group_by("row_id", "product")
        .agg(
            count(nw.col("closed_at").is_null()).alias("open_now"),
            *(happened(held(months)).alias(f"held_{months}m_ago") for months in LAG_MONTHS),
        )
    )


HISTORIES: dict[str, tuple[str, Callable[[Spine], Frame]]] = {
    "attributes": ("customers", attributes),
    "interactions": (
        "interactions",
        lambda spine: on_the_clock(past(spine, "interactions", YEAR_DAYS)),
    ),
    "ended_applications": ("interactions", ended_applications),
    "product_journeys": ("interactions", product_journeys),
    "open_journey": ("interactions", open_journey),
    "holdings": ("holdings", lambda spine: past(spine, "holdings")),
    "product_positions": ("holdings", product_positions),
    "balances": ("balances", lambda spine: latest(spine, "balances", ("asset_class",))),
    "asset_steps": ("balances", asset_steps),
    "accounts": ("accounts", lambda spine: latest(spine, "accounts", ("kind",))),
    "accounts_past": ("accounts", lambda spine: past(spine, "accounts", YEAR_DAYS)),
    "transactions": ("transactions", lambda spine: past(spine, "transactions", YEAR_DAYS)),
    "contacts": ("contacts", lambda spine: on_the_clock(made_contacts(spine))),
    "refusals": ("contacts", refusals),
    "ratings": ("ratings", lambda spine: past(spine, "ratings", YEAR_DAYS)),
    "risk_assessment": ("risk_assessments", lambda spine: latest(spine, "risk_assessments")),
    "reachability": ("reachability", lambda spine: latest(spine, "reachability", ("channel",))),
    "credit_offers": ("credit_offers", lambda spine: latest(spine, "credit_offers", ("offer",))),
    "benefits": ("benefits", lambda spine: past(spine, "benefits", YEAR_DAYS)),
    "assignments": ("assignments", managed),
    "demand": ("demand", newest_demand),
    **histories_money.HISTORIES,
    **histories_events.HISTORIES,
    **histories_channels.HISTORIES,
}
"""Every history by name: the table it needs and how it is made."""
