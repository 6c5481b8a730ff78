"""The served hot path: against an empty service, at a rate, at its limit and beyond it."""

from __future__ import annotations

import asyncio
import itertools
import os
import re
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from experiments.http_connection import Connection, request_bytes
from experiments.load import Told, at_rate, by_many, one_by_one, run_punctually
from experiments.running_service import RunningService
from experiments.served_bank import DOORS, copy_bank, customer_ids, key_of, made_once
from serving.config import WorkFolder, load_service_config

BLOCK = 100
RATE_PER_S = 100.0
CROWDS = (1, 2, 4, 8, 16, 32)
OVERLOAD = 5
TURNS = 2
BEHIND_S = 2.0
"""A worker that is asked for metrics knows those of the others up to a second late."""
WRITTEN_BYTES = 24 * 1024
STALLED_S = 0.02
"""What a request at 100/s may take."""
EMPTY = ["-m", "bentoml", "serve", "experiments.benchmarks.empty_service:Empty"]
_STEP = re.compile(r'onepoint_step_seconds_(sum|count)\{step="(\w+)"\} (\S+)')

Result = dict[str, Any]


def bench_recommend(scale: float) -> Result:
    """A recommendation with reasons over HTTP, client included, on the cores of this machine.

    ``vs_empty`` is its p50 against an empty `@bentoml.api` of the same body, asked in turns over
    one connection each; ``p99_ms`` at 100 requests/s from when each was due, and the empty one's.
    ``sync_ms`` is what a bare write of as many bytes took to be on the disk meanwhile, a hundred a
    second, and ``disk_stalled_share`` the part of the time for which one took over `STALLED_S`: no
    decision is answered then, so above 0.01 the disk alone puts p99 above 20 ms.
    ``saturation_rps`` the most answers a second of ``rps_by_callers``; at five times that,
    ``goodput_share`` of it is still answered in time and not degraded. ``goodput_in_turns`` is the
    share of what the best number of callers gets when asked again in turns with the overload: the
    most of six windows is also the luckiest. ``overload_late`` are answers after the deadline.
    ``recovery_s`` is when the last answer was late, degraded or none, after the overload ended.
    """
    with serving_bank(scale) as (work, service), empty_service(work) as empty:
        blocks, some = max(1, round(20 * scale)), requests(work, "staff", 2_000)
        deadline_s = load_service_config(work).deadline_s
        found = asyncio.run(_in_turns(work, service.port, empty.port, blocks))
        found |= _at_a_hundred(some, work.path / "synced", service.port, empty.port, scale)
        return found | asyncio.run(_at_the_limit(some, service.port, deadline_s, scale))


@contextmanager
def serving_bank(scale: float) -> Iterator[tuple[WorkFolder, RunningService]]:
    """Serve a simulated bank in a folder of its own."""
    with tempfile.TemporaryDirectory() as folder:
        work = copy_bank(made_once(scale), Path(folder) / "work")
        service = RunningService.onepoint(work.path)
        try:
            yield work, service
        finally:
            service.stop()


@contextmanager
def empty_service(work: WorkFolder) -> Iterator[RunningService]:
    """Serve nothing, beside it."""
    service = RunningService.start(EMPTY, work.path / "empty.log")
    try:
        yield service
    finally:
        service.stop()


def requests(work: WorkFolder, audience: str, number: int, seed: int = 1) -> list[bytes]:
    """Write requests of customers and doors drawn at random."""
    random = np.random.default_rng(seed)
    key = key_of(work, audience)
    chosen = random.choice(customer_ids(work), number).tolist()
    doors = random.choice(DOORS, number).tolist()
    return [
        request_bytes(
            "POST", "/v1/recommend", key, {"customer_id": customer, "channel": door, "limit": 3}
        )
        for customer, door in zip(chosen, doors, strict=True)
    ]


def _at_a_hundred(
    some: Sequence[bytes], synced: Path, port: int, empty_port: int, scale: float
) -> Result:
    def asked(one: int) -> Told:
        every = at_rate(one, itertools.cycle(some), RATE_PER_S, max(1.0, 30 * scale), 1)
        return run_punctually(every)

    with _disk_watched(synced) as syncs:
        at_hundred = asked(port)
    empty = asked(empty_port)
    stalled_s = sum(one for one in syncs if one > STALLED_S)
    return {
        "p99_ms": at_hundred.quantile_ms(0.99),
        "p99_empty_ms": empty.quantile_ms(0.99),
        "at_100_per_s": _statuses(at_hundred),
        "degraded_at_100_per_s": len(at_hundred.degraded),
        "sync_ms": {
            name: round(1e3 * float(np.quantile(syncs, q)), 3)
            for name, q in (("p50", 0.5), ("p99", 0.99), ("most", 1.0))
        },
        "disk_stalled_share": round(stalled_s / at_hundred.in_all_s, 4),
    }


@contextmanager
def _disk_watched(file: Path) -> Iterator[list[float]]:
    """Write and sync as many bytes as often, beside; gives how long each took (s)."""
    took: list[float] = []
    done = threading.Event()

    def watch() -> None:
        with file.open("wb", buffering=0) as opened:
            opened.write(bytes(WRITTEN_BYTES))
            os.fsync(opened.fileno())
            while not done.wait(1 / RATE_PER_S):
                begun = time.perf_counter()
                os.pwrite(opened.fileno(), bytes(WRITTEN_BYTES), 0)
                os.fdatasync(opened.fileno())
                took.append(time.perf_counter() - begun)

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield took
    finally:
        done.set()
        thread.join()


async def _at_the_limit(
    some: Sequence[bytes], port: int, deadline_s: float, scale: float
) -> Result:
    rates = {}
    for callers in CROWDS:
        told = await by_many(port, itertools.cycle(some), callers, max(0.5, 5 * scale))
        rates[callers] = round(told.per_s(deadline_s), 1)
    best = max(rates, key=rates.__getitem__)
    full, over = Told(), Told()
    for turn in range(TURNS):
        part_s = max(0.5, 20 * scale / TURNS)
        full += await by_many(port, itertools.cycle(some), best, part_s)
        rate = OVERLOAD * rates[best]
        over += await at_rate(port, itertools.cycle(some), rate, part_s, 2 + turn)
    recovery_s = await _recovery(port, some, deadline_s, max(1.0, 10 * scale))
    return {
        "saturation_rps": rates[best],
        "rps_by_callers": rates,
        "overload_asked_rps": round(OVERLOAD * rates[best], 1),
        "overload_rps": round(len(over.statuses) / over.in_all_s, 1),
        "goodput_share": round(over.per_s(deadline_s) / rates[best], 3),
        "goodput_in_turns": round(over.per_s(deadline_s) / full.per_s(deadline_s), 3),
        "only_429_503": set(over.statuses) <= {200, 429, 503},
        "overload": _statuses(over),
        "overload_degraded": len(over.degraded),
        "overload_late": over.good() - over.good(deadline_s),
        "recovery_s": recovery_s,
    }


async def _in_turns(work: WorkFolder, port: int, empty_port: int, blocks: int) -> Result:
    """A block of requests to each in turn, so that what disturbs the machine disturbs all."""
    ways = {
        "staff": (Connection(port), requests(work, "staff", BLOCK * blocks)),
        "customer": (Connection(port), requests(work, "customer", BLOCK * blocks)),
        "empty": (Connection(empty_port), requests(work, "customer", BLOCK * blocks)),
    }
    told = {name: Told() for name in ways}
    for connection, ready in ways.values():
        await one_by_one(connection, ready[:BLOCK], Told())
    before = await _steps(work, port)
    for block in range(blocks):
        for name, (connection, ready) in ways.items():
            part = ready[block * BLOCK : (block + 1) * BLOCK]
            await one_by_one(connection, part, told[name])
    steps = step_ms(before, await _steps(work, port))
    for connection, _ in ways.values():
        connection.close()
    p50 = {name: one.quantile_ms(0.5) for name, one in told.items()}
    return {
        "vs_empty": round(p50["staff"] / p50["empty"], 2),
        "vs_empty_customer": round(p50["customer"] / p50["empty"], 2),
        "requests_each": BLOCK * blocks,
        "p50_ms": p50["staff"],
        "p50_customer_ms": p50["customer"],
        "p50_empty_ms": p50["empty"],
        "answered": {name: _statuses(one) for name, one in told.items()},
        "step_ms": steps,
    }


async def _steps(work: WorkFolder, port: int) -> dict[str, dict[str, float]]:
    await asyncio.sleep(BEHIND_S)
    connection = Connection(port)
    reply = await connection.ask(request_bytes("GET", "/metrics", key_of(work, "reviewer")))
    connection.close()
    return read_steps(reply.body.decode("utf-8"))


def read_steps(text: str) -> dict[str, dict[str, float]]:
    """Read sum (s) and count of each step of a request from the service's metrics.

    >>> read_steps('onepoint_step_seconds_sum{step="decide"} 0.5')
    {'decide': {'sum': 0.5}}
    """
    found: dict[str, dict[str, float]] = {}
    for what, step, value in _STEP.findall(text):
        found.setdefault(step, {})[what] = float(value)
    return found


def step_ms(
    before: dict[str, dict[str, float]], after: dict[str, dict[str, float]]
) -> dict[str, float]:
    """Mean time of each step between two readings (ms)."""
    nothing = {"sum": 0.0, "count": 0.0}
    means = {}
    for step, now in after.items():
        then = before.get(step, nothing)
        number = now["count"] - then["count"]
        if number:
            means[step] = round(1e3 * (now["sum"] - then["sum"]) / number, 3)
    return means


async def _recovery(
    port: int, some: Sequence[bytes], deadline_s: float, seconds: float
) -> float | None:
    """Seconds until all is well again; None where it was not within ``seconds``."""
    begun = time.perf_counter()
    connection, last = Connection(port), 0.0
    for request in itertools.cycle(some):
        told = Told()
        await one_by_one(connection, [request], told)
        now = time.perf_counter() - begun
        if not told.good(deadline_s):
            last = now
        if now >= seconds:
            break
        await asyncio.sleep(0.01)
    connection.close()
    return None if last == now else round(last, 2)


def _statuses(told: Told) -> dict[str, int]:
    return {str(status): number for status, number in sorted(told.tally().items())}
