"""Long runs against the real service: what it promises, while it is killed, swapped, restarted."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from experiments.served_bank import made_once
from experiments.soak.killed import POSTGRES_VARIABLE, kill9
from experiments.soak.restarts import restarts
from experiments.soak.steady import soak
from experiments.soak.swaps import swaps
from features.errors import ConfigError, did_you_mean

Told = dict[str, Any]


@dataclass(frozen=True)
class Size:
    """How long it all takes: numbers of kills, swaps and restarts; the soak's minutes and rate."""

    kills: int = 60
    swaps: int = 50
    restarts: int = 20
    minutes: float = 30.0
    per_s: float = 60.0
    train: bool = True


RUNS: dict[str, Callable[[Path, Path, Size], list[Told]]] = {
    "kill9": lambda bank, folder, size: [
        kill9(bank, folder / store, size.kills, store) for store in stores()
    ],
    "swaps": lambda bank, folder, size: [swaps(bank, folder / "swaps", size.swaps)],
    "restarts": lambda bank, folder, size: [restarts(bank, folder / "restarts", size.restarts)],
    "soak": lambda bank, folder, size: [
        soak(bank, folder / "soak", size.minutes, size.per_s, size.train)
    ],
}


def stores() -> list[str]:
    """Which stores there are to try: SQLite, and PostgreSQL where an address is given."""
    return ["sqlite", *(["postgresql"] if os.environ.get(POSTGRES_VARIABLE) else [])]


def run_soak(
    only: str | None, size: Size, bank: Path | None = None, progress: Callable[[str], None] = print
) -> Iterator[Told]:
    """Do all runs, or the one named, on copies of a bank; ``well`` is the verdict of each."""
    if only is not None and only not in RUNS:
        raise ConfigError(f"no run '{only}'; {did_you_mean(only, RUNS)}")
    with tempfile.TemporaryDirectory(prefix="onepoint-soak-") as folder:
        served = bank or made_once(1.0)
        for name in [only] if only else list(RUNS):
            progress(name)
            begun = time.perf_counter()
            for told in RUNS[name](served, Path(folder), size):
                yield {"soak": name, **told, "seconds_in_all": round(time.perf_counter() - begun)}
