"""Naive rules that every report shows beside the models, on the same rows and masks."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Matrix = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]
Rows = npt.NDArray[np.int64]
Vector = npt.NDArray[np.float64]
SMOOTHING = 20.0


def start_rates(starts: Mask, eligible: Mask) -> Vector:
    """Starts per row that could start it, by product, shape (K,).

    The rate and not the count: what half the customers hold already and may not hold twice is
    started by fewer, and is no less popular with the other half.
    """
    return np.asarray((starts & eligible).sum(axis=0) / np.maximum(eligible.sum(axis=0), 1))


def popular(starts: Mask, eligible: Mask, test: Rows) -> Matrix:
    """The most started products first, for everybody."""
    return np.tile(start_rates(starts, eligible), (len(test), 1))


def last_product(days_since_purchase: Matrix, starts: Mask, eligible: Mask) -> Matrix:
    """What the customer bought last comes first, then what is popular; days (n, K), NaN = never."""
    recency = 1.0 + 1.0 / (1.0 + np.nan_to_num(days_since_purchase, nan=np.inf))
    return np.where(np.isnan(days_since_purchase), start_rates(starts, eligible), recency)


def co_holding(held: Mask, starts: Mask, eligible: Mask, held_in_test: Mask) -> Matrix:
    """Mean over what the customer has had of P(start j | had i), smoothed to P(start j).

    Both probabilities are those of customers who could start j.
    """
    base = start_rates(starts, eligible)
    had = held.T.astype(np.float64)
    together = had @ (starts & eligible).astype(np.float64)
    given = (together + SMOOTHING * base) / (had @ eligible.astype(np.float64) + SMOOTHING)
    total = held_in_test.astype(np.float64) @ given
    count = held_in_test.sum(axis=1, keepdims=True)
    return np.asarray(np.where(count > 0, total / np.maximum(count, 1), base))


def majority_channel(channel: Rows, channels: int, rows: int) -> Rows:
    """The channel most chosen in training, for everybody."""
    return np.full(rows, np.bincount(channel, minlength=channels).argmax())


def last_channel(last: Rows, majority: Rows) -> Rows:
    """The channel chosen last; the majority's where there is none (−1)."""
    return np.where(last >= 0, last, majority)


def most_used_channel(uses: Matrix, majority: Rows) -> Rows:
    """The channel chosen most, uses of shape (n, C); the majority's where none was."""
    return np.where(uses.sum(axis=1) > 0, uses.argmax(axis=1), majority)
