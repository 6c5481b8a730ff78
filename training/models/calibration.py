"""Calibration: turning scores into probabilities on time that training never saw.

Platt scaling [1] with a prior at the identity, so that a product with few starts keeps its score
rather than following noise. The slope comes from unseen time alone, the level from all time known:
product mixes swing from month to month, and the newest weeks are a poor guide to the next ones (on
the insurer, levels of the newest tenth lose 3.5 points of hit rate). Multiclass scores get one
temperature and one bias a class (vector scaling [2]).

[1] Platt, Probabilistic Outputs for Support Vector Machines, 1999.
[2] Guo et al., On Calibration of Modern Neural Networks, ICML 2017, section 4.2.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.optimize import brentq, minimize
from scipy.special import expit, log_softmax

from features.config import StrictConfig

Vector = npt.NDArray[np.float64]
PRIOR_STRENGTH = 2.0
"""Weight of the prior, in units of observations: (slope − 1)² and bias² each cost this much."""


class PlattCalibrator(StrictConfig):
    """p = σ(slope · score + bias)."""

    slope: float = 1.0
    bias: float = 0.0

    @classmethod
    def fit(cls, scores: Vector, labels: Vector) -> PlattCalibrator:
        """Fit on raw scores (log-odds) and labels (0 or 1), both of shape (n,)."""
        if not len(scores):
            return cls()

        def loss(parameters: Vector) -> tuple[float, Vector]:
            slope, bias = parameters
            logits = slope * scores + bias
            value = np.sum(np.logaddexp(0, logits) - labels * logits)
            gap = expit(logits) - labels
            prior = PRIOR_STRENGTH * ((slope - 1) ** 2 + bias**2)
            gradient = np.array(
                [
                    np.sum(gap * scores) + 2 * PRIOR_STRENGTH * (slope - 1),
                    np.sum(gap) + 2 * PRIOR_STRENGTH * bias,
                ]
            )
            return float(value + prior), gradient

        found = minimize(loss, np.array([1.0, 0.0]), jac=True, method="L-BFGS-B")
        # a negative slope would turn the ranking round: then only the level is corrected
        if found.x[0] <= 0:
            return cls(slope=1.0, bias=float(found.x[1]))
        return cls(slope=float(found.x[0]), bias=float(found.x[1]))

    def levelled(self, scores: Vector, rate: float) -> PlattCalibrator:
        """The same slope with the bias at which the mean probability over `scores` is `rate`."""
        if not len(scores) or not 0 < rate < 1:
            return self
        scaled = self.slope * scores

        def gap(bias: float) -> float:
            return float(expit(scaled + bias).mean()) - rate

        return PlattCalibrator(slope=self.slope, bias=float(brentq(gap, -30, 30)))

    def apply(self, scores: Vector) -> Vector:
        """Calibrated probabilities of raw scores."""
        return np.asarray(expit(self.slope * scores + self.bias))


class SoftmaxCalibrator(StrictConfig):
    """p = softmax(scale · scores + bias), one bias a class."""

    scale: float
    bias: tuple[float, ...]

    @classmethod
    def fit(cls, scores: Vector, classes: npt.NDArray[np.int64]) -> SoftmaxCalibrator:
        """Fit on scores (n, C) and observed classes (n,) in 0 … C − 1."""
        width = scores.shape[1]
        if not len(scores):
            return cls(scale=1.0, bias=(0.0,) * width)
        rows = np.arange(len(scores))

        def loss(parameters: Vector) -> tuple[float, Vector]:
            scale, bias = parameters[0], parameters[1:]
            log_p = log_softmax(scale * scores + bias, axis=1)
            gap = np.exp(log_p)
            gap[rows, classes] -= 1.0
            prior = PRIOR_STRENGTH * ((scale - 1) ** 2 + np.sum(bias**2))
            gradient = np.concatenate([[np.sum(gap * scores)], gap.sum(axis=0)])
            gradient += 2 * PRIOR_STRENGTH * np.concatenate([[scale - 1], bias])
            return float(prior - log_p[rows, classes].sum()), gradient

        start = np.concatenate([[1.0], np.zeros(width)])
        bounds = [(0.05, 5.0)] + [(None, None)] * width
        found = minimize(loss, start, jac=True, method="L-BFGS-B", bounds=bounds)
        return cls(scale=float(found.x[0]), bias=tuple(float(one) for one in found.x[1:]))

    def apply(self, scores: Vector) -> Vector:
        """Calibrated probabilities of scores (…, C); they sum to 1 over the last axis."""
        # scipy's softmax gives the same bits and takes ten times as long to begin
        shifted = self.scale * scores + np.array(self.bias)
        shifted -= shifted.max(axis=-1, keepdims=True)
        odds = np.exp(shifted)
        return np.asarray(odds / odds.sum(axis=-1, keepdims=True))
