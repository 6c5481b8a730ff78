"""Benchmarks: one JSON object each; speed is told as a ratio to a reference of the same run."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

from experiments.benchmarks.decisions import bench_decide
from experiments.benchmarks.features import (
    bench_100m,
    bench_growth,
    bench_vs_pandas,
    bench_vs_sql,
)
from experiments.benchmarks.online import bench_publish
from experiments.benchmarks.recommend import bench_recommend
from experiments.benchmarks.recommend_vs_tutorial import bench_recommend_vs_tutorial
from experiments.benchmarks.small import (
    bench_merged_booster,
    bench_packed_booster,
    bench_simulate,
    bench_truth,
)
from experiments.benchmarks.training import bench_training_vs_lightgbm
from features.errors import ConfigError, did_you_mean

Result = dict[str, Any]

BENCHMARKS: dict[str, Callable[[float], Result]] = {
    "merged_booster": bench_merged_booster,
    "packed_booster": bench_packed_booster,
    "simulate_20k": bench_simulate,
    "training_vs_lightgbm": bench_training_vs_lightgbm,
    "publish": bench_publish,
    "decide": bench_decide,
    "recommend": bench_recommend,
    "recommend_vs_tutorial": bench_recommend_vs_tutorial,
    "features_vs_sql": bench_vs_sql,
    "features_vs_pandas": bench_vs_pandas,
    "features_growth": bench_growth,
    "features_100m": bench_100m,
    "truth": bench_truth,
}
"""By name, the quick ones first."""


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
