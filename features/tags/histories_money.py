"""Pasts that only tags about value, life and relationship read."""

from __future__ import annotations

from collections.abc import Callable

import narwhals.stable.v2 as nw

from features.history import ALWAYS, HEAD, YEAR_DAYS, Frame, attributes, managed, past
from features.spine import MICROSECONDS_A_DAY, Spine
from features.tags.months import month_number


def dated_transactions(spine: Spine) -> Frame:
    """Transactions of the last year with ``months_ago``: calendar months before that of `as_of`."""
    local = nw.col("event_time") + nw.col("utc_offset_us")
    day = (local // MICROSECONDS_A_DAY).cast(nw.Int64)
    months_ago = month_number(nw.col("as_of_day")) - month_number(nw.col("day"))
    dated = past(spine, "transactions", YEAR_DAYS).with_columns(day.alias("day"))
    return dated.with_columns(months_ago.alias("months_ago"))


def region_history(spine: Spine) -> Frame:
    """Every known row of the customer's attributes, with where he lives now (``region_now``)."""
    rows = spine.source.frame("customers").with_columns(nw.col("valid_from").fill_null(ALWAYS))
    now = attributes(spine).select("row_id", nw.col("region").alias("region_now"))
    known = (nw.col("valid_from") <= nw.col("as_of")) & (
        nw.col("available_at").is_null() | (nw.col("available_at") <= nw.col("as_of"))
    )
    joined = spine.frame().select(*HEAD).join(rows, on="customer_id", how="inner").filter(known)
    return joined.join(now, on="row_id", how="inner")


def home_outlet(spine: Spine) -> Frame:
    """Take the customer's attributes with the outlet that keeps them.

    Columns ``outlet_kind``, ``outlet_region`` and ``outlet_scope`` are those of the outlet.
    """
    outlets = spine.source.frame("orgs").select(
        "org_id",
        nw.col("kind").alias("outlet_kind"),
        nw.col("region").alias("outlet_region"),
        nw.col("business_scope").alias("outlet_scope"),
    )
    return attributes(spine).join(outlets, on="org_id", how="left")


def newest_manager(spine: Spine) -> Frame:
    """Keep the assignment in force that began last."""
    in_force = managed(spine)
    newest = in_force.group_by("row_id").agg(nw.col("from").max())
    return in_force.join(newest, on=["row_id", "from"], how="inner")


HISTORIES: dict[str, tuple[str, Callable[[Spine], Frame]]] = {
    "dated_transactions": ("transactions", dated_transactions),
    "region_history": ("customers", region_history),
    "home_outlet": ("orgs", home_outlet),
    "newest_manager": ("assignments", newest_manager),
}
"""By name: the table it needs and how it is made."""
