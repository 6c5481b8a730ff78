"""Callers that ask without a pause, or at a pace, and go on whatever happens to the service."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from experiments.http_connection import BROKEN, Connection, Reply, request_bytes
from experiments.soak.traffic import Call, Traffic

READY = request_bytes("GET", "/readyz")
WAIT_S = 0.1
LOOK_S = 0.05
STALLED_S = 0.1
MOST_NOTED = 50


@dataclass
class Heard:
    """What callers heard: answers by status; connections ``refused``; requests ``dropped``.

    A dropped request was sent over a connection that had been accepted, and never answered.
    ``turned_away`` are the first answers 429 and 503: when (s since the begin), what it was and
    said, and how long it took (s). ``stalls`` are moments at which the callers themselves were held
    up (when, and for how long, s): a machine that stands still for us does so for the service.
    """

    begun: float = field(default_factory=time.monotonic)
    statuses: Counter[int] = field(default_factory=Counter)
    refused: int = 0
    dropped: int = 0
    problems: list[str] = field(default_factory=list)
    turned_away: list[dict[str, Any]] = field(default_factory=list)
    stalls: list[tuple[float, float]] = field(default_factory=list)

    def errors(self, *allowed: int) -> int:
        """Answers other than 200 and those allowed."""
        return sum(n for status, n in self.statuses.items() if status not in (200, *allowed))

    def note(self, call: Call, reply: Reply, took_s: float) -> None:
        """Note an answer."""
        self.statuses[reply.status] += 1
        if reply.status == 200:
            return
        said = reply.body[:300].decode("utf-8", "replace")
        if reply.status in (429, 503):
            if len(self.turned_away) < MOST_NOTED:
                at_s, took = round(time.monotonic() - self.begun, 2), round(took_s, 3)
                self.turned_away.append(
                    {"at_s": at_s, "status": reply.status, "took_s": took, "said": said}
                )
        elif len(self.problems) < 5:
            self.problems.append(f"{call.kind}: {said}")

    async def watch_for_stalls(self) -> None:
        """Note when this event loop comes late, for as long as it is not cancelled."""
        while True:
            due = time.monotonic() + LOOK_S
            await asyncio.sleep(LOOK_S)
            late = time.monotonic() - due
            if late >= STALLED_S and len(self.stalls) < MOST_NOTED:
                self.stalls.append((round(due - self.begun, 2), round(late, 3)))


@asynccontextmanager
async def calling(
    port: int, traffic: Traffic, callers: int, per_s: float | None = None
) -> AsyncIterator[Heard]:
    """Have so many callers ask, together ``per_s`` times a second where it is given."""
    heard, stop = Heard(), asyncio.Event()
    every = callers / per_s if per_s else 0.0
    crowd = [asyncio.create_task(_call(port, traffic, heard, stop, every)) for _ in range(callers)]
    watch = asyncio.create_task(heard.watch_for_stalls())
    try:
        yield heard
    finally:
        stop.set()
        await asyncio.gather(*crowd)
        watch.cancel()


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
        call, asked = traffic.next(), time.monotonic()
        try:
            reply = await connection.ask(call.request)
        except BROKEN:
            heard.dropped += 1
            continue
        heard.note(call, reply, time.monotonic() - asked)
        traffic.answered(call, reply)
        if reply.closing:
            # As a balancer does: it sends nobody to a service that says it is not ready.
            await until_ready(port, stop)
        if reply.status in (429, 503):
            await asyncio.sleep(WAIT_S)
        due = max(due + every, time.monotonic() - 10 * every)
        await asyncio.sleep(max(0.0, due - time.monotonic()))
    connection.close()


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
