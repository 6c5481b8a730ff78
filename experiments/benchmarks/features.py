"""What features cost: time against SQL and pandas, memory at 100 million events, growth."""

from __future__ import annotations

import json
import math
import tempfile
import time
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np

from experiments.benchmarks import window_features
from experiments.benchmarks.events import AS_OF, write_events
from experiments.benchmarks.worker import measured
from features.build import build
from features.registry import available_features
from features.sources import open_source
from features.spine import customers_at, microseconds

Result = dict[str, Any]
BUCKET_EVENTS = 5_000_000
"""Events a bucket: what one bucket of the 100 million needs decides the peak."""

TRY_OUT = 0.01
"""Up to this share of the full size a benchmark only shows that it runs: once, on fewer sizes."""


def bench_vs_sql(scale: float) -> Result:
    """Sixty window features on 20 million events; the reference is one SQL query for them."""
    events, repeats = round(20_000_000 * scale), 3 if scale > TRY_OUT else 1
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "bank"
        source = open_source(
            write_events(path, events, "interactions"), path, AS_OF + timedelta(days=1)
        )
        by_name = {feature.name: feature for feature in available_features(source)}
        wanted = [by_name[name] for name in window_features.names()]
        spine = customers_at(source, [AS_OF])
        query = window_features.sql(microseconds(AS_OF))
        ours, by_hand = math.inf, math.inf
        for _ in range(repeats):  # in turns: a noisy neighbour meets both
            begun = time.perf_counter()
            built = build(spine, wanted)
            between = time.perf_counter()
            told = source.con.sql(query).to_arrow_table()
            ours = min(ours, between - begun)
            by_hand = min(by_hand, time.perf_counter() - between)
        _assert_equal(built, told)
        source.con.close()
    return {
        "events": events,
        "customers": built.num_rows,
        "features": len(wanted),
        "seconds": round(ours, 2),
        "sql_seconds": round(by_hand, 2),
        "ratio": round(ours / by_hand, 3),
    }


def _assert_equal(built: Any, told: Any) -> None:
    """Hold the two to one another: a faster query for something else would prove nothing."""
    expected = told.to_pandas().set_index("customer_id")
    found = built.to_pandas().set_index("customer_id").reindex(expected.index)
    for name in window_features.names():
        if not np.allclose(
            found[name].astype(float), expected[name].astype(float), rtol=1e-9, equal_nan=True
        ):
            raise AssertionError(f"{name}: features and SQL differ")


def bench_vs_pandas(scale: float) -> Result:
    """Sixty window features of 2 and 20 million events in pandas and here, each alone."""
    sizes = [round(millions * 1_000_000 * scale) for millions in (2, 20)]
    sizes = sizes if scale > TRY_OUT else sizes[-1:]
    found: Result = {"features": len(window_features.names())}
    for events in sizes:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "bank"
            write_events(path, events, "interactions")
            for engine in ("duckdb", "pandas"):
                command = ["-m", "experiments.benchmarks.worker", engine, str(path)]
                said, _, peak_gb = measured(command)
                found[f"{engine}_{events}"] = {
                    "seconds": round(json.loads(said)["seconds"], 1),
                    "peak_gb": round(peak_gb, 2),
                }
    return found


def bench_100m(scale: float) -> Result:
    """All features of 100 million events of 2.5 million customers at one moment, in buckets."""
    return _built_in_buckets(round(100_000_000 * scale), BUCKET_EVENTS)


def bench_growth(scale: float) -> Result:
    """Time of all features from 1 to 16 million events: the exponent of a power law."""
    sizes = [round(millions * 1_000_000 * scale) for millions in (1, 2, 4, 8, 16)]
    sizes = sizes if scale > TRY_OUT else sizes[-2:]
    seconds = []
    for events in sizes:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "bank"
            source = open_source(write_events(path, events), path, AS_OF + timedelta(days=1))
            begun = time.perf_counter()
            build(customers_at(source, [AS_OF]))
            seconds.append(time.perf_counter() - begun)
            source.con.close()
    slope = np.polyfit(np.log(sizes), np.log(seconds), 1)[0]
    last = math.log2(seconds[-1] / seconds[-2])
    return {
        "events": sizes,
        "seconds": [round(one, 2) for one in seconds],
        "exponent": round(float(slope), 3),
        "exponent_of_the_last_doubling": round(last, 3),
    }


def _built_in_buckets(events: int, bucket_events: int) -> Result:
    buckets = max(2, math.ceil(events / bucket_events))
    with tempfile.TemporaryDirectory() as folder:
        path, out = Path(folder) / "bank", Path(folder) / "out"
        yaml = write_events(path, events)
        written = sum(file.stat().st_size for file in path.glob("*.parquet"))
        said, seconds, peak_gb = measured(
            [
                "-m", "features", "build", "--source", str(yaml), "--data", str(path),
                "--out", str(out), "--as-of", AS_OF.isoformat(), "--buckets", str(buckets),
                "--clock", (AS_OF + timedelta(days=1)).isoformat(), "--json",
            ]
        )  # fmt: skip
        told = json.loads(said.splitlines()[-1])
    return {
        "events": events,
        "customers": sum(told["rows"].values()),
        "features": told["features"],
        "buckets": buckets,
        "input_gb": round(written / 1e9, 2),
        "minutes": round(seconds / 60, 2),
        "peak_gb": round(peak_gb, 2),
    }
