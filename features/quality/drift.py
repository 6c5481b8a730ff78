"""Drift: the population stability index (PSI) beside what chance alone would make of it.

PSI = Σ (p − q) · ln(p / q) over bins with shares p (now) and q (reference). Where both samples come
from one distribution, PSI / (1/n + 1/m) is about chi-square with bins − 1 degrees of freedom for
samples of n and m (Yurdakul 2018, "Statistical Properties of Population Stability Index"): two
small samples of the same customers easily pass the usual 0.1, which therefore proves nothing.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.special import chdtri, ndtri

from features.config import StrictConfig
from features.quality.limits import Level, Limits
from features.quality.profile import Distribution

Counts = npt.NDArray[np.float64]
LEAST_EXPECTED = 5.0
"""Rows a bin must lead one to expect in both samples for the chi-square law to hold (Cochran)."""

HALF = 0.5
"""Added to every bin: an empty one would make PSI infinite, and its tail too heavy."""


class Drift(StrictConfig):
    """One column against the reference.

    ``psi`` alarms above both ``psi_floor`` and ``psi_bound``; all are None, and ``untested`` says
    why, where the samples are too small. ``sample`` and ``reference_sample`` count independent
    units (customers), ``bins`` what was left after rare ones were put together.
    """

    level: Level = "ok"
    psi: float | None = None
    psi_bound: float | None = None
    psi_floor: float
    bins: int = 0
    sample: int
    reference_sample: int
    untested: str = ""
    reference: Distribution
    current: Distribution


def psi(current: Counts, reference: Counts) -> float:
    """Population stability index of two arrays of counts over the same bins, shape (bins,).

    >>> round(psi(np.array([500.0, 500.0]), np.array([900.0, 100.0])), 2)
    0.88
    """
    p = (current + HALF) / (current + HALF).sum()
    q = (reference + HALF) / (reference + HALF).sum()
    return float(np.sum((p - q) * np.log(p / q)))


def psi_bound(bins: int, n: float, m: float, chance: float) -> float:
    """PSI that samples of n and m from one distribution exceed with probability `chance`.

    >>> round(psi_bound(10, 10_000, 10_000, 0.001), 4)
    0.0056
    >>> round(psi_bound(10, 200, 200, 0.001), 2)
    0.28
    """
    return float(chdtri(bins - 1, chance)) * (1 / n + 1 / m)


def merged(current: Counts, reference: Counts) -> tuple[Counts, Counts]:
    """Put neighbouring bins together until each leads one to expect enough rows in both samples.

    >>> merged(np.array([30.0, 2, 2, 2, 30]), np.array([30.0, 3, 3, 3, 30]))[0].tolist()
    [30.0, 6.0, 30.0]
    """
    pooled = current + reference
    size = min(current.sum(), reference.sum())
    expected = pooled / max(pooled.sum(), 1) * size
    starts, held = [0], 0.0
    for position, one in enumerate(expected):
        if held >= LEAST_EXPECTED:
            starts.append(position)
            held = 0.0
        held += one
    if held < LEAST_EXPECTED and len(starts) > 1:
        starts.pop()
    return np.add.reduceat(current, starts), np.add.reduceat(reference, starts)


def compare(
    current: Distribution,
    reference: Distribution,
    sample: int,
    reference_sample: int,
    limits: Limits,
    chance: float,
) -> Drift:
    """Compare two distributions over the same bins; missing, and unseen words, are bins too.

    Parameters
    ----------
    sample, reference_sample
        Independent units behind each; rows beyond them count for shares, not for certainty.
    chance
        Probability of an alarm where nothing drifted.
    """
    now, then = _counts(current, sample), _counts(reference, reference_sample)
    if reference.words:
        # words have no neighbours: the rare ones are put together
        order = np.argsort(-(now + then), kind="stable")
        now, then = now[order], then[order]
    known = {
        "psi_floor": limits.psi_floor,
        "sample": sample,
        "reference_sample": reference_sample,
        "reference": reference,
        "current": current,
    }
    if not (now.sum() and then.sum()):
        return Drift(**known, untested="no rows to compare")
    if np.count_nonzero(now + then) == 1:
        return Drift(**known, bins=1, untested="all values alike, now and before")
    now, then = merged(now, then)
    if len(now) < 2:
        smaller = min(sample, reference_sample)
        return Drift(**known, bins=1, untested=f"too few for a comparison ({smaller:,})")
    value = psi(now, then)
    bound = psi_bound(len(now), now.sum(), then.sum(), chance)
    level: Level = "alarm" if value > max(limits.psi_floor, bound) else "ok"
    return Drift(**known, level=level, psi=value, psi_bound=bound, bins=len(now))


def rise_bound(share: float, other: float, n: int, m: int, chance: float) -> float:
    """Rise of a share that samples of n and m from one distribution exceed with that chance."""
    pooled = (share * n + other * m) / (n + m)
    return float(-ndtri(chance) * np.sqrt(pooled * (1 - pooled) * (1 / n + 1 / m)))


def _counts(distribution: Distribution, sample: int) -> Counts:
    """Counts of all bins, `other` and missing last, scaled to the number of independent units."""
    counts = np.array(
        [*distribution.counts, distribution.other, distribution.missing], dtype=np.float64
    )
    total = counts.sum()
    return counts * (sample / total) if total > sample else counts
