"""Does p happen p of the time? Ratio, slope and intercept by group, with their intervals.

The *ratio* is mean p ÷ rate. *Slope* and *intercept* are those of a logistic regression of what
happened on the log-odds of p: 1 and 0 where p says what it means; a slope under 1 says that p is
too sure of itself, over 1 that it could be surer [1]. A prediction that is the same for everybody
has no slope and fails, however right its mean. Intervals are 95 %, in closed form, by the sandwich
with customers as clusters [2]: a customer's rows are not independent.

[1] Cox, Two further applications of a model for binary regression, Biometrika 1958.
[2] Liang & Zeger, Longitudinal data analysis using generalized linear models, Biometrika 1986.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.special import expit, logit

Vector = npt.NDArray[np.float64]
Matrix = npt.NDArray[np.float64]
Codes = npt.NDArray[np.int64]

SLOPES = (0.8, 1.2)
"""Slopes that pass."""
QUANTILE_95 = 1.96
NO_SPREAD = 1e-6
"""Standard deviation of log-odds (relative to their size) at which a prediction is constant."""
STEPS = 50
NAN = float("nan")
LEAST_POSITIVES = 200
"""Starts of a product, or choices of a channel, for which its calibration is told."""


@dataclass(frozen=True)
class Estimate:
    """A number and its 95 % interval; NaN where there is none."""

    value: float
    low: float
    high: float

    @classmethod
    def of(cls, value: float, error: float) -> Estimate:
        """Take the interval from a standard error."""
        return cls(value, value - QUANTILE_95 * error, value + QUANTILE_95 * error)


UNDEFINED = Estimate(NAN, NAN, NAN)


@dataclass(frozen=True)
class Forecasts:
    """What was predicted and what happened, row by row.

    ``groups`` are names; ``group`` (n,) is the position of each row's, ``p`` (n,) its probability,
    ``happened`` (n,) 0 or 1, ``customer`` (n,) a number that tells customers apart.
    """

    groups: tuple[str, ...]
    group: Codes
    p: Vector
    happened: Vector
    customer: Codes

    @classmethod
    def pooled(cls, parts: Sequence[Forecasts]) -> Forecasts:
        """Put several banks together: equal groups are one, customers stay apart."""
        groups = tuple(dict.fromkeys(name for part in parts for name in part.groups))
        place = {name: number for number, name in enumerate(groups)}
        shift = np.cumsum([0, *(int(part.customer.max(initial=-1)) + 1 for part in parts)])
        return cls(
            groups,
            np.concatenate([np.array([place[n] for n in one.groups])[one.group] for one in parts]),
            np.concatenate([one.p for one in parts]),
            np.concatenate([one.happened for one in parts]),
            np.concatenate([one.customer + s for one, s in zip(parts, shift[:-1], strict=True)]),
        )

    def of(self, names: Iterable[str]) -> Forecasts:
        """Keep the rows of these groups."""
        wanted = [number for number, name in enumerate(self.groups) if name in set(names)]
        kept = np.isin(self.group, wanted)
        return Forecasts(
            self.groups, self.group[kept], self.p[kept], self.happened[kept], self.customer[kept]
        )


@dataclass(frozen=True)
class Calibration:
    """How well one group's probabilities mean what they say."""

    group: str
    rows: int
    positives: int
    mean_p: float
    rate: float
    ratio: Estimate
    slope: Estimate
    intercept: Estimate

    @property
    def thin(self) -> bool:
        """Whether the rows tell no slope: its interval is wider than `SLOPES`, and meets it."""
        wide = self.slope.high - self.slope.low > SLOPES[1] - SLOPES[0]
        return wide and self.slope.low <= SLOPES[1] and self.slope.high >= SLOPES[0]

    def row(self) -> dict[str, Any]:
        """A row of a report's table; None where a number is undefined."""
        told: dict[str, Any] = {
            "group": self.group, "rows": self.rows, "positives": self.positives,
            "mean_p": self.mean_p, "rate": self.rate,
        }  # fmt: skip
        for name in ("ratio", "slope", "intercept"):
            one: Estimate = getattr(self, name)
            for suffix, value in (("", one.value), ("_low", one.low), ("_high", one.high)):
                told[f"{name}{suffix}"] = None if np.isnan(value) else value
        return told


def calibration(forecasts: Forecasts, group: str) -> Calibration:
    """Calibration of one group's rows.

    The slope is undefined where the prediction is constant, where all or none happened, and where
    the two are told apart without an error.
    """
    own = forecasts.of([group])
    return Calibration(
        group,
        len(own.p),
        int(own.happened.sum()),
        float(own.p.mean()) if len(own.p) else NAN,
        float(own.happened.mean()) if len(own.p) else NAN,
        _ratio(own),
        *_slope(own),
    )


def calibrations(
    forecasts: Forecasts, least_rows: int = 1, least_positives: int = 1
) -> list[Calibration]:
    """Calibration of every group with so many rows and so many that happened."""
    rows = np.bincount(forecasts.group, minlength=len(forecasts.groups))
    positives = np.bincount(forecasts.group, forecasts.happened, len(forecasts.groups))
    return [
        calibration(forecasts, name)
        for number, name in enumerate(forecasts.groups)
        if rows[number] >= least_rows and positives[number] >= least_positives
    ]


def slopes(forecasts: Forecasts, found: Sequence[Calibration]) -> list[Calibration]:
    """The calibrations whose slopes count: thin groups count as one.

    Where the truth hardly differs within a group, no number of rows tells its slope. Such groups
    are put together, each with an intercept of its own, and have one slope. A constant prediction
    is not thin: its slope stays undefined, and fails.
    """
    thin = [one.group for one in found if one.thin]
    counted = [one for one in found if not one.thin]
    if not thin:
        return counted
    together = forecasts.of(thin)
    slope, _ = _slope(together)
    name = f"{len(thin)} thin groups together"
    mean_p, rate = float(together.p.mean()), float(together.happened.mean())
    positives = int(together.happened.sum())
    return [
        *counted,
        Calibration(
            name, len(together.p), positives, mean_p, rate, _ratio(together), slope, UNDEFINED
        ),
    ]


def worst_ratio(found: Iterable[Calibration]) -> float:
    """Largest |mean p ÷ rate − 1|; NaN (which passes no check) with none."""
    return max((abs(one.ratio.value - 1) for one in found), default=NAN)


def slope_range(found: Sequence[Calibration]) -> tuple[float, float]:
    """Lowest and highest slope; NaN (which passes no check) where one is undefined, or none is."""
    values = np.array([one.slope.value for one in found])
    return (float(values.min()), float(values.max())) if len(values) else (NAN, NAN)


def _ratio(own: Forecasts) -> Estimate:
    happened = own.happened.sum()
    if not happened:
        return UNDEFINED
    ratio = own.p.sum() / happened
    by_customer = np.bincount(own.customer, (own.p - ratio * own.happened) / happened)
    return Estimate.of(float(ratio), float(np.sqrt(np.sum(by_customer**2))))


def _slope(own: Forecasts) -> tuple[Estimate, Estimate]:
    """Slope and intercept; of several groups one slope, and no intercept."""
    size, happened = np.bincount(own.group), np.bincount(own.group, own.happened)
    # where all or none happened an intercept of its own explains all there is
    telling = ((happened > 0) & (happened < size))[own.group]
    several, group = np.unique(own.group[telling], return_inverse=True)
    if not len(several):
        return UNDEFINED, UNDEFINED
    scores = logit(np.clip(own.p[telling], 1e-12, 1 - 1e-12))
    means = np.bincount(group, scores) / np.bincount(group)
    centred = scores - means[group]
    if centred.std() <= NO_SPREAD * max(1.0, np.abs(means).max()):
        return UNDEFINED, UNDEFINED
    levels = np.eye(len(several))[group]
    design = np.column_stack([levels, centred])
    fitted = _logistic(design, own.happened[telling], own.customer[telling])
    if fitted is None:
        return UNDEFINED, UNDEFINED
    found, covariance = fitted
    slope = Estimate.of(float(found[-1]), float(np.sqrt(covariance[-1, -1])))
    if len(several) > 1:
        return slope, UNDEFINED
    to_zero = np.array([1.0, -means[0]])  # from the centre of the scores back to log-odds 0
    error = float(np.sqrt(to_zero @ covariance @ to_zero))
    return slope, Estimate.of(float(to_zero @ found), error)


def _logistic(x: Matrix, y: Vector, clusters: Codes) -> tuple[Vector, Matrix] | None:
    """Coefficients (k,) and their sandwich covariance (k, k) by Newton; None where none exist."""
    found = np.zeros(x.shape[1])
    for _ in range(STEPS):
        p = expit(x @ found)
        information = (x * (p * (1 - p))[:, None]).T @ x
        if np.linalg.cond(information) > 1e12:
            return None
        step = np.linalg.solve(information, x.T @ (y - p))
        # far from the answer a whole step may overshoot
        found = found + step / max(1.0, np.abs(step).max() / 5)
        if np.abs(step).max() < 1e-9:
            break
    else:
        return None
    bread = np.linalg.inv(information)
    residual = y - p
    _, cluster = np.unique(clusters, return_inverse=True)
    meat = np.column_stack([np.bincount(cluster, column * residual) for column in x.T])
    return found, bread @ (meat.T @ meat) @ bread
