"""Pasts that only tags about events, activity and products read.

The rows of an event's history are those that make the event by the rule the bank set, so its
thresholds are read here: a fact over such a history says how much and when, not whether.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable

import narwhals.stable.v2 as nw

from features.catalog import Catalog
from features.errors import ConfigError, did_you_mean
from features.feature import distinct, is_, within
from features.history import YEAR_DAYS, Frame, latest, past
from features.source_config import CONFIGS
from features.spine import MICROSECONDS_A_DAY, Spine
from features.tags.book import TagGroup, TagSettings, load_tag_book

PRODUCT_KEY = ("row_id", "product")


def rule_of(spine: Spine, group: TagGroup, code: str) -> TagSettings:
    """Read what the bank of a spine set about a tag."""
    return load_tag_book(CONFIGS / "catalog" / spine.source.catalog.name, (group,))[code]


def younger(days: float, age: str = "age_us") -> nw.Expr:
    """Rows of less than so many days: at that very age an event has ended."""
    return nw.col(age) < round(days * MICROSECONDS_A_DAY)


def products_in(
    catalog: Catalog, categories: Iterable[str], without: Iterable[str] = ()
) -> list[str]:
    """Ids of the catalog's products of these categories, but for some.

    Raises
    ------
    ConfigError
        A category or product named is not in the catalog.
    """
    products = [offer for offer in catalog.offers if offer.kind == "product"]
    wanted = _known("category", categories, {offer.category for offer in products})
    left_out = _known("product", without, catalog.product_ids)
    return [one.id for one in products if one.category in wanted and one.id not in left_out]


def products_named(catalog: Catalog, names: Iterable[str]) -> list[str]:
    """Check ids of products that a threshold names; `ConfigError` where one is unknown."""
    return sorted(_known("product", names, catalog.product_ids))


def _known(what: str, names: Iterable[str], known: Iterable[str]) -> set[str]:
    unknown = sorted(set(names) - set(known))
    if unknown:
        raise ConfigError(
            f"tags: a threshold names {what} '{unknown[0]}'; {did_you_mean(unknown[0], known)}"
        )
    return set(names)


def large_inflows(spine: Spine) -> Frame:
    """Take the newest large inflow of the last hours, large against a floor and the usual month.

    The usual month is that of the months before these hours: the inflow itself is not in it.
    """
    rule = rule_of(spine, "event", "large_inflow")
    recent, months = rule.number("hours") / 24, rule.number("months")
    reach = recent + months * rule.number("month_days")
    inflows = past(spine, "transactions", math.ceil(reach)).filter(is_("direction", "in"))
    before = (
        inflows.filter(~younger(recent) & within(reach))
        .group_by("row_id")
        .agg(nw.col("amount_cny").sum().alias("before_cny"))
    )
    amount = nw.col("amount_cny").cast(nw.Float64)
    usual_months = nw.col("before_cny").cast(nw.Float64).fill_null(0.0)
    large = (amount >= rule.number("amount_cny")) & (
        amount * months >= usual_months * rule.number("times")
    )
    return _most(
        inflows.filter(younger(recent)).join(before, on="row_id", how="left").filter(large)
    )


def large_outflows(spine: Spine) -> Frame:
    """Take the newest large transfer out, large against a floor and the assets before it."""
    rule = rule_of(spine, "event", "outflow_peer")
    days = rule.number("days")
    assets = (
        latest(spine, "balances", ("asset_class",), math.ceil(days))
        .group_by("row_id")
        .agg(nw.col("balance_cny").sum().alias("assets_cny"))
    )
    amount = nw.col("amount_cny").cast(nw.Float64)
    large = (amount >= rule.number("amount_cny")) & (
        amount >= nw.col("assets_cny").cast(nw.Float64).fill_null(0.0) * rule.number("assets_share")
    )
    transfers = past(spine, "transactions", math.ceil(days)).filter(
        is_("kind", "transfer_out") & younger(days)
    )
    return _most(transfers.join(assets, on="row_id", how="left").filter(large))


def maturing(spine: Spine) -> Frame:
    """Open holdings that pay back soon; `first_at` is the first of their maturities."""
    rule = rule_of(spine, "event", "maturity_30d")
    left = nw.col("maturity_at") - nw.col("as_of")
    rows = past(spine, "holdings").filter(
        _pays_back(spine.source.catalog, rule)
        & nw.col("closed_at").is_null()
        & (left > 0)
        & (left <= round(rule.number("days") * MICROSECONDS_A_DAY))
    )
    first = rows.group_by("row_id").agg(nw.col("maturity_at").min().alias("first_at"))
    return rows.join(first, on="row_id", how="inner")


def matured(spine: Spine) -> Frame:
    """Holdings that paid back lately; `last_at` is the last of their maturities."""
    rule = rule_of(spine, "event", "maturity_unplaced")
    rows = _matured(spine, rule).filter(
        ~younger(rule.number("after_days"), "since_us")
        & younger(rule.number("until_days"), "since_us")
    )
    last = rows.group_by("row_id").agg(nw.col("maturity_at").max().alias("last_at"))
    return rows.join(last, on="row_id", how="inner")


def left_after_maturity(spine: Spine) -> Frame:
    """Maturities of the last months whose money was transferred out soon, one row each."""
    rule = rule_of(spine, "product", "rate_sensitive")
    days = rule.number("days")
    gone = past(spine, "transactions", math.ceil(days)).filter(is_("kind", "transfer_out"))
    paid = gone.select("row_id", nw.col("event_time").alias("paid_at"), "amount_cny")
    back = (
        _matured(spine, rule)
        .filter(younger(days, "since_us") & (nw.col("amount_cny") > 0))
        .select("row_id", "product", "event_time", "maturity_at", matured_cny=nw.col("amount_cny"))
    )
    follows = nw.col("paid_at") - nw.col("maturity_at")
    taken = (follows >= 0) & (follows <= round(rule.number("follow_days") * MICROSECONDS_A_DAY))
    enough = nw.col("amount_cny").cast(nw.Float64) >= (
        nw.col("matured_cny").cast(nw.Float64) * rule.number("share")
    )
    pairs = back.join(paid, on="row_id", how="inner").filter(taken & enough)
    return pairs.select("row_id", "product", "event_time").unique()


def _pays_back(catalog: Catalog, rule: TagSettings) -> nw.Expr:
    return is_(
        "product",
        *products_in(catalog, rule.strings("categories"), rule.strings("not_paid_back")),
    )


def _matured(spine: Spine, rule: TagSettings) -> Frame:
    """Holdings that reached their maturity, `since_us` ago; what was redeemed early did not."""
    since = nw.col("as_of") - nw.col("maturity_at")
    reached = nw.col("closed_at").is_null() | (nw.col("closed_at") >= nw.col("maturity_at"))
    return (
        past(spine, "holdings")
        .filter(_pays_back(spine.source.catalog, rule) & reached & (since >= 0))
        .with_columns(since.alias("since_us"))
    )


def broken_applications(spine: Spine) -> Frame:
    """Take what the customer did in the newest application that came to nothing, since it began.

    `began_at` is when it began; `last_at`, `stage_at` and `error_at` are when the newest row, the
    newest with a stage and the newest with an error happened.
    """
    days = rule_of(spine, "event", "application_break").number("hours") / 24
    rows = past(spine, "interactions", math.ceil(days)).filter(
        younger(days) & ~nw.col("product").is_null()
    )
    began = _newest_by_product(rows.filter(is_("kind", "apply")), "began_at")
    open_ones = _without(
        began, _newest_by_product(rows.filter(is_("kind", "complete")), "done_at"), "began_at"
    )
    if spine.source.has("holdings"):
        bought = past(spine, "holdings", math.ceil(days))
        open_ones = _without(open_ones, _newest_by_product(bought, "done_at"), "began_at")
    one = _most(_most(open_ones, "began_at"), "product")
    steps = rows.join(one, on=list(PRODUCT_KEY), how="inner").filter(
        nw.col("event_time") >= nw.col("began_at")
    )
    marks = steps.group_by("row_id").agg(
        nw.col("event_time").max().alias("last_at"),
        *(
            nw.when(~nw.col(column).is_null()).then(nw.col("event_time")).max().alias(name)
            for column, name in (("stage", "stage_at"), ("error_code", "error_at"))
        ),
    )
    return steps.join(marks, on="row_id", how="inner")


def repeated_views(spine: Spine) -> Frame:
    """Take the product viewed most often lately, often enough and neither taken up nor held.

    `views` counts them; `nth_at` is the time of the view without which there were too few.
    """
    rule = rule_of(spine, "event", "repeat_browse")
    days, enough = rule.number("days"), round(rule.number("views"))
    rows = past(spine, "interactions", math.ceil(days)).filter(
        younger(days) & ~nw.col("product").is_null()
    )
    nth = nw.col("event_time").shift(enough - 1).over(*PRODUCT_KEY, order_by="event_time")
    often = (
        rows.filter(is_("kind", "browse"))
        .with_columns(nth.alias("nth_at"))
        .group_by(*PRODUCT_KEY, "as_of")
        .agg(nw.col("nth_at").max(), nw.col("event_time").count().alias("views"))
        .filter(~nw.col("nth_at").is_null())
    )
    taken_up = rows.filter(is_("kind", "apply", "complete"))
    wanted = _without(often, _newest_by_product(taken_up, "done_at"))
    if spine.source.has("holdings"):
        once = [one.id for one in spine.source.catalog.offers if not one.repeatable]
        held = nw.col("closed_at").is_null() & is_("product", *once)
        bought = past(spine, "holdings").filter(younger(days) | held)
        wanted = _without(wanted, _newest_by_product(bought, "done_at"))
    return _most(_most(wanted, "views"), "product")


def regular_purchases(spine: Spine) -> Frame:
    """Take the largest purchase made again and again, the same product for the same amount."""
    rule = rule_of(spine, "product", "auto_invest")
    months, span = rule.number("months"), rule.number("month_days")
    number = ((nw.col("age_us") - 1) / round(span * MICROSECONDS_A_DAY)).floor()
    rows = past(spine, "holdings", math.ceil(months * span)).filter(
        is_("product", *products_in(spine.source.catalog, rule.strings("categories")))
        & within(months * span)
        & (nw.col("amount_cny") > 0)
    )
    regular = (
        rows.group_by(*PRODUCT_KEY, "amount_cny")
        .agg(distinct(number).alias("months"))
        .filter(nw.col("months") >= months)
    )
    return _most(_most(regular, "amount_cny"), "product")


def card_balances(spine: Spine) -> Frame:
    """Card balances owed within a year; `before_cny` is the one before, 0 where there is none."""
    before = nw.col("balance_cny").shift(1).over("row_id", order_by="event_time")
    return (
        past(spine, "accounts", YEAR_DAYS)
        .filter(is_("kind", "card") & ~nw.col("balance_cny").is_null())
        .with_columns(before.fill_null(0).alias("before_cny"))
    )


def _newest_by_product(rows: Frame, name: str) -> Frame:
    return rows.group_by(*PRODUCT_KEY).agg(nw.col("event_time").max().alias(name))


def _without(rows: Frame, done: Frame, since: str = "") -> Frame:
    """Leave out the products done, or done since a moment of the row."""
    joined = rows.join(done, on=list(PRODUCT_KEY), how="left")
    open_still = nw.col("done_at").is_null()
    if since:
        open_still = open_still | (nw.col("done_at") < nw.col(since))
    return joined.filter(open_still).drop("done_at")


def _most(rows: Frame, column: str = "event_time") -> Frame:
    """Keep the rows of each spine row with the greatest value of a column."""
    greatest = rows.group_by("row_id").agg(nw.col(column).max())
    return rows.join(greatest, on=["row_id", column], how="inner")


HISTORIES: dict[str, tuple[str, Callable[[Spine], Frame]]] = {
    "large_inflows": ("transactions", large_inflows),
    "large_outflows": ("transactions", large_outflows),
    "maturing": ("holdings", maturing),
    "matured": ("holdings", matured),
    "left_after_maturity": ("holdings", left_after_maturity),
    "broken_applications": ("interactions", broken_applications),
    "repeated_views": ("interactions", repeated_views),
    "regular_purchases": ("holdings", regular_purchases),
    "card_balances": ("accounts", card_balances),
}
"""By name: the table it needs and how it is made."""
