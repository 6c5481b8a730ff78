"""Customers as they were last published; a file that is replaced is taken up by itself."""

from __future__ import annotations

import time
from pathlib import Path

from features.online import OnlineRecord, OnlineStore, OnlineStoreError

RETRY_S = 1.0


class PublishedCustomers:
    """Reads the online store at ``path`` and reopens it when a new one takes its place.

    Publishing writes a new file and renames it over the old one, so the open one would stay old
    for ever. Use it from one thread. A store that is absent or broken raises `OnlineStoreError`
    and is tried again after a second.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._store: OnlineStore | None = None
        self._seen: tuple[int, int, int] | None = None
        self._failure: OnlineStoreError | None = None
        self._failed_at = 0.0

    def current(self) -> OnlineStore:
        """Give the store of the file that is there now."""
        try:
            found = self.path.stat()
            seen = (found.st_ino, found.st_mtime_ns, found.st_size)
        except OSError as error:
            self.close()
            raise OnlineStoreError(
                f"online store {self.path}: {error.strerror}; publish it with "
                "`python -m features publish`"
            ) from None
        if self._store is not None and seen == self._seen:
            return self._store
        if self._failure and seen == self._seen and time.monotonic() < self._failed_at + RETRY_S:
            raise self._failure
        self.close()
        self._seen = seen
        try:
            self._store = OnlineStore(self.path)
        except OnlineStoreError as error:
            self._failure, self._failed_at = error, time.monotonic()
            raise
        self._failure = None
        return self._store

    def read(self, customer_id: str) -> OnlineRecord | None:
        """Read one customer; None where the store does not know him."""
        try:
            return self.current().read(customer_id)
        except ValueError:
            # The message of a broken row holds the row: customer data, which is no one's to log.
            raise OnlineStoreError(
                f"online store {self.path}: a customer's row is broken; publish it again"
            ) from None

    def close(self) -> None:
        """Let go of the open file."""
        if self._store is not None:
            self._store.close()
        self._store = None
