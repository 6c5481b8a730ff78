"""The decision store as a reader sees it: stored decisions, and no way to change anything."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from sqlalchemy import ColumnElement, Engine, RowMapping, func, select, true
from sqlalchemy.exc import SQLAlchemyError

from serving.errors import StoreError
from serving.stores.decisions import StoredDecision
from serving.stores.engine import cause, open_to_read, shown
from serving.stores.schema import DECISIONS

PAGE = 200
"""Decisions read at once: a record is tens of kilobytes."""


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

    def _page(self, where: ColumnElement[bool], size: int) -> list[StoredDecision]:
        # An id begins with its time, so the order of ids is the order of time.
        query = select(DECISIONS).where(where).order_by(DECISIONS.c.decision_id.desc()).limit(size)
        try:
            with self._engine.connect() as connection:
                return [_decision(row) for row in connection.execute(query).mappings()]
        except SQLAlchemyError as error:
            raise self._unreadable(error) from None

    def _unreadable(self, error: SQLAlchemyError) -> StoreError:
        return StoreError(f"decision store {self.name}: cannot be read ({cause(error)})")


def _decision(row: RowMapping) -> StoredDecision:
    fields = {name: row[name] for name in StoredDecision.__dataclass_fields__}
    fields["record"], fields["answer"] = bytes(fields["record"]), bytes(fields["answer"])
    return StoredDecision(**fields)
