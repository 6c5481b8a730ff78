"""Naive rules that every report shows beside the models, on the same rows and masks."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Matrix = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]
Rows = npt.NDArray[np.int64]
SMOOTHING = 20.0


def popular(starts: Mask, test: Rows) -> Matrix:
    """The most started products first, for everybody."""
    return np.tile(starts.sum(axis=0).astype(np.float64), (len(test), 1))


def last_product(days_since_purchase: Matrix, starts: Mask) -> Matrix:
    """What the customer bought last comes first, then what is popular; days (n, K), NaN = never."""
    share = starts.sum(axis=0) / max(int(starts.sum()), 1)
    recency = 1.0 + 1.0 / (1.0 + np.nan_to_num(days_since_purchase, nan=np.inf))
    return np.where(np.isnan(days_since_purchase), share, recency)


def co_holding(held: Mask, starts: Mask, held_in_test: Mask) -> Matrix:
    """Mean over what the customer has had of P(start j | had i), smoothed to P(start j)."""
    base = starts.mean(axis=0)
    together = held.T.astype(np.float64) @ starts.astype(np.float64)
    given = (together + SMOOTHING * base) / (held.sum(axis=0)[:, None] + SMOOTHING)
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
    """The channel used most, uses of shape (n, C); the majority's where none was used."""
    return np.where(
        np.nan_to_num(uses).sum(axis=1) > 0, np.nan_to_num(uses).argmax(axis=1), majority
    )
