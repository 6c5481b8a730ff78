"""Spines: tables of `(row_id, customer_id, as_of, context…)` that say whom to describe and when.

``as_of`` is microseconds since 1970 UTC; ``as_of_day`` is the bank's calendar day (days since
1970-01-01), ``as_of_month`` its month (1–12), ``month_start_day`` the day that month began, and
``utc_offset_us`` what to add to a UTC time to read the bank's clock. A context column is something
known at `as_of` that is not about the customer: the product and the stage of a choice, say.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

import narwhals.stable.v2 as nw
import pyarrow as pa

from features.bank import Bank, Frame
from features.errors import SourceError
from features.sources import Source, lazy, local_time

MICROSECONDS_A_DAY = 86_400_000_000


@dataclass(frozen=True)
class Spine:
    """A spine kept by a bank's engine, rows numbered in a fixed order."""

    source: Bank
    table: str
    context: tuple[str, ...] = ()

    @property
    def on_duckdb(self) -> Source:
        """The bank, for what runs on one machine only (targets, choices); else `TypeError`."""
        if not isinstance(self.source, Source):
            raise TypeError("training runs on DuckDB; open the source with open_source")
        return self.source

    def frame(self) -> Frame:
        """Give the spine as a lazy frame."""
        return self.source.frame(self.table)

    def arrow(self) -> pa.Table:
        """Give the spine in order of `row_id`."""
        return self.source.arrow(self.frame().sort("row_id"))

    def __len__(self) -> int:
        """Rows of the spine."""
        return int(self.source.arrow(self.frame().select(nw.len().alias("n")))["n"][0].as_py())


def microseconds(moment: datetime) -> int:
    """Microseconds since 1970 UTC of a moment with a zone.

    >>> microseconds(datetime(1970, 1, 2, tzinfo=UTC))
    86400000000
    """
    if moment.tzinfo is None:
        raise ValueError(f"{moment} has no time zone; add one, as in 2026-07-01T10:00+08:00")
    delta = moment - datetime(1970, 1, 1, tzinfo=UTC)
    return (delta.days * 86_400 + delta.seconds) * 1_000_000 + delta.microseconds


def moment(us: int) -> datetime:
    """Turn microseconds since 1970 into a UTC moment."""
    seconds, rest = divmod(us, 1_000_000)
    return datetime.fromtimestamp(seconds, tz=UTC).replace(microsecond=rest)


def month_starts(first: datetime, last: datetime, time_zone: str) -> list[datetime]:
    """List the starts of the bank's calendar months in [first, last], as UTC moments."""
    zone = ZoneInfo(time_zone)
    local = first.astimezone(zone)
    year, month = local.year, local.month
    starts: list[datetime] = []
    while True:
        start = datetime(year, month, 1, tzinfo=zone)
        if start > last:
            return starts
        if start >= first:
            starts.append(start.astimezone(UTC))
        year, month = (year + 1, 1) if month == 12 else (year, month + 1)


def event_range(source: Bank) -> tuple[int, int]:
    """First and last `event_time` of interactions and holdings, in microseconds."""
    first, last = (
        nw.col("event_time").min().alias("first"),
        nw.col("event_time").max().alias("last"),
    )
    spans = [
        source.arrow(source.frame(name).select(first, last)).to_pylist()[0]
        for name in ("interactions", "holdings")
        if source.rows.get(name)
    ]
    if not spans:
        raise SourceError("the source has no interactions and no holdings: nothing to learn from")
    return min(span["first"] for span in spans), max(span["last"] for span in spans)


def data_end(source: Bank) -> datetime:
    """Tell the moment after the last interaction or purchase: all of them are the past then."""
    return moment(event_range(source)[1] + 1)


def customers_at(source: Bank, as_of: Sequence[datetime], customers: Sequence[str] = ()) -> Spine:
    """Every customer known at each moment (or just those named)."""
    moments = source.bring(
        pa.table({"as_of": pa.array([microseconds(one) for one in as_of], pa.int64())})
    )
    rows = source.frame("customers")
    if customers:
        named = source.bring(pa.table({"customer_id": pa.array(set(customers), pa.string())}))
        rows = rows.join(named, on="customer_id", how="inner")
    as_of_us = nw.col("as_of")
    known = rows.join(moments, how="cross").filter(
        *(
            nw.col(since).is_null() | (nw.col(since) <= as_of_us)
            for since in ("joined_at", "valid_from", "available_at")
        ),
        nw.col("valid_to").is_null() | (nw.col("valid_to") > as_of_us),
    )
    return _kept(source, known.select("customer_id", "as_of").unique(), ())


def purchase_events(source: Source) -> Spine:
    """One row per customer and moment of purchase, just before it."""
    rows = source.frame("holdings").select("customer_id", nw.col("event_time").alias("as_of"))
    return _kept(source, rows.unique(), ())


def choices(source: Source, since: int = 0) -> Spine:
    """Take the customer's own choices of a channel: context product and stage, target `channel`.

    Where interactions tell no stages every touch is a choice. A monthly bank gives one choice a
    customer and month, taken by hash: a spine of every interaction would be quadratic.
    """
    staged = source.has("interactions.stage")
    kinds = (
        "stage is not null and product is not null "
        "and kind in ('apply', 'step', 'service', 'inquiry')"
    )
    select = f"""select customer_id, event_time as as_of, channel, product, stage,
                        amount_cny as intent_amount_cny
                 from interactions where event_time >= {int(since)}
                 {f"and {kinds}" if staged else ""}"""  # noqa: S608
    if source.config.every == "month":
        local = local_time("as_of", source.config.time_zone)
        select = f"""select * from ({select}) qualify row_number() over (
            partition by customer_id, date_trunc('month', {local})
            order by md5(concat_ws('|', customer_id, as_of, channel, product, stage)),
                     intent_amount_cny) = 1"""  # noqa: S608
    context = ("channel", "product", "stage", "intent_amount_cny")
    return _kept(source, lazy(source.con.sql(select)), context)


def _kept(source: Bank, rows: Frame, context: tuple[str, ...]) -> Spine:
    table = f"spine_{next(source.spine_numbers)}"
    source.keep_spine(table, rows, ("as_of", "customer_id", *context))
    return Spine(source, table, context)


def subset(spine: Spine, row_ids: Any) -> Spine:
    """Keep the rows of a spine with these ids (an integer array), under their old ids."""
    source = spine.on_duckdb
    con = source.con
    con.register("keep_", pa.table({"row_id": pa.array(row_ids, pa.int64())}))
    table = f"spine_{next(source.spine_numbers)}"
    con.execute(
        f'create table {table} as select * from "{spine.table}" '  # noqa: S608
        "where row_id in (select row_id from keep_) order by row_id"
    )
    con.unregister("keep_")
    return Spine(source, table, spine.context)
