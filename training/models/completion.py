"""Completion (办成率): once begun, does it get done if handled there?

A table of log-odds that add up: of all journeys, of the stage, of the handle and of the offer at
that stage, and of the cell of the three. How much the offer matters differs by handle (a mortgage
is lost in an app and not at a loan manager's), so its part is multiplied by 1 + the handle's
scale, as in item response theory [1]. Each level is drawn towards 0, and how strongly is read from
the journeys themselves: a logistic mixed model [2], its variances by EM [3]. A level that tells
nothing keeps a variance near 0; a cell seen often keeps its own rate. A reviewer can check any
rate with a pencil.

[1] Birnbaum, Some latent trait models, in Lord & Novick, 1968 (the two-parameter logistic model).
[2] Breslow & Clayton, Approximate Inference in Generalized Linear Mixed Models, JASA 1993.
[3] Schall, Estimation in generalized linear models with random effects, Biometrika 1991.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt
from scipy import sparse
from scipy.special import expit

from features.config import StrictConfig

Vector = npt.NDArray[np.float64]
Journey = tuple[str, str, str, bool]
"""Offer, stage, handle, and whether it was done."""

LEVELS = ("overall", "stage", "handle", "scale", "offer", "cell")
OVERALL_VARIANCE = 100.0
"""Prior variance of the log-odds of all journeys: none to speak of."""
SCALE_VARIANCE = 0.5
"""Prior variance of a handle's scale: an offer may matter twice as much at one, or not at all."""
FIRST_VARIANCE = 0.1
SMALLEST_VARIANCE = 1e-6
ITERATIONS = 500
TOLERANCE = 1e-4


class CompletionModel(StrictConfig):
    """Share of begun journeys that get done, by offer, stage and handle.

    ``log_odds`` holds the parts that add up, by key: empty for all, `stage`, `stage|handle`,
    `stage||offer` (times 1 + the scale `stage|handle|*`) and `stage|handle|offer`. ``variances``
    tells how far the parts of each level spread, ``journeys`` how many were seen in each cell.
    """

    log_odds: dict[str, float]
    variances: dict[str, float]
    journeys: dict[str, int]

    @classmethod
    def fit(cls, journeys: Iterable[Journey]) -> CompletionModel:
        """Learn from journeys, in any order; with none, every start is done."""
        seen: dict[tuple[str, str, str], list[int]] = {}
        for offer, stage, handle, done in journeys:
            count = seen.setdefault((offer, stage, handle), [0, 0])
            count[0] += 1
            count[1] += int(done)
        if not seen:
            return cls(log_odds={}, variances={}, journeys={})
        parts = [_parts(*cell) for cell in sorted(seen)]
        counts = np.array([seen[cell] for cell in sorted(seen)], dtype=np.float64)
        log_odds, variances = _fit_parts(parts, counts[:, 0], counts[:, 1])
        return cls(
            log_odds=log_odds,
            variances=variances,
            journeys={keys[-1]: int(n) for keys, n in zip(parts, counts[:, 0], strict=True)},
        )

    def rate(self, offer: str, stage: str, handle: str) -> float:
        """Share of journeys that get done, 0–1; a part nobody saw adds nothing."""
        if not self.log_odds:
            return 1.0
        overall, stage_, handle_, scale, offer_, cell = (
            self.log_odds.get(key, 0.0) for key in _parts(offer, stage, handle)
        )
        return float(expit(overall + stage_ + handle_ + (1 + scale) * offer_ + cell))


def _parts(offer: str, stage: str, handle: str) -> tuple[str, ...]:
    """Keys of the parts that make up a cell, in the order of `LEVELS`."""
    at = f"{stage}|{handle}"
    return "", stage, at, f"{at}|*", f"{stage}||{offer}", f"{at}|{offer}"


def _fit_parts(
    parts: list[tuple[str, ...]], journeys: Vector, done: Vector
) -> tuple[dict[str, float], dict[str, float]]:
    """Log-odds of every part and variance of every level; counts by cell, shape (cells,).

    Newton steps for the parts (the product of scale and offer by its derivatives, Gauss-Newton)
    take turns with EM steps for the variances. The parts of the cells are eliminated first: what
    is left to solve is as wide as the other levels together.
    """
    shared = sorted({(level, keys[level]) for keys in parts for level in range(len(LEVELS) - 1)})
    column = {one: number for number, one in enumerate(shared)}
    level_of = np.array([level for level, _ in shared])
    columns = np.array(
        [[column[level, keys[level]] for level in range(len(LEVELS) - 1)] for keys in parts]
    )
    scale_of, offer_of = columns[:, LEVELS.index("scale")], columns[:, LEVELS.index("offer")]
    start = np.arange(0, columns.size + 1, columns.shape[1])
    derivatives = np.ones(columns.shape)
    variance = np.full(len(LEVELS), FIRST_VARIANCE)
    variance[0], variance[LEVELS.index("scale")] = OVERALL_VARIANCE, SCALE_VARIANCE
    common, own = np.zeros(len(shared)), np.zeros(len(parts))
    for _ in range(ITERATIONS):
        scale, offer = common[scale_of], common[offer_of]
        derivatives[:, LEVELS.index("scale")] = offer
        derivatives[:, LEVELS.index("offer")] = 1 + scale
        design = sparse.csr_matrix(
            (derivatives.ravel(), columns.ravel(), start), shape=(len(parts), len(shared))
        )
        # scale x offer stands in the derivatives of both, and once in the log-odds
        p = expit(design @ common - scale * offer + own)
        weight = journeys * p * (1 - p)
        precision = weight + 1 / variance[-1]
        slope = done - journeys * p
        slope_own = slope - own / variance[-1]
        slope_common = design.T @ (slope - weight / precision * slope_own)
        slope_common -= common / variance[level_of]
        left = design.T @ design.multiply((weight / (1 + variance[-1] * weight))[:, None])
        covariance = np.linalg.inv(left.toarray() + np.diag(1 / variance[level_of]))
        step = covariance @ slope_common
        step_own = (slope_own - weight * (design @ step)) / precision
        common, own = common + step, own + step_own
        spread = np.asarray(design.multiply(design @ covariance).sum(axis=1)).ravel()
        spread_own = 1 / precision + (weight / precision) ** 2 * spread
        newest = variance.copy()
        for level in range(1, len(LEVELS) - 1):
            of_level = level_of == level
            newest[level] = np.mean(common[of_level] ** 2 + np.diag(covariance)[of_level])
        # half the offers and twice the scales is the same: one of the two must be given
        newest[LEVELS.index("scale")] = SCALE_VARIANCE
        newest[-1] = np.mean(own**2 + spread_own)
        newest = np.maximum(newest, SMALLEST_VARIANCE)
        settled = max(np.abs(step).max(), np.abs(step_own).max(), np.abs(newest - variance).max())
        variance = newest
        if settled < TOLERANCE:
            break
    log_odds = {key: float(value) for (_, key), value in zip(shared, common, strict=True)}
    cells = {keys[-1]: float(value) for keys, value in zip(parts, own, strict=True)}
    return {**log_odds, **cells}, dict(zip(LEVELS, variance.tolist(), strict=True))
