"""Can an explanation be relied on? Measured, not assumed: its stability and its faithfulness.

*Stability*: models that differ by their seed alone should name the same reasons. The top 3 of two
models are held together by their Jaccard index (shared ÷ named by either), beside what drawing
three at random gives. *Faithfulness* (comprehensiveness and sufficiency of DeYoung et al., ERASER,
ACL 2020, section 4): without the top 3 groups the score must move more than without three random
ones, and with the top 3 alone it must come nearer to itself. A feature is taken away by putting
random customers' values in its place; the mean of their scores stands for "not known".
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import combinations
from math import comb
from typing import Any

import numpy as np
import numpy.typing as npt

from training.intervals import mean_interval
from training.metrics import top
from training.models.boosters import contributions
from training.models.next_product import NextProductModel
from training.models.start_learner import NextProductConfig, StartRows, reseeded

Matrix = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]
Vector = npt.NDArray[np.float64]
Score = Callable[[Matrix], Vector]
Table = list[dict[str, Any]]

TOP = 3
"""Reasons an answer shows at most."""

SEEDS = 5
BUSIEST = 3
"""Products trained again with other seeds: those with most starts; all would take minutes."""

BACKGROUND = 10
"""Random customers whose values stand for "not known"; their mean moves little with more."""


def group_sums(values: Matrix, groups: Sequence[str], names: Sequence[str] | None = None) -> Matrix:
    """Contributions (n, F) summed into groups, shape (n, G): those named, or all as they come.

    >>> group_sums(np.array([[1.0, 2.0, 4.0]]), ["age", "money", "age"]).tolist()
    [[5.0, 2.0]]
    """
    names = list(dict.fromkeys(groups)) if names is None else names
    member = np.array([[group == name for name in names] for group in groups], dtype=np.float64)
    return np.asarray(values @ member)


def used_groups(contributions_: Sequence[Matrix], groups: Sequence[str]) -> list[str]:
    """Groups that move any of these contributions, each (n, F): the others cannot be reasons."""
    used = np.any([np.any(values != 0, axis=0) for values in contributions_], axis=0)
    return list(dict.fromkeys(group for group, moves in zip(groups, used, strict=True) if moves))


def largest(values: Matrix, count: int) -> Mask:
    """Mark the `count` largest of each row by size, shape (n, width); ties go to the first.

    >>> largest(np.array([[0.1, -3.0, 2.0, 0.0]]), 2).tolist()
    [[False, True, True, False]]
    """
    places = np.argsort(-np.abs(values), axis=1, kind="stable")[:, :count]
    mask = np.zeros(values.shape, dtype=bool)
    np.put_along_axis(mask, places, True, axis=1)
    return mask


def jaccard(models: Sequence[Matrix], count: int = TOP) -> Vector:
    """Agreement of several models' largest contributions, row by row: mean over pairs of models.

    ``models`` are contributions of the same rows, each (n, width); shape (n,), 0 to 1.
    """
    tops = [largest(one, min(count, one.shape[1])) for one in models]
    pairs = [
        (one & other).sum(axis=1) / (one | other).sum(axis=1)
        for one, other in combinations(tops, 2)
    ]
    return np.asarray(np.mean(pairs, axis=0))


def jaccard_by_chance(width: int, count: int = TOP) -> float:
    """Expected Jaccard index of two sets of `count`, drawn from `width` at random.

    >>> round(jaccard_by_chance(6), 3), jaccard_by_chance(3)
    (0.365, 1.0)
    """
    count = min(count, width)
    return sum(
        comb(count, shared) * comb(width - count, count - shared) / comb(width, count)
        * shared / (2 * count - shared)
        for shared in range(count + 1)
    )  # fmt: skip


@dataclass(frozen=True)
class Faithfulness:
    """How far the log-odds of each row move, shape (n,) each, without or with groups alone.

    ``deletion`` without the top groups, ``sufficiency`` with nothing but them (smaller is better);
    ``random_…`` the mean over all sets of as many groups.
    """

    deletion: Vector
    random_deletion: Vector
    sufficiency: Vector
    random_sufficiency: Vector


def faithfulness(
    score: Score,
    x: Matrix,
    values: Matrix,
    groups: Sequence[str],
    names: Sequence[str],
    background: Matrix,
) -> Faithfulness:
    """Measure a score's explanations on rows.

    Parameters
    ----------
    score
        Log-odds (m,) of rows (m, F).
    x
        Rows (n, F) whose explanations are measured.
    values
        Their contributions, (n, F).
    groups
        Group of each feature, (F,).
    names
        The groups to pick from: four or more, or the top 3 are all there is.
    background
        Random customers' rows (R, F), whose values stand for "not known".
    """
    member = np.array([[group == name for group in groups] for name in names])
    sets = list(combinations(range(len(names)), TOP))
    tops = largest(group_sums(values, groups, names), TOP)
    whole = score(x)
    moved: dict[tuple[int, ...], Vector] = {}

    def without(removed: tuple[int, ...]) -> Vector:
        # with six groups the rest of a set of three is a set of three: each is scored once
        if removed not in moved:
            moved[removed] = np.abs(whole - _replaced(score, x, member[list(removed)], background))
        return moved[removed]

    rest = {one: tuple(g for g in range(len(names)) if g not in one) for one in sets}
    deletion = np.column_stack([without(one) for one in sets])
    sufficiency = np.column_stack([without(rest[one]) for one in sets])
    place = {one: number for number, one in enumerate(sets)}
    own = np.array([place[tuple(np.flatnonzero(top).tolist())] for top in tops])
    rows = np.arange(len(x))
    return Faithfulness(
        deletion[rows, own], deletion.mean(axis=1), sufficiency[rows, own], sufficiency.mean(axis=1)
    )


def _replaced(score: Score, x: Matrix, removed: Mask, background: Matrix) -> Vector:
    """Mean score of rows whose features in any of the groups `removed` (g, F) are others'."""
    columns = np.flatnonzero(removed.any(axis=0))
    mixed = np.repeat(x, len(background), axis=0)
    mixed[:, columns] = np.tile(background[:, columns], (len(x), 1))
    return np.asarray(score(mixed).reshape(len(x), len(background)).mean(axis=1))


@dataclass(frozen=True)
class Asked:
    """Test rows to explain: x (n, F), eligible (n, K) and codes of their customers (n,)."""

    x: Matrix
    eligible: Mask
    customers: npt.NDArray[np.int64]


def measure(
    model: NextProductModel,
    config: NextProductConfig,
    rows: StartRows,
    groups: Sequence[str],
    asked: Asked,
    seed: int,
    threads: int = 1,
) -> dict[str, Table]:
    """Measure the explanations of the next product on test rows; ``groups`` (F,) by feature.

    Returns
    -------
    dict of tables
        ``explanations``: what was measured, its value, the ``reference`` that picking at random
        gives, and the 95 % interval of value − reference. ``stability``: the Jaccard indices of
        each product trained again. What cannot be measured is left out: where a model uses three
        groups or fewer the top 3 are all there is, and rare products have no models of their own.
    """
    trained = _trained_again(model, config, rows, asked, seed, threads)
    found = {product: _stability(values, groups) for product, values in trained.items()}
    table: Table = []
    for what in ("groups", "features"):
        told = [one[what] for one in found.values() if what in one]
        if told:
            index, chance = (np.mean([one[place] for one in told], axis=0) for place in (0, 1))
            table.append(_row(f"stability_{what}", "Jaccard", index, chance, asked.customers))
    table += _faithfulness(model, rows, groups, asked, seed, threads)
    stability = [
        {"product": product, **{what: float(index.mean()) for what, (index, _) in one.items()}}
        for product, one in found.items()
    ]
    return {"explanations": table, "stability": stability}


def _trained_again(
    model: NextProductModel,
    config: NextProductConfig,
    rows: StartRows,
    asked: Asked,
    seed: int,
    threads: int,
) -> dict[str, list[Matrix]]:
    """Contributions (n, F) to the busiest products' scores, one matrix for each seed."""
    learned = model.learned_
    positives = (rows.starts & rows.eligible)[rows.known].sum(axis=0)
    column = {product: model.products.index(product) for product in learned.merged}
    busiest = sorted(column, key=lambda product: -positives[column[product]])[:BUSIEST]
    if not busiest:
        return {}
    rounds = {column[product]: learned.rounds[product] for product in busiest}
    # the release's own trees are those of the first seed
    seeds = [seed + number for number in range(1, SEEDS)]
    boosters = reseeded(config, rows, rounds, seeds, threads)
    return {
        product: [
            model.contributions(asked.x, product, threads)[:, :-1],
            *(contributions(one[column[product]], asked.x, threads)[:, :-1] for one in boosters),
        ]
        for product in busiest
    }


def _stability(values: list[Matrix], groups: Sequence[str]) -> dict[str, tuple[Vector, Vector]]:
    """Jaccard index of each row (n,) and what chance gives, of features and, if four, groups."""
    rows, width = values[0].shape
    found = {"features": (jaccard(values), np.full(rows, jaccard_by_chance(width)))}
    names = used_groups(values, groups)
    if len(names) > TOP:
        summed = [group_sums(one, groups, names) for one in values]
        found["groups"] = (jaccard(summed), np.full(rows, jaccard_by_chance(len(names))))
    return found


def _faithfulness(
    model: NextProductModel,
    rows: StartRows,
    groups: Sequence[str],
    asked: Asked,
    seed: int,
    threads: int,
) -> Table:
    """Deletion and sufficiency of the top groups of each asked row's recommended product."""
    random = np.random.default_rng(seed)
    background = rows.x[random.choice(rows.train, min(BACKGROUND, len(rows.train)), replace=False)]
    recommended = top(model.log_odds(asked.x, threads), asked.eligible, 1)[:, 0]
    own = {int(k): np.flatnonzero(recommended == k) for k in np.unique(recommended)}
    values = {
        k: model.contributions(asked.x[rows_], model.products[k], threads)[:, :-1]
        for k, rows_ in own.items()
    }
    names = used_groups(list(values.values()), groups)
    if len(names) <= TOP:
        return []
    measured = []
    for k, rows_ in own.items():

        def score(x: Matrix, k: int = k) -> Vector:
            return model.log_odds(x, threads)[:, k]

        measured.append(faithfulness(score, asked.x[rows_], values[k], groups, names, background))
    customers = asked.customers[np.concatenate(list(own.values()))]

    def joined(what: str) -> Vector:
        return np.concatenate([getattr(one, what) for one in measured])

    return [
        _row(what, "log-odds", joined(what), joined(f"random_{what}"), customers)
        for what in ("deletion", "sufficiency")
    ]


def _row(
    measured: str, unit: str, values: Vector, reference: Vector, customers: npt.NDArray[np.int64]
) -> dict[str, Any]:
    low, high = mean_interval(values - reference, customers)
    return {
        "measure": measured, "unit": unit, "value": float(values.mean()),
        "reference": float(reference.mean()), "low": low, "high": high, "rows": len(values),
    }  # fmt: skip
