"""Season: what a calendar month adds to the start of a product, beyond what the trees know.

A product that is bought in September is not bought less surely because one September is all there
is to learn from; but trees of a rare product find no split for it. So, as the retail trade has
always done, each month gets a factor of its own (a seasonal index): log-odds on top of the trees'
score, drawn towards 0 by a normal prior whose variance is read from the months themselves by EM
(empirical Bayes, [1]). A product without a season has a variance near 0 and no factors to speak of.

[1] Morris, Parametric empirical Bayes inference, JASA 1983.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.special import expit

from features.config import StrictConfig

Vector = npt.NDArray[np.float64]
MONTHS = 12
FIRST_VARIANCE = 0.1
SMALLEST_VARIANCE = 1e-6
ITERATIONS = 200
NEWTON_STEPS = 20
TOLERANCE = 1e-5


class Season(StrictConfig):
    """Log-odds that each calendar month adds, January first, and the variance they come from."""

    log_odds: tuple[float, ...] = (0.0,) * MONTHS
    variance: float = 0.0

    @classmethod
    def fit(cls, scores: Vector, happened: Vector, month: Vector) -> Season:
        """Learn from calibrated log-odds, what happened (0 or 1) and the month (1–12), all (n,).

        A month that was never seen, or not told (NaN), adds 0.
        """
        seen = [month == number for number in range(1, MONTHS + 1)]
        rows = [(scores[own], float(happened[own].sum())) for own in seen]
        if not any(count for _, count in rows):
            return cls()
        variance, log_odds = FIRST_VARIANCE, np.zeros(MONTHS)
        for _ in range(ITERATIONS):
            spread = np.full(MONTHS, variance)
            for number, (own, count) in enumerate(rows):
                if len(own):
                    log_odds[number], spread[number] = _posterior(
                        own, count, log_odds[number], variance
                    )
            told = np.array([len(own) > 0 for own, _ in rows])
            newest = max(float(np.mean((log_odds**2 + spread)[told])), SMALLEST_VARIANCE)
            settled = abs(newest - variance)
            variance = newest
            if settled < TOLERANCE * variance + SMALLEST_VARIANCE:
                break
        return cls(log_odds=tuple(log_odds.tolist()), variance=variance)


def _posterior(
    scores: Vector, happened: float, start: float, variance: float
) -> tuple[float, float]:
    """Mode and variance (Laplace) of one month's log-odds, given how many happened."""
    found, information = start, 0.0
    for _ in range(NEWTON_STEPS):
        p = expit(scores + found)
        information = float((p * (1 - p)).sum()) + 1 / variance
        step = (happened - float(p.sum()) - found / variance) / information
        found += float(np.clip(step, -1, 1))
        if abs(step) < TOLERANCE:
            break
    return found, 1 / information
