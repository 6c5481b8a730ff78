"""Luck that depends on its key alone, so that any policy meets the same luck.

Every draw is a hash of (seed, purpose, integer keys): asking for one more draw, or in another
order, changes no other draw. The mixer is splitmix64 (Steele, Lea, Flood 2014, "Fast splittable
pseudorandom number generators").
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import ndtri

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]

_GAMMA = np.uint64(0x9E3779B97F4A7C15)
_MIX_1 = np.uint64(0xBF58476D1CE4E5B9)
_MIX_2 = np.uint64(0x94D049BB133111EB)


def _mix(word: NDArray[np.uint64]) -> NDArray[np.uint64]:
    word = word + _GAMMA
    word = (word ^ (word >> np.uint64(30))) * _MIX_1
    word = (word ^ (word >> np.uint64(27))) * _MIX_2
    return word ^ (word >> np.uint64(31))


def _purpose_word(seed: int, purpose: str) -> NDArray[np.uint64]:
    word = _mix(np.array([seed % 2**64], dtype=np.uint64))
    for byte in purpose.encode():
        word = _mix(word ^ np.uint64(byte))
    return word


class Luck:
    """All draws of one simulated bank; keys are integer arrays that broadcast together.

    >>> luck = Luck(1)
    >>> bool(luck.uniform("start", 3, 5) == luck.uniform("start", [2, 3], 5)[1])
    True
    """

    def __init__(self, seed: int) -> None:
        self.seed = seed

    def uniform(self, purpose: str, *keys: ArrayLike) -> Floats:
        """Draw uniform numbers in the open interval (0, 1), shape of the broadcast keys."""
        word = _purpose_word(self.seed, purpose)
        with np.errstate(over="ignore"):
            for key in keys:
                word = _mix(word ^ np.asarray(key, dtype=np.int64).astype(np.uint64))
        shape = np.broadcast_shapes(*(np.shape(key) for key in keys))
        drawn: Floats = ((word >> np.uint64(11)).astype(np.float64) + 0.5) * 2.0**-53
        return drawn.reshape(shape)

    def normal(self, purpose: str, *keys: ArrayLike) -> Floats:
        """Draw standard normal numbers."""
        return np.asarray(ndtri(self.uniform(purpose, *keys)), dtype=np.float64)

    def below(self, limit: ArrayLike, purpose: str, *keys: ArrayLike) -> Ints:
        """Draw integers in [0, limit)."""
        drawn: Ints = (self.uniform(purpose, *keys) * np.asarray(limit)).astype(np.int64)
        return drawn

    def poisson(self, mean: ArrayLike, purpose: str, *keys: ArrayLike, most: int = 12) -> Ints:
        """Draw Poisson counts by inversion, cut at `most`."""
        drawn = self.uniform(purpose, *keys)
        rate = np.asarray(mean, dtype=np.float64)
        term = np.exp(-rate)
        total = term.copy()
        count = np.zeros(np.broadcast_shapes(drawn.shape, rate.shape), dtype=np.int64)
        for number in range(1, most + 1):
            count += drawn > total
            term = term * rate / number
            total = total + term
        return count

    def choice(self, probability: Floats, purpose: str, *keys: ArrayLike) -> Ints:
        """Draw a column of each row of `probability` (n, k) by inversion of one uniform a row."""
        drawn = self.uniform(purpose, *keys)
        edges = np.cumsum(probability, axis=1)
        edges /= edges[:, -1:]
        return np.asarray((drawn[:, None] > edges[:, :-1]).sum(axis=1), dtype=np.int64)
