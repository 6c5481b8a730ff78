"""Our service against the stack that tutorials show, with the same models and customers."""

from __future__ import annotations

import asyncio
import json
from typing import Any

from experiments.benchmarks.recommend import BLOCK, requests, serving_bank
from experiments.http_connection import Connection
from experiments.load import Told, one_by_one
from experiments.running_service import RunningService
from serving.config import WorkFolder

TUTORIAL = ["-m", "bentoml", "serve", "experiments.benchmarks.tutorial_stack.service:Tutorial"]


def bench_recommend_vs_tutorial(scale: float) -> dict[str, Any]:
    """P50 of the tutorial over ours, asked in turns over one connection each; client included."""
    # Imported here: it takes mlflow, which no other benchmark needs.
    from experiments.benchmarks.tutorial_stack.models import keep_models
    from experiments.benchmarks.tutorial_stack.service import FOLDER_VARIABLE

    with serving_bank(scale) as (work, ours):
        folder = work.path / "tutorial"
        folder.mkdir()
        keep_models(work.path, folder)
        extra = {FOLDER_VARIABLE: str(folder), "OMP_NUM_THREADS": "1"}
        theirs = RunningService.start(TUTORIAL, folder / "service.log", extra=extra)
        try:
            return asyncio.run(_measure(work, ours.port, theirs.port, max(1, round(10 * scale))))
        finally:
            theirs.stop()


async def _measure(work: WorkFolder, ours: int, theirs: int, blocks: int) -> dict[str, Any]:
    connections = {"ours": Connection(ours), "tutorial": Connection(theirs)}
    ready = requests(work, "staff", BLOCK * blocks)
    told = {name: Told() for name in connections}
    places = {}
    for name, connection in connections.items():
        await one_by_one(connection, ready[:20], Told())
        places[name] = len(json.loads((await connection.ask(ready[0])).body)["recommendations"])
    for block in range(blocks):
        for name, connection in connections.items():
            await one_by_one(connection, ready[block * BLOCK : (block + 1) * BLOCK], told[name])
    for connection in connections.values():
        connection.close()
    p50 = {name: one.quantile_ms(0.5) for name, one in told.items()}
    return {
        "ratio": round(p50["tutorial"] / p50["ours"], 1),
        "requests_each": BLOCK * blocks,
        "p50_ms": p50["ours"],
        "p50_tutorial_ms": p50["tutorial"],
        "answered": {name: one.good() for name, one in told.items()},
        "places": places,
    }
