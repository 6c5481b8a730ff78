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
    """Reads in a thread of its own, and waits for each read ``budget_s`` at most.

    After a read that took longer nobody asks again for ``rest_s``, and not before that read has
    come back: what is slow is not made slower, and only the first request waits for it.
    """

    def __init__(self, name: str, budget_s: float, rest_s: float = 1.0) -> None:
        self.name = name
        self.budget_s = budget_s
        self.rest_s = rest_s
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix=f"onepoint-{name}")
        self._late: Future[Any] | None = None
        self._rests_until = 0.0

    async def read(self, job: Callable[[], Read]) -> Read:
        """Run ``job`` and give what it gives; `TooSlowError` where that takes too long."""
        return await self.begin(job)()

    def begin(self, job: Callable[[], Read]) -> Callable[[], Awaitable[Read]]:
        """Begin to run ``job``; to call what this gives is to wait for it, as `read` does.

        The budget counts from the beginning, so that two stores are waited for at once.
        """
        resting = time.monotonic() < self._rests_until
        if resting or (self._late is not None and not self._late.done()):
            return self._refuse
        return partial(self._wait, self._thread.submit(job), time.monotonic() + self.budget_s)

    async def _refuse(self) -> Any:
        raise TooSlowError(f"{self.name}: left alone, it was too slow a moment ago")

    async def _wait(self, future: Future[Read], until: float) -> Read:
        if not future.done():
            await asyncio.wait(
                [asyncio.wrap_future(future)], timeout=max(0.0, until - time.monotonic())
            )
        if future.done():
            return future.result()
        future.cancel()
        self._late = future
        self._rests_until = time.monotonic() + self.rest_s
        raise TooSlowError(f"{self.name}: no answer within {self.budget_s * 1000:g} ms")

    def close(self) -> None:
        """Let the thread go; a read that hangs is not waited for."""
        self._thread.shutdown(wait=False, cancel_futures=True)
