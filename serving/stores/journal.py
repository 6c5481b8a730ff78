"""One writer: what waits is written together, synced once, and only then answered."""

from __future__ import annotations

import asyncio
import logging
import queue
import threading
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import SQLAlchemyError

from features.errors import OnePointError
from serving.errors import StoreError
from serving.stores.checkpoints import Checkpoints
from serving.stores.engine import WRITES, cause

logger = logging.getLogger("onepoint.serving")
Result = TypeVar("Result")
Job = Callable[[Connection], Any]


class Journal:
    """Commits jobs in the order they came, several to a transaction (group commit).

    A sync to disk costs milliseconds whatever is in it; one transaction for all that waits keeps
    the rate above the disk's. ``path`` is the SQLite file (None for PostgreSQL), ``most`` the
    number of jobs in a transaction.
    """

    def __init__(self, engine: Engine, path: Path | None = None, most: int = 64) -> None:
        self.engine = engine.execution_options(**{WRITES: True})
        self.path = path
        self.most = most
        self._inode = path.stat().st_ino if path else None
        self._checkpoints = Checkpoints(engine) if path else None
        self._waiting: queue.SimpleQueue[tuple[Job, Future[Any]] | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="onepoint-journal", daemon=True)
        self._thread.start()

    async def write(self, job: Callable[[Connection], Result]) -> Result:
        """Run ``job`` in a transaction and return once it is on disk.

        Nothing is run that nobody waits for any more.

        Raises `StoreError` where the store cannot be written, and what the job itself raises.
        """
        done: Future[Result] = Future()
        self._waiting.put((job, done))
        return await asyncio.wrap_future(done)

    def close(self) -> None:
        """Write what waits, then stop."""
        self._waiting.put(None)
        self._thread.join()
        if self._checkpoints is not None:
            self._checkpoints.close()

    def _run(self) -> None:
        going_on = True
        while going_on:
            batch, going_on = self._next_batch()
            batch = [(job, done) for job, done in batch if done.set_running_or_notify_cancel()]
            if len(batch) > 1:
                try:
                    self._commit(batch)
                    batch = []
                except (SQLAlchemyError, OnePointError, ValueError, TypeError) as error:
                    # One bad job must not cost its neighbours: each again, by itself.
                    logger.info("%d writes, one by one: %s", len(batch), type(error).__name__)
            for single in batch:
                self._commit_alone(single)
            if self._checkpoints is not None:
                self._checkpoints.written()

    def _next_batch(self) -> tuple[list[tuple[Job, Future[Any]]], bool]:
        batch = []
        item = self._waiting.get()
        while item is not None:
            batch.append(item)
            if len(batch) == self.most or self._waiting.empty():
                return batch, True
            item = self._waiting.get()
        return batch, False

    def _commit(self, batch: list[tuple[Job, Future[Any]]]) -> None:
        self._check_file()
        with self.engine.begin() as connection:
            results = [job(connection) for job, _ in batch]
        for (_, done), result in zip(batch, results, strict=True):
            done.set_result(result)

    def _commit_alone(self, single: tuple[Job, Future[Any]]) -> None:
        done = single[1]
        try:
            self._commit([single])
        except SQLAlchemyError as error:
            done.set_exception(StoreError(f"the decision store cannot be written: {cause(error)}"))
        except (OnePointError, ValueError, TypeError) as error:
            done.set_exception(error)

    def _check_file(self) -> None:
        # SQLite goes on writing into a file that was deleted or replaced, and nobody would know.
        if self.path is None:
            return
        try:
            inode = self.path.stat().st_ino
        except OSError:
            inode = None
        if inode != self._inode:
            raise StoreError(
                f"decision store {self.path}: the file was removed or replaced while in use; "
                "put it back and restart the service"
            )
