"""Text boosters: many binary boosters as one multi-output booster, and one class of it apart.

LightGBM scores one booster of K outputs several times faster than K boosters. In its text form
tree `i` of a K-output model belongs to output `i % K`; merging interleaves the trees (shorter
boosters are padded with trees that add 0) and taking one class apart picks them out again.
"""

from __future__ import annotations

import ctypes
import re
import weakref
from collections.abc import Sequence

import lightgbm as lgb
import numpy as np
import numpy.typing as npt
from lightgbm.basic import _LIB, _safe_call
from pydantic import Field

from features.config import StrictConfig

Matrix = npt.NDArray[np.float64]
Vector = npt.NDArray[np.float64]
# LightGBM's C API (`c_api.h`): numbers are doubles, row by row; what is predicted
_FLOAT64, _ROW_MAJOR, _RAW_SCORE, _CONTRIB = 1, 1, 1, 3
MOST_LEAVES = 64
"""A bit each, of an integer (`training.models.packed`)."""


class BoosterConfig(StrictConfig):
    """How a booster is grown, in LightGBM's own names."""

    num_leaves: int = Field(default=7, ge=2, le=MOST_LEAVES)
    learning_rate: float = Field(default=0.08, gt=0, le=1)
    max_rounds: int = Field(default=150, ge=1)
    early_stopping_rounds: int = Field(default=20, ge=1)
    min_data_in_leaf: int = Field(default=50, ge=1)
    feature_fraction: float = Field(default=0.3, gt=0, le=1)
    bagging_fraction: float = Field(default=0.8, gt=0, le=1)
    lambda_l2: float = Field(default=5.0, ge=0)

    def parameters(self, seed: int, threads: int, **objective: object) -> dict[str, object]:
        """LightGBM parameters with an objective; deterministic for a seed."""
        return {
            **objective,
            "num_leaves": self.num_leaves,
            "learning_rate": self.learning_rate,
            "min_data_in_leaf": self.min_data_in_leaf,
            "feature_fraction": self.feature_fraction,
            "bagging_fraction": self.bagging_fraction,
            "bagging_freq": 1,
            "lambda_l2": self.lambda_l2,
            "seed": seed,
            "deterministic": True,
            "force_col_wise": True,
            "num_threads": threads,
            "verbosity": -1,
            "feature_pre_filter": False,
        }


_TREE = re.compile(r"^Tree=\d+\n(.*?)\n\n+(?=Tree=|end of trees)", re.S | re.M)
_PADDING = (
    "num_leaves=1\nnum_cat=0\nsplit_feature=\nsplit_gain=\nthreshold=\ndecision_type=\n"
    "left_child=\nright_child=\nleaf_value=0\nleaf_weight=\nleaf_count=\ninternal_value=\n"
    "internal_weight=\ninternal_count=\nis_linear=0\nshrinkage=1\n"
)


def trees_of(text: str) -> list[str]:
    """Bodies of the trees of a text model, in order."""
    return [match.group(1) + "\n" for match in _TREE.finditer(text)]


def header_of(text: str) -> dict[str, str]:
    """What a text model says before its trees."""
    head = text.split("\nTree=", 1)[0]
    return dict(line.split("=", 1) for line in head.splitlines() if "=" in line)


def _write(header: dict[str, str], trees: Sequence[str], outputs: int, objective: str) -> str:
    blocks = [f"Tree={number}\n{tree}\n\n" for number, tree in enumerate(trees)]
    lines = [
        "tree",
        f"version={header['version']}",
        f"num_class={outputs}",
        f"num_tree_per_iteration={outputs}",
        f"label_index={header['label_index']}",
        f"max_feature_idx={header['max_feature_idx']}",
        f"objective={objective}",
        f"feature_names={header['feature_names']}",
        f"feature_infos={header['feature_infos']}",
        # LightGBM jumps from tree to tree by these sizes, in bytes
        "tree_sizes=" + " ".join(str(len(block.encode())) for block in blocks),
        "",
        "",
    ]
    return "\n".join(lines) + "".join(blocks) + "end of trees\n\nparameters:\nend of parameters\n"


def merge(texts: Sequence[str]) -> str:
    """One multi-output text booster from K single-output ones over the same features.

    Its raw score of output k is that of `texts[k]`, bit for bit.
    """
    per_output = [trees_of(text) for text in texts]
    objective = f"multiclassova num_class:{len(texts)} sigmoid:1"
    return _write(header_of(texts[0]), _interleaved(per_output), len(texts), objective)


def _interleaved(per_output: Sequence[Sequence[str]]) -> list[str]:
    """The trees of all outputs in turn; shorter outputs are padded with trees that add 0."""
    return [
        trees[number] if number < len(trees) else _PADDING
        for number in range(max(map(len, per_output)))
        for trees in per_output
    ]


def one_output(text: str, output: int) -> str:
    """The trees of one output of a multi-output text booster, as a booster of its own."""
    header = header_of(text)
    outputs = int(header["num_tree_per_iteration"])
    chosen = [tree for number, tree in enumerate(trees_of(text)) if number % outputs == output]
    return _write(header, chosen, 1, "regression")


def raw_scores(booster: lgb.Booster, x: Matrix, outputs: int, threads: int = 1) -> Matrix:
    """Raw scores of shape (n, outputs); one thread is fastest for few rows."""
    return _predicted(booster, x, _RAW_SCORE, outputs, threads)


def contributions(booster: lgb.Booster, x: Matrix, threads: int = 1) -> Matrix:
    """Exact TreeSHAP of a single-output booster, shape (n, F + 1); the last column is the bias."""
    return _predicted(booster, x, _CONTRIB, x.shape[1] + 1, threads)


def _predicted(booster: lgb.Booster, x: Matrix, kind: int, width: int, threads: int) -> Matrix:
    """Do what `Booster.predict` does, shape (n, width), straight through LightGBM's C function.

    For one row `predict` spends longer on its way there than the trees take (a predictor made anew,
    options copied and written out as text), and a request asks eight times.
    """
    x = np.ascontiguousarray(x, dtype=np.float64)
    found = np.empty((len(x), width))
    if not len(x):
        return found
    # a booster just trained with early stopping answers up to its best round, as in `predict`
    rounds = booster.best_iteration if booster.best_iteration > 0 else -1
    if len(x) == 1:
        by_kind = _ONE_ROW.setdefault(booster, {})
        if kind not in by_kind:
            by_kind[kind] = _OneRow(booster, kind, width, x.shape[1], rounds)
        by_kind[kind].predict(x, found)
        return found
    _check_width(booster, len(x), kind, width, rounds)
    numbers = ctypes.c_int64()
    _safe_call(
        _LIB.LGBM_BoosterPredictForMat(
            booster._handle, ctypes.c_void_p(x.ctypes.data), _FLOAT64,
            ctypes.c_int32(x.shape[0]), ctypes.c_int32(x.shape[1]), _ROW_MAJOR,
            kind, 0, rounds, b"num_threads=%d" % threads, ctypes.byref(numbers),
            ctypes.c_void_p(found.ctypes.data),
        )
    )  # fmt: skip
    return found


class _OneRow:
    """LightGBM's way of scoring one row again and again: its predictor is made once."""

    def __init__(
        self, booster: lgb.Booster, kind: int, width: int, columns: int, rounds: int
    ) -> None:
        _check_width(booster, 1, kind, width, rounds)
        self._shape = columns, width
        self._handle = ctypes.c_void_p()
        _safe_call(
            _LIB.LGBM_BoosterPredictForMatSingleRowFastInit(
                booster._handle, kind, 0, rounds, _FLOAT64, ctypes.c_int32(columns),
                b"num_threads=1", ctypes.byref(self._handle),
            )
        )  # fmt: skip
        weakref.finalize(self, _LIB.LGBM_FastConfigFree, self._handle)

    def predict(self, x: Matrix, found: Matrix) -> None:
        """Score one row (1, F) into ``found`` (1, width)."""
        if (x.shape[1], found.shape[1]) != self._shape:
            raise ValueError(f"a row of {x.shape[1]} numbers, {self._shape[0]} were announced")
        numbers = ctypes.c_int64()
        _safe_call(
            _LIB.LGBM_BoosterPredictForMatSingleRowFast(
                self._handle, ctypes.c_void_p(x.ctypes.data), ctypes.byref(numbers),
                ctypes.c_void_p(found.ctypes.data),
            )
        )  # fmt: skip


_ONE_ROW: weakref.WeakKeyDictionary[lgb.Booster, dict[int, _OneRow]] = weakref.WeakKeyDictionary()
"""Of each booster alive, by what is predicted."""


def _check_width(booster: lgb.Booster, rows: int, kind: int, width: int, rounds: int) -> None:
    """Make sure that what LightGBM will write fits, for it does not ask."""
    numbers = ctypes.c_int64()
    _safe_call(
        _LIB.LGBM_BoosterCalcNumPredict(
            booster._handle, ctypes.c_int(rows), kind, 0, rounds, ctypes.byref(numbers)
        )
    )
    if numbers.value != rows * width:
        raise ValueError(f"the booster gives {numbers.value} numbers, not {rows * width}")
