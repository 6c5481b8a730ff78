"""What fitting the next-product model costs beside bare LightGBM growing the same boosters.

`python -m experiments.benchmarks.training fit|bare FOLDER` is one measured job, in a process of its
own so that its peak memory is its own; prints its CPU seconds, reading apart.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import lightgbm as lgb
import numpy as np
import numpy.typing as npt

from experiments.benchmarks.worker import measured
from training.models.next_product import NextProductModel
from training.models.start_learner import NextProductConfig, StartRows

Matrix = npt.NDArray[np.float64]

PRODUCTS, WIDTH, REPEATS = 12, 200, 3
JOBS = ("fit", "bare")


def bench_training_vs_lightgbm(scale: float) -> dict[str, Any]:
    """Fit 12 products on 60,000 × 200, and have `lightgbm.train` grow the same boosters.

    Same matrix, bins, rows, labels, parameters and rounds; the fit samples, calibrates and merges
    besides. CPU seconds on one thread, the least of three runs of each in turn.
    """
    told: dict[str, list[dict[str, float]]] = {job: [] for job in JOBS}
    with tempfile.TemporaryDirectory() as folder:
        _make(Path(folder), max(4_000, round(60_000 * scale)))
        for _ in range(REPEATS if scale > 0.1 else 1):
            for job in JOBS:
                said, _, peak_gb = measured(["-m", "experiments.benchmarks.training", job, folder])
                told[job].append({**json.loads(said), "peak_gb": peak_gb})
    least = {
        job: {name: min(run[name] for run in told[job]) for name in told[job][0]} for job in JOBS
    }
    return {
        "ratio": round(least["fit"]["seconds"] / least["bare"]["seconds"], 3),
        "boosters": least["fit"]["boosters"],
        "boosters_of_lightgbm": least["bare"]["boosters"],
        "fit_seconds": round(least["fit"]["seconds"], 2),
        "lightgbm_seconds": round(least["bare"]["seconds"], 2),
        "fit_peak_gb": round(least["fit"]["peak_gb"], 3),
        "lightgbm_peak_gb": round(least["bare"]["peak_gb"], 3),
    }


def _make(folder: Path, rows: int) -> None:
    """Write a matrix with holes and the starts of each product, which some columns tell of."""
    random = np.random.default_rng(1)
    x = random.normal(size=(rows, WIDTH))
    pull = x[:, :PRODUCTS] + 0.5 * x[:, PRODUCTS : 2 * PRODUCTS] * x[:, [-1]]
    x[random.random(x.shape) < 0.1] = np.nan
    starts = random.random(pull.shape) < 1 / (1 + np.exp(2.0 - pull))
    np.save(folder / "x.npy", x)
    np.save(folder / "starts.npy", starts)


def _fit(folder: Path) -> dict[str, float]:
    """Fit the model, and note what it had LightGBM grow."""
    x, starts = np.load(folder / "x.npy"), np.load(folder / "starts.npy")
    ages = np.linspace(len(x) * 0.01, 0.0, len(x))
    splits = np.split(np.arange(len(x)), [int(0.7 * len(x)), int(0.85 * len(x))])
    about = np.full(WIDTH, -1)
    rows = StartRows(x, about, starts, np.ones_like(starts), ages, *splits)
    products = tuple(f"product_{k}" for k in range(PRODUCTS))
    plan: list[dict[str, Any]] = []
    train, lgb.train = lgb.train, _noting(lgb.train, plan)
    begun = time.process_time()
    NextProductModel.fit(NextProductConfig(), products, rows, seed=1, threads=1)
    seconds = time.process_time() - begun
    lgb.train = train
    # written down after the clock has stopped: noting is no part of fitting
    for grown in plan:
        grown["labels"] = [labels.tolist() for labels in grown["labels"]]
    (folder / "plan.json").write_text(json.dumps(plan), "utf-8")
    return {"seconds": seconds, "boosters": len(plan)}


def _noting(train: Callable[..., lgb.Booster], plan: list[dict[str, Any]]) -> Callable[..., Any]:
    """Write down of each booster its parameters, most rounds, rows, and rows to stop by."""

    def noted(
        parameters: dict[str, Any], data: lgb.Dataset, rounds: int, **told: Any
    ) -> lgb.Booster:
        parts = [data, *told.get("valid_sets", ())]
        plan.append({
            "parameters": parameters, "rounds": rounds,
            "rows": [part.used_indices for part in parts],
            "labels": [part.get_label() for part in parts],
        })  # fmt: skip
        return train(parameters, data, rounds, **told)

    return noted


def _bare(folder: Path) -> dict[str, float]:
    """Grow the boosters of the plan with nothing but LightGBM, bins made once."""
    x = np.load(folder / "x.npy")
    plan = json.loads((folder / "plan.json").read_text("utf-8"))
    patience = NextProductConfig().early_stopping_rounds
    begun = time.process_time()
    bins = lgb.Dataset(x, params=plan[0]["parameters"], free_raw_data=False).construct()
    for grown in plan:
        parts = []
        for rows, labels in zip(grown["rows"], grown["labels"], strict=True):
            part = bins.subset(rows).construct()
            part.set_label(np.array(labels))
            parts.append(part)
        stopping = [lgb.early_stopping(patience, verbose=False)] if parts[1:] else []
        lgb.train(
            grown["parameters"], parts[0], grown["rounds"], valid_sets=parts[1:], callbacks=stopping
        )
    return {"seconds": time.process_time() - begun, "boosters": len(plan)}


if __name__ == "__main__":
    job = {"fit": _fit, "bare": _bare}[sys.argv[1]]
    print(json.dumps(job(Path(sys.argv[2]))))
