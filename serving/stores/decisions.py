"""Decisions and outcomes, on disk before anybody hears of them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, RowMapping, String, Table, bindparam, func, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import SQLAlchemyError

from serving.contract import Outcome
from serving.errors import RequestRefused, StoreError
from serving.stores.engine import cause, open_engine
from serving.stores.journal import Journal
from serving.stores.schema import DECISIONS, OUTCOMES, STORE_FACTS

USES_CAPACITY = ("started", "completed")

_PLACES_USED = (
    select(OUTCOMES.c.handle, func.max(OUTCOMES.c.staff_minutes).label("minutes"))
    .where(
        OUTCOMES.c.kind.in_(USES_CAPACITY),
        OUTCOMES.c.occurred_at >= bindparam("since"),
        OUTCOMES.c.occurred_at < bindparam("until"),
        OUTCOMES.c.org_id.in_(("", bindparam("org_id", type_=String))),
    )
    .group_by(OUTCOMES.c.decision_id, OUTCOMES.c.rank, OUTCOMES.c.handle)
    .subquery()
)
# Written once: building the statement costs more than running it, and every decision asks.
_MINUTES_USED = (
    select(_PLACES_USED.c.handle, func.sum(_PLACES_USED.c.minutes))
    .group_by(_PLACES_USED.c.handle)
    .order_by(_PLACES_USED.c.handle)
)


@dataclass(frozen=True)
class StoredDecision:
    """One row of `decisions`: the exact bytes of the record and of the answer given."""

    decision_id: str
    customer_id: str
    request_id: str | None
    request_sha256: str
    audience: str
    as_of: datetime
    record: bytes
    answer: bytes


@dataclass(frozen=True)
class Place:
    """Where one place of a decision is handled, and what it takes (staff minutes)."""

    handle: str
    org_id: str
    staff_minutes: float


class DecisionStore:
    """The append-only log of decisions and outcomes.

    Methods that write are coroutines and return once the row is on disk; methods that read block
    and belong in a thread. All raise `StoreError` where the store is out of reach.
    """

    def __init__(self, engine: Engine, path: Path | None) -> None:
        self.engine = engine
        self.journal = Journal(engine, path)

    @classmethod
    def open(cls, address: Path | str) -> DecisionStore:
        """Open a SQLite file or a `postgresql://` address; make the tables where they are new."""
        engine = open_engine(address)
        return cls(engine, address if isinstance(address, Path) else None)

    def close(self) -> None:
        """Write what waits and let go of the database."""
        self.journal.close()
        self.engine.dispose()

    async def add(self, decision: StoredDecision) -> StoredDecision:
        """Store a decision; where its request was answered already, return what was stored then."""

        def insert_or_find(connection: Connection) -> StoredDecision:
            row = {**decision.__dict__, "stored_at": datetime.now(UTC)}
            if _insert_new(connection, DECISIONS, row):
                return decision
            same_request = (DECISIONS.c.customer_id == decision.customer_id) & (
                DECISIONS.c.request_id == decision.request_id
            )
            found = connection.execute(select(DECISIONS).where(same_request)).mappings().first()
            if found is None:
                raise StoreError(f"decision id {decision.decision_id} was given out twice")
            return _decision(found)

        return await self.journal.write(insert_or_find)

    async def add_outcome(self, outcome: Outcome, place: Place) -> bool:
        """Store what happened; False where the same outcome is known, 409 where another is."""

        def insert_or_compare(connection: Connection) -> bool:
            row = {**outcome.model_dump(), **place.__dict__, "stored_at": datetime.now(UTC)}
            if _insert_new(connection, OUTCOMES, row):
                return True
            known = OUTCOMES.c.outcome_id == outcome.outcome_id
            found = connection.execute(select(OUTCOMES).where(known)).mappings().one()
            other = [name for name, value in outcome.model_dump().items() if found[name] != value]
            if other:
                raise RequestRefused.at(
                    409,
                    "outcome_id",
                    f"'{outcome.outcome_id}' is stored with another {', '.join(other)}",
                    "send a new outcome_id for a new outcome",
                )
            return False

        return await self.journal.write(insert_or_compare)

    async def prove_writable(self) -> None:
        """Write one small row and sync it, as a decision would be."""

        def beat(connection: Connection) -> None:
            statement = _dialect(connection).insert(STORE_FACTS)
            now = datetime.now(UTC).isoformat()
            connection.execute(
                statement.on_conflict_do_update(index_elements=["name"], set_={"value": now}),
                {"name": "last_probe", "value": now},
            )

        await self.journal.write(beat)

    def by_id(self, decision_id: str) -> StoredDecision | None:
        """Find a decision."""
        with self._reading() as connection:
            query = select(DECISIONS).where(DECISIONS.c.decision_id == decision_id)
            row = connection.execute(query).mappings().first()
        return None if row is None else _decision(row)

    def by_request(self, customer_id: str, request_id: str) -> StoredDecision | None:
        """Find the decision that answered a request of a customer."""
        with self._reading() as connection:
            query = select(DECISIONS).where(
                DECISIONS.c.customer_id == customer_id, DECISIONS.c.request_id == request_id
            )
            row = connection.execute(query).mappings().first()
        return None if row is None else _decision(row)

    def minutes_used(self, since: datetime, until: datetime, org_id: str) -> dict[str, float]:
        """Staff minutes that started or completed places took in ``[since, until)``, by channel.

        Counts channels without an outlet, and those of the outlet ``org_id``; a place is counted
        once.
        """
        with self._reading() as connection:
            asked = {"since": since, "until": until, "org_id": org_id}
            rows = connection.execute(_MINUTES_USED, asked).all()
        return {str(handle): float(minutes) for handle, minutes in rows}

    @contextmanager
    def _reading(self) -> Iterator[Connection]:
        try:
            with self.engine.connect() as connection:
                yield connection
        except SQLAlchemyError as error:
            raise StoreError(f"the decision store cannot be read: {cause(error)}") from None


def open_decision_store(work: Path) -> DecisionStore:
    """Open what the environment names (`ONEPOINT_POSTGRES_URL`), else `decisions.sqlite`."""
    return DecisionStore.open(os.environ.get("ONEPOINT_POSTGRES_URL") or work / "decisions.sqlite")


def _dialect(connection: Connection) -> Any:
    return postgresql if connection.dialect.name == "postgresql" else sqlite


def _insert_new(connection: Connection, table: Table, row: dict[str, Any]) -> bool:
    # RETURNING and not rowcount: drivers differ in what they count for a row that gave way.
    key = next(iter(table.primary_key))
    statement = _dialect(connection).insert(table).values(row).on_conflict_do_nothing()
    return connection.execute(statement.returning(key)).first() is not None


def _decision(row: RowMapping) -> StoredDecision:
    fields = {name: row[name] for name in StoredDecision.__dataclass_fields__}
    fields["record"], fields["answer"] = bytes(fields["record"]), bytes(fields["answer"])
    return StoredDecision(**fields)
