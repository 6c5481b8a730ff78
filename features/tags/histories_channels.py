"""Pasts that only tags about channels, benefits, experience and gates read.

Where rows must be counted twice (calls by matter, days by outlet) the inner window is a threshold
of the tag, read from the bank's tag book.
"""

from __future__ import annotations

from collections.abc import Callable

import narwhals.stable.v2 as nw

from features.feature import is_, within
from features.history import HEAD, YEAR_DAYS, Frame, latest, on_the_clock, past
from features.source_config import CONFIGS
from features.spine import MICROSECONDS_A_DAY, Spine
from features.tags.book import TagGroup, TagSettings, load_tag_book


def _settings(spine: Spine, group: TagGroup, code: str) -> TagSettings:
    return load_tag_book(CONFIGS / "catalog" / spine.source.catalog.name, (group,))[code]


def _newest(rows: Frame, *by: str) -> Frame:
    """Keep the newest rows of each spine row (and ``by``)."""
    keys = ("row_id", *by)
    newest = rows.group_by(*keys).agg(nw.col("event_time").max())
    return rows.join(newest, on=[*keys, "event_time"], how="inner")


def _last(rows: Frame, name: str) -> Frame:
    """Tell when each product of a spine row last had such a row."""
    return rows.group_by("row_id", "product").agg(nw.col("event_time").max().alias(name))


def applications(spine: Spine) -> Frame:
    """Applications begun within a year, and how long each took.

    `done_us` is the time from the application to the first completion of the same product, in
    whatever channel; missing where none is known.
    """
    rows = past(spine, "interactions", YEAR_DAYS).filter(~nw.col("product").is_null())
    begun = rows.filter(is_("kind", "apply"))
    completed = rows.filter(is_("kind", "complete")).select(
        "row_id", "product", nw.col("event_time").alias("done_at")
    )
    keys = ["row_id", "product", "event_time"]
    pairs = begun.select(*keys).join(completed, on=["row_id", "product"], how="inner")
    first = (
        pairs.filter(nw.col("done_at") >= nw.col("event_time"))
        .group_by(*keys)
        .agg(nw.col("done_at").min())
    )
    joined = begun.join(first, on=keys, how="left")
    return joined.with_columns((nw.col("done_at") - nw.col("event_time")).alias("done_us"))


def outlet_visits(spine: Spine) -> Frame:
    """Rows of a visit to an outlet in the window of `visits_90`.

    `outlet_days` counts the customer's days at the row's outlet, `most_days` those at the outlet
    he was at on most days.
    """
    settings = _settings(spine, "channel", "visits_90")
    offline = [one.id for one in spine.source.catalog.channels if one.mode == "offline"]
    rows = on_the_clock(past(spine, "interactions", YEAR_DAYS)).filter(
        is_("channel", *offline),
        is_("kind", *settings.strings("kinds")),
        within(settings.number("days")),
    )
    known = rows.filter(~nw.col("org_id").is_null())
    by_outlet = known.group_by("row_id", "org_id").agg(
        nw.col("day").n_unique().alias("outlet_days")
    )
    most = by_outlet.group_by("row_id").agg(nw.col("outlet_days").max().alias("most_days"))
    return rows.join(by_outlet, on=["row_id", "org_id"], how="left").join(
        most, on="row_id", how="left"
    )


def next_moves(spine: Spine) -> Frame:
    """Interactions of a year, with what the one before was like.

    `was_stuck` is 1 where the interaction before was an application, a step or an error online,
    `age_before_us` its age.
    """
    online = [one.id for one in spine.source.catalog.channels if one.mode == "online"]
    stuck = is_("kind", "apply", "step", "error") | ~nw.col("error_code").is_null()
    is_stuck = nw.when(is_("channel", *online) & stuck).then(nw.lit(1)).otherwise(nw.lit(0))
    rows = past(spine, "interactions", YEAR_DAYS).with_columns(is_stuck.alias("is_stuck"))
    # the whole key of the table: no two rows are alike
    order = ("event_time", "channel", "kind", "product", "stage")
    return rows.with_columns(
        nw.col("is_stuck").shift(1).over("row_id", order_by=order).alias("was_stuck"),
        nw.col("age_us").shift(1).over("row_id", order_by=order).alias("age_before_us"),
    )


def product_steps(spine: Spine) -> Frame:
    """Steps of a year about a product, with the channel and the age of the step before.

    What counts as a step is a threshold of `cross_jumps`.
    """
    kinds = _settings(spine, "channel", "cross_jumps").strings("kinds")
    rows = past(spine, "interactions", YEAR_DAYS).filter(
        is_("kind", *kinds), ~nw.col("product").is_null()
    )
    # two rows of one moment and channel are alike here: which comes first makes no difference
    order = ("event_time", "channel")
    return rows.with_columns(
        nw.col("channel").shift(1).over("row_id", "product", order_by=order).alias("came_from"),
        nw.col("age_us").shift(1).over("row_id", "product", order_by=order).alias("age_before_us"),
    )


def newest_scores(spine: Spine) -> Frame:
    """Scores of the newest run up to `as_of`.

    A run speaks of what was known before its moment, so one of the very moment counts: `age_us`
    may be 0.
    """
    scores = spine.source.frame("scores")
    joined = spine.frame().select(*HEAD).join(scores, on="customer_id", how="inner")
    known = joined.filter(nw.col("event_time") <= nw.col("as_of"))
    return _newest(known).with_columns((nw.col("as_of") - nw.col("event_time")).alias("age_us"))


def top_product_scores(spine: Spine) -> Frame:
    """Scores of the newest run about the product the customer will most likely start."""
    run = newest_scores(spine)
    starts = run.filter(is_("head", "start"))
    best = starts.group_by("row_id").agg(nw.col("probability").max().alias("best"))
    top = (
        starts.join(best, on="row_id", how="inner")
        .filter(nw.col("probability") == nw.col("best"))
        .group_by("row_id")
        .agg(nw.col("product").max().alias("top_product"))
    )
    return run.join(top, on="row_id", how="inner").filter(
        nw.col("product") == nw.col("top_product")
    )


def raised_assets(spine: Spine) -> Frame:
    """Moments of a year at which benefits were granted, with the assets then and a while before.

    `assets_cny` is the sum of the newest balances at the grant, `assets_before_cny` of those
    `rise_days` (a threshold of `benefit_sensitive`) earlier; missing where none was known then.
    """
    rise = round(
        _settings(spine, "benefit", "benefit_sensitive").number("rise_days") * MICROSECONDS_A_DAY
    )
    grants = _granted(spine)
    balances = past(spine, "balances").select(
        "row_id", "asset_class", "balance_cny", nw.col("event_time").alias("balance_at")
    )
    pairs = grants.select("row_id", "event_time").join(balances, on="row_id", how="inner")

    def standing(at: nw.Expr, name: str) -> Frame:
        keys = ["row_id", "event_time", "asset_class"]
        before = pairs.filter(nw.col("balance_at") <= at)
        newest = before.group_by(*keys).agg(nw.col("balance_at").max())
        rows = before.join(newest, on=[*keys, "balance_at"], how="inner")
        return rows.group_by("row_id", "event_time").agg(nw.col("balance_cny").sum().alias(name))

    granted_at = nw.col("event_time")
    return grants.join(
        standing(granted_at, "assets_cny"), on=["row_id", "event_time"], how="left"
    ).join(
        standing(granted_at - rise, "assets_before_cny"), on=["row_id", "event_time"], how="left"
    )


def _granted(spine: Spine) -> Frame:
    """Moments of a year at which any benefit was granted, one row each."""
    granted = past(spine, "benefits", YEAR_DAYS).filter(is_("kind", "granted"))
    return granted.group_by("row_id", "event_time").agg(nw.col("age_us").max())


def claimed_benefits(spine: Spine) -> Frame:
    """Benefits granted within a year; `claimed` is 1 where one was used before the next grant."""
    rows = past(spine, "benefits", YEAR_DAYS)
    keys = ["row_id", "benefit", "event_time"]
    upcoming = nw.col("event_time").shift(-1).over("row_id", "benefit", order_by="event_time")
    granted = rows.filter(is_("kind", "granted")).with_columns(upcoming.alias("next_at"))
    used = rows.filter(is_("kind", "used")).select(
        "row_id", "benefit", nw.col("event_time").alias("used_at")
    )
    pairs = granted.select(*keys, "next_at").join(used, on=["row_id", "benefit"], how="inner")
    in_time = nw.col("next_at").is_null() | (nw.col("used_at") < nw.col("next_at"))
    uses = (
        pairs.filter((nw.col("used_at") >= nw.col("event_time")) & in_time)
        .group_by(*keys)
        .agg(nw.col("used_at").min())
    )
    claimed = nw.when(nw.col("used_at").is_null()).then(nw.lit(0)).otherwise(nw.lit(1))
    return granted.join(uses, on=keys, how="left").with_columns(claimed.alias("claimed"))


def money_around_benefits(spine: Spine) -> Frame:
    """Moments of a year at which benefits were granted, with the transfers around them.

    `brought_cny` came in within `before_days` before the grant, `taken_cny` went out within
    `after_days` from it on (thresholds of `bonus_hunter`).
    """
    settings = _settings(spine, "benefit", "bonus_hunter")
    before, after = (
        round(settings.number(name) * MICROSECONDS_A_DAY) for name in ("before_days", "after_days")
    )
    moved = past(spine, "transactions").select(
        "row_id", "kind", "amount_cny", nw.col("event_time").alias("moved_at")
    )
    grants = _granted(spine)
    pairs = grants.join(moved, on="row_id", how="inner")
    since = nw.col("moved_at") - nw.col("event_time")
    brought = is_("kind", "transfer_in") & (since < 0) & (since >= -before)
    taken = is_("kind", "transfer_out") & (since >= 0) & (since < after)
    return pairs.group_by("row_id", "event_time").agg(
        nw.col("age_us").max(),
        nw.when(brought).then(nw.col("amount_cny")).sum().alias("brought_cny"),
        nw.when(taken).then(nw.col("amount_cny")).sum().alias("taken_cny"),
    )


def complaints(spine: Spine) -> Frame:
    """Complaints, however old: one that was never settled is still open.

    `is_oldest` is 1 at the oldest of those open.
    """
    rows = past(spine, "ratings").filter(nw.col("complaint"))
    unsettled = rows.filter(nw.col("resolved_at").is_null())
    first = unsettled.group_by("row_id").agg(nw.col("event_time").min().alias("first_at"))
    is_first = nw.col("resolved_at").is_null() & (nw.col("event_time") == nw.col("first_at"))
    return rows.join(first, on="row_id", how="left").with_columns(
        nw.when(is_first).then(nw.lit(1)).otherwise(nw.lit(0)).alias("is_oldest")
    )


def newest_low_ratings(spine: Spine) -> Frame:
    """Keep the newest of the low ratings; how low is a threshold of `low_score`."""
    most = _settings(spine, "experience", "low_score").number("score")
    return _newest(past(spine, "ratings", YEAR_DAYS).filter(nw.col("score") <= most))


def calls_by_matter(spine: Spine) -> Frame:
    """Calls in the window of `repeat_call`, one row a product; calls about none are one matter."""
    settings = _settings(spine, "experience", "repeat_call")
    rows = past(spine, "interactions", YEAR_DAYS).filter(
        is_("kind", *settings.strings("kinds")), within(settings.number("days"))
    )
    matter = nw.col("product").fill_null("")
    return (
        rows.with_columns(matter.alias("matter"))
        .group_by("row_id", "matter")
        .agg(nw.len().alias("calls"), nw.col("product").max())
    )


def newest_open_errors(spine: Spine) -> Frame:
    """Keep the newest error about a product that was neither completed nor bought since."""
    rows = past(spine, "interactions", YEAR_DAYS).filter(~nw.col("product").is_null())
    errors = rows.filter(is_("kind", "error") | ~nw.col("error_code").is_null())
    completed = _last(rows.filter(is_("kind", "complete")), "completed_at")
    unfinished = errors.join(completed, on=["row_id", "product"], how="left").filter(
        nw.col("completed_at").is_null() | (nw.col("completed_at") < nw.col("event_time"))
    )
    if spine.source.has("holdings"):
        bought = _last(past(spine, "holdings"), "bought_at")
        unfinished = unfinished.join(bought, on=["row_id", "product"], how="left").filter(
            nw.col("bought_at").is_null() | (nw.col("bought_at") < nw.col("event_time"))
        )
    return _newest(unfinished)


def restrictions_in_force(spine: Spine) -> Frame:
    """Restrictions that have not ended."""
    ended = ~nw.col("until").is_null() & (nw.col("until") <= nw.col("as_of"))
    return past(spine, "restrictions").filter(~ended)


HISTORIES: dict[str, tuple[str, Callable[[Spine], Frame]]] = {
    "applications": ("interactions", applications),
    "outlet_visits": ("interactions", outlet_visits),
    "next_moves": ("interactions", next_moves),
    "product_steps": ("interactions", product_steps),
    "newest_scores": ("scores", newest_scores),
    "top_product_scores": ("scores", top_product_scores),
    "raised_assets": ("benefits", raised_assets),
    "claimed_benefits": ("benefits", claimed_benefits),
    "money_around_benefits": ("benefits", money_around_benefits),
    "complaints": ("ratings", complaints),
    "newest_low_ratings": ("ratings", newest_low_ratings),
    "calls_by_matter": ("interactions", calls_by_matter),
    "newest_open_errors": ("interactions", newest_open_errors),
    "consents_now": ("consents", lambda spine: latest(spine, "consents", ("channel",))),
    "restrictions_in_force": ("restrictions", restrictions_in_force),
}
"""By name: the table it needs and how it is made."""
