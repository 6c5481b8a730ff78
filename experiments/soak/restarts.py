"""SIGTERM under load: every request that was accepted is answered."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from experiments.running_service import RunningService
from experiments.served_bank import copy_bank
from experiments.soak.callers import calling
from experiments.soak.moments import pinned
from experiments.soak.traffic import Traffic

CALLERS = 3
LOAD_S = 1.0
STOPPED_WITHIN_S = 60.0


def restarts(bank: Path, folder: Path, times: int) -> dict[str, Any]:
    """Stop and start the service ``times`` times while callers go on asking."""
    return asyncio.run(_restart(bank, folder, times))


async def _restart(bank: Path, folder: Path, times: int) -> dict[str, Any]:
    work = copy_bank(bank, folder / "work")
    traffic = Traffic(work, pinned(work), seed=1)
    service = RunningService.onepoint(work.path)
    try:
        async with calling(service.port, traffic, CALLERS) as heard:
            for _ in range(times):
                await asyncio.sleep(LOAD_S)
                service.terminate()
                await asyncio.to_thread(service.process.wait, STOPPED_WITHIN_S)
                service = await asyncio.to_thread(RunningService.onepoint, work.path, service.port)
            await asyncio.sleep(LOAD_S)
    finally:
        service.stop()
    answered = sum(heard.statuses.values())
    return {
        "restarts": times,
        "answered": answered,
        "statuses": {str(status): n for status, n in sorted(heard.statuses.items())},
        "dropped": heard.dropped,
        "errors": heard.errors(429, 503),
        "problems": heard.problems,
        "well": not heard.dropped and not heard.errors(429, 503) and answered > 0,
    }
