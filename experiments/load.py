"""Load on a service, from the same machine: one after the other, at a rate, by so many at a time.

At a rate (open loop), a request's time runs from when it was due and not from when it was sent: a
slow answer does not thin out the requests that come after it ("coordinated omission").
"""

from __future__ import annotations

import asyncio
import selectors
import time
from collections import Counter
from collections.abc import Coroutine, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

import numpy as np

from experiments.http_connection import BROKEN, Connection

Result = TypeVar("Result")
DEGRADED = b'"degraded":true'
AT_ONCE = 16
"""Arrivals that are late are sent so many at a time, and answers are looked at in between."""
NO_ANSWER = 0
"""Status of a request whose connection broke."""


@dataclass
class Told:
    """What came back: status and seconds of each request, and how long it all took.

    ``degraded`` are the places of answers that do without something.
    """

    statuses: list[int] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    in_all_s: float = 0.0
    degraded: set[int] = field(default_factory=set)

    def tally(self) -> Counter[int]:
        """Requests by status."""
        return Counter(self.statuses)

    def quantile_ms(self, q: float) -> float:
        """Time of the q-th part of all answers (ms)."""
        return round(1e3 * float(np.quantile(self.seconds, q)), 3)

    def good(self, within_s: float = float("inf")) -> int:
        """Answers with status 200 in time that lack nothing."""
        both = zip(self.statuses, self.seconds, strict=True)
        return sum(
            status == 200 and seconds <= within_s and place not in self.degraded
            for place, (status, seconds) in enumerate(both)
        )

    def per_s(self, within_s: float = float("inf")) -> float:
        """Good answers a second."""
        return self.good(within_s) / self.in_all_s

    def __iadd__(self, other: Told) -> Told:
        """Add what came back another time, and how long that took."""
        self.degraded |= {len(self.statuses) + place for place in other.degraded}
        self.statuses += other.statuses
        self.seconds += other.seconds
        self.in_all_s += other.in_all_s
        return self

    async def ask(self, connection: Connection, request: bytes, due: float) -> None:
        """Ask once and note what came; ``due`` is when its time began."""
        try:
            reply = await connection.ask(request)
            status = reply.status
            if DEGRADED in reply.body:
                self.degraded.add(len(self.statuses))
        except BROKEN:
            status = NO_ANSWER
        self.statuses.append(status)
        self.seconds.append(time.perf_counter() - due)


async def one_by_one(connection: Connection, requests: Sequence[bytes], told: Told) -> None:
    """Ask one after the other over one connection; added to ``told``."""
    begun = time.perf_counter()
    for request in requests:
        await told.ask(connection, request, time.perf_counter())
    told.in_all_s += time.perf_counter() - begun


async def by_many(port: int, requests: Iterator[bytes], callers: int, seconds: float) -> Told:
    """Closed loop: each of ``callers`` asks again as soon as it is answered."""
    told = Told()
    begun = time.perf_counter()

    async def call() -> None:
        connection = Connection(port)
        while time.perf_counter() < begun + seconds:
            await told.ask(connection, next(requests), time.perf_counter())
        connection.close()

    await asyncio.gather(*(call() for _ in range(callers)))
    told.in_all_s = time.perf_counter() - begun
    return told


async def at_rate(
    port: int, requests: Iterator[bytes], per_s: float, seconds: float, seed: int
) -> Told:
    """Open loop: Poisson arrivals, ``per_s`` of them a second, each over a connection that is free.

    Where none is free another is opened, however many there are: arrivals that waited for one of a
    pool would measure the pool.
    """
    told = Told()
    random = np.random.default_rng(seed)
    gaps = random.exponential(1 / per_s, max(1, round(per_s * seconds)))
    free: list[Connection] = []
    begun = time.perf_counter()

    async def arrive(due: float) -> None:
        connection = free.pop() if free else Connection(port)
        await told.ask(connection, next(requests), due)
        free.append(connection)

    async with asyncio.TaskGroup() as arriving:
        for number, due in enumerate((begun + np.cumsum(gaps)).tolist()):
            wait = due - time.perf_counter()
            if wait > 0 or number % AT_ONCE == 0:
                await asyncio.sleep(max(0.0, wait))
            arriving.create_task(arrive(due))
    told.in_all_s = time.perf_counter() - begun
    for connection in free:
        connection.close()
    return told


def run_punctually(load: Coroutine[Any, Any, Result]) -> Result:
    """Run what keeps to times in an event loop that does; for some hundred connections at most.

    asyncio's usual loop waits in whole milliseconds, rounded up: what is sent late for that would
    be counted as the service's time.
    """
    with asyncio.Runner(loop_factory=_punctual_loop) as runner:
        return runner.run(load)


def _punctual_loop() -> asyncio.AbstractEventLoop:
    return asyncio.SelectorEventLoop(selectors.SelectSelector())
