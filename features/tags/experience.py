"""What went wrong lately."""

from __future__ import annotations

import narwhals.stable.v2 as nw

from features.catalog import Catalog
from features.feature import Feature, count, is_, largest, newest_days, within
from features.spine import MICROSECONDS_A_DAY
from features.tags.book import TagBook
from features.tags.parts import where
from features.tags.tag import Tag, flag, positive

ANY = ~nw.col("row_id").is_null()
MINUTE_S = 60


def facts(catalog: Catalog, book: TagBook) -> list[Feature]:
    """Declare what only this group's tags read."""
    return [*_complaints(), *_low_ratings(), *_calls(book), *_waits(catalog, book), *_errors()]


def _complaints() -> list[Feature]:
    unsettled = nw.col("resolved_at").is_null()
    oldest = nw.when(unsettled).then(nw.col("age_us")).max()
    needs = ("ratings.complaint", "ratings.resolved_at")
    return [
        Feature(
            "fact_complaints_open", "experience", "complaints", "未结投诉数", "Complaints open",
            count(unsettled), history="complaints", needs=needs, empty=0,
        ),
        Feature(
            "fact_complaint_days", "experience", "days", "最久未结投诉天数",
            "Age of the oldest open complaint", oldest / MICROSECONDS_A_DAY, history="complaints",
            needs=needs,
        ),
        Feature(
            "fact_complaint_channel", "experience", "id", "最久未结投诉渠道",
            "Channel of the oldest open complaint",
            nw.when(nw.col("is_oldest") == 1).then(nw.col("channel")).max(),
            history="complaints", needs=needs, low=None, category=True,
        ),
        Feature(
            "fact_settled_days", "experience", "days", "距最近结案天数",
            "Days since a complaint was settled",
            (nw.col("as_of") - nw.col("resolved_at")).min() / MICROSECONDS_A_DAY,
            history="complaints", needs=needs,
        ),
    ]  # fmt: skip


def _low_ratings() -> list[Feature]:
    return [
        Feature(
            "fact_low_score_days", "experience", "days", "距最近低分天数",
            "Days since the newest low rating", newest_days(ANY), history="newest_low_ratings",
        ),
        Feature(
            "fact_low_score", "experience", "points", "最近低分", "The newest low rating",
            nw.col("score").min(), history="newest_low_ratings", low=1, high=5,
        ),
        Feature(
            "fact_low_score_channel", "experience", "id", "最近低分的渠道",
            "Channel of the newest low rating", nw.col("channel").max(),
            history="newest_low_ratings", low=None, category=True,
        ),
        Feature(
            "fact_low_score_stage", "experience", "category", "最近低分的环节",
            "Stage of the newest low rating", nw.col("stage").max(), history="newest_low_ratings",
            needs=("ratings.stage",), low=None, category=True,
        ),
    ]  # fmt: skip


def _calls(book: TagBook) -> list[Feature]:
    repeated = nw.col("calls") >= book["repeat_call"].number("times")
    needs = ("interactions.kind", "interactions.product")
    return [
        Feature(
            "fact_calls_about_one", "experience", "calls", "同一事项来电次数",
            "Most calls about one matter", nw.col("calls").max(), history="calls_by_matter",
            needs=needs, empty=0,
        ),
        Feature(
            "fact_calls_product", "experience", "id", "重复来电的产品",
            "Product of the repeated calls", nw.when(repeated).then(nw.col("product")).max(),
            history="calls_by_matter", needs=needs, low=None, category=True,
        ),
    ]  # fmt: skip


def _waits(catalog: Catalog, book: TagBook) -> list[Feature]:
    settings = book["long_wait"]
    offline = [one.id for one in catalog.channels if one.mode == "offline"]
    too_long = (
        is_("channel", *offline)
        & (nw.col("wait_s") > settings.number("minutes") * MINUTE_S)
        & within(settings.number("days"))
    )
    return [
        Feature(
            "fact_long_waits", "experience", "waits", "网点排队超时次数", "Long waits at an outlet",
            count(too_long), history="interactions", needs=("interactions.wait_s",), empty=0,
        ),
        Feature(
            "fact_longest_wait_s", "experience", "s", "网点最长超时等候", "The longest of them",
            largest("wait_s", too_long), history="interactions",
            needs=("interactions.wait_s",),
        ),
    ]  # fmt: skip


def _errors() -> list[Feature]:
    needs = ("interactions.kind", "interactions.product", "interactions.error_code")
    return [
        Feature(
            "fact_error_days", "experience", "days", "距最近未办成报错天数",
            "Days since the newest error not overcome", newest_days(ANY),
            history="newest_open_errors", needs=needs,
        ),
        *(
            Feature(
                f"fact_error_{column}", "experience", "category", f"最近未办成报错:{zh}",
                f"The newest error not overcome: {en}", nw.col(column).max(),
                history="newest_open_errors", needs=needs, low=None, category=True,
            )
            for column, zh, en in (
                ("product", "产品", "product"),
                ("stage", "环节", "stage"),
                ("error_code", "报错码", "code"),
            )
        ),
    ]  # fmt: skip


def tags(catalog: Catalog, book: TagBook) -> list[Tag]:
    """Declare the group's tags."""
    del catalog
    return [_open_complaint(book), _low_score(book), *_business(book)]


def _open_complaint(book: TagBook) -> Tag:
    unsettled = nw.col("fact_complaints_open")
    settled_days = nw.col("fact_settled_days")
    settled = settled_days <= book["open_complaint"].number("settled_days")
    return Tag(
        "open_complaint",
        inputs=(
            "fact_complaints_open", "fact_complaint_days", "fact_complaint_channel",
            "fact_settled_days",
        ),
        value=flag((unsettled > 0) | settled),
        parts={
            "open": positive(unsettled),
            "open_days": nw.col("fact_complaint_days"),
            "channel": nw.col("fact_complaint_channel"),
            **where(settled, settled_days=settled_days),
        },
        texts=("channel",),
    )  # fmt: skip


def _low_score(book: TagBook) -> Tag:
    days = nw.col("fact_low_score_days")
    lately = days <= book["low_score"].number("days")
    details = {
        "score": "fact_low_score", "channel": "fact_low_score_channel",
        "stage": "fact_low_score_stage",
    }  # fmt: skip
    columns = {part: nw.col(name) for part, name in details.items()}
    return Tag(
        "low_score",
        inputs=("fact_low_score_days", *details.values()),
        value=flag(lately),
        parts=where(lately, days_ago=days, **columns),
        texts=("channel", "stage"),
    )


def _business(book: TagBook) -> list[Tag]:
    calls = nw.col("fact_calls_about_one")
    repeated = calls >= book["repeat_call"].number("times")
    left = book["error_stop"].number("days") - nw.col("fact_error_days")
    stopped = left > 0
    details = ("product", "stage", "error_code")
    return [
        Tag(
            "repeat_call",
            inputs=("fact_calls_about_one", "fact_calls_product"),
            value=flag(repeated),
            parts=where(repeated, calls=calls, product=nw.col("fact_calls_product")),
            texts=("product",),
        ),
        Tag(
            "long_wait",
            inputs=("fact_long_waits", "fact_longest_wait_s"),
            value=positive(nw.col("fact_long_waits")),
            parts={"longest_minutes": nw.col("fact_longest_wait_s") / MINUTE_S},
        ),
        Tag(
            "error_stop",
            inputs=("fact_error_days", *(f"fact_error_{name}" for name in details)),
            value=flag(stopped),
            parts=where(stopped, **{name: nw.col(f"fact_error_{name}") for name in details}),
            texts=details,
            ends=left,
        ),
    ]
