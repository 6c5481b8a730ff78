"""The leakage sentinel: does one feature know what only the outcome can know?

The candidate is peeled: the feature with the most gain is taken out and the model refitted, a few
times over. Each time one measures, on later time, how many of the pairs (one positive, one
negative, both of the same time block) that are ordered wrong without the feature it sets right.
The feature that sets most right is the suspect.

Then a cheat is trained on purpose: the same specification, with the suspect replaced by a column
that is told the answers of a share of all rows and is empty elsewhere. A candidate that orders
later time as well as the cheat does is stopped.

Why this tells a leak from an honest strong feature:

- pairs of one time block: an honest feature that knows the season, the campaign or the drift of
  the rate orders rows of different months; a leak knows the row;
- what remains without the feature is the measure, so a feature is not charged with what others
  know as well, and a model that is good already is not allowed more;
- later time: what was overfitted is gone;
- peeling, not removing one at a time: a leak in two columns (seconds and minutes) would hide
  behind its double.

What it cannot see: a leak spread over more columns than are peeled, or one that is worth less
than the share of answers planted. Whom it stops wrongly: a model of one honest feature and little
else that reaches an AUC of 0.76 by it alone, which a reviewer will want to see anyway.

Kaufman et al., Leakage in Data Mining, ACM TKDD 2012, section 5, propose the same looks by eye: a
model too good to be true, and a feature's part in it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from training.errors import TrainingError
from training.metrics import auc_within

Matrix = npt.NDArray[np.float64]
Rows = npt.NDArray[np.int64]
Vector = npt.NDArray[np.float64]
PLANTED = "planted answers"
"""Name of the cheat's column."""


class Scorer(Protocol):
    """A fitted binary head."""

    @property
    def gain(self) -> Vector:
        """What each feature did for the fit, shape (F,); the most is peeled first."""

    def score(self, x: Matrix) -> Vector:
        """Scores of shape (n,), higher for more likely."""


Fit = Callable[[Matrix, Vector, tuple[str, ...]], Scorer]
"""Fits the specification on `x` (n, F), labels (n,) in 0 or 1 and the names of the columns."""


@dataclass(frozen=True)
class PeeledFeature:
    """AUC on later rows with and without a feature, what was peeled before it being gone."""

    feature: str
    auc_with: float
    auc_without: float

    @property
    def worth(self) -> float:
        """Share of the pairs ordered wrong without the feature that it sets right, up to 1."""
        return _worth(self.auc_without, self.auc_with)


@dataclass(frozen=True)
class LeakCheck:
    """What the sentinel measured; AUCs are of later rows, within time blocks.

    ``cheat_auc`` is that of the model that has planted answers in place of the suspect.
    """

    peeled: tuple[PeeledFeature, ...]
    cheat_auc: float
    known_share: float

    @property
    def auc(self) -> float:
        """The candidate's own."""
        return self.peeled[0].auc_with

    @property
    def suspect(self) -> PeeledFeature:
        """The feature that sets most right."""
        return max(self.peeled, key=lambda one: one.worth)

    @property
    def cheat_worth(self) -> float:
        """What the planted answers set right, in place of the suspect."""
        return _worth(self.suspect.auc_without, self.cheat_auc)

    @property
    def stopped(self) -> bool:
        """Whether the suspect does what knowing the answers would."""
        return self.suspect.worth >= self.cheat_worth

    @property
    def reason(self) -> str:
        """One sentence for the reviewer."""
        one = self.suspect
        told = (
            f"'{one.feature}' sets {one.worth:.0%} of the wrongly ordered pairs right on later "
            f"time (AUC {one.auc_without:.3f} without it, {one.auc_with:.3f} with it); knowing "
            f"{self.known_share:.0%} of the answers outright would set {self.cheat_worth:.0%} right"
        )
        if self.stopped:
            return f"stopped: {told}. Show that it is known before the outcome, or leave it out"
        return f"passed: no feature does more than {told}"


def check_leakage(
    x: Matrix,
    labels: Vector,
    names: tuple[str, ...],
    fit: Fit,
    train: Rows,
    later: Rows,
    blocks: Rows,
    *,
    depth: int = 5,
    known_share: float = 0.3,
    seed: int = 1,
) -> LeakCheck:
    """Hold a candidate against a model that cheats on purpose.

    Parameters
    ----------
    x, labels, names
        Features (n, F), labels (n,) in 0 or 1, and the columns' names.
    fit
        The candidate's specification; called 2 + `depth` times at most.
    train, later
        Row numbers; `later` lies wholly after `train` in time.
    blocks
        Time block of every row, shape (n,), for example its month: only rows of the same block
        are compared.
    depth
        How many features are peeled, by gain, 1 or more.
    known_share
        Share of the rows whose answers the cheat is told.
    seed
        Chooses those rows.

    Returns
    -------
    LeakCheck
        Figures, verdict and its reason. Under some 30 positives in `later` they are mostly noise.

    Raises
    ------
    TrainingError
        Where no block of `later` holds both labels, or there is no second feature to fit on.
    """
    if len(names) < 2:
        raise TrainingError("the sentinel refits without a feature: it needs two or more")

    def fitted(columns: list[int]) -> tuple[float, Vector]:
        named = tuple(names[column] for column in columns)
        return _fitted(x[:, columns], labels, named, fit, train, later, blocks)

    columns = list(range(len(names)))
    auc, gain = fitted(columns)
    if np.isnan(auc):
        raise TrainingError(
            "no time block of the later rows holds both labels; give later rows, or longer blocks"
        )
    peeled: list[PeeledFeature] = []
    left: list[list[int]] = []
    for _ in range(min(depth, len(names) - 1)):
        most = columns.pop(int(np.argmax(gain)))
        without, gain = fitted(columns)
        peeled.append(PeeledFeature(names[most], auc, without))
        left.append(list(columns))
        auc = without
    suspect = max(range(len(peeled)), key=lambda step: peeled[step].worth)
    told = np.random.default_rng(seed).random(len(labels)) < known_share
    planted = np.column_stack([x[:, left[suspect]], np.where(told, labels, np.nan)])
    named = (*(names[column] for column in left[suspect]), PLANTED)
    cheat_auc, _ = _fitted(planted, labels, named, fit, train, later, blocks)
    return LeakCheck(tuple(peeled), cheat_auc, known_share)


def _fitted(
    x: Matrix,
    labels: Vector,
    names: tuple[str, ...],
    fit: Fit,
    train: Rows,
    later: Rows,
    blocks: Rows,
) -> tuple[float, Vector]:
    """AUC within the blocks of the later rows, and the gain of each feature."""
    model = fit(x[train], labels[train], names)
    return auc_within(labels[later], model.score(x[later]), blocks[later]), model.gain


def _worth(auc_without: float, auc_with: float) -> float:
    return (auc_with - auc_without) / (1.0 - auc_without) if auc_without < 1.0 else 0.0
