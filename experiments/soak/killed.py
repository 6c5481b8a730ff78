"""`kill -9` under load: what was acknowledged is in the store, byte for byte."""

from __future__ import annotations

import asyncio
import os
import random
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import create_engine, make_url, text

from experiments.running_service import RunningService
from experiments.served_bank import copy_bank
from experiments.soak.callers import calling
from experiments.soak.moments import pinned
from experiments.soak.traffic import Traffic

POSTGRES_VARIABLE = "ONEPOINT_POSTGRES_URL"
CALLERS = 4
LOAD_S = (0.3, 1.5)
"""How long there is load before the blow, drawn anew each time."""


def kill9(bank: Path, folder: Path, times: int, store: str) -> dict[str, Any]:
    """Kill all processes of the service ``times`` times, under load, on SQLite or PostgreSQL."""
    with _address(folder, store) as (address, extra):
        return asyncio.run(_kill(bank, folder, times, store, address, extra))


async def _kill(
    bank: Path, folder: Path, times: int, store: str, address: Path | str, extra: dict[str, str]
) -> dict[str, Any]:
    work = copy_bank(bank, folder / "work")
    traffic = Traffic(work, pinned(work), seed=1)
    luck = random.Random(1)  # noqa: S311 (no secret)
    service = RunningService.onepoint(work.path, extra=extra)
    lost: set[str] = set()
    errors = 0
    try:
        for _ in range(times):
            async with calling(service.port, traffic, CALLERS) as heard:
                await asyncio.sleep(luck.uniform(*LOAD_S))
                service.kill()
            errors += heard.errors(429, 503)
            service = await asyncio.to_thread(
                RunningService.onepoint, work.path, service.port, extra
            )
            lost |= set(traffic.acknowledged.missing(address))
    finally:
        service.kill()
    told = traffic.acknowledged
    return {
        "store": store,
        "kills": times,
        "decisions": len(told.decisions),
        "outcomes": len(told.outcomes),
        "events": len(told.events),
        "lost": len(lost),
        "errors": errors,
        "well": not lost and not errors and bool(told.decisions),
    }


@contextmanager
def _address(folder: Path, store: str) -> Iterator[tuple[Path | str, dict[str, str]]]:
    """Give an empty store and the environment that says so; a schema of its own on PostgreSQL."""
    if store == "sqlite":
        yield folder / "work" / "decisions.sqlite", {}
        return
    base = make_url(os.environ[POSTGRES_VARIABLE]).set(drivername="postgresql+psycopg")
    schema = f"onepoint_soak_{uuid.uuid4().hex[:12]}"
    admin = create_engine(base, isolation_level="AUTOCOMMIT")
    with admin.connect() as connection:
        connection.execute(text(f"create schema {schema}"))
    own = base.update_query_dict({"options": f"-c search_path={schema}"})
    address = own.render_as_string(hide_password=False)
    try:
        yield address, {POSTGRES_VARIABLE: address}
    finally:
        with admin.connect() as connection:
            connection.execute(text(f"drop schema {schema} cascade"))
        admin.dispose()
