"""Intervals of means over rows of which several belong to one customer."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Vector = npt.NDArray[np.float64]
Codes = npt.NDArray[np.int64]
Z = 1.959963984540054
"""Half width of a 95 % interval in standard errors."""


def standard_error(values: Vector, customers: Codes) -> float:
    """Standard error of the mean of `values` (n,), whose rows of one customer go together.

    The cluster-robust one (Liang and Zeger, Biometrika 1986): √Σ(Σ residuals of a customer)² ÷ n.

    >>> round(standard_error(np.array([0.0, 1, 0, 1]), np.array([0, 1, 2, 3])), 3)
    0.25
    >>> round(standard_error(np.array([0.0, 1, 0, 1]), np.array([0, 1, 0, 1])), 3)
    0.354
    """
    gaps = np.bincount(customers, values - values.mean())
    return float(np.sqrt(np.sum(gaps**2)) / len(values))


def mean_interval(values: Vector, customers: Codes) -> tuple[float, float]:
    """95 % interval of a mean of any size."""
    half = Z * standard_error(values, customers)
    return float(values.mean() - half), float(values.mean() + half)


def share_interval(values: Vector, customers: Codes) -> tuple[float, float]:
    """95 % interval of a share of zeros and ones: Wilson's, for as many rows as they are worth.

    Three rows of one customer that always agree are worth one.

    >>> low, high = share_interval(np.ones(20), np.arange(20))
    >>> round(low, 2), round(high, 2)
    (0.84, 1.0)
    """
    share = float(values.mean())
    error = standard_error(values, customers)
    worth = share * (1 - share) / error**2 if error > 0 else len(np.unique(customers))
    middle = (share + Z**2 / (2 * worth)) / (1 + Z**2 / worth)
    half = Z / (1 + Z**2 / worth) * np.sqrt(share * (1 - share) / worth + Z**2 / (4 * worth**2))
    return float(max(middle - half, 0.0)), float(min(middle + half, 1.0))
