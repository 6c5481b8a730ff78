"""After launch: what the bank's tables say of each stage at each channel."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Literal

from features.catalog import Stage
from features.errors import SourceError
from features.journeys import COMPLETION_DAYS, steps_taken
from features.sources import Source, clock_us, local_time
from features.spine import MICROSECONDS_A_DAY
from serving.decide.scorecard import OTHERS, Scorecard, Segment

By = Literal["offer", "category"]
Key = tuple[str, Stage, str]
"""Offer or category, stage, channel."""

SHARES = ("completion", "abandonment", "hand_over", "errors", "complaints")
MEANS = ("wait_s", "duration_s", "rating")
METRICS = (*SHARES, *MEANS)
NEEDS = {
    "errors": "interactions.error_code",
    "wait_s": "interactions.wait_s",
    "duration_s": "interactions.duration_s",
    "rating": "ratings",
    "complaints": "ratings.complaint",
}
Z = 1.959963984540054


@dataclass(frozen=True)
class Sums:
    """A ratio of sums over customers: Σx and Σd with what its variance needs; they add up.

    Rows of one customer go together (Liang and Zeger, Biometrika 1986): the variance of
    r = Σx / Σd is Σ(x − r·d)² / (Σd)², summed over customers.
    """

    x: float = 0.0
    d: float = 0.0
    xx: float = 0.0
    xd: float = 0.0
    dd: float = 0.0
    customers: int = 0

    def __add__(self, other: Sums) -> Sums:
        """Take two groups together, as if no customer were in both."""
        return Sums(
            self.x + other.x, self.d + other.d, self.xx + other.xx,
            self.xd + other.xd, self.dd + other.dd, self.customers + other.customers,
        )  # fmt: skip

    @property
    def ratio(self) -> float:
        """The mean or share; NaN where there is nothing."""
        return self.x / self.d if self.d else math.nan

    @property
    def variance(self) -> float:
        """Variance of the ratio, customers as clusters."""
        r = self.ratio
        return max(self.xx - 2 * r * self.xd + r * r * self.dd, 0.0) / self.d**2

    @property
    def worth(self) -> float:
        """How many independent rows a share is worth: three that always agree are worth one."""
        share, variance = self.ratio, self.variance
        return share * (1 - share) / variance if variance > 1e-15 else float(self.customers)

    def wilson(self) -> tuple[float, float]:
        """Wilson's 95 % interval of a share, for as many rows as they are worth."""
        share, worth = self.ratio, self.worth
        middle = (share + Z**2 / (2 * worth)) / (1 + Z**2 / worth)
        half = (
            Z / (1 + Z**2 / worth) * math.sqrt(share * (1 - share) / worth + (Z / worth) ** 2 / 4)
        )
        return max(middle - half, 0.0), min(middle + half, 1.0)

    def interval(self, share: bool) -> tuple[float, float]:
        """Give the 95 % interval of a share, or of a mean of any size."""
        if share:
            return self.wilson()
        half = Z * math.sqrt(self.variance)
        return self.ratio - half, self.ratio + half


@dataclass(frozen=True)
class Visits:
    """Journeys at one channel by one segment on one day: what the scorecard's cell is asked of."""

    offer: str
    stage: Stage
    channel: str
    segment: str
    day: date
    journeys: int


@dataclass(frozen=True)
class Evidence:
    """What happened between two moments, with what could not be told and why."""

    since: datetime
    until: datetime
    by: By
    sums: dict[Key, dict[str, Sums]]
    visits: tuple[Visits, ...]
    lacking: tuple[str, ...]


def gather(source: Source, card: Scorecard, since: datetime, until: datetime, by: By) -> Evidence:
    """Count journeys begun since a moment and over, with their 30 days, at another.

    A journey is a step (`apply` or `step`) at the channel where it was taken, as the completion
    model learns it (`features.journeys`); the application of a service or care is its servicing, as
    in the decision. *Completion*: the product was completed within 30 days.
    *Abandonment*: given up (`abandon`) within them and not completed. *Hand-over*: the next row of
    the application within them (apply, step, complete, abandon) is at another channel. *Errors*: an
    error code about the product at that channel within them. Waiting and duration are those of the
    step itself (s). A channel that records no error at all is no channel without errors: its share
    is not told, and nobody is compared with it. A *rating* or complaint belongs to the customer's
    newest step at its channel within 30 days before, of its stage where it names one. Only rows the
    bank knew at ``until`` count (event_time < until, available_at <= until).

    Raises
    ------
    SourceError
        The source has no kind, product or stage of interactions: there are no journeys.
    """
    for column in ("kind", "product", "stage"):
        if not source.has(f"interactions.{column}"):
            raise SourceError(
                f"the source lacks interactions.{column}: without it there are no journeys to "
                "evaluate; give it in the source's YAML"
            )
    _keep_steps(source, card, clock_us(since), clock_us(until))
    lacking = [f"{need} (no {name})" for name, need in NEEDS.items() if not source.has(need)]
    if card.segments:
        wanted = (("customers.birth_date", "segments by age"), ("balances", "segments by assets"))
        lacking += [
            f"{need} (no {what}: the strictest cell is read)"
            for need, what in wanted
            if not source.has(need)
        ]
    sums = _sums(source, by)
    for metrics in sums.values():
        for name, need in NEEDS.items():
            if not source.has(need):
                metrics.pop(name, None)
    if source.has(NEEDS["errors"]):
        silent = _drop_unrecorded_errors(source, sums)
        if silent:
            lacking.append(f"{NEEDS['errors']} at {', '.join(silent)} (none is recorded there)")
    return Evidence(since, until, by, sums, _visits(source), tuple(lacking))


def _drop_unrecorded_errors(source: Source, sums: dict[Key, dict[str, Sums]]) -> list[str]:
    """Drop the errors of channels where the source never recorded one; name those channels."""
    found = source.con.execute(
        "select distinct channel from interactions where error_code is not null"
    ).fetchall()
    recording = {channel for (channel,) in found}
    silent = sorted({channel for _, _, channel in sums} - recording)
    for (_, _, channel), metrics in sums.items():
        if channel in silent:
            metrics.pop("errors", None)
    return silent


def _keep_steps(source: Source, card: Scorecard, since: int, until: int) -> None:
    """Keep one row a journey as table `evaluated`."""
    con, window = source.con, COMPLETION_DAYS * MICROSECONDS_A_DAY
    known = f"event_time < {until} and coalesce(available_at, event_time) <= {until}"
    con.execute(
        f"""create or replace temp table journey_rows as
            select *, lead(channel) over journey as next_channel,
                   lead(event_time) over journey as next_time
            from interactions
            where {known} and product is not null
              and kind in ('apply', 'step', 'complete', 'abandon')
            window journey as (partition by customer_id, product order by event_time, channel)"""  # noqa: S608
    )
    ratings = (
        f"select * from ratings where {known}"  # noqa: S608
        if source.has("ratings")
        else "select null::varchar customer_id, 0::bigint event_time, null::varchar channel, "
        "null::varchar stage, null::bigint score, null::boolean complaint where false"
    )
    birth = "max(birth_date)" if source.has("customers.birth_date") else "null::bigint"
    assets = (
        "select customer_id, event_time, sum(balance_cny)::double as assets_cny from balances "
        "group by customer_id, event_time"
        if source.has("balances")
        else "select null::varchar customer_id, 0::bigint event_time, null::double assets_cny "
        "where false"
    )
    local = f"{local_time('step.event_time', source.config.time_zone)}::date"
    con.execute(
        f"""create or replace temp table evaluated as
            with step as (
                select *, row_number() over (order by event_time, customer_id, product, channel) id
                from ({steps_taken(since, until, "journey_rows")})),
            born as (select customer_id, {birth} as birth_date from customers group by customer_id),
            told as (
                select step.id, count(*) as ratings, sum(rating.score) as score,
                       sum(rating.complaint::int) as complaints
                from ({ratings}) rating asof join step
                  on rating.customer_id = step.customer_id and rating.channel = step.channel
                     and rating.event_time >= step.event_time
                where rating.event_time < step.event_time + {window}
                  and (rating.stage is null or rating.stage = step.stage)
                group by step.id),
            placed as (
                select step.*, {local} as day, told.ratings, told.score, told.complaints,
                       date_sub('year', date '1970-01-01' + born.birth_date::int, {local}) as age,
                       wealth.assets_cny
                from step left join born using (customer_id) left join told using (id)
                asof left join ({assets}) wealth
                  on wealth.customer_id = step.customer_id and wealth.event_time < step.event_time)
            select customer_id, product, {_stage(source)} as stage, channel, day,
                   {segment_sql(card)} as segment,
                   done::int as completion,
                   (not done and exists (
                       select 1 from journey_rows given where given.kind = 'abandon'
                         and given.customer_id = placed.customer_id
                         and given.product = placed.product
                         and given.event_time >= placed.event_time
                         and given.event_time < placed.event_time + {window}))::int as abandonment,
                   coalesce(next_channel <> channel
                            and next_time < placed.event_time + {window}, false)::int as hand_over,
                   exists (
                       select 1 from interactions met where met.error_code is not null
                         and met.customer_id = placed.customer_id
                         and met.product = placed.product and met.channel = placed.channel
                         and met.event_time < {until}
                         and coalesce(met.available_at, met.event_time) <= {until}
                         and met.event_time >= placed.event_time
                         and met.event_time < placed.event_time + {window})::int as errors,
                   wait_s, duration_s, coalesce(ratings, 0) as ratings, score, complaints
            from placed"""  # noqa: S608
    )


def _stage(source: Source) -> str:
    """Write SQL for a step's stage: what is no product has no application, it is served at once."""
    served = ", ".join(f"'{one.id}'" for one in source.catalog.offers if one.kind != "product")
    if not served:
        return "stage"
    return (
        f"case when stage = 'application' and product in ({served}) then 'servicing' else stage end"
    )


def segment_sql(card: Scorecard) -> str:
    """Write `Scorecard.segment_of` in SQL, over columns `age` and `assets_cny`."""
    parts, before = [], "true"
    for segment in card.segments:
        fits = _fits(segment)
        maybe = f"({fits}) is distinct from false"
        parts.append(f"case when {before} and {maybe} then '{segment.id}' end")
        before += f" and ({fits}) is distinct from true"
    parts.append(f"case when {before} then '{OTHERS}' end")
    return f"concat_ws('|', {', '.join(parts)})"


def _fits(segment: Segment) -> str:
    conditions = []
    if segment.minimum_age:
        conditions.append(f"age >= {segment.minimum_age}")
    if segment.maximum_age is not None:
        conditions.append(f"age <= {segment.maximum_age}")
    if segment.minimum_assets_cny is not None:
        conditions.append(f"assets_cny >= {segment.minimum_assets_cny!r}")
    return " and ".join(conditions)


def _sums(source: Source, by: By) -> dict[Key, dict[str, Sums]]:
    offers = source.catalog.offers
    pairs = ", ".join(
        f"('{one.id}', '{one.id if by == 'offer' else one.category}')" for one in offers
    )
    rates = {name: (f"sum({name})", "count(*)") for name in ("completion", "abandonment",
                                                             "hand_over", "errors")}  # fmt: skip
    rates |= {name: (f"sum({name})", f"count({name})") for name in ("wait_s", "duration_s")}
    rates |= {"rating": ("sum(score)", "sum(ratings)"), "complaints": ("sum(complaints)",
                                                                      "sum(ratings)")}  # fmt: skip
    inner = ", ".join(
        f"coalesce({x}, 0)::double as {name}_x, coalesce({d}, 0)::double as {name}_d"
        for name, (x, d) in rates.items()
    )
    outer = ", ".join(_products(name) for name in rates)
    found = source.con.sql(
        f"""select kind, stage, channel, {outer} from (
                select grouped.kind, stage, channel, customer_id, {inner}
                from evaluated join (values {pairs}) grouped(offer, kind)
                  on grouped.offer = evaluated.product
                group by all)
            group by all order by all"""  # noqa: S608
    ).fetchall()
    told: dict[Key, dict[str, Sums]] = {}
    for kind, stage, channel, *values in found:
        told[kind, stage, channel] = {
            name: Sums(*values[6 * place : 6 * place + 6]) for place, name in enumerate(rates)
        }
    return told


def _products(name: str) -> str:
    x, d = f"{name}_x", f"{name}_d"
    sums = [f"sum({one})" for one in (x, d, f"{x} * {x}", f"{x} * {d}", f"{d} * {d}")]
    return ", ".join((*sums, f"count(*) filter (where {d} > 0)"))


def _visits(source: Source) -> tuple[Visits, ...]:
    found: Sequence[tuple[str, Stage, str, str, date, int]] = source.con.sql(
        """select product, stage, channel, segment, day, count(*) from evaluated
           group by all order by all"""
    ).fetchall()
    return tuple(Visits(*row) for row in found)
