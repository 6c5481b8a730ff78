"""Customers as they were last published; a new publication is taken up by itself."""

from __future__ import annotations

import time
from datetime import datetime
from pathlib import Path

from features.online import (
    OnlineRecord,
    OnlineStore,
    OnlineStoreError,
    OnlineStoreUnreachable,
    RedisAddress,
)
from features.tags.packed import PublishedTag

RETRY_S = 1.0
"""A store that cannot be opened is left alone that long: nobody waits for it in every answer."""

LOOK_S = 1.0
"""How often Redis is asked for a new publication; a file is looked at before every read."""


class PublishedCustomers:
    """Reads the online store at ``path`` and reopens it when a new one takes its place.

    An opened store stays of its version for ever. Use it from one thread. A store that is absent,
    broken or out of reach raises `OnlineStoreError`.
    """

    def __init__(self, path: Path | RedisAddress) -> None:
        self.path = path
        self._store: OnlineStore | None = None
        self._looked_at = 0.0
        self._failure: str | None = None
        self._failed_at = 0.0
        self.published_at: datetime | None = None
        """The moment the customers last read speak of; None before the first read."""

    def current(self) -> OnlineStore:
        """Give the store that the last read was of; open it where none is open."""
        if self._store is not None:
            return self._store
        now = time.monotonic()
        if self._failure is not None and now < self._failed_at + RETRY_S:
            raise OnlineStoreError(self._failure)
        try:
            self._store = OnlineStore(self.path)
        except OnlineStoreError as error:
            self._failed(error)
            raise
        self._failure = None
        self._looked_at = now
        self.published_at = self._store.as_of
        return self._store

    def read(self, customer_id: str) -> OnlineRecord | None:
        """Read one customer; None where the newest store does not know him."""
        try:
            if self._store is not None and self._may_be_old() and not self._store.is_current():
                self.close()
            return self.current().read(customer_id)
        except OnlineStoreUnreachable as error:
            self._failed(error)
            raise

    def tags(self, customer_id: str) -> list[PublishedTag] | None:
        """Give the tags of a customer in the store that was read last; None where it has none."""
        try:
            return self.current().tags(customer_id)
        except OnlineStoreUnreachable as error:
            self._failed(error)
            raise

    def _may_be_old(self) -> bool:
        now = time.monotonic()
        if isinstance(self.path, RedisAddress) and now < self._looked_at + LOOK_S:
            return False
        self._looked_at = now
        return True

    def _failed(self, error: OnlineStoreError) -> None:
        self._failure, self._failed_at = str(error), time.monotonic()
        self.close()

    def close(self) -> None:
        """Let go of the open file or connection."""
        if self._store is not None:
            self._store.close()
        self._store = None
