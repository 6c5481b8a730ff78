"""Hot swaps under load: no error, and no answer that is half of one release, half of another."""

from __future__ import annotations

import asyncio
import json
import shutil
import sys
from collections import Counter
from pathlib import Path
from typing import Any

from experiments.http_connection import BROKEN, Connection, Reply, request_bytes
from experiments.load import NO_ANSWER
from experiments.running_service import RunningService
from experiments.served_bank import copy_bank, customer_ids, key_of
from experiments.soak.another_release import another_release
from serving.config import ROOT, WorkFolder

CUSTOMERS = 12
CALLERS = 2
CORRUPT_EVERY = 10
SETTLED_AFTER = 5
"""Swaps after which memory is taken as a start: the first ones load what is loaded once."""
MOST_GROWTH_MB = 20.0

Said = dict[str, Any]


class Watch:
    """Knows what each release says of each customer, and holds every answer to it."""

    def __init__(self) -> None:
        self.known: dict[tuple[str, str, str], Said] = {}
        self.statuses: Counter[int] = Counter()
        self.compared = 0
        self.mixed = 0

    def learn(self, answer: dict[str, Any]) -> None:
        """Take an answer given while nothing was swapped for the truth of its release."""
        for key, said in _models_said(answer).items():
            self.known[key] = said

    def hold(self, reply: Reply) -> None:
        """Count an answer, and whether its figures are those of the release it names."""
        self.statuses[reply.status] += 1
        if reply.status == 200:
            told = _models_said(json.loads(reply.body))
            known = [key for key in told if key in self.known]
            self.compared += bool(known)
            self.mixed += any(self.known[key] != told[key] for key in known)


def _models_said(answer: dict[str, Any]) -> dict[tuple[str, str, str], Said]:
    """What of an answer is its models', by release, customer and offer."""
    return {
        (answer["versions"]["release"], answer["customer_id"], place["offer"]): {
            "p_start": place["p_start"],
            "raw_score": place["explanation"] and place["explanation"]["raw_score"],
        }
        for place in answer["recommendations"]
        if place["p_start_is"] == "propensity"
    }


def swaps(bank: Path, folder: Path, times: int) -> dict[str, Any]:
    """Swap two releases ``times`` times under load, and offer a corrupt one now and then."""
    return asyncio.run(_swap(bank, folder, times))


async def _swap(bank: Path, folder: Path, times: int) -> dict[str, Any]:
    work = copy_bank(bank, folder / "work")
    first, second, corrupt = (folder / name for name in ("first", "second", "corrupt"))
    shutil.copytree(work.release, first)
    another_release(first, work.online, second)
    shutil.copytree(second, corrupt)
    model = corrupt / "channel_preference.txt"
    model.write_bytes(model.read_bytes()[:-50])
    service = RunningService.onepoint(work.path)
    try:
        return await _under_load(work, service, times, (second, first), corrupt)
    finally:
        service.stop()


async def _under_load(
    work: WorkFolder,
    service: RunningService,
    times: int,
    releases: tuple[Path, Path],
    corrupt: Path,
) -> dict[str, Any]:
    watch, stop = Watch(), asyncio.Event()
    requests = _requests(work)
    for release in releases:
        await _command(work, release)
        connection = Connection(service.port)
        for request in requests:
            watch.learn(json.loads((await connection.ask(request)).body))
        connection.close()
    refused = offered = 0
    resident = []
    crowd = [
        asyncio.create_task(_ask(service.port, requests[caller::CALLERS], watch, stop))
        for caller in range(CALLERS)
    ]
    failed = 0
    try:
        for number in range(times):
            if number % CORRUPT_EVERY == 2:
                offered += 1
                refused += not await _command(work, corrupt)
            failed += not await _command(work, releases[number % 2])
            resident.append(await asyncio.to_thread(service.resident_mb))
    finally:
        stop.set()
        await asyncio.gather(*crowd)
    settled = resident[min(SETTLED_AFTER, len(resident)) - 1]
    growth = resident[-1] - settled
    errors = failed + sum(n for status, n in watch.statuses.items() if status not in (200, 429))
    return {
        "swaps": times,
        "answers": sum(watch.statuses.values()),
        "statuses": {str(status): n for status, n in sorted(watch.statuses.items())},
        "failed_commands": failed,
        "errors": errors,
        "compared": watch.compared,
        "mixed": watch.mixed,
        "corrupt_offered": offered,
        "corrupt_refused": refused,
        "resident_mb": round(settled, 1),
        "growth_mb": round(growth, 1),
        "well": not errors
        and not watch.mixed
        and refused == offered
        and growth <= MOST_GROWTH_MB
        and watch.compared > 0,
    }


def _requests(work: WorkFolder) -> list[bytes]:
    key = key_of(work, "staff")
    return [
        request_bytes(
            "POST", "/v1/recommend", key, {"customer_id": one, "channel": "teller", "limit": 20}
        )
        for one in customer_ids(work)[:CUSTOMERS]
    ]


async def _ask(port: int, requests: list[bytes], watch: Watch, stop: asyncio.Event) -> None:
    connection = Connection(port)
    while not stop.is_set():
        for request in requests:
            try:
                watch.hold(await connection.ask(request))
            except BROKEN:
                watch.statuses[NO_ANSWER] += 1
    connection.close()


async def _command(work: WorkFolder, release: Path) -> bool:
    """Swap by the command, as an operator would; False where it was refused."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "serving", "swap", "--work", str(work.path)),
        *("--release", str(release), "--json"),
        cwd=ROOT,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )
    return await process.wait() == 0
