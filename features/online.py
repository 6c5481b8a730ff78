"""The online store: one key gives a customer's feature vector and state.

A store is one SQLite file of one feature-set version, written under a temporary name and renamed:
a reader sees the whole of one version or of the other, never a mixture.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from types import TracebackType

import numpy as np
import numpy.typing as npt

from features.errors import OnePointError
from features.feature_set import FeatureSet
from features.state import CustomerState


class OnlineStoreError(OnePointError):
    """The online store is absent, unreadable or not of the form this version writes."""


@dataclass(frozen=True)
class OnlineRecord:
    """One customer as published: `vector` has shape (F,) float64, or is None without features."""

    customer_id: str
    as_of: datetime
    vector: npt.NDArray[np.float64] | None
    state: CustomerState


def publish(
    path: Path,
    feature_set: FeatureSet,
    as_of: datetime,
    records: Iterable[tuple[str, npt.NDArray[np.float64] | None, CustomerState]],
) -> int:
    """Write a store in one piece and put it in the place of the old one.

    Parameters
    ----------
    path
        The SQLite file; replaced only when all is written.
    feature_set
        Names and vocabularies of the vectors.
    as_of
        The moment all records speak of (with a time zone).
    records
        Customer id, vector of shape (len(feature_set.names),) or None, and state.

    Returns
    -------
    int
        Customers written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(path.name + ".writing")
    temporary.unlink(missing_ok=True)
    con = sqlite3.connect(temporary)
    try:
        con.execute("create table meta (key text primary key, value text not null)")
        con.execute(
            "create table customers "
            "(customer_id text primary key, vector blob, state text not null) without rowid"
        )
        rows = (
            (customer, _packed(vector), state.model_dump_json())
            for customer, vector, state in records
        )
        written = con.executemany("insert into customers values (?, ?, ?)", rows).rowcount
        meta = {
            "version": feature_set.version,
            "as_of": as_of.isoformat(),
            "names": json.dumps(feature_set.names),
        }
        con.executemany("insert into meta values (?, ?)", meta.items())
        con.commit()
        con.close()
        temporary.replace(path)
    finally:
        con.close()
        temporary.unlink(missing_ok=True)  # still there only where something failed
    return max(written, 0)


def _packed(vector: npt.NDArray[np.float64] | None) -> bytes | None:
    return None if vector is None else vector.astype("<f8").tobytes()


class OnlineStore:
    """Read a published store; every read is one key."""

    def __init__(self, path: Path) -> None:
        """Open `path` for reading; `OnlineStoreError` where that cannot be done."""
        if not path.is_file():
            raise OnlineStoreError(
                f"{path}: no online store; make it with python -m features publish"
            )
        try:
            self._con = sqlite3.connect(
                f"file:{path}?mode=ro", uri=True, check_same_thread=False, isolation_level=None
            )
            meta = dict(self._con.execute("select key, value from meta").fetchall())
            self.version: str = meta["version"]
            self.as_of: datetime = datetime.fromisoformat(meta["as_of"])
            self.feature_names: tuple[str, ...] = tuple(json.loads(meta["names"]))
        except (sqlite3.Error, KeyError, ValueError) as error:
            raise OnlineStoreError(
                f"{path}: not a readable online store ({error}); publish it again"
            ) from None
        self._path = path

    def read(self, customer_id: str) -> OnlineRecord | None:
        """One customer's record, or None where the store does not know the customer."""
        try:
            row = self._con.execute(
                "select vector, state from customers where customer_id = ?", (customer_id,)
            ).fetchone()
        except sqlite3.Error as error:
            raise OnlineStoreError(f"{self._path}: cannot be read ({error})") from None
        if row is None:
            return None
        try:
            vector = None if row[0] is None else np.frombuffer(row[0], dtype="<f8")
            if vector is not None and len(vector) != len(self.feature_names):
                raise ValueError(f"{len(vector)} values for {len(self.feature_names)} features")
            state = CustomerState.model_validate_json(row[1])
        except ValueError as error:
            raise OnlineStoreError(
                f"{self._path}: the record of {customer_id} is damaged ({error}); publish it again"
            ) from None
        return OnlineRecord(customer_id, self.as_of, vector, state)

    def customer_ids(self) -> list[str]:
        """All customers of the store, in order of id."""
        rows = self._con.execute("select customer_id from customers order by customer_id")
        return [row[0] for row in rows.fetchall()]

    def close(self) -> None:
        """Close the file."""
        self._con.close()

    def __enter__(self) -> OnlineStore:
        """Use the store in a `with` block."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close the file."""
        self.close()
