"""Callers that ask without a pause, or at a pace, and go on whatever happens to the service."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from experiments.http_connection import BROKEN, Connection, Reply, request_bytes
from experiments.soak.traffic import Call, Traffic

READY = request_bytes("GET", "/readyz")
WAIT_S = 0.1
DRAW = Callable[[], Call]


@dataclass
class Heard:
    """What callers heard: answers by status; connections ``refused``; requests ``dropped``.

    A dropped request was sent over a connection that had been accepted, and never answered.
    """

    statuses: Counter[int] = field(default_factory=Counter)
    refused: int = 0
    dropped: int = 0
    problems: list[str] = field(default_factory=list)

    def errors(self, *allowed: int) -> int:
        """Answers other than 200 and those allowed."""
        return sum(n for status, n in self.statuses.items() if status not in (200, *allowed))


@asynccontextmanager
async def calling(
    port: int, traffic: Traffic, callers: int, per_s: float | None = None
) -> AsyncIterator[Heard]:
    """Have so many callers ask, together ``per_s`` times a second where it is given."""
    heard, stop = Heard(), asyncio.Event()
    every = callers / per_s if per_s else 0.0
    crowd = [asyncio.create_task(_call(port, traffic, heard, stop, every)) for _ in range(callers)]
    try:
        yield heard
    finally:
        stop.set()
        await asyncio.gather(*crowd)


async def _call(
    port: int, traffic: Traffic, heard: Heard, stop: asyncio.Event, every: float
) -> None:
    connection, due = Connection(port), time.monotonic()
    while not stop.is_set():
        try:
            await connection.open()
        except OSError:
            heard.refused += 1
            await asyncio.sleep(WAIT_S)
            continue
        call = traffic.next()
        try:
            reply = await connection.ask(call.request)
        except BROKEN:
            heard.dropped += 1
            continue
        _note(heard, call, reply)
        traffic.answered(call, reply)
        if reply.closing:
            # As a balancer does: it sends nobody to a service that says it is not ready.
            await until_ready(port, stop)
        if reply.status in (429, 503):
            await asyncio.sleep(WAIT_S)
        due = max(due + every, time.monotonic() - 10 * every)
        await asyncio.sleep(max(0.0, due - time.monotonic()))
    connection.close()


def _note(heard: Heard, call: Call, reply: Reply) -> None:
    heard.statuses[reply.status] += 1
    if reply.status not in (200, 429, 503) and len(heard.problems) < 5:
        heard.problems.append(f"{call.kind}: {reply.body[:300].decode('utf-8', 'replace')}")


async def until_ready(port: int, stop: asyncio.Event) -> None:
    """Ask `/readyz` until it says yes, or nobody wants to know any more."""
    while not stop.is_set():
        connection = Connection(port)
        try:
            if (await connection.ask(READY)).status == 200:
                return
        except BROKEN:
            pass  # not listening yet
        finally:
            connection.close()
        await asyncio.sleep(WAIT_S)
