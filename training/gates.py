"""Gates before a release may answer customers: each passes or refuses, and says why.

A challenger is held against the champion, or against naive rules where there is none, on test rows
that neither has learnt from. Pure functions on arrays; `training.promotion` brings them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from features.config import StrictConfig
from training import metrics
from training.breakdown import SEGMENT_POINTS
from training.calibration_report import (
    LEAST_POSITIVES,
    SLOPES,
    Estimate,
    Forecasts,
    calibration,
    calibrations,
    slopes,
)
from training.models.release import Manifest
from training.sentinel import LeakCheck

Names = npt.NDArray[np.str_]
Vector = npt.NDArray[np.float64]

RESAMPLES = 4_000
ERROR = 0.05
"""How often an interval may miss what it is of."""
RATIO_LIMIT = 0.15
"""Largest |mean p ÷ rate − 1|."""
SEGMENT_ROWS = 100
"""Rows (with something to find) that a segment needs to be judged."""


class Gate(StrictConfig):
    """One gate's verdict, in a sentence, with the figures it rests on."""

    name: str
    passed: bool
    says: str
    figures: dict[str, Any] = {}


def two_people(trained_by: str | None, approved_by: str) -> Gate:
    """Who approves is not who trained."""
    name = "two people"
    if not trained_by:
        says = "the run does not say who trained it; train again, with --trained-by"
        return Gate(name=name, passed=False, says=says)
    same = trained_by.strip().casefold() == approved_by.strip().casefold()
    says = (
        f"'{approved_by}' trained this release and may not approve it too; ask a second person"
        if same
        else f"trained by '{trained_by}', approved by '{approved_by}'"
    )
    return Gate(name=name, passed=not same, says=says)


def comparable(champion: Manifest, challenger: Manifest) -> Gate:
    """Both answer the same questions, and the champion has not learnt from the test."""
    learnt, test = champion.windows["calibrate"][1], challenger.windows["test"][0]
    lacking = [head for head in champion.heads if head not in challenger.heads]
    says = f"the champion has learnt nothing from {test} on, where the test begins"
    if lacking:
        says = f"the champion has {', '.join(lacking)} and the challenger has not; train both heads"
    elif learnt > test:
        says = (
            f"the champion has learnt until {learnt}, the challenger's test begins at {test}; "
            "train the challenger with a later --test-from"
        )
    return Gate(name="comparable", passed=not lacking and learnt <= test, says=says)


def reproduced(challenger: Manifest, again: Manifest) -> Gate:
    """Trained again with its seed on these data it is the same, model text by model text."""
    name = "reproducible"
    tables = _differing(challenger.data, again.data)
    files = _differing(challenger.files, again.files)
    if tables:
        says = (
            f"the data are not those it was trained on ({', '.join(tables)} differ); "
            "bring them, or train a new release on these"
        )
    elif files:
        says = (
            f"trained again with seed {challenger.config['seed']} on the same data, "
            f"{', '.join(files)} came out different; train a new release with this version"
        )
    else:
        says = f"trained again, all {len(again.files)} files are the same"
    return Gate(name=name, passed=not tables and not files, says=says)


def _differing(one: Mapping[str, Any], other: Mapping[str, Any]) -> list[str]:
    return [name for name in sorted({*one, *other}) if one.get(name) != other.get(name)]


def not_worse(
    head: str,
    metric: str,
    challenger: Vector,
    opponent: Vector,
    customers: Names,
    against: str,
    margin: float,
    seed: int,
) -> Gate:
    """The metric is not lower than the opponent's by more than a margin.

    ``challenger``, ``opponent`` and ``customers`` are row by row, shape (n,). Passes where the
    lower bound of the 95 % interval of the difference (paired bootstrap by customer) is above
    −``margin``.
    """
    difference = challenger - opponent
    low, high = bootstrap_interval(difference, customers, seed)
    passed = low > -margin
    says = (
        f"{metric} {challenger.mean():.4f} against {opponent.mean():.4f} of {against}: "
        f"{difference.mean():+.4f}, 95 % interval {low:+.4f} to {high:+.4f} "
        f"over {len(challenger):,} rows, and the least allowed is −{margin:g}"
    )
    return Gate(
        name=f"{head} not worse",
        passed=bool(passed),
        says=says if passed else f"{says}; improve the model, or keep the champion",
        figures={
            "metric": metric, "against": against, "challenger": float(challenger.mean()),
            "opponent": float(opponent.mean()), "difference": float(difference.mean()),
            "low": low, "high": high, "margin": margin, "rows": len(challenger),
        },
    )  # fmt: skip


def bootstrap_interval(
    values: Vector, customers: Names, seed: int, error: float = ERROR
) -> tuple[float, float]:
    """1 − `error` interval of the mean of `values` (n,), customers drawn whole with replacement.

    Efron and Tibshirani, An Introduction to the Bootstrap, 1993, section 13.3 (percentiles).
    """
    _, customer = np.unique(customers, return_inverse=True)
    total, rows = np.bincount(customer, weights=values), np.bincount(customer)
    random = np.random.default_rng(seed)
    means = np.empty(RESAMPLES)
    for number in range(RESAMPLES):
        drawn = random.integers(0, len(total), len(total))
        means[number] = total[drawn].sum() / rows[drawn].sum()
    low, high = np.quantile(means, [error / 2, 1 - error / 2])
    return float(low), float(high)


def calibrated(head: str, forecasts: Forecasts) -> Gate:
    """Probabilities happen as often as they say: all together, and each class with 200 positives.

    Refuses where the 95 % interval of a ratio or of a slope lies outside the limits, and where
    there is no slope because the prediction is a constant.
    """
    every = replace(forecasts, groups=("all",), group=np.zeros_like(forecasts.group))
    found = [
        calibration(every, "all"),
        *calibrations(forecasts, least_positives=LEAST_POSITIVES),
    ]
    wrong = [
        f"{one.group}: mean p is {one.ratio.value:.2f} of the rate "
        f"({one.ratio.low:.2f} to {one.ratio.high:.2f})"
        for one in found
        if not _meets(one.ratio, (1 - RATIO_LIMIT, 1 + RATIO_LIMIT))
    ] + [
        f"{one.group}: slope {one.slope.value:.2f} ({one.slope.low:.2f} to {one.slope.high:.2f})"
        for one in [found[0], *slopes(forecasts, found[1:])]
        if not _meets(one.slope, SLOPES)
    ]
    told = (
        f"all together, and {len(found) - 1} classes with {LEAST_POSITIVES} positives or more, "
        f"within {RATIO_LIMIT:.0%} of the rate and slopes {SLOPES[0]} to {SLOPES[1]}, by their "
        "95 % intervals"
    )
    return Gate(
        name=f"{head} calibrated",
        passed=not wrong,
        says=f"{'; '.join(wrong)}; calibrate on newer time" if wrong else told,
        figures={one.group: one.row() for one in found},
    )


def _meets(estimate: Estimate, limits: tuple[float, float]) -> bool:
    """Whether the interval reaches the limits; one that does not exist does not."""
    return bool(estimate.low <= limits[1] and estimate.high >= limits[0])


def fair(
    head: str,
    metric: str,
    challenger: Vector,
    opponent: Vector,
    customers: Names,
    segments: Mapping[str, Names],
    seed: int,
) -> Gate:
    """No age band, gender or region loses more than two points, beyond what chance explains.

    Row by row, shape (n,); a segment is judged from 100 rows on. It is refused where its mean
    difference is below −0.02 and the interval of the difference lies below 0: that of 95 % for all
    segments together (Bonferroni), for of a dozen segments alike one would look worse by chance
    every few times.
    """
    difference = challenger - opponent
    large = [
        (segment, group, row, groups == group)
        for segment, groups in segments.items()
        for group, row in metrics.by_group(difference, groups).items()
        if row["rows"] >= SEGMENT_ROWS
    ]
    judged, losing = [], []
    for segment, group, row, own in large:
        _, high = bootstrap_interval(difference[own], customers[own], seed, ERROR / len(large))
        judged.append({"segment": segment, "group": group, **row, "high": high})
        if row["mean"] < -SEGMENT_POINTS and high < 0:
            points = f"{-100 * row['mean']:.1f} points of {metric} over {row['rows']:,} rows"
            losing.append(f"{segment} '{group}' loses {points}")
    says = (
        f"no segment of {len(judged)} loses more than {100 * SEGMENT_POINTS:g} points of {metric}"
    )
    if not judged:
        says = f"no age, gender or region is known for {SEGMENT_ROWS} rows: nothing to compare"
    if losing:
        says = f"{'; '.join(losing)}; find out what these customers lack in the new data"
    return Gate(
        name=f"{head} fair to segments", passed=not losing, says=says, figures={"judged": judged}
    )


def honest(head: str, checks: Mapping[str, LeakCheck]) -> Gate:
    """No feature is worth as much as knowing a share of the answers; a check for each class."""
    stopped = [f"{name}: {check.reason}" for name, check in checks.items() if check.stopped]
    passed = [f"{name}: {check.reason}" for name, check in checks.items()]
    says = "; ".join(stopped or passed) or "too few events of any class to look for a leak"
    return Gate(
        name=f"{head} without a leak",
        passed=not stopped,
        says=says,
        figures={name: asdict(check) for name, check in checks.items()},
    )
