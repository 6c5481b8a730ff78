"""Text boosters packed into a few arrays: all trees for some customers and many questions at once.

LightGBM walks one tree after the other, and all of them again for every question about the same
customer. Here each split knows which leaves its right turn rules out; the leaf is the lowest bit
that all splits of a tree leave (QuickScorer: Lucchese et al. 2015, SIGIR). What is asked about
stands in the last columns: a customer's own splits are looked at once, however many the questions.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from training.errors import ReleaseError
from training.models.boosters import MOST_LEAVES, header_of, trees_of

Matrix = npt.NDArray[np.float64]
Array = npt.NDArray[np.float64]
Masks = npt.NDArray[np.unsignedinteger]
TOGETHER = 16_384
"""Leaves that are looked up at once: so few that they stay in the cache."""
# LightGBM's bits of `decision_type`: split by category, a hole goes left, what counts as a hole
_CATEGORICAL, _HOLE_LEFT, _HOLES = 1, 2, 12
_NO_HOLES, _NAN_HOLES = 0, 8
_BELOW, _ABOVE, _NOUGHT = range(3)
_HOLE_STANDS_FOR = (-np.inf, np.nan, 0.0)
"""At most every threshold, at most none (some are infinite), or nought."""


class PackedBooster:
    """Scores a few rows for many questions, as LightGBM scores each (the trees are added in pairs).

    Parameters
    ----------
    text
        A text booster of trees with `MOST_LEAVES` leaves at most.
    context
        How many of its last columns say what is asked about.

    Raises
    ------
    ReleaseError
        Trees with more leaves, linear ones, or such as take noughts for holes.
    """

    def __init__(self, text: str, context: int) -> None:
        header = header_of(text)
        self._width = int(header["max_feature_idx"]) + 1 - context
        self._outputs = int(header["num_tree_per_iteration"])
        trees = [_Tree.of(one) for one in trees_of(text)]
        most = max(len(one.leaves) for one in trees)
        if most > MOST_LEAVES:
            raise ReleaseError(
                f"a tree of {most} leaves; train with `num_leaves` of {MOST_LEAVES} at most"
            )
        kinds = (np.uint8, np.uint16, np.uint32, np.uint64)
        kind = next(one for one in kinds if most <= 8 * np.dtype(one).itemsize)
        every = kind(2**most - 1)
        own: list[list[_Split]] = [[] for _ in trees]
        looked_up: dict[int, list[tuple[int, _Split]]] = {}
        for number, tree in enumerate(trees):
            for split in tree.splits:
                if split.column < self._width and split.categories is None:
                    own[number].append(split)
                else:
                    looked_up.setdefault(split.column, []).append((number, split))
        self._columns = [
            (column, _Column(splits, len(trees), every)) for column, splits in looked_up.items()
        ]
        # own splits, shape (most of a tree, trees); where a tree has fewer: one that rules out none
        shape = max(map(len, own)), len(trees)
        self._read = np.zeros(shape, np.intp)
        self._threshold = np.full(shape, np.inf)
        self._every, self._right = every, np.full(shape, every)
        for number, splits in enumerate(own):
            for place, split in enumerate(splits):
                self._read[place, number] = split.column + split.hole * self._width
                self._threshold[place, number] = split.threshold
                self._right[place, number] = every & ~kind(split.ruled_out)
        leaves = np.zeros((len(trees), most))
        for number, tree in enumerate(trees):
            leaves[number, : len(tree.leaves)] = tree.leaves
        self._leaves, self._first_leaf = leaves.ravel(), np.arange(len(trees)) * most

    def raw_scores(self, x: Matrix, asked: Array) -> Array:
        """Raw scores (n, m, outputs) of rows (n, F), each for m questions.

        ``asked`` holds the context columns, shape (n, m, context) or what broadcasts to it.
        """
        told = np.broadcast_to(asked, (len(x), *asked.shape[-2:]))
        scores = np.empty((*told.shape[:2], self._outputs))
        step = max(1, TOGETHER // max(1, told.shape[1] * len(self._first_leaf)))
        for first in range(0, len(x), step):
            some = slice(first, first + step)
            scores[some] = self._some(x[some], told[some])
        return scores

    def _some(self, x: Matrix, asked: Array) -> Array:
        masks = self._own(x)[:, None, :]
        for column, splits in self._columns:
            asks = column >= self._width
            values = asked[:, :, column - self._width] if asks else x[:, column, None]
            masks = masks & splits.masks(values)
        leaf = np.bitwise_count(~masks & (masks - 1)) + self._first_leaf
        by_tree = np.ascontiguousarray(self._leaves[leaf])
        # tree i belongs to output i % outputs
        return np.asarray(by_tree.reshape(*by_tree.shape[:2], -1, self._outputs).sum(axis=2))

    def _own(self, x: Matrix) -> Masks:
        """What the rows' own numbers leave of each tree, shape (n, trees)."""
        holes = np.isnan(x)
        filled = [np.where(holes, one, x) for one in _HOLE_STANDS_FOR]
        left = np.concatenate(filled, axis=1)[:, self._read] <= self._threshold
        masks: Masks = np.bitwise_and.reduce(np.where(left, self._every, self._right), axis=1)
        return masks


@dataclass(frozen=True)
class _Split:
    """Where a tree forks: left where a number is at most the threshold, or a code among some.

    ``hole`` says what stands for a number that is missing; ``ruled_out`` are the leaves that its
    right turn rules out, a bit each.
    """

    column: int
    threshold: float
    hole: int
    categories: frozenset[int] | None
    ruled_out: int


@dataclass(frozen=True)
class _Tree:
    """Leaf values from left to right, and the splits."""

    leaves: list[float]
    splits: list[_Split]

    @classmethod
    def of(cls, text: str) -> _Tree:
        """Read the body of a tree of a text booster."""
        told = dict(line.split("=", 1) for line in text.splitlines() if line)
        if told["is_linear"] != "0":
            raise ReleaseError("a tree with linear leaves; train without `linear_tree`")
        columns, kinds, left, right, bounds, words = (
            [int(one) for one in told.get(name, "").split()]
            for name in (
                "split_feature", "decision_type", "left_child", "right_child",
                "cat_boundaries", "cat_threshold",
            )
        )  # fmt: skip
        thresholds, values = (
            [float(one) for one in told[name].split()] for name in ("threshold", "leaf_value")
        )
        leaves: list[float] = []
        splits: list[_Split] = []

        def walk(node: int) -> int:
            """Number the leaves from here on; gives their bits."""
            if node < 0:
                leaves.append(values[~node])
                return 1 << (len(leaves) - 1)
            on_the_left = walk(left[node])
            categories = None
            if kinds[node] & _CATEGORICAL:
                place = int(thresholds[node])
                categories = _codes(words[bounds[place] : bounds[place + 1]])
            hole = _hole(kinds[node])
            splits.append(_Split(columns[node], thresholds[node], hole, categories, on_the_left))
            return on_the_left | walk(right[node])

        walk(0 if columns else -1)
        return cls(leaves, splits)


def _codes(words: Sequence[int]) -> frozenset[int]:
    """The codes of a bit set of 32-bit words."""
    return frozenset(
        32 * place + bit for place, word in enumerate(words) for bit in range(32) if word >> bit & 1
    )


def _hole(decision_type: int) -> int:
    holes = decision_type & _HOLES
    if holes == _NO_HOLES:
        return _NOUGHT
    if holes != _NAN_HOLES:
        raise ReleaseError(
            "a booster that takes noughts for holes; train without `zero_as_missing`"
        )
    return _BELOW if decision_type & _HOLE_LEFT else _ABOVE


class _Column:
    """The splits of all trees by one column: what each of its values leaves, a row each."""

    def __init__(
        self, splits: Sequence[tuple[int, _Split]], trees: int, every: np.unsignedinteger
    ) -> None:
        codes = [code for _, split in splits for code in split.categories or ()]
        self._by_code = splits[0][1].categories is not None
        self._edges = (
            np.arange(max(codes) + 1.0)
            if self._by_code
            else np.unique([split.threshold for _, split in splits])
        )
        # a row an edge, one for what is beyond them, and one for a hole
        self._rows = np.full((len(self._edges) + 2, trees), every)
        for number, split in splits:
            if split.categories is not None:
                left = np.isin(np.arange(len(self._rows)), list(split.categories))
            else:
                left = (
                    np.array([*self._edges, np.inf, _HOLE_STANDS_FOR[split.hole]])
                    <= split.threshold
                )
            self._rows[~left, number] &= every & ~every.dtype.type(split.ruled_out)

    def masks(self, values: Array) -> Masks:
        """What values leave of each tree, shape (..., trees)."""
        beyond = len(self._edges)
        holes = np.isnan(values)
        if self._by_code:
            codes = np.trunc(np.where(holes, -1.0, values))
            place = np.where((codes >= 0) & (codes < beyond), codes, beyond).astype(np.intp)
        else:
            place = np.searchsorted(self._edges, values)
            place[holes] = beyond + 1
        return self._rows[place]
