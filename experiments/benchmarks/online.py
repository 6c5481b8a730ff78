"""How fast the online store is written and read, in a file and in Redis."""

from __future__ import annotations

import os
import tempfile
import time
import uuid
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import redis

from experiments.simulated_bank.bank import simulate
from experiments.simulated_bank.config import load_simulation
from experiments.truth_study import AFTER_THE_LOG, BANK, SOURCE
from features.build import build
from features.feature_set import FeatureSet
from features.online import OnlineStore, RedisAddress, customer_rows, publish_rows
from features.online.record import Row
from features.registry import available_features
from features.sources import open_source
from features.spine import Spine, customers_at, data_end
from features.states import state_texts

REDIS_VARIABLE = "ONEPOINT_REDIS_URL"
REPEATS = 5
READS = 2_000

Place = Path | RedisAddress


def bench_publish(scale: float) -> dict[str, Any]:
    """Publish 50,000 customers whose features are built: encode, states, pack and write.

    Without a Redis in ONEPOINT_REDIS_URL (by default that of this machine) its figures are None.
    The best of five runs counts: what the work takes when nothing else disturbs it.
    """
    customers = max(50, round(50_000 * scale))
    with tempfile.TemporaryDirectory() as folder:
        tables = simulate(load_simulation(BANK), customers, 1, Path(folder) / "tables")
        source = open_source(SOURCE, tables, AFTER_THE_LOG)
        spine = customers_at(source, [data_end(source)])
        table = build(spine)
        feature_set = FeatureSet.learn(table, available_features(source))
        found = {
            "customers": table.num_rows,
            "features": len(feature_set.names),
            **_measured(Path(folder) / "online.sqlite", "sqlite", spine, table, feature_set),
        }
        with _redis() as address:
            if address is None:
                found |= dict.fromkeys(_names("redis"))
            else:
                found |= _measured(address, "redis", spine, table, feature_set)
        source.con.close()
    # the bar is on the file
    return {"customers_per_s": found.pop("sqlite_customers_per_s"), **found}


def _measured(
    where: Place, name: str, spine: Spine, table: pa.Table, feature_set: FeatureSet
) -> dict[str, Any]:
    def rows() -> Iterator[Row]:
        return customer_rows(feature_set, table, state_texts(spine))

    packed = list(rows())
    whole = min(_publish(where, feature_set, rows) for _ in range(REPEATS))
    write = min(_publish(where, feature_set, lambda: packed) for _ in range(REPEATS))
    p50, p99 = np.percentile(_reads(where), [50, 99])
    figures = (
        round(table.num_rows / whole),
        round(table.num_rows / write),
        round(1e3 * float(p50), 4),
        round(1e3 * float(p99), 4),
    )
    return dict(zip(_names(name), figures, strict=True))


def _names(store: str) -> tuple[str, ...]:
    return (
        f"{store}_customers_per_s",
        f"write_{store}_per_s",
        f"read_{store}_p50_ms",
        f"read_{store}_p99_ms",
    )


def _publish(where: Place, feature_set: FeatureSet, rows: Callable[[], Iterable[Row]]) -> float:
    """Seconds of making the rows and publishing them."""
    begun = time.perf_counter()
    publish_rows(where, feature_set, AFTER_THE_LOG, rows())
    return time.perf_counter() - begun


def _reads(where: Place) -> list[float]:
    """Seconds of each of many reads of customers in an order that no cache expects."""
    with OnlineStore(where) as store:
        chosen = np.random.default_rng(1).choice(store.customer_ids(), READS)
        seconds = []
        for customer in chosen.tolist():
            begun = time.perf_counter()
            store.read(customer)
            seconds.append(time.perf_counter() - begun)
    return seconds


@contextmanager
def _redis() -> Iterator[RedisAddress | None]:
    """Give a prefix of the benchmark's own, emptied at the end; None where no Redis answers."""
    url = os.environ.get(REDIS_VARIABLE, "redis://127.0.0.1:6379/0")
    address = RedisAddress(url, f"onepoint-bench-{uuid.uuid4().hex}")
    with redis.Redis.from_url(url) as client:
        try:
            client.ping()
        except redis.ConnectionError:
            yield None
            return
        try:
            yield address
        finally:
            for key in client.scan_iter(f"{address.prefix}:*", count=10_000):
                client.unlink(key)
