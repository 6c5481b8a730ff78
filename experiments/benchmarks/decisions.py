"""How fast a whole base is decided on, against what its boosters alone take for the same rows."""

from __future__ import annotations

import itertools
import json
import math
import os
import sqlite3
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import closing
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import lightgbm as lgb
import numpy as np
import numpy.typing as npt

from experiments.benchmarks.worker import measured
from experiments.simulated_bank.bank import simulate
from experiments.simulated_bank.config import load_simulation
from experiments.truth_study import AFTER_THE_LOG, BANK, RELEASE, SOURCE
from features.online import OnlineStore, publish_customers, publish_rows
from features.online.record import Row
from features.sources import open_source
from features.spine import customers_at, data_end
from serving.base import CHUNK
from training.config import load_run_config
from training.models.release import Release
from training.run import train

Matrix = npt.NDArray[np.float64]

SMALL_BANK = 4_000
SMALLEST, LARGEST = 10_000, 160_000
PREDICTED = 40_000
"""For fewer, a disturbed second of the machine moves the ratio by a tenth."""


def bench_decide(scale: float) -> dict[str, Any]:
    """Decide on 10,000 and on 160,000 customers; the reference predicts for 40,000 of them.

    A bank of 4,000 is simulated, trained on and published; the bases are its customers again and
    again under new ids. `python -m serving decide` is timed from its start to its file, with a
    process of one thread a core. ``predict_s`` is `Booster.predict` alone for all rows that the
    larger base is scored with, by as many processes of one thread: measured on 40,000 of its
    customers, times their share. ``share_of_predict`` is ``predict_s`` ÷ the larger ``decide_s``;
    ``peak_gb`` counts every process as large as the largest.
    """
    processes = os.cpu_count() or 1
    sizes = [max(CHUNK, round(size * scale)) for size in (SMALLEST, LARGEST)]
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        release = _make_bank(work, max(300, round(SMALL_BANK * scale)))
        found = [_decide(work, release, size) for size in sizes]
        sample = max(CHUNK, round(PREDICTED * scale))
        predict_s = _predict(work, sample, processes) * sizes[1] / sample
    (seconds, _), (longer, largest_gb) = found
    return {
        "share_of_predict": round(predict_s / longer, 3),
        "exponent": round(math.log(longer / seconds) / math.log(sizes[1] / sizes[0]), 3),
        "peak_gb": round(largest_gb * (processes + 1), 2),
        "customers": sizes,
        "decide_s": [round(seconds, 2), round(longer, 2)],
        "decisions_per_s": [round(sizes[0] / seconds), round(sizes[1] / longer)],
        "predict_s": round(predict_s, 2),
        "processes": processes,
        "trees": {name: one.num_trees() for name, one in _boosters(release).items()},
    }


def _make_bank(work: Path, customers: int) -> Release:
    """Simulate, train and publish: a small bank's release and its customers in `small.sqlite`."""
    tables = simulate(load_simulation(BANK), customers, 1, work / "tables")
    source = open_source(SOURCE, tables, AFTER_THE_LOG)
    train(load_run_config(RELEASE), source, work / "release")
    release, end = Release.load(work / "release"), data_end(source)
    spine = customers_at(source, [end])
    publish_customers(work / "small.sqlite", release.feature_set, spine, end)
    source.con.close()
    return release


def _decide(work: Path, release: Release, customers: int) -> tuple[float, float]:
    """Seconds and peak memory (GB, of the largest process) of deciding on a base of that size."""
    with OnlineStore(work / "small.sqlite") as store:
        as_of = store.as_of
    rows = itertools.islice(_copies(work / "small.sqlite"), customers)
    publish_rows(work / "online.sqlite", release.feature_set, as_of, rows)
    out = work / f"decided_{customers}.parquet"
    said, seconds, peak_gb = measured(
        ["-m", "serving", "decide", "--work", str(work), "--as-of", as_of.isoformat(),
         "--out", str(out), "--json"]
    )  # fmt: skip
    if json.loads(said)["customers"] != customers:
        raise ValueError(f"{out}: not all {customers} customers were decided on")
    return seconds, peak_gb


def _copies(small: Path) -> Iterator[Row]:
    """The small bank's customers under new ids, again and again."""
    with closing(sqlite3.connect(small)) as con:
        for number in itertools.count():
            for customer, vector, state in con.execute("select * from customers order by 1"):
                name = f"R{number:04}{customer}"
                yield name, vector, state.replace(f'"{customer}"', f'"{name}"', 1), None


def _predict(work: Path, customers: int, processes: int) -> float:
    """Seconds that prediction alone takes for these customers, processes side by side."""
    firsts = range(0, customers, CHUNK)
    with ProcessPoolExecutor(processes, get_context("spawn")) as pool:
        spent = list(pool.map(partial(_predict_chunk, work), firsts))
    return sum(spent) / processes


def _predict_chunk(work: Path, first: int) -> float:
    """Seconds of `Booster.predict` for a chunk: every head's rows, which are made beforehand."""
    release = Release.load(work / "release")
    with OnlineStore(work / "online.sqlite") as store:
        records = [store.read(one) for one in store.customer_ids()[first : first + CHUNK]]
    x = np.stack([one.vector for one in records if one is not None and one.vector is not None])
    seconds = 0.0
    for name, rows in _rows(release, x).items():
        booster = _boosters(release)[name]
        begun = time.perf_counter()
        booster.predict(rows, raw_score=True, num_threads=1)
        seconds += time.perf_counter() - begun
    return seconds


def _boosters(release: Release) -> dict[str, lgb.Booster]:
    starts = release.next_product
    found = {
        "next_product": starts._merged,
        "rare_products": starts._pooled,
        "expected_amount": release._amounts._booster,
        "channel_preference": release.channel_preference._booster,
    }
    return {name: booster for name, booster in found.items() if booster is not None}


def _rows(release: Release, x: Matrix) -> dict[str, Matrix]:
    """The rows that each booster scores for customers of features ``x``, shape (n, F)."""
    offers = list(release.offer_ids) * len(x)
    stages = ["application"] * len(offers)
    repeated = np.repeat(x, len(release.offer_ids), axis=0)
    amounts = release.expected_amounts(repeated, offers)
    found = {
        "next_product": x,
        "rare_products": _with_codes(x, len(release.next_product.learned_.pooled)),
        "expected_amount": _with_codes(x, len(release._amounts.offers)),
        "channel_preference": release.channel_preference.matrix(repeated, offers, stages, amounts),
    }
    return {name: found[name] for name in _boosters(release)}


def _with_codes(x: Matrix, codes: int) -> Matrix:
    """Each row with every code of an offer in turn, shape (n · codes, F + 1)."""
    repeated = np.repeat(x, codes, axis=0)
    return np.column_stack([repeated, np.tile(np.arange(float(codes)), len(x))])
