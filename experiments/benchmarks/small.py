"""Truth on the simulated bank, one booster against many, and simulating."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import duckdb
import lightgbm as lgb
import numpy as np

from experiments.simulated_bank.bank import simulate
from experiments.simulated_bank.config import load_simulation
from experiments.truth_study import BANK, summary, truth
from training.models.boosters import merge, raw_scores
from training.models.packed import PackedBooster

Result = dict[str, Any]


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


def bench_packed_booster(scale: float) -> Result:
    """A customer asked about 23 offers, packed and by LightGBM a row an offer; and 64 of them.

    With a pause of 10 ms before each the caches are cold, as they are between two requests.
    """
    offers, width, outputs, rounds = 23, 200, 11, max(3, round(45 * scale))
    random = np.random.default_rng(1)
    x = random.normal(size=(5_000, width))
    x[:, -1] = random.integers(0, offers, len(x))
    options = {"objective": "multiclass", "num_class": outputs, "num_leaves": 15,
               "feature_fraction": 0.3, "num_threads": 1, "verbosity": -1}  # fmt: skip
    y = np.digitize(x[:, 0] + np.isin(x[:, -1], [2, 5, 7]) + random.normal(size=len(x)),
                    np.linspace(-2, 3, outputs - 1))  # fmt: skip
    text = lgb.train(
        options, lgb.Dataset(x, y, categorical_feature=[width - 1]), rounds
    ).model_to_string()
    booster, packed = lgb.Booster(model_str=text), PackedBooster(text, 1)
    asked = np.arange(float(offers))[:, None]

    def by_packed(customers: int) -> object:
        return packed.raw_scores(x[:customers, :-1], asked)

    def by_lightgbm(customers: int) -> object:
        rows = np.repeat(x[:customers], offers, axis=0)
        rows[:, -1] = np.tile(asked[:, 0], customers)
        return raw_scores(booster, rows, outputs)

    def times(work: Callable[[int], object]) -> list[float]:
        """Seconds of one customer at best, of one after a pause usually, of 64 at best."""
        after_a_pause = []
        for _ in range(max(5, round(100 * scale))):
            time.sleep(0.01)
            after_a_pause.append(_seconds(partial(work, 1)))
        repeats = max(5, round(50 * scale))
        one, many = (_best_of(partial(work, customers), repeats) for customers in (1, 64))
        return [one, float(np.median(after_a_pause)), many]

    seconds = {"packed": times(by_packed), "lightgbm": times(by_lightgbm)}
    ratios = [b / a for a, b in zip(seconds["packed"], seconds["lightgbm"], strict=True)]
    return {
        "offers": offers,
        "trees": rounds * outputs,
        **{f"{name}_ms": [round(1e3 * one, 3) for one in told] for name, told in seconds.items()},
        **dict(zip(("one", "one_cold", "64"), [round(one, 2) for one in ratios], strict=True)),
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


def _seconds(work: Callable[[], object]) -> float:
    begun = time.perf_counter()
    work()
    return time.perf_counter() - begun


def _best_of(work: Callable[[], object], repeats: int = 200) -> float:
    """Seconds of the fastest of many runs: what the work takes when nothing else disturbs it."""
    return min(_seconds(work) for _ in range(repeats))
