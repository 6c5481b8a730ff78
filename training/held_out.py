"""Rows of a head held out of training: the same customers and moments for any model."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Generic, TypeVar

import numpy as np
import numpy.typing as npt

from features.spine import Spine
from training import metrics
from training.models.channel_preference import ChannelPreferenceModel
from training.models.next_product import NextProductModel

Matrix = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]
Names = npt.NDArray[np.str_]
Vector = npt.NDArray[np.float64]
Model = TypeVar("Model", NextProductModel, ChannelPreferenceModel)

DEPTH = 7
TINY = 1e-12


@dataclass(frozen=True)
class HeldOut(ABC, Generic[Model]):
    """Rows (n) and classes (C) of a head with what came of them.

    ``labels`` and ``possible`` are (n, C): what happened, and what could have.
    """

    spine: Spine
    classes: tuple[str, ...]
    labels: Mask
    possible: Mask

    metric: ClassVar[str]
    """What `values` measures, as reports name it; more is better."""

    @property
    def customers(self) -> Names:
        """Customer of each row, shape (n,)."""
        return np.array(self.spine.arrow()["customer_id"].to_pylist(), dtype=np.str_)

    @abstractmethod
    def predict(self, model: Model, x: Matrix, threads: int = 1) -> Matrix:
        """Probabilities (n, C) of a model whose features of these rows are `x` (n, F).

        A class that the model does not know gets 0: what is not known is not recommended.
        """

    @abstractmethod
    def values(self, scores: Matrix) -> Vector:
        """The metric row by row, shape (n,); NaN where a row has nothing to find."""

    @abstractmethod
    def loss(self, p: Matrix) -> float:
        """Log-loss of probabilities (n, C), in nats; less is better."""


class HeldOutStarts(HeldOut[NextProductModel]):
    """Rows of the next-product head; the metric is the average precision at 7."""

    metric = f"map_at_{DEPTH}"

    def predict(self, model: NextProductModel, x: Matrix, threads: int = 1) -> Matrix:
        """Probabilities of a start."""
        return _by_class(model.predict(x, threads), model.products, self.classes)

    def values(self, scores: Matrix) -> Vector:
        """Average precision at 7 of each row that started something."""
        relevant = (self.labels & self.possible).sum(axis=1).astype(np.float64)
        hit = metrics.hits(scores, self.labels, self.possible, DEPTH)
        found = metrics.average_precision(hit, np.maximum(relevant, 1))
        return np.where(relevant > 0, found, np.nan)

    def loss(self, p: Matrix) -> float:
        """Mean over the pairs (customer, product he may start) of their binary log-loss."""
        told = np.clip(np.where(self.labels, p, 1 - p), TINY, 1)
        return float(-np.log(told[self.possible]).mean())


@dataclass(frozen=True)
class HeldOutChoices(HeldOut[ChannelPreferenceModel]):
    """Rows of the channel-preference head, with what each choice was about."""

    offers: Sequence[str | None]
    stages: Sequence[str | None]
    amounts_cny: Vector

    metric = "accuracy"

    def predict(self, model: ChannelPreferenceModel, x: Matrix, threads: int = 1) -> Matrix:
        """Probabilities of each channel."""
        p = model.predict(x, self.offers, self.stages, self.amounts_cny, threads)
        return _by_class(p, model.channels, self.classes)

    def values(self, scores: Matrix) -> Vector:
        """1 where the best channel was the one chosen."""
        right = self.labels[np.arange(len(scores)), scores.argmax(axis=1)]
        return np.asarray(right, dtype=np.float64)

    def loss(self, p: Matrix) -> float:
        """Mean over the choices of −log p of the channel chosen."""
        return float(-np.log(np.clip(p[self.labels], TINY, 1)).mean())


def _by_class(p: Matrix, given: tuple[str, ...], classes: tuple[str, ...]) -> Matrix:
    if given == classes:
        return p
    place = {name: column for column, name in enumerate(given)}
    known = [column for column, name in enumerate(classes) if name in place]
    out = np.zeros((len(p), len(classes)))
    out[:, known] = p[:, [place[classes[column]] for column in known]]
    return out
