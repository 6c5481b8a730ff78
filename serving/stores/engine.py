"""Opening the decision store: SQLite in a file (the default) or PostgreSQL by address."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from sqlalchemy import (
    URL,
    Connection,
    Engine,
    create_engine,
    event,
    insert,
    inspect,
    make_url,
    select,
)
from sqlalchemy.exc import ArgumentError, SQLAlchemyError

from serving.errors import StoreError
from serving.stores.schema import METADATA, SCHEMA_VERSION, STORE_FACTS

WRITES = "onepoint_writes"
"""Execution option of the connection that writes."""
LOG_PAGES = 16_384
"""From here on (64 MB) a commit itself empties SQLite's log; `Checkpoints` is there well before."""


def open_engine(address: Path | str, wait_s: float = 2.0) -> Engine:
    """Open (and where it is new, make) the decision store.

    ``address`` is a SQLite file or a `postgresql://` URL; ``wait_s`` how long to wait for a lock
    or a connection (seconds). `StoreError` names the store and what to do.
    """
    engine = _engine(address, wait_s, reading=False)
    try:
        with engine.execution_options(**{WRITES: True}).begin() as connection:
            METADATA.create_all(connection)
            _check_version(connection, engine.url)
    except SQLAlchemyError as error:
        engine.dispose()
        raise StoreError(
            f"decision store {shown(engine.url)}: cannot be opened for writing ({cause(error)}); "
            "check that it exists, is a decision store and may be written"
        ) from None
    except StoreError:
        engine.dispose()
        raise
    return engine


def open_to_read(address: Path | str, wait_s: float = 10.0) -> Engine:
    """Open a decision store that exists so that nothing in it can be changed, not even by mistake.

    ``address`` and ``wait_s`` as for `open_engine`; `StoreError` where there is no such store.
    """
    if isinstance(address, Path) and not address.is_file():
        raise StoreError(
            f"decision store {address}: no such file; serve from this work folder first, "
            "or set ONEPOINT_POSTGRES_URL"
        )
    engine = _engine(address, wait_s, reading=True)
    try:
        with engine.connect() as connection:
            _check_version(connection, engine.url)
    except SQLAlchemyError as error:
        engine.dispose()
        raise StoreError(
            f"decision store {shown(engine.url)}: cannot be read ({cause(error)}); "
            "check that it exists and is a decision store"
        ) from None
    except StoreError:
        engine.dispose()
        raise
    return engine


def is_there(address: Path | str, wait_s: float = 10.0) -> bool:
    """Whether there is a decision store at an address; looking makes none.

    Raises `StoreError` where a database does not answer.
    """
    if isinstance(address, Path):
        return address.is_file()
    engine = _engine(address, wait_s, reading=True)
    try:
        return inspect(engine).has_table(STORE_FACTS.name)
    except SQLAlchemyError as error:
        raise StoreError(
            f"decision store {shown(engine.url)}: cannot be read ({cause(error)}); "
            "check the address, or unset ONEPOINT_POSTGRES_URL"
        ) from None
    finally:
        engine.dispose()


def shown(url: URL) -> str:
    """Say which store it is, without its password."""
    return str(url.database) if url.drivername.startswith("sqlite") else url.render_as_string()


def cause(error: SQLAlchemyError) -> str:
    """Say what the database said, without the statement and its values (customer data)."""
    original = getattr(error, "orig", None)
    text = str(original) if original is not None else type(error).__name__
    return text.splitlines()[0] if text else type(error).__name__


def _engine(address: Path | str, wait_s: float, reading: bool) -> Engine:
    if isinstance(address, Path):
        return _sqlite(address, wait_s, reading)
    return _postgres(address, wait_s, reading)


def _sqlite(path: Path, wait_s: float, reading: bool) -> Engine:
    if not path.parent.is_dir():
        raise StoreError(f"decision store {path}: folder {path.parent} is missing; make it")
    engine = create_engine(
        URL.create("sqlite", database=str(path)),
        connect_args={"check_same_thread": False, "timeout": wait_s},
    )

    writing = (
        "journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON",
        f"wal_autocheckpoint={LOG_PAGES}",
    )  # fmt: skip
    pragmas = ("query_only=ON",) if reading else writing

    @event.listens_for(engine, "connect")
    def _connect(connection: Any, _: Any) -> None:
        # The driver's own transactions begin late and cannot be IMMEDIATE; begin them ourselves.
        connection.isolation_level = None
        for pragma in pragmas:
            connection.execute(f"PRAGMA {pragma}").fetchall()

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        options = connection.get_execution_options()
        if options.get("isolation_level") == "AUTOCOMMIT":
            return
        writes = options.get(WRITES, False)
        # A write that begins as a read fails at once when another process writes; IMMEDIATE waits.
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")

    return engine


def _postgres(address: str, wait_s: float, reading: bool) -> Engine:
    try:
        url = make_url(address)
    except ArgumentError:
        raise StoreError(
            "ONEPOINT_POSTGRES_URL: not an address; write postgresql://user:password@host/database"
        ) from None
    if url.get_backend_name() != "postgresql":
        raise StoreError(
            f"ONEPOINT_POSTGRES_URL: '{url.drivername}' is not PostgreSQL; "
            "write postgresql://user:password@host/database"
        )
    milliseconds = int(wait_s * 1000)
    # The address may bring options of its own, such as a search path; ours go in front.
    own = url.query.get("options", "")
    options = (
        f"-c statement_timeout={milliseconds} -c lock_timeout={milliseconds} "
        f"-c synchronous_commit=on -c timezone=UTC "
        f"-c default_transaction_read_only={'on' if reading else 'off'} "
        f"{own if isinstance(own, str) else ' '.join(own)}"
    )
    return create_engine(
        url.set(drivername="postgresql+psycopg").difference_update_query(["options"]),
        pool_pre_ping=True,
        pool_timeout=wait_s,
        connect_args={
            "connect_timeout": max(2, round(wait_s)),
            "options": options.strip(),
        },
    )


def _check_version(connection: Connection, url: URL) -> None:
    query = select(STORE_FACTS.c.value).where(STORE_FACTS.c.name == "schema_version")
    found = connection.execute(query).scalar()
    if found is None:
        connection.execute(insert(STORE_FACTS).values(name="schema_version", value=SCHEMA_VERSION))
    elif found != SCHEMA_VERSION:
        raise StoreError(
            f"decision store {shown(url)}: has schema {found}, this OnePoint writes "
            f"{SCHEMA_VERSION}; use the OnePoint that made it, or another file"
        )
