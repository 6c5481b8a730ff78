"""Exploration: a small share of first places tries another handle, so that we keep learning."""

from __future__ import annotations

import hashlib
from typing import NamedTuple

from serving.decide.policy import Exploration


class Draw(NamedTuple):
    """Which arm is shown (0 = the best), with the whole probability of showing it (0–1]."""

    arm: int
    propensity: float
    explored: bool


def seed_of(policy: Exploration, decision_id: str) -> str:
    """Return the seed of a decision: a sha256 of salt and decision id, 64 hexadecimal digits."""
    return hashlib.sha256(f"{policy.salt}:{decision_id}".encode()).hexdigest()


def uniform(seed: str) -> float:
    """Turn a seed into a number in [0, 1) with 53 bits.

    >>> uniform("0" * 64), uniform("8" + "0" * 63)
    (0.0, 0.5)
    """
    return (int(seed[:16], 16) >> 11) / 2**53


def draw(seed: str, arms: int, policy: Exploration) -> Draw:
    """Draw the arm to show: the best, but for a share split equally among the first few.

    Of ``K = min(arms, policy.arms)`` arms each gets ``share / K``, the best ``1 − share`` more.
    """
    among = min(arms, policy.arms)
    if among == 1 or policy.share == 0:
        return Draw(arm=0, propensity=1.0, explored=False)
    point, each = uniform(seed), policy.share / among
    if point >= policy.share:
        return Draw(arm=0, propensity=1.0 - policy.share + each, explored=False)
    arm = min(int(point / each), among - 1)
    return Draw(arm=arm, propensity=each + (1.0 - policy.share if arm == 0 else 0.0), explored=True)
