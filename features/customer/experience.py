"""Experience: waiting, errors, complaints and what customers say of us."""

from __future__ import annotations

import narwhals.stable.v2 as nw

from features.catalog import Catalog
from features.feature import Feature, count, is_, largest, newest_days, ratio, total, within
from features.spine import MICROSECONDS_A_DAY

ANY = ~nw.col("row_id").is_null()
LONG_WAIT_S = 20 * 60


def features(catalog: Catalog) -> list[Feature]:
    """Declare the group; the catalog is not needed."""
    del catalog
    return [*_friction(), *_ratings(), *_benefits()]


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
            history="contacts",
            needs=("contacts.refused_at",), empty=0,
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
