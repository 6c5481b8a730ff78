"""An online store in a SQLite file, renamed into place when it is whole and on disk."""

from __future__ import annotations

import fcntl
import json
import os
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from features.online.record import OnlineStoreError, Row, StoreMeta, Written, batches

BATCH = 1_000
PAGE_BYTES = 16_384
"""A row has a few kilobytes: pages of the default size would hold one and waste the rest."""


def write_sqlite(path: Path, meta: StoreMeta, rows: Iterable[Row]) -> int:
    """Write a store in one piece and put it in the place of the old one; return its customers.

    Whatever goes wrong, the old file stays as it is. Rows in order of customer are written fastest.
    """
    with _apart(path) as temporary:
        try:
            with closing(sqlite3.connect(temporary, isolation_level=None)) as con:
                written = _write(con, meta, rows)
        except sqlite3.Error as error:
            raise OnlineStoreError(f"{path}: cannot be written ({error})") from None
    return written


def _write(con: sqlite3.Connection, meta: StoreMeta, rows: Iterable[Row]) -> int:
    # nobody reads this file before it is renamed, and a broken one is thrown away
    for pragma in (f"page_size = {PAGE_BYTES}", "journal_mode = off", "synchronous = off",
                   "locking_mode = exclusive"):  # fmt: skip
        con.execute(f"pragma {pragma}")
    con.execute("begin")
    con.execute("create table meta (key text primary key, value text not null)")
    con.executemany(
        "insert into meta values (?, ?)",
        {
            "version": meta.version,
            "as_of": meta.as_of.isoformat(),
            "names": json.dumps(meta.names),
        }.items(),
    )
    con.execute(
        "create table customers (customer_id text primary key, vector blob, state text not null)"
    )
    # apart from the customers, whose pages are read for every decision
    con.execute("create table tags (customer_id text primary key, held text not null)")
    written = 0
    for batch in batches(rows, BATCH):
        customers = ((customer, vector, state) for customer, vector, state, _ in batch)
        con.executemany("insert into customers values (?, ?, ?)", customers)
        tagged = ((customer, held) for customer, _, _, held in batch if held is not None)
        con.executemany("insert into tags values (?, ?)", tagged)
        written += len(batch)
    con.execute("commit")
    return written


@contextmanager
def _apart(path: Path) -> Iterator[Path]:
    """Give an empty file beside `path` that takes its place at the end of the block.

    The file is locked: of two that publish at once the second is told so, and of one that was
    killed the next takes over the file, for a lock ends with its process.
    """
    if path.is_dir():
        raise OnlineStoreError(f"{path}: is a folder; name a file in it")
    temporary = path.with_name(path.name + ".writing")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        file = temporary.open("ab")
    except OSError as error:
        raise OnlineStoreError(f"{path}: cannot be written ({error.strerror})") from None
    with file:
        if not _locked(file.fileno(), temporary):
            raise OnlineStoreError(f"{path}: another publish is writing it; wait for its end")
        try:
            file.truncate(0)
            yield temporary
            _move(file.fileno(), temporary, path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise


def _locked(file: int, path: Path) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        # who held the lock before may have renamed or removed the file since it was opened here
        return os.path.samestat(path.stat(), os.fstat(file))
    except (BlockingIOError, FileNotFoundError):
        return False


def _move(file: int, temporary: Path, path: Path) -> None:
    try:
        os.fsync(file)
        temporary.replace(path)
    except OSError as error:
        raise OnlineStoreError(f"{path}: cannot be written ({error.strerror})") from None
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)  # else the rename itself might be lost with the power
    finally:
        os.close(folder)


class SqliteStore:
    """Reads a store in a file; it goes on with its version when another takes the file's place."""

    def __init__(self, path: Path) -> None:
        """Open `path` for reading; `OnlineStoreError` where that cannot be done."""
        self.where = str(path)
        self._path = path
        if not path.is_file():
            raise OnlineStoreError(
                f"{path}: no online store; make it with python -m features publish"
            )
        self._seen = _identity(path)
        try:
            self._con = sqlite3.connect(
                f"{path.resolve().as_uri()}?mode=ro",
                uri=True,
                check_same_thread=False,
                isolation_level=None,
            )
        except sqlite3.Error as error:
            raise self._unreadable(error) from None
        try:
            found = dict(self._con.execute("select key, value from meta").fetchall())
            found["names"] = json.loads(found["names"])
            self.meta = StoreMeta.model_validate(found)
        except (sqlite3.Error, KeyError, ValueError) as error:
            self.close()
            raise self._unreadable(error) from None

    def _unreadable(self, error: Exception) -> OnlineStoreError:
        # what pydantic says has many lines, and the file's content in them
        reason = "its meta table is damaged" if isinstance(error, ValidationError) else error
        return OnlineStoreError(
            f"{self.where}: not a readable online store ({reason}); publish it again"
        )

    def get_many(self, customer_ids: Sequence[str]) -> list[Written | None]:
        """Give what `get` gives of each of some hundreds of customers, in their order."""
        asked = ", ".join("?" * len(customer_ids))
        rows = self._rows(
            f"select customer_id, vector, state from customers where customer_id in ({asked})",  # noqa: S608 (question marks)
            tuple(customer_ids),
        )
        found = {customer: (vector, state) for customer, vector, state in rows}
        return [found.get(customer) for customer in customer_ids]

    def get(self, customer_id: str) -> Written | None:
        """Give a customer's vector and state as written; None for who is not there."""
        rows = self._rows(
            "select vector, state from customers where customer_id = ?", (customer_id,)
        )
        return rows[0] if rows else None

    def tags(self, customer_id: str) -> str | bytes | None:
        """Give a customer's tags as written; None for who has none there."""
        rows = self._rows("select held from tags where customer_id = ?", (customer_id,))
        return rows[0][0] if rows else None

    def customer_ids(self) -> list[str]:
        """Give all customers, in order of id."""
        return [row[0] for row in self._rows("select customer_id from customers order by 1")]

    def is_current(self) -> bool:
        """Whether the file is still the one that was opened."""
        try:
            return _identity(self._path) == self._seen
        except OSError:
            return False

    def close(self) -> None:
        """Close the file."""
        self._con.close()

    def _rows(self, select: str, values: tuple[str, ...] = ()) -> list[tuple[Any, ...]]:
        try:
            return self._con.execute(select, values).fetchall()
        except sqlite3.Error as error:
            raise OnlineStoreError(f"{self.where}: cannot be read ({error})") from None


def _identity(path: Path) -> tuple[int, int, int]:
    found = path.stat()
    return found.st_ino, found.st_mtime_ns, found.st_size
