"""Rates kept in tables: amounts by asset tier, popularity.

Small and readable on purpose: a reviewer can check every number by hand.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from statistics import median

import numpy as np
import numpy.typing as npt

from features.config import StrictConfig

Vector = npt.NDArray[np.float64]
Matrix = npt.NDArray[np.float64]
Places = npt.NDArray[np.int64]

TIER_BOUNDS_CNY = (10_000, 50_000, 200_000, 500_000, 1_000_000, 6_000_000)
"""Asset tiers of the banks' own tag `tier_aum` (客户标签 资产层级)."""

TIERS = len(TIER_BOUNDS_CNY) + 1

MINIMUM_AMOUNTS = 20
"""Amounts an (offer, tier) cell needs before its own median is used."""


def asset_tier(assets_cny: float) -> int:
    """Tier 0 to 6 of total assets (CNY).

    >>> asset_tier(9_999), asset_tier(10_000), asset_tier(7_000_000)
    (0, 1, 6)
    """
    return sum(assets_cny >= bound for bound in TIER_BOUNDS_CNY)


def tiers(assets_cny: Vector) -> Places:
    """Place of each of total assets (CNY) among `TierAmounts.by_tiers`; the last for NaN."""
    tier = np.searchsorted(TIER_BOUNDS_CNY, assets_cny, side="right")
    return np.where(np.isnan(assets_cny), TIERS, tier)


class TierAmounts(StrictConfig):
    """Amount of a purchase: the median of the customer's asset tier, else of the offer."""

    by_offer: dict[str, float]
    by_tier: dict[str, float]

    @classmethod
    def fit(cls, purchases: Iterable[tuple[str, float | None, float]]) -> TierAmounts:
        """Learn from purchases (offer, total assets or None, amount), CNY."""
        amounts: dict[str, list[float]] = defaultdict(list)
        for offer, assets, amount in purchases:
            amounts[offer].append(amount)
            if assets is not None:
                amounts[f"{offer}|{asset_tier(assets)}"].append(amount)
        medians = {
            key: float(median(values))
            for key, values in sorted(amounts.items())
            if "|" not in key or len(values) >= MINIMUM_AMOUNTS
        }
        return cls(
            by_offer={key: value for key, value in medians.items() if "|" not in key},
            by_tier={key: value for key, value in medians.items() if "|" in key},
        )

    def by_tiers(self, offers: Sequence[str]) -> Matrix:
        """`median_cny` of each offer by tier, unknown assets last, shape (offers, TIERS + 1)."""
        amounts = np.empty((len(offers), TIERS + 1))
        for row, offer in enumerate(offers):
            amounts[row] = self.by_offer[offer]
            for tier in range(TIERS):
                amounts[row, tier] = self.by_tier.get(f"{offer}|{tier}", self.by_offer[offer])
        return amounts

    def median_cny(self, offer: str, assets_cny: float | None) -> float | None:
        """Median amount (CNY); None for an offer nobody was seen to buy."""
        if assets_cny is not None:
            tier = self.by_tier.get(f"{offer}|{asset_tier(assets_cny)}")
            if tier is not None:
                return tier
        return self.by_offer.get(offer)


class Popularity(StrictConfig):
    """What a service without models falls back on: shares of the last training window.

    ``offers`` is the start rate per eligible customer and horizon, ``channels`` the marginal share
    of each channel among choices.
    """

    offers: dict[str, float]
    channels: dict[str, float]

    @classmethod
    def from_counts(cls, offers: Mapping[str, float], channels: Mapping[str, float]) -> Popularity:
        """Keep rates in the order given."""
        return cls(offers=dict(offers), channels=dict(channels))
