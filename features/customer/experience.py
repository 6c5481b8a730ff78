"""Experience: waiting, errors, complaints and what customers say of us."""

from __future__ import annotations

import narwhals.stable.v2 as nw

from features.catalog import MODES, Catalog
from features.customer.naming import MODE_NAMES, channels_of
from features.feature import (
    Feature,
    count,
    is_,
    largest,
    mean,
    newest_days,
    ratio,
    total,
    whole,
    within,
)
from features.spine import MICROSECONDS_A_DAY

ANY = ~nw.col("row_id").is_null()
LONG_WAIT_S = 20 * 60


def features(catalog: Catalog) -> list[Feature]:
    """Declare the group; friction and ratings are also told by the catalog's channels."""
    return [
        *_friction(),
        *_friction_by_channel(catalog),
        *_ratings(),
        *_ratings_by_mode(catalog),
        *_complaints(),
        *_benefits(),
    ]


def _friction() -> list[Feature]:
    return [
        Feature(
            "longest_wait_90d_s", "experience", "s", "90日最长等候", "Longest wait of 90 days",
            largest("wait_s", within(90)), history="interactions",
            needs=("interactions.wait_s",),
        ),
        Feature(
            "long_waits_90d", "experience", "waits", "90日排队超时次数",
            "Waits over 20 minutes in 90 days",
            count((nw.col("wait_s") > LONG_WAIT_S) & within(90)), history="interactions",
            needs=("interactions.wait_s",), empty=0,
        ),
        Feature(
            "errors_30d", "experience", "errors", "30日报错次数", "Errors met in 30 days",
            count(~nw.col("error_code").is_null() & within(30)), history="interactions",
            needs=("interactions.error_code",), empty=0,
        ),
        Feature(
            "errors_90d", "experience", "errors", "90日报错次数", "Errors met in 90 days",
            count(~nw.col("error_code").is_null() & within(90)), history="interactions",
            needs=("interactions.error_code",), empty=0,
        ),
        Feature(
            "completion_rate_365d", "experience", "share", "一年办成率",
            "Applications completed for each begun within a year",
            ratio(count(is_("kind", "complete")), count(is_("kind", "apply"))),
            history="interactions", needs=("interactions.kind",),
        ),
    ]  # fmt: skip


def _friction_by_channel(catalog: Catalog) -> list[Feature]:
    """People wait where people serve; errors are told apart where there are several apps."""
    waits = [
        Feature(
            f"{mode}_mean_wait_180d_s", "experience", "s", f"180日{MODE_NAMES[mode][0]}平均等候",
            f"Mean wait {MODE_NAMES[mode][1]} of 180 days",
            mean(whole("wait_s"), is_("channel", *channels_of(catalog, mode)) & within(180)),
            history="interactions", needs=("interactions.wait_s",),
        )
        for mode in MODES
        if mode != "online" and channels_of(catalog, mode)
    ]  # fmt: skip
    apps = [catalog.channel_by_id[one] for one in channels_of(catalog, "online", "handle")]
    errors = [
        Feature(
            f"{app.id}_errors_180d", "experience", "errors", f"180日{app.names.zh}报错次数",
            f"Errors met in {app.names.en} in 180 days",
            count(is_("channel", app.id) & ~nw.col("error_code").is_null() & within(180)),
            history="interactions", needs=("interactions.error_code",), empty=0,
        )
        for app in apps
        if len(apps) > 1
    ]  # fmt: skip
    return [*waits, *errors]


def _ratings() -> list[Feature]:
    complaint = nw.col("complaint")
    return [
        Feature(
            "mean_rating_365d", "experience", "points", "一年平均评分", "Mean rating within a year",
            ratio(total("score", ANY), count(ANY)), history="ratings", low=1, high=5,
        ),
        Feature(
            "low_ratings_90d", "experience", "ratings", "90日低分次数",
            "Ratings of 2 or less in 90 days",
            count((nw.col("score") <= 2) & within(90)), history="ratings", empty=0,
        ),
        Feature(
            "rating_trend", "experience", "points", "评分趋势",
            "Mean rating of 90 days, less that of the rest of the year",
            mean(nw.col("score"), within(90)) - mean(nw.col("score"), ~within(90)),
            history="ratings", low=-4, high=4,
        ),
        Feature(
            "open_complaints", "experience", "complaints", "未结投诉数", "Complaints not settled",
            count(complaint & nw.col("resolved_at").is_null()), history="ratings",
            needs=("ratings.complaint", "ratings.resolved_at"), empty=0,
        ),
        Feature(
            "days_since_complaint", "experience", "days", "距上次投诉天数",
            "Days since the last complaint",
            newest_days(complaint), history="ratings", needs=("ratings.complaint",), high=365,
        ),
        Feature(
            "refusals_180d", "experience", "refusals", "180日拒绝次数",
            "Offers refused in 180 days",
            count(nw.col("as_of") - nw.col("refused_at") <= 180 * MICROSECONDS_A_DAY),
            history="refusals", needs=("contacts.refused_at",), empty=0,
        ),
    ]  # fmt: skip


def _ratings_by_mode(catalog: Catalog) -> list[Feature]:
    return [
        Feature(
            f"{mode}_low_ratings_365d", "experience", "ratings",
            f"一年{MODE_NAMES[mode][0]}低分次数",
            f"Ratings of 2 or less given {MODE_NAMES[mode][1]} within a year",
            count((nw.col("score") <= 2) & is_("channel", *channels_of(catalog, mode))),
            history="ratings", empty=0,
        )
        for mode in MODES
        if channels_of(catalog, mode)
    ]  # fmt: skip


def _complaints() -> list[Feature]:
    complaint = nw.col("complaint")
    settling_us = nw.col("resolved_at") - nw.col("event_time")
    return [
        Feature(
            "complaints_365d", "experience", "complaints", "一年投诉次数", "Complaints of a year",
            count(complaint), history="ratings", needs=("ratings.complaint",), empty=0,
        ),
        Feature(
            "mean_days_to_settle_365d", "experience", "days", "一年投诉平均办结天数",
            "Mean days in which the complaints of a year were settled",
            mean(settling_us, complaint) / MICROSECONDS_A_DAY, history="ratings",
            needs=("ratings.complaint", "ratings.resolved_at"), low=None,
        ),
    ]  # fmt: skip


def _benefits() -> list[Feature]:
    return [
        Feature(
            f"benefits_{kind}_90d", "experience", "benefits", f"90日权益{zh}次数",
            f"Benefits {kind} in 90 days", count(is_("kind", kind) & within(90)),
            history="benefits", empty=0,
        )
        for kind, zh in (("granted", "发放"), ("used", "领用"))
    ]  # fmt: skip
