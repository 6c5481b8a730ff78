"""Waiting for a store no longer than an answer can afford."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from typing import Any, TypeVar

from features.errors import OnePointError

Read = TypeVar("Read")


class TooSlowError(OnePointError):
    """A store did not answer in time; the answer goes out without it."""


class Patience:
    """Reads in a thread of its own, one after the other, each for ``budget_s`` at most.

    Once a read takes longer, it and all that wait behind it are done without, and nobody asks again
    for ``rest_s``, and not before that read has come back: what is slow is not made slower. A crowd
    of quick reads is waited for, however many they are.
    """

    def __init__(self, name: str, budget_s: float, rest_s: float = 1.0) -> None:
        self.name = name
        self.budget_s = budget_s
        self.rest_s = rest_s
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix=f"onepoint-{name}")
        self._begun: float | None = None
        """When the present read began; None where there is none."""
        self._rests_until = 0.0
        self._closing = False

    async def read(self, job: Callable[[], Read]) -> Read:
        """Run ``job`` and give what it gives; `TooSlowError` where that takes too long."""
        return await self.begin(job)()

    def begin(self, job: Callable[[], Read]) -> Callable[[], Awaitable[Read]]:
        """Begin to run ``job``; to call what this gives is to wait for it, as `read` does."""
        if time.monotonic() < self._rests_until or self._left() <= 0:
            return self._refuse
        return partial(self._wait, self._thread.submit(self._run, job))

    def _run(self, job: Callable[[], Read]) -> Read:
        if self._closing:
            raise TooSlowError(f"{self.name}: closed before it was read")
        self._begun = time.monotonic()
        try:
            return job()
        finally:
            self._begun = None

    def _left(self) -> float:
        """Seconds that the present read may still take."""
        begun = self._begun
        return self.budget_s if begun is None else begun + self.budget_s - time.monotonic()

    async def _refuse(self) -> Any:
        raise TooSlowError(f"{self.name}: left alone, it was too slow a moment ago")

    async def _wait(self, future: Future[Read]) -> Read:
        if not future.done():
            await self._until_done(future)
        return future.result()

    async def _until_done(self, future: Future[Read]) -> None:
        waiting = asyncio.wrap_future(future)
        # it is told by `future`; asyncio would log one that nobody asks it for, values and all
        waiting.add_done_callback(lambda one: one.cancelled() or one.exception())
        try:
            while not future.done():
                left = self._left()
                if left <= 0:
                    self._rests_until = time.monotonic() + self.rest_s
                    raise TooSlowError(f"{self.name}: no answer within {self.budget_s * 1000:g} ms")
                await asyncio.wait([waiting], timeout=left)
        except BaseException:
            future.cancel()  # where it has not begun
            raise

    def close(self, last: Callable[[], object] | None = None) -> None:
        """Let the thread go, once, after ``last``; a read that hangs is not waited for.

        ``last`` lets go of what was read from, in the thread that reads: a SQLite connection that
        is closed under a read takes the process with it.
        """
        if self._closing:
            return
        self._closing = True
        if last is not None:
            self._thread.submit(last)
        self._thread.shutdown(wait=False)
