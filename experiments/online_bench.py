"""How fast the online store is written and read, in a file and in Redis."""

from __future__ import annotations

import os
import tempfile
import time
import uuid
from collections.abc import Iterator
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
from features.registry import available_features
from features.sources import open_source
from features.spine import Spine, customers_at, data_end
from features.states import state_texts

REDIS_VARIABLE = "ONEPOINT_REDIS_URL"
REPEATS = 3
READS = 2_000

Place = Path | RedisAddress


def bench_publish(scale: float) -> dict[str, Any]:
    """Publish 50,000 customers whose features are built: encode, states, pack and write.

    Without a Redis in ONEPOINT_REDIS_URL (by default that of this machine) its figures are None.
    The best of three runs counts: what the work takes when nothing else disturbs it.
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
                names = ("redis_customers_per_s", "write_redis_per_s", "read_redis_p50_ms")
                found |= dict.fromkeys((*names, "read_redis_p99_ms"))
            else:
                found |= _measured(address, "redis", spine, table, feature_set)
        source.con.close()
    # the bar is on the file
    return {"customers_per_s": found.pop("sqlite_customers_per_s"), **found}


def _measured(
    where: Place, name: str, spine: Spine, table: pa.Table, feature_set: FeatureSet
) -> dict[str, Any]:
    runs = [_publish(where, spine, table, feature_set) for _ in range(REPEATS)]
    p50, p99 = np.percentile(_reads(where), [50, 99])
    return {
        f"{name}_customers_per_s": round(table.num_rows / min(whole for whole, _ in runs)),
        f"write_{name}_per_s": round(table.num_rows / min(write for _, write in runs)),
        f"read_{name}_p50_ms": round(1e3 * p50, 4),
        f"read_{name}_p99_ms": round(1e3 * p99, 4),
    }


def _publish(
    where: Place, spine: Spine, table: pa.Table, feature_set: FeatureSet
) -> tuple[float, float]:
    """Publish once; give seconds of the whole and of the write alone."""
    begun = time.perf_counter()
    rows = list(customer_rows(feature_set, table, state_texts(spine)))
    packed = time.perf_counter()
    publish_rows(where, feature_set, AFTER_THE_LOG, rows)
    done = time.perf_counter()
    return done - begun, done - packed


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
