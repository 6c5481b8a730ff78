"""The decision store as a reader sees it: stored decisions, and no way to change anything."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from sqlalchemy import ColumnElement, Engine, RowMapping, Select, func, select, true
from sqlalchemy.exc import SQLAlchemyError

from serving.contract import Outcome
from serving.errors import StoreError
from serving.events import FactKind
from serving.stores.decisions import StoredDecision, decision_of, told_by
from serving.stores.engine import cause, open_to_read, shown
from serving.stores.schema import DECISIONS, LIVE_FACTS, OUTCOMES

PAGE = 200
"""Decisions read at once: a record is tens of kilobytes."""


@dataclass(frozen=True)
class LoggedFact:
    """A live fact as it is stored; ``decision_id`` where an outcome of that decision told it."""

    event_id: str
    customer_id: str
    kind: FactKind
    event_time: datetime
    stored_at: datetime
    decision_id: str | None
    body: Mapping[str, Any]


class DecisionLog:
    """What was decided, by id or in order; opening it makes no store and writes none.

    All methods raise `StoreError` where the store is out of reach.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    @classmethod
    def open(cls, work: Path) -> DecisionLog:
        """Open what the environment names (`ONEPOINT_POSTGRES_URL`), else `decisions.sqlite`."""
        address = os.environ.get("ONEPOINT_POSTGRES_URL") or work / "decisions.sqlite"
        return cls(open_to_read(address))

    def close(self) -> None:
        """Let go of the database."""
        self._engine.dispose()

    @property
    def name(self) -> str:
        """Which store it is, without its password."""
        return shown(self._engine.url)

    def find(self, decision_id: str) -> StoredDecision:
        """Find a decision by its id."""
        page = self._page(DECISIONS.c.decision_id == decision_id, 1)
        if not page:
            raise StoreError(
                f"no decision '{decision_id}' in {self.name}; take the id from an answer"
            )
        return page[0]

    def count(self) -> int:
        """How many decisions are stored."""
        try:
            with self._engine.connect() as connection:
                return connection.execute(select(func.count()).select_from(DECISIONS)).scalar_one()
        except SQLAlchemyError as error:
            raise self._unreadable(error) from None

    def newest_first(self, limit: int | None = None) -> Iterator[StoredDecision]:
        """Give the stored decisions, newest first, a page at a time; at most ``limit``."""
        left, before = limit, None
        while left is None or left > 0:
            where = true() if before is None else DECISIONS.c.decision_id < before
            page = self._page(where, PAGE if left is None else min(PAGE, left))
            yield from page
            if not page:
                return
            before = page[-1].decision_id
            left = None if left is None else left - len(page)

    def pages(
        self, since: datetime | None, until: datetime | None
    ) -> Iterator[list[StoredDecision]]:
        """Give the decisions of ``[since, until)`` (None: no end), newest first, by the page."""
        window = _window(DECISIONS.c.as_of, since, until)
        before: ColumnElement[bool] = true()
        while page := self._page(window & before, PAGE):
            yield page
            before = DECISIONS.c.decision_id < page[-1].decision_id

    def outcomes_of(self, decisions: Sequence[StoredDecision]) -> dict[str, list[Outcome]]:
        """Find what became of decisions, by decision, in order of time."""
        channels = {one.decision_id: one.channel for one in decisions}
        query = select(OUTCOMES).where(OUTCOMES.c.decision_id.in_(channels))
        found: dict[str, list[Outcome]] = {}
        for row in self._rows(query.order_by(OUTCOMES.c.occurred_at, OUTCOMES.c.outcome_id)):
            told = Outcome(**{name: row[name] for name in Outcome.model_fields})
            if not told_by(row, channels[told.decision_id]):
                continue
            found.setdefault(told.decision_id, []).append(told)
        return found

    def facts(self, since: datetime | None, until: datetime | None) -> Iterator[LoggedFact]:
        """Give the live facts of ``[since, until)``, by kind, customer and time."""
        facts = LIVE_FACTS.c
        query = (
            select(LIVE_FACTS, OUTCOMES.c.decision_id)
            .outerjoin(OUTCOMES, OUTCOMES.c.outcome_id == facts.outcome_id)
            .where(_window(facts.event_time, since, until))
            .order_by(facts.kind, facts.customer_id, facts.event_time, facts.event_id)
        )
        names = [name for name in LoggedFact.__dataclass_fields__ if name != "body"]
        for row in self._rows(query):
            given = {name: row[name] for name in names}
            yield LoggedFact(**given, body=json.loads(row["body"]))

    def orphaned(self, since: datetime | None, until: datetime | None) -> int:
        """How many outcomes of ``[since, until)`` are of no decision stored here."""
        decided = select(DECISIONS.c.decision_id)
        window = _window(OUTCOMES.c.occurred_at, since, until)
        query = select(func.count().label("n")).select_from(OUTCOMES)
        (row,) = self._rows(query.where(window, OUTCOMES.c.decision_id.not_in(decided)))
        return int(row["n"])

    def _rows(self, query: Select[Any]) -> Iterator[RowMapping]:
        """Read rows as they are needed."""
        try:
            with self._engine.connect() as connection:
                yield from connection.execution_options(yield_per=PAGE).execute(query).mappings()
        except SQLAlchemyError as error:
            raise self._unreadable(error) from None

    def _page(self, where: ColumnElement[bool], size: int) -> list[StoredDecision]:
        # An id begins with its time, so the order of ids is the order of time.
        query = select(DECISIONS).where(where).order_by(DECISIONS.c.decision_id.desc()).limit(size)
        try:
            with self._engine.connect() as connection:
                return [decision_of(row) for row in connection.execute(query).mappings()]
        except SQLAlchemyError as error:
            raise self._unreadable(error) from None

    def _unreadable(self, error: SQLAlchemyError) -> StoreError:
        return StoreError(f"decision store {self.name}: cannot be read ({cause(error)})")


def _window(
    time: ColumnElement[datetime], since: datetime | None, until: datetime | None
) -> ColumnElement[bool]:
    first = true() if since is None else time >= since
    return first & (true() if until is None else time < until)
