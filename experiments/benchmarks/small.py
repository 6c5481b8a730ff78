"""Benchmarks: one JSON object each; speed is told as a ratio to a reference of the same run."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb
import lightgbm as lgb
import numpy as np

from experiments.simulated_bank.bank import simulate
from experiments.simulated_bank.config import load_simulation
from experiments.truth_study import AFTER_THE_LOG, BANK, SOURCE, summary, truth
from features.build import build
from features.errors import ConfigError, did_you_mean
from features.registry import available_features
from features.sources import Source, open_source
from features.spine import Spine, customers_at, data_end, month_starts
from training.models.boosters import merge, raw_scores

Result = dict[str, Any]


def run_benchmarks(
    only: str | None = None, scale: float = 1.0, progress: Callable[[str], None] = lambda _: None
) -> Iterator[Result]:
    """Run all benchmarks, or the one named; each gives a dict that JSON can hold.

    ``scale`` in (0, 1] shrinks their sizes: figures of a smaller run are for trying out only.
    """
    if only is not None and only not in BENCHMARKS:
        raise ConfigError(f"no benchmark '{only}'; {did_you_mean(only, BENCHMARKS)}")
    if not 0 < scale <= 1:
        raise ConfigError(f"--scale {scale}: give a number above 0, at most 1")
    for name in [only] if only else list(BENCHMARKS):
        progress(name)
        begun = time.perf_counter()
        found = BENCHMARKS[name](scale)
        seconds = round(time.perf_counter() - begun, 1)
        yield {"bench": name, "scale": scale, **found, "seconds_in_all": seconds}


def bench_truth(scale: float) -> Result:
    """Models against naive rules over five seeds, with the signal and without it."""
    seeds, customers = range(1, 6 if scale > 0.1 else 2), max(200, round(5_000 * scale))
    return {
        "seeds": list(seeds),
        "customers": customers,
        "with_signal": summary(truth(seeds, customers, 1.0)),
        "without_signal": summary(truth(seeds, customers, 0.0)),
    }


def bench_merged_booster(scale: float) -> Result:
    """One row through one booster of 19 outputs, and through 19 boosters."""
    products, width, rounds = 19, 200, max(3, round(100 * scale))
    random = np.random.default_rng(1)
    x = random.normal(size=(3_000, width))
    options = {"objective": "binary", "num_leaves": 7, "num_threads": 1, "verbosity": -1}
    data = lgb.Dataset(x, params=options, free_raw_data=False).construct()
    single = []
    for k in range(products):
        data.set_label((x[:, k] + random.normal(size=len(x)) > 1).astype(float))
        single.append(lgb.train(options, data, rounds))
    merged = lgb.Booster(model_str=merge([one.model_to_string() for one in single]))
    row = x[:1]
    together = _best_of(lambda: raw_scores(merged, row, products))
    apart = _best_of(lambda: [raw_scores(one, row, 1) for one in single])
    return {
        "products": products,
        "rounds": rounds,
        "merged_ms": round(1e3 * together, 4),
        "single_ms": round(1e3 * apart, 4),
        "single_to_merged": round(apart / together, 2),
    }


def bench_simulate(scale: float) -> Result:
    """Simulate 20,000 customers; the reference copies the same tables with DuckDB."""
    customers = max(50, round(20_000 * scale))
    with tempfile.TemporaryDirectory() as folder:
        begun = time.perf_counter()
        tables = simulate(load_simulation(BANK), customers, 1, Path(folder) / "tables")
        seconds = time.perf_counter() - begun
        con = duckdb.connect(config={"threads": 2})
        rows, begun = 0, time.perf_counter()
        for path in sorted(tables.glob("*.parquet")):
            relation = con.from_parquet(str(path))
            relation.write_parquet(str(Path(folder) / path.name))
            rows += relation.aggregate("count(*)").fetchall()[0][0]
        copied = time.perf_counter() - begun
    return {
        "customers": customers,
        "rows": rows,
        "seconds": round(seconds, 2),
        "copy_seconds": round(copied, 2),
        "simulate_to_copy": round(seconds / copied, 1),
    }


HAND_WRITTEN = """
    select spine.row_id,
           count(*) filter (where age <= 7 * day), count(*) filter (where age <= 30 * day),
           count(*) filter (where age <= 90 * day), min(age), max(age),
           count(*) filter (where kind = 'login'), count(*) filter (where kind = 'browse'),
           count(*) filter (where kind = 'apply'), count(*) filter (where kind = 'error'),
           count(distinct channel), avg(wait_s), sum(duration_s)
    from (select spine.row_id, past.*, spine.as_of - past.event_time as age, 86400000000 as day
          from {spine} spine join interactions past using (customer_id)
          where past.event_time < spine.as_of
            and coalesce(past.available_at, 0) <= spine.as_of) spine
    group by spine.row_id"""
HAND_WRITTEN_FEATURES = 12


def bench_features(scale: float) -> Result:
    """Build all features for 100,000 spine rows; the reference is SQL for twelve of one table."""
    customers = max(50, round(6_000 * scale))
    with tempfile.TemporaryDirectory() as folder:
        tables = simulate(load_simulation(BANK), customers, 1, Path(folder) / "tables")
        source = open_source(SOURCE, tables, AFTER_THE_LOG)
        first = datetime(2024, 12, 31, tzinfo=UTC)
        spine = customers_at(source, month_starts(first, data_end(source), "Asia/Shanghai"))
        features = available_features(source)
        seconds = _seconds(lambda: build(spine, features))
        by_hand = _seconds(lambda: _hand_written(source, spine))
        rows = len(spine)
        source.con.close()
    ratio = (seconds / len(features)) / (by_hand / HAND_WRITTEN_FEATURES)
    return {
        "rows": rows,
        "features": len(features),
        "seconds": round(seconds, 2),
        "sql_features": HAND_WRITTEN_FEATURES,
        "sql_seconds": round(by_hand, 2),
        "feature_to_sql_feature": round(ratio, 2),
    }


def _hand_written(source: Source, spine: Spine) -> None:
    source.con.sql(HAND_WRITTEN.format(spine=spine.table)).to_arrow_table()


def _seconds(work: Callable[[], object]) -> float:
    begun = time.perf_counter()
    work()
    return time.perf_counter() - begun


def _best_of(work: Callable[[], object], repeats: int = 200) -> float:
    """Seconds of the fastest of many runs: what the work takes when nothing else disturbs it."""
    return min(_seconds(work) for _ in range(repeats))


BENCHMARKS: dict[str, Callable[[float], Result]] = {
    "merged_booster": bench_merged_booster,
    "simulate_20k": bench_simulate,
    "features_build": bench_features,
    "truth": bench_truth,
}
"""By name, the quick ones first."""
