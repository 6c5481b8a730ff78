"""Simulated bank: the shipped release on banks of a known truth, ranking, calibration, amounts.

Five seeds, each a bank of its own, trained and tested in time order. Rankings and amounts are told
as mean and spread over the seeds; calibration is that of all test rows together, per product with
200 starts, per channel with 200 choices and per completion cell (stage, handle) with 500 journeys.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from experiments.studies.study import Progress, Reference, StudyError, StudyResult
from experiments.truth_study import BANK, Measured, measure, spread
from training.calibration_report import (
    LEAST_POSITIVES,
    SLOPES,
    Calibration,
    Forecasts,
    calibrations,
    slope_range,
    slopes,
    worst_ratio,
)
from training.completion_head import LEAST_JOURNEYS
from training.config import RunConfig

SEEDS = (1, 2, 3, 4, 5)
CUSTOMERS = 20_000
WORST_RATIO = 0.15
FAMILIES = {
    "next_product": ("products", {"least_positives": LEAST_POSITIVES}),
    "channel_preference": ("channels", {"least_positives": LEAST_POSITIVES}),
    "completion": ("completion cells", {"least_rows": LEAST_JOURNEYS}),
}
"""By head: what its groups are, and which of them are large enough to be judged."""

OVER_SEEDS = {
    "map_at_7": "map_at_7",
    "popular_map_at_7": "popular_map_at_7",
    "coholding_map_at_7": "co_holding_map_at_7",
    "channel_accuracy": "channel_accuracy",
    "last_channel_accuracy": "last_channel_channel_accuracy",
    "completion_log_loss": "completion_log_loss",
    "handle_rate_log_loss": "handle_rate_completion_log_loss",
    "amount_error_ratio": "amount_error_ratio",
}
"""Metrics of the study by mean over the seeds, `<name>_sd` beside; names in a bank's metrics."""


def simulated_bank(
    data: Path | None,
    test_from: str | None,
    progress: Progress,
    customers: int = CUSTOMERS,
    seeds: Sequence[int] = SEEDS,
    config: RunConfig | None = None,
) -> StudyResult:
    """Simulate, train and measure; ``data`` is another simulation YAML, or a folder of such."""
    banks: list[Measured] = []
    for simulation in _simulations(data):
        progress(f"{simulation.name}: {len(seeds)} banks of {customers:,} customers")
        found = measure(seeds, customers, config=config, simulation=simulation, test_from=test_from)
        banks += found.values()
    progress("calibration")
    metrics: dict[str, float] = {"banks": len(banks), "customers": customers}
    for name, source in OVER_SEEDS.items():
        metrics[name], metrics[f"{name}_sd"] = spread([one.metrics[source] for one in banks])
    tables, judged, counted = _calibration(banks)
    metrics["calibration_groups"] = len(judged)
    metrics["calibration_groups_too_thin_for_a_slope"] = sum(one.thin for one in judged)
    metrics["calibration_ratio_worst"] = worst_ratio(judged)
    lowest, highest = slope_range(counted)
    metrics["calibration_slope_lowest"], metrics["calibration_slope_highest"] = lowest, highest
    return StudyResult("simulated_bank", dict(metrics), _references(metrics), tables)


def _simulations(data: Path | None) -> list[Path]:
    if data is None:
        return [BANK]
    if data.is_file():
        return [data]
    found = sorted(data.glob("*.yaml"))
    if not found:
        raise StudyError(
            f"{data}: no simulation there; name a YAML such as {BANK.name}, or a folder of such"
        )
    return found


def _calibration(
    banks: Sequence[Measured],
) -> tuple[dict[str, list[dict[str, Any]]], list[Calibration], list[Calibration]]:
    """Tables by family, the groups that are judged, and the slopes that count."""
    tables, judged, counted = {}, [], []
    for head, (groups, least) in FAMILIES.items():
        forecasts = Forecasts.pooled([one.forecasts[head] for one in banks])
        own = calibrations(forecasts, **least)
        slopes_of = slopes(forecasts, own)
        tables[groups] = [
            {**_rounded(one.row()), "slope_counts": one in slopes_of}
            for one in dict.fromkeys([*own, *slopes_of])
        ]
        judged += own
        # a slope says which head it is of where all are told together
        counted += [replace(one, group=f"{head}: {one.group}") for one in slopes_of]
    return tables, judged, counted


def _rounded(row: dict[str, Any]) -> dict[str, Any]:
    return {name: round(one, 5) if isinstance(one, float) else one for name, one in row.items()}


def _references(metrics: dict[str, float]) -> dict[str, Reference]:
    popular, coholding = metrics["popular_map_at_7"], metrics["coholding_map_at_7"]
    return {
        "map_at_7": Reference(naive=popular, bar=max(popular, coholding)),
        "channel_accuracy": Reference(
            naive=metrics["last_channel_accuracy"], bar=metrics["last_channel_accuracy"]
        ),
        "completion_log_loss": Reference(
            naive=metrics["handle_rate_log_loss"], bar=metrics["handle_rate_log_loss"], must="≤"
        ),
        "amount_error_ratio": Reference(naive=1.0, bar=1.0, must="≤"),
        "calibration_ratio_worst": Reference(bar=WORST_RATIO, must="≤"),
        "calibration_slope_lowest": Reference(bar=SLOPES[0]),
        "calibration_slope_highest": Reference(bar=SLOPES[1], must="≤"),
    }
