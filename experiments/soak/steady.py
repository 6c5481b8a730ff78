"""Half an hour of mixed requests: no error, memory does not grow, and the next training reads it.

The month before the bank's data ends is played: customers are published as of its first day, the
requests' moments go through it, so that what was shown, and what became of it, lies where the
bank's own log still says who started what.
"""

from __future__ import annotations

import asyncio
import json
import re
import time
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import yaml
from rich.console import Console

from experiments.demo_steps import Steps
from experiments.http_connection import Connection, request_bytes
from experiments.running_service import RunningService, own_environment
from experiments.served_bank import copy_bank, customer_ids, key_of
from experiments.soak.callers import Heard, calling
from experiments.soak.moments import Played, clock_of, pinned
from experiments.soak.next_training import train_on_export
from experiments.soak.traffic import Traffic
from experiments.truth_study import SOURCE
from serving.config import WorkFolder

CALLERS = 6
WARM_UP_SHARE = 1 / 15
"""Of a soak, after which memory counts: two minutes of thirty."""
SAMPLE_S = 5.0
MOST_GROWTH_MB = 20.0
PLAYED_DAYS = 30
WORDS = re.compile(r"[A-Za-z0-9_.\-]+")


def soak(bank: Path, folder: Path, minutes: float, per_s: float, train: bool) -> dict[str, Any]:
    """Ask ``per_s`` times a second for ``minutes``; then train on the export, where wished."""
    work = copy_bank(bank, folder / "work")
    if not train:
        return asyncio.run(_soak(work, minutes, per_s, pinned(work)))
    end = clock_of(work)
    begin = end.replace(hour=0, minute=0) - timedelta(days=PLAYED_DAYS)
    # Moments pass with requests and events, which are most of what is sent.
    month = Played(begin, end, round(per_s * minutes * 60 * 0.75))
    console = Console(stderr=True, highlight=False)
    steps = Steps(console, total=3, environment=own_environment())
    _publish_as_of(steps, work, begin)
    found = asyncio.run(_soak(work, minutes, per_s, month))
    steps.note(json.dumps(found))  # half an hour is not lost where training fails
    return found | train_on_export(steps, work, folder)


def _publish_as_of(steps: Steps, work: WorkFolder, begin: datetime) -> None:
    """Publish the customers as they were when the month began; they count as fresh throughout."""
    steps.run(
        f"publishing the customers as of {begin:%Y-%m-%d}",
        [
            *("features", "publish", "--source", str(SOURCE), "--data", str(work.path / "data")),
            *("--release", str(work.release), "--as-of", begin.isoformat()),
            *("--clock", clock_of(work).isoformat()),
        ],
        out=work.online,
    )
    settings = yaml.safe_load(work.settings.read_text("utf-8"))
    fresh_s = (PLAYED_DAYS + 1) * 86_400.0
    settings["service"] = {**settings.get("service", {}), "features_stale_after_s": fresh_s}
    work.settings.write_text(yaml.safe_dump(settings), "utf-8")


async def _soak(
    work: WorkFolder, minutes: float, per_s: float, moment: Callable[[], datetime]
) -> dict[str, Any]:
    seconds = minutes * 60
    traffic = Traffic(work, moment, seed=1)
    service = RunningService.onepoint(work.path)
    try:
        async with calling(service.port, traffic, CALLERS, per_s) as heard:
            resident = await _watch_memory(service, seconds)
        telling = await _metrics(work, service.port)
    finally:
        service.stop()
    log = service.log.read_text("utf-8", "replace")
    named = set(customer_ids(work)) & set(WORDS.findall(log + telling))
    missing = traffic.acknowledged.missing(work.path / "decisions.sqlite")
    return _told(heard, traffic, seconds, resident, len(named), len(missing))


async def _watch_memory(service: RunningService, seconds: float) -> list[float]:
    """MB of all its processes, from the end of the warm-up on."""
    begun, resident = time.monotonic(), []
    await asyncio.sleep(seconds * WARM_UP_SHARE)
    while True:
        resident.append(await asyncio.to_thread(service.resident_mb))
        left = begun + seconds - time.monotonic()
        if left <= 0:
            return resident
        await asyncio.sleep(min(SAMPLE_S, left))


async def _metrics(work: WorkFolder, port: int) -> str:
    connection = Connection(port)
    reply = await connection.ask(request_bytes("GET", "/metrics", key_of(work, "reviewer")))
    connection.close()
    return reply.body.decode("utf-8")


def _told(
    heard: Heard, traffic: Traffic, seconds: float, resident: list[float], named: int, missing: int
) -> dict[str, Any]:
    told = traffic.acknowledged
    answered = sum(heard.statuses.values())
    growth = resident[-1] - resident[0]
    errors = heard.errors(429) + heard.dropped + heard.refused
    return {
        "minutes": round(seconds / 60, 2),
        "requests": answered,
        "per_s": round(answered / seconds, 1),
        "statuses": {str(status): n for status, n in sorted(heard.statuses.items())},
        "decisions": len(told.decisions),
        "outcomes": len(told.outcomes),
        "events": len(told.events),
        "errors": errors,
        "problems": heard.problems,
        "turned_away": heard.turned_away,
        "stalls": heard.stalls,
        "lost": missing,
        "resident_mb": round(resident[0], 1),
        "growth_mb": round(growth, 1),
        "customers_named_in_log_or_metrics": named,
        "well": not errors and not missing and not named and growth <= MOST_GROWTH_MB,
    }
