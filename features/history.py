"""The past of each spine row, as the bank knew it at `as_of`: what features aggregate.

A row counts when ``event_time < as_of`` and ``available_at <= as_of``; a cell filled in later
counts from its own time. Each history is a function of spine and source; it returns lazy rows
with `row_id`, `as_of`, `as_of_day`, `month_start_day`, `utc_offset_us` (see `features.spine`),
`age_us` (= as_of − event_time, microseconds, > 0) and the table's columns.
"""

from __future__ import annotations

import narwhals.stable.v2 as nw

from features.bank import Frame as Frame
from features.spine import MICROSECONDS_A_DAY, Spine
from features.tables import NO_CONTACT, TABLES

ALWAYS = -(2**62)
"""A time before all others, in microseconds."""

HEAD = ("row_id", "customer_id", "as_of", "as_of_day", "month_start_day", "utc_offset_us")
"""What a history takes over from the spine."""

YEAR_DAYS = 365
"""Events older than this are not read: windows end there, recencies are missing beyond."""


def past(spine: Spine, table: str, days: int | None = None, lag_days: int = 0) -> Frame:
    """Rows of `table` known at `as_of` that happened before `as_of − lag_days`."""
    contract = TABLES[table]
    rows = spine.source.frame(table)
    head = spine.frame().select(*HEAD)
    joined = head.join(rows, on="customer_id", how="inner")
    lag = lag_days * MICROSECONDS_A_DAY
    known = (nw.col("event_time") < nw.col("as_of") - lag) & (
        nw.col("available_at").is_null() | (nw.col("available_at") <= nw.col("as_of"))
    )
    if days is not None:
        known = known & (nw.col("event_time") >= nw.col("as_of") - days * MICROSECONDS_A_DAY)
    later = {column.name: column.filled_at for column in contract.columns if column.filled_at}
    masks = [
        nw.when(nw.col(filled_at) <= nw.col("as_of")).then(nw.col(name)).alias(name)
        for name, filled_at in later.items()
    ]
    # the masks read the unmasked times: one select, so that order does not matter
    return joined.filter(known).with_columns(
        *masks, (nw.col("as_of") - nw.col("event_time")).alias("age_us")
    )


def latest(spine: Spine, table: str, by: tuple[str, ...] = (), lag_days: int = 0) -> Frame:
    """Keep the newest known row of `table` per spine row and `by`."""
    rows = past(spine, table, lag_days=lag_days)
    keys = ("row_id", *by)
    newest = rows.group_by(*keys).agg(nw.col("event_time").max())
    return rows.join(newest, on=[*keys, "event_time"], how="inner")


def attributes(spine: Spine) -> Frame:
    """Take the attributes valid at `as_of`: the row with the newest `valid_from`, not yet ended."""
    # a row without valid_from always held: it is older than any other
    rows = spine.source.frame("customers").with_columns(nw.col("valid_from").fill_null(ALWAYS))
    head = spine.frame().select(*HEAD)
    known = head.join(rows, on="customer_id", how="inner").filter(
        (nw.col("valid_from") <= nw.col("as_of"))
        & (nw.col("valid_to").is_null() | (nw.col("valid_to") > nw.col("as_of")))
        & (nw.col("available_at").is_null() | (nw.col("available_at") <= nw.col("as_of")))
    )
    newest = known.group_by("row_id").agg(nw.col("valid_from").max())
    return known.join(newest, on=["row_id", "valid_from"], how="inner")


def newest_demand(spine: Spine) -> Frame:
    """Keep of each product the newest report on the whole bank's demand before `as_of`."""
    reports = spine.source.frame("demand").with_columns(
        nw.max_horizontal("event_time", "available_at").alias("known_us")
    )
    head = spine.frame().select("row_id", "as_of")
    # as-of by a running maximum: neither engine joins on inequality in less than rows × reports
    times = nw.concat(
        [
            head.select(nw.col("as_of").alias("time"), nw.lit(ALWAYS).alias("newest")).unique(),
            reports.select(
                # a report counts from the next microsecond on: of one time, it comes after
                (nw.col("known_us") + 1).alias("time"), nw.col("event_time").alias("newest")
            ).unique(),
        ]
    )  # fmt: skip
    newest = times.with_columns(nw.col("newest").cum_max().over(order_by=("time", "newest")))
    known = newest.group_by("time").agg(nw.col("newest").max().alias("event_time"))
    told = head.join(known, left_on="as_of", right_on="time", how="inner")
    return told.join(reports, on="event_time", how="inner").filter(
        nw.col("known_us") < nw.col("as_of")
    )


def managed(spine: Spine) -> Frame:
    """Keep the assignments to a manager in force at `as_of`."""
    head = spine.frame().select(*HEAD)
    joined = head.join(spine.source.frame("assignments"), on="customer_id", how="inner")
    known = nw.col("available_at").is_null() | (nw.col("available_at") <= nw.col("as_of"))
    since = nw.col("from") <= nw.col("as_of")
    until = nw.col("to").is_null() | (nw.col("to") > nw.col("as_of"))
    return joined.filter(known & since & until)


def made_contacts(spine: Spine) -> Frame:
    """Contacts really made in the last year: not the hold-out, nor who came to us himself."""
    ours = nw.col("purpose").is_null() | (nw.col("purpose") != "inbound")
    return past(spine, "contacts", YEAR_DAYS).filter(ours & (nw.col("channel") != NO_CONTACT))


def refusals(spine: Spine) -> Frame:
    """Offers of the last year that were refused, at a contact or where the customer came to us."""
    return past(spine, "contacts", YEAR_DAYS).filter(
        ~nw.col("refused_at").is_null() & (nw.col("channel") != NO_CONTACT)
    )


def on_the_clock(rows: Frame) -> Frame:
    """Add when an event was by the bank's clock: `day` (since 1970-01-01), `clock_us` (of the day).

    The offset is that of `as_of`: where clocks change, events before the change are an hour off.
    """
    local = nw.col("event_time") + nw.col("utc_offset_us")
    return rows.with_columns(
        (local // MICROSECONDS_A_DAY).cast(nw.Int64).alias("day"),
        (local % MICROSECONDS_A_DAY).alias("clock_us"),
    )
