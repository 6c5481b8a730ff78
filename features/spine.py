"""Spines: tables of `(row_id, customer_id, as_of, context…)` that say whom to describe and when.

``as_of`` is microseconds since 1970 UTC; ``as_of_day`` is the bank's calendar day (days since
1970-01-01), ``as_of_month`` its month (1–12), ``month_start_day`` the day that month began, and
``utc_offset_us`` what to add to a UTC time to read the bank's clock. A context column is something known at `as_of`
that is not about the customer: the product and the stage of a choice, say.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

import duckdb
import narwhals.stable.v2 as nw
import pyarrow as pa

from features.errors import SourceError
from features.sources import Source, lazy

MICROSECONDS_A_DAY = 86_400_000_000


@dataclass(frozen=True)
class Spine:
    """A spine table in a source's working DuckDB, rows numbered in a fixed order."""

    source: Source
    table: str
    context: tuple[str, ...] = ()

    def frame(self) -> nw.LazyFrame[duckdb.DuckDBPyRelation]:
        """Give the spine as a lazy frame."""
        return lazy(self.source.con.table(self.table))

    def arrow(self) -> pa.Table:
        """Give the spine in order of `row_id`."""
        return self.source.con.sql(f'select * from "{self.table}" order by row_id').to_arrow_table()  # noqa: S608

    def __len__(self) -> int:
        """Rows of the spine."""
        return int(self.source.con.table(self.table).aggregate("count(*)").fetchall()[0][0])


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


def event_range(source: Source) -> tuple[int, int]:
    """First and last `event_time` of interactions and holdings, in microseconds."""
    spans = [
        source.con.table(name).aggregate("min(event_time), max(event_time)").fetchall()[0]
        for name in ("interactions", "holdings")
        if source.rows.get(name)
    ]
    if not spans:
        raise SourceError("the source has no interactions and no holdings: nothing to learn from")
    return min(span[0] for span in spans), max(span[1] for span in spans)


def data_end(source: Source) -> datetime:
    """Tell the moment after the last interaction or purchase: all of them are the past then."""
    return moment(event_range(source)[1] + 1)


def customers_at(source: Source, as_of: Sequence[datetime], customers: Sequence[str] = ()) -> Spine:
    """Every customer known at each moment (or just those named)."""
    con = source.con
    con.register("moments_", pa.table({"as_of": [microseconds(one) for one in as_of]}))
    con.register("wanted_", pa.table({"customer_id": pa.array(list(customers), pa.string())}))
    only = "and customer_id in (select customer_id from wanted_)" if customers else ""
    return _create(
        source,
        f"""select distinct customer_id, as_of from customers, moments_
            where coalesce(joined_at <= as_of, true) and coalesce(valid_from <= as_of, true)
              and coalesce(valid_to > as_of, true) and coalesce(available_at <= as_of, true)
              {only}""",  # noqa: S608
    )


def purchase_events(source: Source) -> Spine:
    """One row per customer and moment of purchase, just before it."""
    return _create(source, "select distinct customer_id, event_time as as_of from holdings")


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
        zone = source.config.time_zone.replace("'", "")
        select = f"""select * from ({select}) qualify row_number() over (
            partition by customer_id, date_trunc('month', {_local("as_of", zone)})
            order by md5(concat_ws('|', customer_id, as_of, channel, product, stage)),
                     intent_amount_cny) = 1"""  # noqa: S608
    return _create(source, select, ("channel", "product", "stage", "intent_amount_cny"))


def _local(column: str, zone: str) -> str:
    return f"((make_timestamp({column}) at time zone 'UTC') at time zone '{zone}')"


def _create(source: Source, select: str, context: tuple[str, ...] = ()) -> Spine:
    zone = source.config.time_zone.replace("'", "")
    table = f"spine_{next(source.spine_numbers)}"
    order = ", ".join(("as_of", "customer_id", *context))
    source.con.execute(
        f"""create table {table} as
            select row_number() over (order by {order}) as row_id, *,
                   cast({_local("as_of", zone)} as date) - date '1970-01-01' as as_of_day,
                   month({_local("as_of", zone)}) as as_of_month,
                   date_trunc('month', {_local("as_of", zone)})::date - date '1970-01-01'
                       as month_start_day,
                   epoch_us({_local("as_of", zone)}) - as_of as utc_offset_us
            from ({select}) order by {order}"""  # noqa: S608
    )
    return Spine(source, table, context)


def subset(spine: Spine, row_ids: Any) -> Spine:
    """Keep the rows of a spine with these ids (an integer array), under their old ids."""
    con = spine.source.con
    con.register("keep_", pa.table({"row_id": pa.array(row_ids, pa.int64())}))
    table = f"spine_{next(spine.source.spine_numbers)}"
    con.execute(
        f'create table {table} as select * from "{spine.table}" '  # noqa: S608
        "where row_id in (select row_id from keep_) order by row_id"
    )
    return Spine(spine.source, table, spine.context)
