"""Intervals by resampling whole customers: what another base of the same bank would have shown."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Matrix = npt.NDArray[np.float64]

ROUNDS = 1000
COVERAGE = 0.95


def resampled_means(values: Matrix, seed: int = 0, rounds: int = ROUNDS) -> Matrix:
    """Draw the customers again, with replacement, and average; once a round.

    Parameters
    ----------
    values
        Shape (customers, measures): all that is measured of a customer stays together, so that
        differences between measures are paired.

    Returns
    -------
    Matrix
        Shape (rounds, measures).
    """
    random, customers = np.random.default_rng(seed), len(values)
    even = np.full(customers, 1 / customers)
    means = np.empty((rounds, values.shape[1]))
    for number in range(rounds):
        means[number] = random.multinomial(customers, even) @ values / customers
    return means


def interval(draws: npt.NDArray[np.float64]) -> tuple[float, float]:
    """Return the central 95 % of resampled values.

    >>> [round(one, 6) for one in interval(np.arange(1001.0))]
    [25.0, 975.0]
    """
    tail = (1 - COVERAGE) / 2
    low, high = np.quantile(draws, [tail, 1 - tail])
    return float(low), float(high)
