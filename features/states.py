"""Customer states from the tables: the same as-known-at rule as features, for the rules' facts.

A state is published as JSON, so JSON is what is made here: DuckDB writes each row of a fact as
text, Arrow joins the texts of a customer, and `CustomerState` reads them. Python objects are made
only of the customers that somebody asks for.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import narwhals.stable.v2 as nw
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from features.history import (
    ALWAYS,
    YEAR_DAYS,
    Frame,
    attributes,
    latest,
    made_contacts,
    managed,
    past,
    refusals,
)
from features.spine import MICROSECONDS_A_DAY, Spine, moment
from features.state import CustomerState
from features.tables import PERSONALISATION

BREAK_DAYS = 3
"""An application not completed is broken off for 72 hours; then it is history."""

CONTACT_DAYS = 30
"""Contacts older than this are history."""


def customer_states(spine: Spine) -> Iterator[CustomerState]:
    """State of each customer of a spine that has one moment, in order of `row_id`.

    Raises `ValueError` where the spine has several moments: facts are kept by customer.
    """
    for text in state_texts(spine):
        yield CustomerState.model_validate_json(text.as_py())


def state_texts(spine: Spine) -> pa.LargeStringArray:
    """Write the states that `customer_states` reads, as JSON; a field left out has its default.

    The texts of all customers are in memory together, one or two kilobytes each.
    """
    as_of = _as_of(spine)
    same = {"as_of": moment(as_of).isoformat(), "missing": spine.source.missing_tables}
    customers = _texts(
        spine, spine.frame(), "select row_id, to_json(customer_id) as text from rows"
    )
    row_ids = customers["row_id"].to_numpy()
    parts = [_large(json.dumps(same)[:-1] + ', "customer_id": '), _one_chunk(customers["text"])]
    for fact in _FACTS:
        if all(spine.source.has(need) for need in fact.needs):
            parts.append(_by_customer(fact, fact.rows(spine), row_ids))
    return pc.binary_join_element_wise(*parts, _large("}"), EMPTY)


def _as_of(spine: Spine) -> int:
    """Tell the one moment of a spine, in microseconds; 0 where the spine is empty."""
    as_of = nw.col("as_of")
    ends = spine.frame().select(as_of.min().alias("first"), as_of.max().alias("last"))
    first, last = spine.source.arrow(ends).to_pylist()[0].values()
    if first != last:
        raise ValueError("customer states are of one moment; make a spine for each")
    return int(first or 0)


@dataclass(frozen=True)
class _Fact:
    """Fields of the state that tables of the contract (or their columns) give.

    ``rows`` writes the rows of the fact as JSON: a table of `row_id` and `text`, ordered by
    `row_id`. The texts of one customer stand between ``opening`` and ``closing``, with commas;
    ``nothing`` stands there for a customer without rows.
    """

    needs: tuple[str, ...]
    rows: Callable[[Spine], pa.Table]
    opening: str = ""
    closing: str = ""
    nothing: str = ""


def _by_customer(
    fact: _Fact, rows: pa.Table, row_ids: npt.NDArray[np.int64]
) -> pa.LargeStringArray:
    """Join the texts of each customer; ``row_ids`` are those of all customers, ascending."""
    starts = np.searchsorted(rows["row_id"].to_numpy(), row_ids)
    bounds = np.append(starts, rows.num_rows)
    texts = pa.LargeListArray.from_arrays(bounds, _one_chunk(rows["text"]))
    joined = pc.binary_join(texts, _large(","))
    whole = pc.binary_join_element_wise(_large(fact.opening), joined, _large(fact.closing), EMPTY)
    return pc.if_else(np.diff(bounds) == 0, _large(fact.nothing), whole)


def _large(text: str) -> pa.LargeStringScalar:
    return pa.scalar(text, pa.large_string())


EMPTY = _large("")


def _one_chunk(texts: pa.ChunkedArray) -> pa.LargeStringArray:
    # large: the texts of a chunk of many customers may be more than 2 GB
    return texts.cast(pa.large_string()).combine_chunks()


def _texts(spine: Spine, frame: Frame, select: str, order: str = "") -> pa.Table:
    """Run SQL that gives `row_id` and `text` of each row of the table `rows`, which is `frame`."""
    rows = frame.to_native()  # noqa: F841 (DuckDB finds a relation by the name of its variable)
    ordered = f"{select} order by row_id {order}"
    return spine.on_duckdb.con.sql(ordered).to_arrow_table()


def _objects(spine: Spine, frame: Frame, order: str, **fields: str) -> pa.Table:
    """Write each row as a JSON object of SQL expressions, a customer's rows in SQL `order`."""
    select = f"select row_id, {_object(**fields)} as text from rows"  # noqa: S608
    return _texts(spine, frame, select, f", {order}")


def _object(**fields: str) -> str:
    pairs = ", ".join(f"'{name}': {value}" for name, value in fields.items())
    return f"to_json({{{pairs}}})"


def _utc(microseconds: str) -> str:
    return f"strftime(make_timestamp({microseconds}), '%Y-%m-%dT%H:%M:%S.%fZ')"


def _attributes(spine: Spine) -> pa.Table:
    frame = attributes(spine).select("row_id", "birth_date", "org_id")
    outlet = "null"
    if spine.source.has("orgs"):
        orgs = spine.source.frame("orgs").select(
            "org_id", "kind", "name", "business_scope", nw.col("org_id").alias("found")
        )
        frame = frame.join(orgs, on="org_id", how="left")
        scope = (
            "list_filter(string_split(coalesce(business_scope, ''), ';'), lambda one: one <> '')"
        )
        outlet = f"""case when found is not null then
            {{'org_id': org_id, 'kind': kind, 'name': name, 'business_scope': {scope}}} end"""
    birth_date = "date '1970-01-01' + birth_date::integer"
    fields = _object(birth_date=birth_date, outlet=outlet)
    return _texts(spine, frame, f"select row_id, {fields}[2:-2] as text from rows")  # noqa: S608


def _owner(spine: Spine) -> pa.Table:
    frame = managed(spine).join(spine.source.frame("staff"), on="staff_id", how="inner")
    person = _object(staff_id="staff_id", org_id="org_id", role="role", name="name")
    newest = f'arg_max({person}, {{since: "from", staff_id: staff_id}})'
    return _texts(spine, frame, f"select row_id, {newest} as text from rows group by row_id")  # noqa: S608


def _open_rows(spine: Spine) -> Frame:
    return past(spine, "holdings").filter(nw.col("closed_at").is_null())


def _holdings(spine: Spine) -> pa.Table:
    return _objects(
        spine,
        _open_rows(spine),
        "event_time, product",
        offer="product",
        opened_at=_utc("event_time"),
        amount_cny="amount_cny",
        maturity_at=_utc("maturity_at"),
    )


def _money(spine: Spine) -> pa.Table:
    # the newest by class in one pass; `latest` would take two passes of a long table and a join
    fields = _object(
        demand_cny="coalesce(sum(balance) filter (asset_class = 'demand'), 0)",
        assets_cny="sum(balance)",
    )
    return _texts(
        spine,
        past(spine, "balances"),
        f"""select row_id, {fields}[2:-2] as text from (
                select row_id, asset_class, arg_max(balance_cny, event_time) as balance
                from rows group by row_id, asset_class)
            group by row_id""",  # noqa: S608
    )


def _restrictions(spine: Spine) -> pa.Table:
    ended = ~nw.col("until").is_null() & (nw.col("until") <= nw.col("as_of"))
    return _objects(
        spine,
        past(spine, "restrictions").filter(~ended),
        "event_time desc, kind",
        kind="kind",
        since=_utc("event_time"),
        until=_utc("until"),
    )


def _flags(spine: Spine, rows: Frame, channels: Sequence[str]) -> pa.Table:
    """Write the newest `flag` of each channel that has one, as `"channel":true` with commas.

    These tables have a row per customer and channel, too many to group as text: the newest is the
    largest time, and the flag is its last bit.
    """
    code = " ".join(f"when '{one}' then {place}" for place, one in enumerate(channels))
    told = rows.to_native()  # noqa: F841 (DuckDB finds it by its name)
    found = spine.on_duckdb.con.sql(
        f"""select row_id, case channel {code} end as place, event_time * 2 + flag::bigint as time
            from told"""  # noqa: S608
    ).to_arrow_table()
    row_ids = np.sort(spine.source.arrow(spine.frame().select("row_id"))["row_id"].to_numpy())
    cells = np.searchsorted(row_ids, found["row_id"].to_numpy()) * len(channels)
    newest = np.full((len(row_ids), len(channels)), ALWAYS)
    np.maximum.at(newest.reshape(-1), cells + found["place"].to_numpy(), found["time"].to_numpy())
    # Arrow would leave out a row whose texts are all null
    spoken = (newest > ALWAYS).any(axis=1)
    words = np.where(newest == ALWAYS, 0, 1 + newest % 2)[spoken]
    texts = (
        pa.array([None, f'"{one}":false', f'"{one}":true']).take(pa.array(words[:, place]))
        for place, one in enumerate(channels)
    )
    joined = pc.binary_join_element_wise(*texts, ",", null_handling="skip")
    return pa.table({"row_id": row_ids[spoken], "text": joined})


def _consents(spine: Spine) -> pa.Table:
    """Write what each channel was told last: a consent, or an opt-out from one of its contacts."""
    channels = [*spine.source.catalog.channel_ids, PERSONALISATION]
    said: list[Frame] = []
    if spine.source.has("consents"):
        allowed = nw.col("allowed").alias("flag")
        said.append(past(spine, "consents").select("row_id", "channel", "event_time", allowed))
    if spine.source.has("contacts.opted_out_at"):
        opted_out = past(spine, "contacts").filter(~nw.col("opted_out_at").is_null())
        moment_said, no = nw.col("opted_out_at").alias("event_time"), nw.lit(False).alias("flag")
        said.append(opted_out.select("row_id", "channel", moment_said, no))
    if not said:
        return pa.table({"row_id": pa.array([], pa.int64()), "text": pa.array([], pa.string())})
    return _flags(spine, nw.concat(said), channels)


def _reachability(spine: Spine) -> pa.Table:
    flag = nw.col("reachable").alias("flag")
    rows = past(spine, "reachability").select("row_id", "channel", "event_time", flag)
    return _flags(spine, rows, spine.source.catalog.channel_ids)


def _assessment(spine: Spine) -> pa.Table:
    fields = _object(
        level="arg_max(level, event_time)",
        assessed_at=_utc("max(event_time)"),
        expires_at=_utc("arg_max(expires_at, event_time)"),
        raised_at=_utc("max(event_time) filter (level > level_before)"),
    )
    return _texts(
        spine,
        past(spine, "risk_assessments"),
        f"""select row_id, {fields} as text from (
                select row_id, event_time, expires_at, level[2:]::integer as level,
                    lag(level[2:]::integer) over (
                        partition by row_id order by event_time) as level_before
                from rows)
            group by row_id""",  # noqa: S608
    )


def _credit_offers(spine: Spine) -> pa.Table:
    live = latest(spine, "credit_offers", ("offer",)).filter(nw.col("expires_at") > nw.col("as_of"))
    return _objects(
        spine,
        live,
        "event_time desc, offer",
        offer="offer",
        limit_cny="limit_cny",
        expires_at=_utc("expires_at"),
    )


def _overdue(spine: Spine) -> pa.Table:
    return _texts(
        spine,
        past(spine, "accounts", YEAR_DAYS),
        "select row_id, coalesce(max(overdue_days), 0)::varchar as text from rows group by row_id",
    )


def _refusals(spine: Spine) -> pa.Table:
    age_us = nw.col("as_of") - nw.col("refused_at")
    return _objects(
        spine,
        refusals(spine).filter(age_us <= YEAR_DAYS * MICROSECONDS_A_DAY),
        "refused_at desc, contact_id",
        offer="offer",
        channel="channel",
        refused_at=_utc("refused_at"),
        reason="refusal_reason",
    )


def _contacts(spine: Spine) -> pa.Table:
    marketing = nw.col("purpose").is_null() | (nw.col("purpose") == "marketing")
    recent = nw.col("age_us") <= CONTACT_DAYS * MICROSECONDS_A_DAY
    return _objects(
        spine,
        made_contacts(spine).filter(marketing & recent),
        "event_time desc, contact_id",
        channel="channel",
        offer="offer",
        event_time=_utc("event_time"),
        responded="responded_at is not null",
    )


def _complaint(spine: Spine) -> pa.Table:
    still_open = nw.col("complaint") & nw.col("resolved_at").is_null()
    return _texts(
        spine,
        past(spine, "ratings").filter(still_open),
        f"select row_id, to_json({_utc('min(event_time)')}) as text from rows group by row_id",  # noqa: S608
    )


def _broken(spine: Spine) -> pa.Table:
    """Find the newest application neither completed nor turned into a holding, and its stage.

    Of each product the newest application is enough: what completed it completed those before.
    """
    # said as a constant too: then DuckDB leaves out old rows while reading, before the join
    since = _as_of(spine) - BREAK_DAYS * MICROSECONDS_A_DAY
    applied = past(spine, "interactions", BREAK_DAYS).filter(
        (nw.col("event_time") >= since)
        & nw.col("kind").is_in(["apply", "step", "complete", "error", "abandon"])
        & ~nw.col("product").is_null()
    )
    bought_at = "null"
    if spine.source.has("holdings"):
        last_bought = nw.col("event_time").max().alias("bought_at")
        bought_since = _open_rows(spine).filter(nw.col("event_time") >= since)
        bought = bought_since.group_by("row_id", "product").agg(last_bought)
        applied = applied.join(bought, on=["row_id", "product"], how="left")
        bought_at = "max(bought_at)"
    # a microsecond may have several rows: channel, kind and stage decide, always alike
    order = "{t: event_time, c: channel, k: kind, s: stage}"
    application = _object(
        offer="product",
        stage="if(moved, last.stage, 'application')",
        channel="if(moved, last.channel, channel)",
        event_time=_utc("if(moved, last.event_time, applied_at)"),
    )
    return _texts(
        spine,
        applied,
        f"""with journeys as (
                select row_id, product,
                       max(event_time) filter (kind = 'apply') as applied_at,
                       arg_max(channel, {order}) filter (kind = 'apply') as channel,
                       arg_max({{stage: stage, channel: channel, event_time: event_time}}, {order})
                           filter (stage is not null and kind <> 'abandon') as last,
                       greatest(max(event_time) filter (kind = 'complete'), {bought_at}) as done_at
                from rows group by row_id, product),
            broken as (
                select *, coalesce(last.event_time >= applied_at, false) as moved from journeys
                where applied_at is not null and coalesce(done_at < applied_at, true)
                qualify row_number() over (
                    partition by row_id order by applied_at desc, product) = 1)
            select row_id, {application} as text from broken""",  # noqa: S608
    )


_FACTS = (
    _Fact(("customers",), _attributes, ","),
    _Fact(("assignments", "staff"), _owner, ',"owner":'),
    _Fact(("holdings",), _holdings, ',"holdings":[', "]"),
    _Fact(("balances",), _money, ",", nothing=',"demand_cny":0,"assets_cny":0'),
    _Fact(("restrictions",), _restrictions, ',"restrictions":[', "]"),
    _Fact((), _consents, ',"consents":{', "}"),
    _Fact(("reachability",), _reachability, ',"reachable":{', "}"),
    _Fact(("risk_assessments",), _assessment, ',"risk_assessment":'),
    _Fact(("credit_offers",), _credit_offers, ',"credit_offers":[', "]"),
    _Fact(("accounts.overdue_days",), _overdue, ',"overdue_days":', nothing=',"overdue_days":0'),
    _Fact(("contacts",), _refusals, ',"refusals":[', "]"),
    _Fact(("contacts",), _contacts, ',"contacts":[', "]"),
    _Fact(("ratings",), _complaint, ',"complaint_open_since":'),
    _Fact(("interactions",), _broken, ',"broken_application":'),
)
