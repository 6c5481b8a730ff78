"""Statements of every decision: written in the driver's words once, on a connection kept open.

SQLAlchemy goes on knowing each database's words, types and errors; the driver's own cursor runs
them. By SQLAlchemy's each takes three times as long (and written anew for each run, thirty times
what SQLite needs for a row); a connection from its pool costs three round trips.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

from sqlalchemy import Connection, Dialect, Engine, Insert, RowMapping, Select
from sqlalchemy.exc import DBAPIError
from sqlalchemy.sql.compiler import SQLCompiler

Values = Mapping[str, Any]
Row = RowMapping | Mapping[str, Any]
Found = TypeVar("Found")
_Change = Callable[[Any], Any]


class Prepared:
    """A statement whose values all are named parameters, or columns that are inserted."""

    def __init__(self, statement: Select[Any] | Insert) -> None:
        self._statement = statement
        self._written: dict[str, _Written] = {}

    def rows(self, connection: Connection, given: Values) -> list[dict[str, Any]]:
        """Run it; give what it selects or returns."""
        written = self._for(connection.dialect)
        return written.rows(connection, written.values(given))

    def run_many(self, connection: Connection, given: Sequence[Values]) -> None:
        """Run it for each of one or more."""
        written = self._for(connection.dialect)
        written.run_many(connection, [written.values(one) for one in given])

    def _for(self, dialect: Dialect) -> _Written:
        if dialect.name not in self._written:
            self._written[dialect.name] = _Written(self._statement, dialect)
        return self._written[dialect.name]


class _Written:
    """A statement in the words of one driver, and how it wants and gives values."""

    def __init__(self, statement: Select[Any] | Insert, dialect: Dialect) -> None:
        compiled = statement.compile(dialect=dialect)
        assert isinstance(compiled, SQLCompiler)  # noqa: S101 (what a select or an insert gives)
        self._text = compiled.string
        self._names = list(compiled.binds)
        if compiled.positional:
            self._names = list(compiled.positiontup or ())
        self._by_place = compiled.positional
        self._given = {
            name: change
            for name, bind in compiled.binds.items()
            if (change := bind.type.dialect_impl(dialect).bind_processor(dialect))
        }
        columns = statement.exported_columns
        self._found: list[tuple[str, _Change | None]] = [
            (str(column.name), column.type.dialect_impl(dialect).result_processor(dialect, None))
            for column in columns
        ]

    def values(self, given: Values) -> Any:
        changed = {name: given[name] for name in self._names}
        for name, change in self._given.items():
            changed[name] = change(changed[name])
        return tuple(changed.values()) if self._by_place else changed

    def rows(self, connection: Connection, values: Any) -> list[dict[str, Any]]:
        with self._cursor(connection) as cursor:
            cursor.execute(self._text, values)
            return [
                {
                    name: value if change is None else change(value)
                    for (name, change), value in zip(self._found, row, strict=True)
                }
                for row in cursor.fetchall()
            ]

    def run_many(self, connection: Connection, values: list[Any]) -> None:
        with self._cursor(connection) as cursor:
            cursor.executemany(self._text, values)

    @contextmanager
    def _cursor(self, connection: Connection) -> Iterator[Any]:
        """Give the driver's cursor; its errors become SQLAlchemy's, without the values."""
        dialect, driver = connection.dialect, connection.connection
        cursor = driver.cursor()
        try:
            yield cursor
        except dialect.loaded_dbapi.Error as error:
            broken = dialect.is_disconnect(error, driver, cursor)
            if broken:
                connection.invalidate(error)
            raise DBAPIError.instance(
                self._text,
                None,
                error,
                dialect.loaded_dbapi.Error,
                connection_invalidated=broken,
                dialect=dialect,
            ) from error
        finally:
            cursor.close()


class KeptOpen:
    """A connection outside of transactions; each statement sees what is committed by then.

    It is made again where it broke, as after a restart of the database.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine.execution_options(isolation_level="AUTOCOMMIT")
        self._connection: Connection | None = None
        self._lock = threading.Lock()

    def rows(self, statement: Prepared, given: Values) -> list[dict[str, Any]]:
        """Run a statement; raises what SQLAlchemy raises."""
        return self.use(lambda connection: statement.rows(connection, given))

    def use(self, work: Callable[[Connection], Found]) -> Found:
        """Do something by the connection; raises what SQLAlchemy raises."""
        with self._lock:
            kept = self._connection is not None
            try:
                return self._use(work)
            except DBAPIError as error:
                if not (kept and error.connection_invalidated):
                    raise
            return self._use(work)

    def close(self) -> None:
        """Let go of the connection."""
        with self._lock:
            self._drop()

    def _use(self, work: Callable[[Connection], Found]) -> Found:
        if self._connection is None:
            self._connection = self._engine.connect()
            # It ends here and not in the pool, whose connections have transactions.
            self._connection.detach()
        try:
            return work(self._connection)
        except BaseException:
            self._drop()
            raise

    def _drop(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()
