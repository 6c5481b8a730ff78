"""What was served, as the bank's own tables: what the next training reads.

First places and what became of any place are rows of `contacts`, what customers did of
`interactions`; what the bank's systems told goes back to the table it belongs to.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from itertools import groupby
from pathlib import Path
from shutil import rmtree
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import yaml
from pydantic_core import from_json

from features.source_config import SourceConfig
from features.tables import TABLES
from serving.contract import Outcome, OutcomeKind
from serving.errors import ExportError
from serving.facts import purpose_of
from serving.stores.decisions import StoredDecision
from serving.stores.log import DecisionLog, LoggedFact

Row = dict[str, Any]
ANSWERS: tuple[OutcomeKind, ...] = ("clicked", "started", "completed")
REACHED: tuple[OutcomeKind, ...] = ("shown", "refused", "opted_out", *ANSWERS)
AT_ONCE = 20_000
"""Rows in memory together."""

TIME = pa.timestamp("us")
SCHEMAS: dict[str, pa.Schema] = {
    "customers": pa.schema({"customer_id": pa.string()}),
    "contacts": pa.schema(
        {
            "contact_id": pa.string(), "customer_id": pa.string(), "event_time": TIME,
            "channel": pa.string(), "offer": pa.string(), "propensity": pa.float64(),
            "policy": pa.string(), "purpose": pa.string(), "delivered_at": TIME,
            "responded_at": TIME, "refused_at": TIME, "opted_out_at": TIME,
            "staff_id": pa.string(), "available_at": TIME,
        }
    ),
    "interactions": pa.schema(
        {
            "customer_id": pa.string(), "event_time": TIME, "channel": pa.string(),
            "kind": pa.string(), "product": pa.string(), "stage": pa.string(),
            "session_id": pa.string(), "amount_cny": pa.decimal128(18, 2),
            "duration_s": pa.float64(), "wait_s": pa.float64(), "error_code": pa.string(),
            "org_id": pa.string(), "available_at": TIME,
        }
    ),
    "holdings": pa.schema(
        {
            "customer_id": pa.string(), "product": pa.string(), "event_time": TIME,
            "closed_at": TIME, "amount_cny": pa.decimal128(18, 2), "maturity_at": TIME,
            "channel": pa.string(), "available_at": TIME,
        }
    ),
    "consents": pa.schema(
        {
            "customer_id": pa.string(), "event_time": TIME, "channel": pa.string(),
            "allowed": pa.bool_(), "available_at": TIME,
        }
    ),
}  # fmt: skip
KEYS = {name: TABLES[name].key for name in SCHEMAS if name != "customers"}
FACT_TABLES = {"interaction": "interactions", "holding": "holdings", "consent": "consents"}


@dataclass
class Exported:
    """How many rows each table got, and how many outcomes are of no stored decision."""

    rows: dict[str, int] = field(default_factory=dict)
    orphaned: int = 0


def export(
    log: DecisionLog,
    folder: Path,
    catalog: str,
    time_zone: str,
    now: datetime,
    since: datetime | None = None,
    until: datetime | None = None,
    bank: SourceConfig | None = None,
    progress: Callable[[int], None] = lambda _: None,
) -> Exported:
    """Write what was served as Parquet tables of the data contract, with a `source.yaml` beside.

    Parameters
    ----------
    log
        The decision store to read.
    folder
        Where to write; it may not exist yet, or must be empty.
    catalog, time_zone
        What the source says of itself.
    now
        The present: nothing is said to have become known later.
    since, until
        Decisions made, and events that happened, in ``[since, until)``; None: no end.
    bank
        The bank's own source; `source.yaml` then reads both, and a row that the bank has under
        the same key is the bank's.
    progress
        Told after each page how many decisions were read so far.

    Raises
    ------
    ExportError
        The folder holds something, nothing was served in that time, or ``bank`` is of another
        catalog or reads a database.
    """
    _check(folder, catalog, bank)
    temporary = folder.with_name(folder.name + ".writing")
    rmtree(temporary, ignore_errors=True)
    temporary.mkdir(parents=True)
    try:
        found = _write(log, temporary, now, since, until, progress)
        if not found.rows["customers"]:
            raise ExportError(f"{log.name}: nothing was served in that time; nothing is written")
        source = _source(folder.resolve(), found, catalog, time_zone, bank)
        (temporary / "source.yaml").write_text(
            yaml.safe_dump(source, allow_unicode=True, sort_keys=False, width=1000), "utf-8"
        )
        if folder.exists():
            folder.rmdir()
        temporary.rename(folder)
    finally:
        rmtree(temporary, ignore_errors=True)  # still there only where something failed
    return found


def _check(folder: Path, catalog: str, bank: SourceConfig | None) -> None:
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ExportError(f"{folder}: holds something already; name a new folder")
    if bank is not None and bank.catalog != catalog:
        raise ExportError(
            f"the bank's source is of catalog '{bank.catalog}', what was served of '{catalog}'; "
            "give the source that the release was trained on"
        )
    if bank is not None and bank.database_env is not None:
        raise ExportError(
            "the bank's source reads a database; load the exported tables there, without --source"
        )


def _write(
    log: DecisionLog,
    folder: Path,
    now: datetime,
    since: datetime | None,
    until: datetime | None,
    progress: Callable[[int], None],
) -> Exported:
    found, customers = Exported(), set()

    def seen(rows: Iterable[Row]) -> Iterator[Row]:
        for row in rows:
            customers.add(row["customer_id"])
            yield row

    with _tables(folder, found) as add:
        read = 0
        for page in log.pages(since, until):
            outcomes = log.outcomes_of(page)
            add("contacts", seen(row for one in page for row in contacts_of(one, outcomes)))
            read += len(page)
            progress(read)
        for kind, facts in groupby(log.facts(since, until), key=lambda one: one.kind):
            if kind in FACT_TABLES:
                table = FACT_TABLES[kind]
                add(table, seen(_once(table, (_fact_row(one, now) for one in facts))))
            elif kind == "contact":
                told = (_live_contact(one) for one in facts if one.decision_id is None)
                add("contacts", seen(told))
        add("customers", ({"customer_id": one} for one in sorted(customers)))
    found.orphaned = log.orphaned(since, until)
    return found


@contextmanager
def _tables(folder: Path, found: Exported) -> Iterator[Callable[[str, Iterable[Row]], None]]:
    """Open every table's file; what it gives adds rows to one of them."""
    with ExitStack() as opened:
        writers = {
            name: opened.enter_context(pq.ParquetWriter(folder / f"{name}.parquet", schema))
            for name, schema in SCHEMAS.items()
        }
        found.rows.update(dict.fromkeys(SCHEMAS, 0))

        def add(table: str, rows: Iterable[Row]) -> None:
            for some in _batches(rows):
                found.rows[table] += len(some)
                writers[table].write_table(pa.Table.from_pylist(some, SCHEMAS[table]))

        yield add


def _batches(rows: Iterable[Row]) -> Iterator[list[Row]]:
    some: list[Row] = []
    for row in rows:
        some.append(row)
        if len(some) == AT_ONCE:
            yield some
            some = []
    if some:
        yield some


def contacts_of(stored: StoredDecision, outcomes: dict[str, list[Outcome]]) -> Iterator[Row]:
    """Give the rows of `contacts` that a decision makes.

    Where the customer came to us, the first place was shown (with its propensity), and others count
    where something came of them. Where we would have gone to him, a contact was made only where an
    outcome says so, and when it says.
    """
    record, answer = from_json(stored.record), from_json(stored.answer)
    inputs = record["inputs"]
    owners = {one["rank"]: one["owner"] for one in answer["recommendations"]}
    told = outcomes.get(stored.decision_id, [])
    for place in record["decision"]["ranked"]:
        rank, action = place["rank"], place["action"]
        own = [one for one in told if one.rank == rank]
        purpose = purpose_of(inputs["direction"], action["kind"])
        if not own and (purpose != "inbound" or rank > 1):
            continue
        at = stored.as_of
        if purpose != "inbound":
            at = _first(own, ("shown", "unreached")) or min(one.occurred_at for one in own)
        yield {
            "contact_id": f"{stored.decision_id}/{rank}",
            "customer_id": stored.customer_id,
            "event_time": _plain(at),
            "channel": action["reach"],
            "offer": action["offer"],
            "propensity": action["propensity"],
            "policy": inputs["versions"]["policy"],
            "purpose": purpose,
            "delivered_at": _plain(_first(own, REACHED), at),
            "responded_at": _plain(_first(own, ANSWERS), at),
            "refused_at": _plain(_first(own, ("refused",)), at),
            "opted_out_at": _plain(_first(own, ("opted_out",)), at),
            "staff_id": owners[rank].get("staff_id"),
            "available_at": _plain(at),
        }


def _first(outcomes: Sequence[Outcome], kinds: Sequence[OutcomeKind]) -> datetime | None:
    return min((one.occurred_at for one in outcomes if one.kind in kinds), default=None)


def _live_contact(fact: LoggedFact) -> Row:
    row = _fact_row(fact, fact.event_time)
    answered = row["event_time"] if row.pop("responded") else None
    return row | {"contact_id": fact.event_id, "responded_at": answered}


def _fact_row(fact: LoggedFact, now: datetime) -> Row:
    """Write a fact as a row: its body has the contract's names already."""
    schema = SCHEMAS[FACT_TABLES.get(fact.kind, "contacts")]
    row = dict(fact.body)
    for name in row.keys() & set(schema.names):
        kind = schema.field(name).type
        if kind == TIME:
            row[name] = _plain(datetime.fromisoformat(row[name]))
        elif pa.types.is_decimal(kind):
            row[name] = round(Decimal(row[name]), 2)
    row.setdefault("event_time", _plain(fact.event_time))
    row["customer_id"] = fact.customer_id
    if fact.decision_id is not None:
        row["session_id"] = fact.decision_id
    row["available_at"] = _plain(max(fact.event_time, min(fact.stored_at, now)))
    return row


def _once(table: str, rows: Iterable[Row]) -> Iterator[Row]:
    """Keep one row a key, the last told; rows come by customer and time."""
    for _, own in groupby(rows, key=lambda row: row["customer_id"]):
        kept = {tuple(row.get(name) for name in KEYS[table]): row for row in own}
        yield from kept.values()


def _plain(moment: datetime | None, earliest: datetime | None = None) -> datetime | None:
    """Give UTC without its zone, as the bank's own tables have it; never before ``earliest``."""
    if moment is None:
        return None
    late = moment if earliest is None else max(moment, earliest)
    return late.astimezone(UTC).replace(tzinfo=None)


def _source(
    folder: Path, found: Exported, catalog: str, time_zone: str, bank: SourceConfig | None
) -> dict[str, Any]:
    """Say how the tables are read: alone, or as more rows of the bank's own."""
    # the contract wants interactions or holdings, if without a row
    brought = [name for name, rows in found.rows.items() if rows or name == "interactions"]
    file = str(folder).replace("'", "''")
    served = {name: f"select * from read_parquet('{file}/{name}.parquet')" for name in brought}  # noqa: S608
    if bank is None:
        return {"name": "served", "catalog": catalog, "time_zone": time_zone, "tables": served}
    del served["customers"]
    joined = {
        name: _joined(name, bank.tables[name], select) if name in bank.tables else select
        for name, select in served.items()
    }
    tables = bank.tables | joined
    return bank.model_dump(exclude_none=True) | {"name": f"{bank.name}_served", "tables": tables}


def _joined(name: str, own: str, served: str) -> str:
    same = " and ".join(f'own_."{one}" is not distinct from served_."{one}"' for one in KEYS[name])
    return (  # a bank's own select, written into a source
        f"with own_ as ({own}), served_ as ({served}) select * from own_ union all by name "  # noqa: S608
        f"select * from served_ where not exists (select 1 from own_ where {same})"
    )
