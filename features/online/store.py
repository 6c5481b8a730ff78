"""Reading a published store, wherever it is."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from types import TracebackType

import numpy as np
from pydantic import ValidationError

from features.online.location import RedisAddress, location
from features.online.record import (
    OnlineRecord,
    OnlineStoreError,
    OnlineStoreUnreachable,
    Published,
    Vector,
    Written,
)
from features.online.redis_store import RedisStore
from features.online.sqlite_store import SqliteStore
from features.state import CustomerState
from features.tags.packed import PublishedTag, read_tags

Read = OnlineRecord | OnlineStoreError | None
"""What is read of a customer among many: his record, why there is none, or that he is not there."""


class OnlineStore:
    """Read a published store; every read is one key, and of the version that was opened."""

    def __init__(self, where: Path | RedisAddress | str) -> None:
        """Open a file or a Redis (see `location`); `OnlineStoreError` where that cannot be done."""
        found = location(where) if isinstance(where, str) else where
        self._published: Published = (
            RedisStore(found) if isinstance(found, RedisAddress) else SqliteStore(found)
        )
        meta = self._published.meta
        self.version: str = meta.version
        self.as_of: datetime = meta.as_of
        self.feature_names: tuple[str, ...] = meta.names

    def read(self, customer_id: str) -> OnlineRecord | None:
        """One customer's record, or None where the store does not know the customer."""
        try:
            found = self._published.get(customer_id)
        except (ValueError, TypeError) as error:
            raise self._damaged(error) from None
        return None if found is None else self._record(customer_id, found)

    def read_many(
        self, customer_ids: Sequence[str]
    ) -> list[OnlineRecord | OnlineStoreError | None]:
        """Read some hundreds of customers at once, in their order; as `read` gives or raises each.

        `OnlineStoreUnreachable` is raised, for then nobody is known.
        """
        try:
            found = self._published.get_many(customer_ids)
        except OnlineStoreUnreachable:
            raise
        except (OnlineStoreError, ValueError, TypeError):
            # somebody among them cannot be read, and the others are no worse for it
            return [self._read_or_error(customer) for customer in customer_ids]
        records: list[Read] = []
        for customer, written in zip(customer_ids, found, strict=True):
            try:
                records.append(None if written is None else self._record(customer, written))
            except OnlineStoreError as error:
                records.append(error)
        return records

    def _read_or_error(self, customer_id: str) -> Read:
        try:
            return self.read(customer_id)
        except OnlineStoreUnreachable:
            raise
        except OnlineStoreError as error:
            return error

    def _record(self, customer_id: str, written: Written) -> OnlineRecord:
        vector, text = written
        try:
            state = CustomerState.model_validate_json(text)
            if state.customer_id != customer_id:
                raise ValueError("it is another customer's")
            return OnlineRecord(customer_id, self.as_of, self._vector(vector), state)
        except (ValueError, TypeError) as error:
            raise self._damaged(error) from None

    def _damaged(self, error: Exception) -> OnlineStoreError:
        return OnlineStoreError(
            f"{self._published.where}: a customer's record is damaged ({_reason(error)}); "
            "publish it again"
        )

    def tags(self, customer_id: str) -> list[PublishedTag] | None:
        """Tags the customer had when he was published; None where none were published of him."""
        text = self._published.tags(customer_id)
        try:
            return None if text is None else read_tags(text, self.as_of)
        except ValueError as error:
            raise OnlineStoreError(
                f"{self._published.where}: a customer's tags are damaged ({_reason(error)}); "
                "publish them again"
            ) from None

    def _vector(self, vector: bytes | None) -> Vector | None:
        if vector is None:
            return None
        values: Vector = np.frombuffer(vector, dtype="<f8")
        if len(values) != len(self.feature_names):
            raise ValueError(f"{len(values)} values for {len(self.feature_names)} features")
        return values

    def customer_ids(self) -> list[str]:
        """All customers of the store, in order of id."""
        return self._published.customer_ids()

    def is_current(self) -> bool:
        """Whether no other version has taken this one's place; then open the store again."""
        return self._published.is_current()

    def close(self) -> None:
        """Close the file or the connection."""
        self._published.close()

    def __enter__(self) -> OnlineStore:
        """Use the store in a `with` block."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close the file or the connection."""
        self.close()


def _reason(error: Exception) -> str:
    """Say what is wrong with a record without anything of what it holds: it is a customer's."""
    if isinstance(error, ValidationError):
        first = error.errors(include_input=False, include_url=False, include_context=False)[0]
        return f"{'.'.join(map(str, first['loc'])) or 'state'}: {first['type']}"
    return str(error)
