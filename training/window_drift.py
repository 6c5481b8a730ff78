"""Drift of the training window: do the test's customers look like those of training?

The population stability index of every feature and score between training and test, judged as
`features.quality.drift` judges a bank's tables: above 0.1 and above what chance could make of it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from features.feature_set import FeatureSet
from features.quality.drift import compare
from features.quality.limits import Limits
from features.quality.profile import Distribution

Matrix = npt.NDArray[np.float64]
Vector = npt.NDArray[np.float64]

SAMPLED_ROWS = 20_000
"""Rows of each window that are looked at: PSI of so many is known to a few thousandths."""

BINS = 10
SCORE = "score"


@dataclass(frozen=True)
class Window:
    """Rows of one window: features (n, F), scores (n, K) and how many customers they are of."""

    x: Matrix
    scores: Matrix
    customers: int


def window_drift(
    train: Window,
    test: Window,
    feature_set: FeatureSet,
    classes: tuple[str, ...],
) -> list[dict[str, Any]]:
    """Give a row for each feature and score, largest shift first.

    Parameters
    ----------
    feature_set
        What the columns of features are.
    classes
        What the K columns of scores are of; their group is called 'score'.

    Returns
    -------
    list of dict
        ``column``, ``group``, ``psi``, ``chance`` (what chance alone may make of it), ``level``
        ('ok', 'alarm', or 'untested' where all values are alike).
    """
    limits = Limits()
    chance = limits.false_alarm_share / (len(feature_set.names) + len(classes))
    columns = [
        (
            name,
            feature_set.groups[name],
            train.x[:, at],
            test.x[:, at],
            feature_set.vocabularies.get(name, ()),
        )
        for at, name in enumerate(feature_set.names)
    ]
    columns += [
        (name, SCORE, train.scores[:, k], test.scores[:, k], ()) for k, name in enumerate(classes)
    ]
    table: list[dict[str, Any]] = []
    for name, group, then, now, words in columns:
        edges = () if words else _edges(then)
        drift = compare(
            _distribution(now, edges, words), _distribution(then, edges, words),
            test.customers, train.customers, limits, chance,
        )  # fmt: skip
        level = "untested" if drift.psi is None else drift.level
        row = {"column": name, "group": group, "psi": drift.psi, "chance": drift.psi_bound}
        table.append({**row, "level": level})
    return sorted(table, key=lambda row: -(row["psi"] or 0.0))


def _edges(values: Vector) -> tuple[float, ...]:
    known = values[~np.isnan(values)]
    if not len(known):
        return (0.0,)
    edges = np.unique(np.quantile(known, np.linspace(0, 1, BINS + 1), method="higher"))
    # a value that many rows have (0, mostly) gets a bin of its own: [low, low]
    alone = int((known == edges[0]).mean() >= 1 / BINS)
    return tuple([edges[0].item()] * alone + edges.tolist())


def _distribution(values: Vector, edges: tuple[float, ...], words: tuple[str, ...]) -> Distribution:
    known = values[~np.isnan(values)]
    missing = len(values) - len(known)
    if words:
        counts = np.bincount(known.astype(np.int64), minlength=len(words))
        return Distribution(
            rows=len(values), missing=missing, words=words, counts=tuple(counts.tolist())
        )
    # bins as `Distribution` has them: below low, [low, …], (…, …], above high
    place = np.searchsorted(edges, known, side="left") + (known == edges[0])
    counts = np.bincount(place, minlength=len(edges) + 1)
    return Distribution(
        rows=len(values), missing=missing, edges=edges, counts=tuple(counts.tolist())
    )
