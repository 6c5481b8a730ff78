"""Truth: on banks whose truth is known, the models beat the naive rules, and only with a signal.

With the signal taken out of the simulation nothing but popularity can be learnt; a model that still
beat the naive rules would be reading the future or the test.
"""

from __future__ import annotations

import multiprocessing
import tempfile
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import numpy as np

from experiments.simulated_bank.bank import simulate
from experiments.simulated_bank.config import SimulationConfig, load_simulation
from features.sources import CONFIGS, open_source
from training.calibration_report import Forecasts
from training.config import RunConfig, load_run_config
from training.run import train

BANK = CONFIGS / "simulation" / "bank.yaml"
SOURCE = CONFIGS / "sources" / "simulated_bank.yaml"
RELEASE = CONFIGS / "training" / "release.yaml"
AFTER_THE_LOG = datetime(2100, 1, 1, tzinfo=UTC)
START_RULES = ("popular", "recent_popular", "last_product", "co_holding")
CHANNEL_RULES = ("last_channel", "majority", "most_used")
OTHERS = (
    "amount_error_ratio", "completion_log_loss", "overall_rate_completion_log_loss",
    "handle_rate_completion_log_loss",
)  # fmt: skip

Result = dict[str, float]


@dataclass(frozen=True)
class Measured:
    """One bank's metrics, and by head what was foretold for its test rows beside what happened.

    ``metrics``: `map_at_7` and, of each naive rule, `<rule>_map_at_7`; `channel_accuracy` and
    `<rule>_channel_accuracy`, all in 0–1 and on the same test rows; and `OTHERS`.
    """

    metrics: Result
    forecasts: dict[str, Forecasts]


def truth(
    seeds: Sequence[int],
    customers: int,
    signal: float,
    config: RunConfig | None = None,
    processes: int = 2,
) -> dict[int, Result]:
    """Metrics by seed of simulated banks, as `measure` gives them."""
    found = measure(seeds, customers, signal, config, processes)
    return {seed: one.metrics for seed, one in found.items()}


def measure(
    seeds: Sequence[int],
    customers: int,
    signal: float | None = None,
    config: RunConfig | None = None,
    processes: int = 2,
    simulation: Path = BANK,
    test_from: str | None = None,
) -> dict[int, Measured]:
    """Simulate a bank for each seed, train the release on it and measure it on the last months.

    Parameters
    ----------
    seeds
        One bank each; the seed also seeds the training.
    customers
        Customers of each bank, 50 or more.
    signal
        1 is the bank as it is; 0 leaves popularity only; None what the simulation says.
    config
        What to train; by default `configs/training/release.yaml`.
    processes
        Banks at a time, one thread each.
    simulation
        Parameters of the banks.
    test_from
        Where the test begins; None: as the configuration says.
    """
    study = partial(
        one_bank,
        customers=customers,
        simulation=load_simulation(simulation, signal),
        config=config or load_run_config(RELEASE),
        test_from=test_from,
    )
    if min(processes, len(seeds)) == 1:
        return {seed: study(seed) for seed in seeds}
    # spawned, never forked: a fork after a booster was loaded hangs in its threads
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(processes, mp_context=context) as pool:
        return dict(zip(seeds, pool.map(study, seeds), strict=True))


def one_bank(
    seed: int,
    customers: int,
    simulation: SimulationConfig,
    config: RunConfig,
    test_from: str | None = None,
) -> Measured:
    """Measure one simulated bank; nothing is left on disk."""
    seeded = config.model_copy(update={"seed": seed, "threads": 1, "explained_rows": 0})
    with tempfile.TemporaryDirectory() as folder:
        tables = simulate(simulation, customers, seed, Path(folder) / "tables")
        source = open_source(SOURCE, tables, AFTER_THE_LOG, threads=1)
        run = train(seeded, source, Path(folder) / "release", test_from)
        source.con.close()
    found = run.metrics()
    starts = {f"{rule}_map_at_7": found[f"{rule}_map_at_7"] for rule in START_RULES}
    channels = {f"{rule}_channel_accuracy": found[f"{rule}_accuracy"] for rule in CHANNEL_RULES}
    return Measured(
        {
            "map_at_7": found["map_at_7"],
            **starts,
            "channel_accuracy": found["accuracy"],
            **channels,
            **{name: found.get(name, float("nan")) for name in OTHERS},
        },
        {head: one.forecasts for head, one in run.reports.items() if one.forecasts is not None},
    )


def gain(results: dict[int, Result], metric: str, rules: Sequence[str]) -> np.ndarray:
    """Per seed: the model's metric less that of the best of the naive rules, shape (seeds,)."""
    return np.array(
        [one[metric] - max(one[f"{rule}_{metric}"] for rule in rules) for one in results.values()]
    )


def spread(values: Sequence[float]) -> tuple[float, float]:
    """Mean and standard deviation over the seeds; the latter 0 for one seed."""
    column = np.array(values)
    return float(column.mean()), float(column.std(ddof=1)) if len(column) > 1 else 0.0


def summary(results: dict[int, Result]) -> dict[str, dict[str, float]]:
    """Mean and standard deviation over the seeds of every metric and of the gains that count."""
    columns = {
        name: [one[name] for one in results.values()] for name in next(iter(results.values()))
    }
    columns["gain_over_popular"] = list(gain(results, "map_at_7", ("popular", "recent_popular")))
    columns["gain_over_co_holding"] = list(gain(results, "map_at_7", ("co_holding",)))
    columns["gain_over_last_channel"] = list(gain(results, "channel_accuracy", ("last_channel",)))
    columns["gain_over_most_used"] = list(gain(results, "channel_accuracy", ("most_used",)))
    return {
        name: dict(zip(("mean", "sd"), (round(one, 5) for one in spread(column)), strict=True))
        for name, column in columns.items()
    }
