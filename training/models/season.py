"""Season: what a calendar month adds to the start of a product, beyond what the trees know.

A product that is bought in September is not bought less surely because one September is all there
is to learn from; but trees of a rare product find no split for it. So, as the retail trade has
always done, each month gets a factor of its own (a seasonal index): log-odds on top of the trees'
score, drawn towards 0 by a normal prior whose variance is read from the months themselves by EM
(empirical Bayes, [1]). A product without a season has a variance near 0 and no factors to speak of.
Months next to each other are alike: their factors correlate by `NEIGHBOURS` a month apart, round
the year, as in a Gaussian process. Months too early for features still tell how many started.

[1] Morris, Parametric empirical Bayes inference, JASA 1983.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.special import expit, logit

from features.config import StrictConfig

Vector = npt.NDArray[np.float64]
Matrix = npt.NDArray[np.float64]
MONTHS = 12
NEIGHBOURS = 0.3
"""Of 0, 0.3, 0.5, 0.7 and 0.85 the one with the greatest evidence, over 19 products of two banks'
known time."""
FIRST_VARIANCE = 0.1
SMALLEST_VARIANCE = 1e-6
ITERATIONS = 200
NEWTON_STEPS = 20
TOLERANCE = 1e-5
_NEVER = -30.0
"""Level of earlier months in which nobody started, or of which nothing is known."""


@dataclass(frozen=True)
class Counts:
    """How many started a product and how many could have, by calendar month, both (12,).

    They are of a time whose features are not known: its level is its own, its season the same.
    """

    started: Vector
    could: Vector

    @classmethod
    def none(cls) -> Counts:
        """Nothing is known of earlier months."""
        return cls(np.zeros(MONTHS), np.zeros(MONTHS))


class Season(StrictConfig):
    """Log-odds that each calendar month adds, January first, and the variance they come from."""

    log_odds: tuple[float, ...] = (0.0,) * MONTHS
    variance: float = 0.0

    @classmethod
    def fit(
        cls, scores: Vector, happened: Vector, month: Vector, earlier: Counts | None = None
    ) -> Season:
        """Learn from calibrated log-odds, what happened (0 or 1) and the month (1–12), all (n,).

        A month that was never seen, or not told (NaN), adds what its neighbours make likely.
        """
        known = _Months.of(scores, happened, month, earlier or Counts.none())
        if not known.happened.any():
            return cls()
        variance, log_odds = FIRST_VARIANCE, np.zeros(MONTHS)
        for _ in range(ITERATIONS):
            log_odds, spread = known.posterior(log_odds, variance)
            moments = log_odds @ _PRECISION @ log_odds + np.trace(_PRECISION @ spread)
            newest = max(float(moments) / MONTHS, SMALLEST_VARIANCE)
            settled = abs(newest - variance)
            variance = newest
            if settled < TOLERANCE * variance + SMALLEST_VARIANCE:
                break
        return cls(log_odds=tuple(log_odds.tolist()), variance=variance)


@dataclass(frozen=True)
class _Months:
    """By month: the scores, how many of them happened, and what is counted of earlier times."""

    scores: tuple[Vector, ...]
    happened: Vector
    earlier: Counts

    @classmethod
    def of(cls, scores: Vector, happened: Vector, month: Vector, earlier: Counts) -> _Months:
        own = [month == number for number in range(1, MONTHS + 1)]
        return cls(
            tuple(scores[one] for one in own),
            np.array([float(happened[one].sum()) for one in own]),
            earlier,
        )

    def posterior(self, start: Vector, variance: float) -> tuple[Vector, Matrix]:
        """Mode (12,) and covariance (12, 12; Laplace) of the log-odds, by Newton's method."""
        found, prior = start, _PRECISION / variance
        covariance = np.linalg.inv(prior)
        for _ in range(NEWTON_STEPS):
            gap, information = self._told(found)
            covariance = np.linalg.inv(np.diag(information) + prior)
            step = covariance @ (gap - prior @ found)
            found = found + np.clip(step, -1, 1)
            if np.abs(step).max() < TOLERANCE:
                break
        return found, covariance

    def _told(self, log_odds: Vector) -> tuple[Vector, Vector]:
        """What happened beyond what is expected, and the Fisher information, both (12,)."""
        p = [expit(own + added) for own, added in zip(self.scores, log_odds, strict=True)]
        expected = np.array([one.sum() for one in p])
        information = np.array([(one * (1 - one)).sum() for one in p])
        started, could = self.earlier.started, self.earlier.could
        q = expit(self._level(log_odds) + log_odds)
        gap = self.happened - expected + started - could * q
        return gap, information + could * q * (1 - q)

    def _level(self, log_odds: Vector) -> float:
        """Log-odds at which as many are expected of the earlier months as there were."""
        started, could = self.earlier.started, self.earlier.could
        if not 0 < started.sum() < could.sum():
            return _NEVER
        level = float(logit(started.sum() / could.sum()))
        for _ in range(NEWTON_STEPS):
            q = expit(level + log_odds)
            step = float((started.sum() - (could * q).sum()) / (could * q * (1 - q)).sum())
            level += min(max(step, -1.0), 1.0)
            if abs(step) < TOLERANCE:
                break
        return level


def _correlation() -> Matrix:
    apart = np.abs(np.subtract.outer(np.arange(MONTHS), np.arange(MONTHS)))
    return np.asarray(NEIGHBOURS ** np.minimum(apart, MONTHS - apart))


_PRECISION = np.linalg.inv(_correlation())
