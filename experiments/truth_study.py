"""Truth: on a bank whose truth is known, the models beat the naive rules, and only with a signal.

With the signal taken out of the simulation nothing but popularity can be learnt; a model that still
beat the naive rules would be reading the future or the test.
"""

from __future__ import annotations

import multiprocessing
import tempfile
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import numpy as np

from experiments.simulated_bank.bank import simulate
from experiments.simulated_bank.config import load_simulation
from features.sources import CONFIGS, open_source
from training.config import RunConfig, load_run_config
from training.run import train

BANK = CONFIGS / "simulation" / "bank.yaml"
SOURCE = CONFIGS / "sources" / "simulated_bank.yaml"
RELEASE = CONFIGS / "training" / "release.yaml"
AFTER_THE_LOG = datetime(2100, 1, 1, tzinfo=UTC)
START_RULES = ("popular", "recent_popular", "last_product", "co_holding")
CHANNEL_RULES = ("last_channel", "majority", "most_used")

Result = dict[str, float]


def truth(
    seeds: Sequence[int],
    customers: int,
    signal: float,
    config: RunConfig | None = None,
    processes: int = 2,
) -> dict[int, Result]:
    """Simulate a bank for each seed, train the release on it and measure it on the last months.

    Parameters
    ----------
    seeds
        One bank each; the seed also seeds the training.
    customers
        Customers of each bank, 50 or more.
    signal
        1 is the bank as it is; 0 leaves popularity only.
    config
        What to train; by default `configs/training/release.yaml`.
    processes
        Banks at a time, one thread each.

    Returns
    -------
    dict[int, Result]
        By seed: `map_at_7` and, of each naive rule, `<rule>_map_at_7`; `channel_accuracy` and
        `<rule>_channel_accuracy`. All in 0–1, on the same test rows.
    """
    study = partial(
        one_bank, customers=customers, signal=signal, config=config or load_run_config(RELEASE)
    )
    if min(processes, len(seeds)) == 1:
        return {seed: study(seed) for seed in seeds}
    # spawned, never forked: a fork after a booster was loaded hangs in its threads
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(processes, mp_context=context) as pool:
        return dict(zip(seeds, pool.map(study, seeds), strict=True))


def one_bank(seed: int, customers: int, signal: float, config: RunConfig) -> Result:
    """Metrics of one simulated bank; nothing is left on disk."""
    seeded = config.model_copy(update={"seed": seed, "threads": 1})
    with tempfile.TemporaryDirectory() as folder:
        tables = simulate(load_simulation(BANK, signal), customers, seed, Path(folder) / "tables")
        source = open_source(SOURCE, tables, AFTER_THE_LOG, threads=1)
        found = train(seeded, source, Path(folder) / "release").metrics()
        source.con.close()
    starts = {f"{rule}_map_at_7": found[f"{rule}_map_at_7"] for rule in START_RULES}
    channels = {f"{rule}_channel_accuracy": found[f"{rule}_accuracy"] for rule in CHANNEL_RULES}
    return {
        "map_at_7": found["map_at_7"],
        **starts,
        "channel_accuracy": found["accuracy"],
        **channels,
    }


def gain(results: dict[int, Result], metric: str, rules: Sequence[str]) -> np.ndarray:
    """Per seed: the model's metric less that of the best of the naive rules, shape (seeds,)."""
    return np.array(
        [one[metric] - max(one[f"{rule}_{metric}"] for rule in rules) for one in results.values()]
    )


def summary(results: dict[int, Result]) -> dict[str, dict[str, float]]:
    """Mean and standard deviation over the seeds of every metric and of the gains that count."""
    columns = {
        name: np.array([one[name] for one in results.values()])
        for name in next(iter(results.values()))
    }
    columns["gain_over_popular"] = gain(results, "map_at_7", ("popular", "recent_popular"))
    columns["gain_over_co_holding"] = gain(results, "map_at_7", ("co_holding",))
    columns["gain_over_last_channel"] = gain(results, "channel_accuracy", ("last_channel",))
    columns["gain_over_most_used"] = gain(results, "channel_accuracy", ("most_used",))
    return {
        name: {
            "mean": round(float(column.mean()), 5),
            "sd": round(float(column.std(ddof=1)), 5) if len(column) > 1 else 0.0,
        }
        for name, column in columns.items()
    }
