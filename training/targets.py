"""Targets: what happened after `as_of`. The only module that looks ahead.

A product is *started* when an application begins, or by a purchase that no application of the last
60 days led to; a set that records no starts has purchases only.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from features.journeys import steps_taken
from features.sources import Horizon, Source
from features.spine import MICROSECONDS_A_DAY, Spine, moment

Mask = npt.NDArray[np.bool_]
JOURNEY_DAYS = 60


def horizon_us(source: Source) -> int:
    """The horizon in microseconds; 0 where it is the next event."""
    horizon = source.config.horizon
    return horizon.days * MICROSECONDS_A_DAY if isinstance(horizon, Horizon) else 0


def log_begins(source: Source) -> datetime:
    """When what customers do begins to be told: the first interaction, else the first purchase."""
    table = "interactions" if source.has("interactions") else "holdings"
    first = source.con.sql(f"select min(event_time) from {table}").fetchall()[0][0]  # noqa: S608
    return moment(first)


def starts(spine: Spine, products: tuple[str, ...]) -> Mask:
    """Which products each row's customer starts within the horizon, shape (n, K)."""
    source = spine.on_duckdb
    ahead = horizon_us(source)
    begun = _begun(source)
    until = f"and begun.event_time < spine.as_of + {ahead}" if ahead else ""
    next_only = "" if ahead else "qualify event_time = min(event_time) over (partition by row_id)"
    found = source.con.sql(
        f"""select distinct row_id, product from (
              select spine.row_id, begun.product, begun.event_time
              from "{spine.table}" spine join ({begun}) begun
                on begun.customer_id = spine.customer_id
              where begun.event_time >= spine.as_of {until} {next_only})"""  # noqa: S608
    ).fetchnumpy()
    return _mask(spine, products, found["row_id"], found["product"])


def _begun(source: Source) -> str:
    bought = "select customer_id, product, event_time from holdings"
    if not source.has("interactions.kind") or not source.has("interactions.product"):
        return bought
    applied = "kind = 'apply' and product is not null"
    if not source.has("holdings"):
        return f"select customer_id, product, event_time from interactions where {applied}"  # noqa: S608
    window = JOURNEY_DAYS * MICROSECONDS_A_DAY
    return f"""
        select customer_id, product, event_time from interactions where {applied}
        union all
        {bought} where not exists (
            select 1 from interactions apply
            where apply.kind = 'apply' and apply.customer_id = holdings.customer_id
              and apply.product = holdings.product
              and apply.event_time <= holdings.event_time
              and apply.event_time > holdings.event_time - {window})"""  # noqa: S608


def eligible(spine: Spine, products: tuple[str, ...]) -> Mask:
    """Which products each row's customer may start: not those held that cannot be repeated."""
    source = spine.on_duckdb
    once = [product for product in products if not source.catalog.offer_by_id[product].repeatable]
    if not source.has("holdings") or not once:
        return np.ones((len(spine), len(products)), dtype=bool)
    held = source.con.execute(
        f"""select distinct spine.row_id, holdings.product
            from "{spine.table}" spine join holdings using (customer_id)
            where holdings.event_time < spine.as_of
              and coalesce(holdings.available_at, 0) <= spine.as_of
              and (holdings.closed_at is null or holdings.closed_at > spine.as_of)
              and list_contains(?, holdings.product)""",  # noqa: S608
        [once],
    ).fetchnumpy()
    return ~_mask(spine, products, held["row_id"], held["product"])


def _mask(
    spine: Spine, products: tuple[str, ...], row_ids: npt.NDArray[np.int64], named: object
) -> Mask:
    place = {int(row_id): row for row, row_id in enumerate(spine.arrow()["row_id"].to_numpy())}
    column = {product: k for k, product in enumerate(products)}
    mask = np.zeros((len(place), len(products)), dtype=bool)
    for row_id, product in zip(row_ids.tolist(), np.asarray(named).tolist(), strict=True):
        if product in column:
            mask[place[row_id], column[product]] = True
    return mask


def journeys(source: Source, since: int, before: int) -> list[tuple[str, str, str, str, bool]]:
    """Begun journeys whose 30 days ended in [since, before): customer, offer, stage, handle, done.

    A step counts where it was taken: was the product completed within 30 days of it? Those whose
    30 days are not over count nowhere, or the quickly done would stand for all.
    """
    if not source.has("interactions.kind") or not source.has("interactions.stage"):
        return []
    found: list[tuple[str, str, str, str, bool]] = source.con.sql(
        f"""select customer_id, product, stage, channel, done from ({steps_taken(since, before)})
            order by event_time, customer_id, product"""  # noqa: S608
    ).fetchall()
    return found


@dataclass(frozen=True)
class Purchases:
    """Purchases with an amount, in time order, arrays of shape (n,).

    ``row`` is the newest row of the spine that describes the customer at or before the purchase,
    −1 where there is none; ``assets_cny`` his total assets just before it, NaN where unknown.
    """

    row: npt.NDArray[np.int64]
    event_time: npt.NDArray[np.int64]
    offer: list[str]
    assets_cny: npt.NDArray[np.float64]
    amount_cny: npt.NDArray[np.float64]


def purchases(spine: Spine) -> Purchases:
    """Every purchase the bank tells the amount of."""
    source = spine.on_duckdb
    if not source.has("holdings.amount_cny"):
        none = np.empty(0)
        return Purchases(none.astype(np.int64), none.astype(np.int64), [], none, none)
    assets = (
        "select customer_id, event_time, sum(balance_cny)::double as assets "
        "from balances group by customer_id, event_time"
        if source.has("balances")
        else "select null::varchar customer_id, 0 event_time, null::double assets where false"
    )
    found = source.con.sql(
        f"""select spine.row_id, bought.event_time, bought.product, wealth.assets,
                   bought.amount_cny::double as amount
            from (select * from holdings where amount_cny > 0) bought
            asof left join ({assets}) wealth
              on wealth.customer_id = bought.customer_id and wealth.event_time < bought.event_time
            asof left join "{spine.table}" spine
              on spine.customer_id = bought.customer_id and spine.as_of <= bought.event_time
            order by bought.event_time, bought.customer_id, bought.product, amount"""  # noqa: S608
    ).arrow()
    table = found.read_all()
    row_id = table["row_id"].fill_null(-1).to_numpy()
    rows = np.searchsorted(spine.arrow()["row_id"].to_numpy(), row_id)
    return Purchases(
        np.where(row_id >= 0, rows, -1),
        table["event_time"].to_numpy(),
        table["product"].to_pylist(),
        table["assets"].cast(pa.float64()).fill_null(float("nan")).to_numpy(),
        table["amount"].to_numpy(),
    )


def past_choices(
    spine: Spine, channels: tuple[str, ...]
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]:
    """What each row's customer chose before: last channel (n,), −1 = none, and counts (n, C)."""
    source = spine.on_duckdb
    staged = source.has("interactions.stage")
    where = "where stage is not null and kind in ('apply', 'step', 'service', 'inquiry')"
    found = source.con.sql(
        f"""select spine.row_id, past.channel, count(*) as uses, max(past.event_time) as newest
            from "{spine.table}" spine
            join (select customer_id, event_time, channel from interactions
                  {where if staged else ""}) past
              on past.customer_id = spine.customer_id and past.event_time < spine.as_of
            group by spine.row_id, past.channel order by newest, past.channel"""  # noqa: S608
    ).fetchnumpy()
    row_ids = spine.arrow()["row_id"].to_numpy()
    rows = np.searchsorted(row_ids, found["row_id"])
    position = {channel: number for number, channel in enumerate(channels)}
    column = np.array([position.get(one, -1) for one in found["channel"].tolist()], dtype=np.int64)
    known = column >= 0
    last = np.full(len(row_ids), -1, dtype=np.int64)
    uses = np.zeros((len(row_ids), len(channels)))
    # rows come oldest first: the newest channel of a customer is written last, and stays
    last[rows[known]] = column[known]
    uses[rows[known], column[known]] = found["uses"][known]
    return last, uses
