"""Decisions, outcomes and live facts, on disk before anybody hears of them."""

from __future__ import annotations

import json
import os
import secrets
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, RowMapping, Table, bindparam, func, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import SQLAlchemyError

from serving.contract import Outcome, OutcomeReceipt
from serving.errors import RequestRefused, StoreError, in_words
from serving.events import Event, FactKind
from serving.facts import LiveFact, Place, event_body, fact_of
from serving.keys import EVERY_CHANNEL, Key, not_your_door, opened
from serving.stores.engine import cause, is_there, open_engine, open_to_read
from serving.stores.journal import Journal
from serving.stores.prepared import KeptOpen, Prepared, Row
from serving.stores.schema import DECISIONS, LIVE_FACTS, OUTCOMES, PLACES, STORE_FACTS

USES_CAPACITY = ("started", "completed")
FROM_OUTCOME = "outcome/"
"""Begins the id of a fact that an outcome told; a slash is in no id that anybody may send."""
AS_LARGE = 131_072
"""Characters of the row that proves it: a decision with its answer takes some 50 KB at three
places, and pages of indexes besides."""
MINUTES_KEPT_S = 1.0
"""Capacity used by other workers is that old at most; a worker's own counts at once."""

# Written once: building a statement costs more than running it, and every decision asks.
_PLACES_USED = (
    select(PLACES.c.org_id, PLACES.c.handle, func.max(PLACES.c.staff_minutes).label("minutes"))
    .join(
        OUTCOMES,
        (OUTCOMES.c.decision_id == PLACES.c.decision_id) & (OUTCOMES.c.rank == PLACES.c.rank),
    )
    # What was told of another's decision before it was known is joined to nothing.
    .join(LIVE_FACTS, LIVE_FACTS.c.event_id == FROM_OUTCOME + OUTCOMES.c.outcome_id)
    .where(
        OUTCOMES.c.kind.in_(USES_CAPACITY),
        OUTCOMES.c.occurred_at >= bindparam("since"),
        OUTCOMES.c.occurred_at < bindparam("until"),
        PLACES.c.staff_minutes > 0,
    )
    .group_by(PLACES.c.decision_id, PLACES.c.rank, PLACES.c.org_id, PLACES.c.handle)
    .subquery()
)
_MINUTES_USED = (
    select(_PLACES_USED.c.org_id, _PLACES_USED.c.handle, func.sum(_PLACES_USED.c.minutes))
    .group_by(_PLACES_USED.c.org_id, _PLACES_USED.c.handle)
    .order_by(_PLACES_USED.c.org_id, _PLACES_USED.c.handle)
)
_BY_ID = select(DECISIONS).where(DECISIONS.c.decision_id == bindparam("decision_id"))
_BY_REQUEST = Prepared(
    select(DECISIONS).where(
        DECISIONS.c.customer_id == bindparam("customer_id"),
        DECISIONS.c.request_id == bindparam("request_id"),
    )
)
_FACTS = Prepared(
    select(LIVE_FACTS.c.kind, LIVE_FACTS.c.event_time, LIVE_FACTS.c.body)
    .where(
        LIVE_FACTS.c.customer_id == bindparam("customer_id"),
        LIVE_FACTS.c.event_time >= bindparam("since"),
        LIVE_FACTS.c.event_time <= bindparam("until"),
    )
    .order_by(LIVE_FACTS.c.event_time, LIVE_FACTS.c.event_id)
)
_FACTS_OF_ALL = (
    select(LIVE_FACTS.c.customer_id, LIVE_FACTS.c.kind, LIVE_FACTS.c.event_time, LIVE_FACTS.c.body)
    .where(
        LIVE_FACTS.c.event_time >= bindparam("since"),
        LIVE_FACTS.c.event_time <= bindparam("until"),
    )
    .order_by(LIVE_FACTS.c.event_time, LIVE_FACTS.c.event_id)
)
_DECIDED = select(DECISIONS.c.customer_id, DECISIONS.c.channel, DECISIONS.c.as_of).where(
    DECISIONS.c.decision_id == bindparam("decision_id")
)
_OUTCOMES_OF = Prepared(select(OUTCOMES).where(OUTCOMES.c.decision_id == bindparam("decision_id")))
_NEW_PLACES = Prepared(PLACES.insert())
_RECENT = (
    select(DECISIONS.c.decision_id, DECISIONS.c.as_of, DECISIONS.c.channel, DECISIONS.c.audience)
    .where(DECISIONS.c.customer_id == bindparam("customer_id"))
    .order_by(DECISIONS.c.as_of.desc(), DECISIONS.c.stored_at.desc())
)
_PLACES_OF = select(PLACES).where(PLACES.c.decision_id == bindparam("decision_id"))


@dataclass(frozen=True)
class StoredDecision:
    """One row of `decisions`: the exact bytes of the record and of the answer given."""

    decision_id: str
    customer_id: str
    request_id: str | None
    request_sha256: str
    audience: str
    channel: str
    as_of: datetime
    record: bytes
    answer: bytes


@dataclass(frozen=True)
class Remembered:
    """A decision as its tables tell it, without its record; outcomes in order of time."""

    decision_id: str
    as_of: datetime
    channel: str
    places: tuple[Place, ...]
    outcomes: tuple[Outcome, ...]


@dataclass(frozen=True)
class MinutesUsed:
    """Staff minutes used, by outlet (`""`: channels without one) and channel."""

    rows: tuple[tuple[str, str, float], ...] = ()

    def of(self, org_id: str) -> dict[str, float]:
        """Sum up by channel: channels without an outlet, and those of the outlet ``org_id``."""
        used: dict[str, float] = {}
        for org, handle, minutes in self.rows:
            if org in ("", org_id):
                used[handle] = used.get(handle, 0.0) + minutes
        return used


class DecisionStore:
    """The append-only log of decisions, outcomes and live facts.

    Methods that write are coroutines and return once the row is on disk; methods that read block
    and belong in a thread. All raise `StoreError` where the store is out of reach.
    """

    def __init__(self, engine: Engine, path: Path | None) -> None:
        self.engine = engine
        self.journal = Journal(engine, path)
        self._open = KeptOpen(engine)
        self._minutes: tuple[tuple[datetime, datetime], float, MinutesUsed] | None = None

    @classmethod
    def open(cls, address: Path | str) -> DecisionStore:
        """Open a SQLite file or a `postgresql://` address; make the tables where they are new."""
        engine = open_engine(address)
        return cls(engine, address if isinstance(address, Path) else None)

    @classmethod
    def open_if_there(cls, work: Path) -> DecisionStore | None:
        """Open what `open_decision_store` would, so that nothing can be written.

        None where nothing was ever stored: looking makes no store.
        """
        address = _address(work)
        return cls(open_to_read(address), None) if is_there(address) else None

    def close(self) -> None:
        """Write what waits and let go of the database."""
        self.journal.close()
        self._open.close()
        self.engine.dispose()

    async def add(self, decision: StoredDecision, places: Sequence[Place] = ()) -> StoredDecision:
        """Store a decision and return it, or, where its request was answered already, that answer.

        Outcomes that came before it are joined to it, if their reporter speaks for its channel.
        """

        def insert_or_find(connection: Connection) -> StoredDecision:
            now = datetime.now(UTC)
            if not _insert_new(connection, DECISIONS, {**vars(decision), "stored_at": now}):
                return _of_same_request(connection, decision)
            if places:
                rows = [{**vars(one), "decision_id": decision.decision_id} for one in places]
                _NEW_PLACES.run_many(connection, rows)
            asked = {"decision_id": decision.decision_id}
            # After the insert, which on PostgreSQL waited for outcomes being stored elsewhere.
            for orphan in _OUTCOMES_OF.rows(connection, asked):
                if not told_by(orphan, decision.channel):
                    continue
                _add_fact(connection, _outcome(orphan), decision.customer_id, places)
            return decision

        return await self.journal.write(insert_or_find)

    async def add_outcomes(
        self, outcomes: Sequence[tuple[str, Outcome]], doors: Sequence[str], earliest_s: float
    ) -> list[OutcomeReceipt]:
        """Store what happened, all or nothing; known outcomes change nothing.

        Each comes with its place in the request, for errors; ``doors`` are the channels that who
        tells speaks for. ``earliest_s`` is how long before its decision an outcome may lie (clocks
        differ). `RequestRefused`: 403 where the decision is another door's; 409 where an id stands
        for another outcome; 422 where the decision has no such place, or was made later.
        """

        def insert_all(connection: Connection) -> list[OutcomeReceipt]:
            return [_add_outcome(connection, *one, doors, earliest_s) for one in outcomes]

        receipts = await self.journal.write(insert_all)
        self._minutes = None
        return receipts

    async def add_events(self, events: Sequence[tuple[str, FactKind, Event]]) -> int:
        """Store events, all or nothing; return how many were new.

        Each comes with its place in the request. `RequestRefused`: 409, an id stands for another.
        """

        def insert_all(connection: Connection) -> int:
            return sum(_add_event(connection, *one) for one in events)

        return await self.journal.write(insert_all)

    async def prove_writable(self) -> None:
        """Write a row as large as a decision and sync it, as one would be.

        For a while a full disk still has room for a small one.
        """

        def beat(connection: Connection) -> None:
            statement = _dialect(connection.dialect.name).insert(STORE_FACTS)
            # random, as SQLite writes no page anew that would be the same
            value = secrets.token_hex(AS_LARGE // 2)
            connection.execute(
                statement.on_conflict_do_update(index_elements=["name"], set_={"value": value}),
                {"name": "last_probe", "value": value},
            )

        await self.journal.write(beat)

    def by_id(self, decision_id: str) -> StoredDecision | None:
        """Find a decision."""
        with self.reading() as connection:
            row = connection.execute(_BY_ID, {"decision_id": decision_id}).mappings().first()
        return None if row is None else decision_of(row)

    def known(
        self, customer_id: str, request_id: str | None, since: datetime, until: datetime
    ) -> tuple[StoredDecision | None, tuple[LiveFact, ...]]:
        """Read what a request must know: the decision that answered it, and the live facts.

        Facts are those of the customer from ``since`` to ``until``, both included, oldest first;
        none where the request was answered before.
        """
        with _unreadable():
            if request_id is not None:
                asked = {"customer_id": customer_id, "request_id": request_id}
                for row in self._open.rows(_BY_REQUEST, asked):
                    return decision_of(row), ()
            times = {"customer_id": customer_id, "since": since, "until": until}
            found = self._open.rows(_FACTS, times)
        return None, tuple(
            LiveFact(one["kind"], one["event_time"], json.loads(one["body"])) for one in found
        )

    def recent(self, customer_id: str, caller: Key, limit: int) -> list[Remembered]:
        """Find a customer's last decisions that a caller may read, newest first.

        They are of the caller's own doors and, for a customer's screen, answers to such a screen.
        """
        with self.reading() as connection:
            query = _RECENT
            if EVERY_CHANNEL not in caller.channels:
                query = query.where(DECISIONS.c.channel.in_(caller.channels))
            if caller.audience == "customer":
                query = query.where(DECISIONS.c.audience == "customer")
            asked = {"customer_id": customer_id}
            found = connection.execute(query.limit(limit), asked).mappings().all()
            ids = [row["decision_id"] for row in found]
            places, outcomes = (
                connection.execute(
                    select(table).where(table.c.decision_id.in_(ids)).order_by(order)
                )
                .mappings()
                .all()
                for table, order in ((PLACES, PLACES.c.rank), (OUTCOMES, OUTCOMES.c.occurred_at))
            )
        return [
            Remembered(
                row["decision_id"],
                row["as_of"],
                row["channel"],
                tuple(_place(one) for one in places if one["decision_id"] == row["decision_id"]),
                tuple(
                    _outcome(one)
                    for one in outcomes
                    if one["decision_id"] == row["decision_id"] and told_by(one, row["channel"])
                ),
            )
            for row in found
        ]

    def facts_of_all(self, since: datetime, until: datetime) -> dict[str, tuple[LiveFact, ...]]:
        """Read the live facts of all customers from ``since`` to ``until``, oldest first."""
        found: dict[str, list[LiveFact]] = {}
        with self.reading() as connection:
            for customer, kind, at, body in connection.execute(
                _FACTS_OF_ALL, {"since": since, "until": until}
            ):
                found.setdefault(customer, []).append(LiveFact(kind, at, json.loads(body)))
        return {customer: tuple(facts) for customer, facts in found.items()}

    def minutes_used(self, since: datetime, until: datetime) -> MinutesUsed:
        """Staff minutes that started or completed places took in ``[since, until)``.

        A place is counted once. What other workers stored may be missing for a second.
        """
        window, now, kept = (since, until), time.monotonic(), self._minutes
        if kept is None or kept[0] != window or now > kept[1] + MINUTES_KEPT_S:
            with self.reading() as connection:
                asked = {"since": since, "until": until}
                rows = connection.execute(_MINUTES_USED, asked).all()
            used = MinutesUsed(tuple((str(o), str(h), float(m)) for o, h, m in rows))
            kept = self._minutes = window, now, used
        return kept[2]

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """Give a connection to read by."""
        with _unreadable(), self.engine.connect() as connection:
            yield connection


@contextmanager
def _unreadable() -> Iterator[None]:
    try:
        yield
    except SQLAlchemyError as error:
        raise StoreError(f"the decision store cannot be read: {cause(error)}") from None


def open_decision_store(work: Path) -> DecisionStore:
    """Open what the environment names (`ONEPOINT_POSTGRES_URL`), else `decisions.sqlite`."""
    return DecisionStore.open(_address(work))


def _address(work: Path) -> Path | str:
    return os.environ.get("ONEPOINT_POSTGRES_URL") or work / "decisions.sqlite"


def decision_of(row: Row) -> StoredDecision:
    """Read a row of `decisions`."""
    fields = {name: row[name] for name in StoredDecision.__dataclass_fields__}
    fields["record"], fields["answer"] = bytes(fields["record"]), bytes(fields["answer"])
    return StoredDecision(**fields)


def _place(row: Row) -> Place:
    return Place(**{name: row[name] for name in Place.__dataclass_fields__})


def _outcome(row: Row) -> Outcome:
    return Outcome(**{name: row[name] for name in Outcome.model_fields})


def _of_same_request(connection: Connection, decision: StoredDecision) -> StoredDecision:
    asked = {"customer_id": decision.customer_id, "request_id": decision.request_id}
    for found in _BY_REQUEST.rows(connection, asked):
        return decision_of(found)
    raise StoreError(f"decision id {decision.decision_id} was given out twice")


def told_by(outcome: Row, channel: str) -> bool:
    """Say whether who told an outcome (a row of `outcomes`) speaks for its decision's channel."""
    return opened(json.loads(outcome["doors"]), channel)


def _add_outcome(
    connection: Connection, place: str, outcome: Outcome, doors: Sequence[str], earliest_s: float
) -> OutcomeReceipt:
    now = datetime.now(UTC)
    row = {**outcome.model_dump(), "doors": json.dumps(doors), "stored_at": now}
    stored = _insert_new(connection, OUTCOMES, row)
    # After the insert, which on PostgreSQL waited for the decision being stored elsewhere.
    asked = {"decision_id": outcome.decision_id}
    decided = connection.execute(_DECIDED, asked).mappings().first()
    places: list[Place] = []
    if decided is not None:
        if not opened(doors, decided["channel"]):
            raise not_your_door(doors, decided["channel"], f"{place}decision_id")
        rows = connection.execute(_PLACES_OF, asked).mappings().all()
        places = [_place(row) for row in rows]
        _check(place, outcome, decided["as_of"] - timedelta(seconds=earliest_s), places)
    if stored and decided is not None:
        _add_fact(connection, outcome, decided["customer_id"], places)
    elif not stored:
        known = select(OUTCOMES).where(OUTCOMES.c.outcome_id == outcome.outcome_id)
        found = connection.execute(known).mappings().one()
        _refuse_other(f"{place}outcome_id", outcome.outcome_id, outcome.model_dump(), found)
    return OutcomeReceipt(outcome_id=outcome.outcome_id, stored=stored, orphaned=decided is None)


def _check(place: str, outcome: Outcome, earliest: datetime, places: Sequence[Place]) -> None:
    ranks = sorted(one.rank for one in places)
    if outcome.rank not in ranks:
        there = ", ".join(map(str, ranks)) or "none"
        problem = f"{outcome.rank} is not a place of decision '{outcome.decision_id}'"
        raise RequestRefused.at(422, f"{place}rank", problem, f"its places: {there}")
    if outcome.occurred_at < earliest:
        problem = f"{in_words(outcome.occurred_at)} lies before the decision"
        remedy = "check the time and its zone"
        raise RequestRefused.at(422, f"{place}occurred_at", problem, remedy)


def _add_fact(
    connection: Connection, outcome: Outcome, customer_id: str, places: Sequence[Place]
) -> None:
    place = next((one for one in places if one.rank == outcome.rank), None)
    fact = None if place is None else fact_of(outcome, place)
    if fact is None:
        return
    row = {
        "event_id": f"{FROM_OUTCOME}{outcome.outcome_id}",
        "customer_id": customer_id,
        "kind": fact.kind,
        "event_time": fact.event_time,
        "stored_at": datetime.now(UTC),
        "outcome_id": outcome.outcome_id,
        "body": json.dumps(fact.body),
    }
    _insert_new(connection, LIVE_FACTS, row)


def _add_event(connection: Connection, place: str, kind: FactKind, event: Event) -> bool:
    row = {
        "event_id": event.event_id,
        "customer_id": event.customer_id,
        "kind": kind,
        "event_time": event.happened_at,
        "body": event_body(event),
    }
    if _insert_new(
        connection, LIVE_FACTS, {**row, "outcome_id": None, "stored_at": datetime.now(UTC)}
    ):
        return True
    known = select(LIVE_FACTS).where(LIVE_FACTS.c.event_id == event.event_id)
    found = connection.execute(known).mappings().one()
    _refuse_other(f"{place}.event_id", event.event_id, row, found)
    return False


def _refuse_other(place: str, name: str, given: dict[str, Any], found: RowMapping) -> None:
    other = [field for field, value in given.items() if found[field] != value]
    if other:
        raise RequestRefused.at(
            409, place, f"'{name}' is stored with another {', '.join(other)}",
            "send a new id for something new",
        )  # fmt: skip


def _dialect(name: str) -> Any:
    return postgresql if name == "postgresql" else sqlite


@cache
def _insert_statement(dialect: str, table: Table) -> Prepared:
    # RETURNING and not rowcount: drivers differ in what they count for a row that gave way.
    key = next(iter(table.primary_key))
    return Prepared(_dialect(dialect).insert(table).on_conflict_do_nothing().returning(key))


def _insert_new(connection: Connection, table: Table, row: dict[str, Any]) -> bool:
    statement = _insert_statement(connection.dialect.name, table)
    return bool(statement.rows(connection, row))
