"""Rates kept in tables: completion by cell, amounts by asset tier, popularity.

Small and readable on purpose: a reviewer can check every number by hand.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from statistics import median

from features.config import StrictConfig

PRIOR_JOURNEYS = 20.0
"""Journeys that the prior of a cell counts for (its parent's rate, empirical Bayes style)."""

TIER_BOUNDS_CNY = (10_000, 50_000, 200_000, 500_000, 1_000_000, 6_000_000)
"""Asset tiers of the banks' own tag `tier_aum` (客户标签 资产层级)."""

MINIMUM_AMOUNTS = 20
"""Amounts an (offer, tier) cell needs before its own median is used."""


class CompletionModel(StrictConfig):
    """Completion (办成率): once begun, does it get done if handled there?

    A rate per cell (offer, stage, handle), shrunk to the rate of its (stage, handle), which is
    shrunk to that of its stage, and that to the rate of all. Keys are joined by `|`.
    """

    overall: float
    stages: dict[str, float]
    handles: dict[str, float]
    cells: dict[str, float]
    journeys: dict[str, int]

    @classmethod
    def fit(cls, journeys: Iterable[tuple[str, str, str, bool]]) -> CompletionModel:
        """Learn from journeys (offer, stage, handle, done); with none, every start is done."""
        counts: dict[tuple[str, ...], list[int]] = defaultdict(lambda: [0, 0])
        for offer, stage, handle, done in journeys:
            for key in ((), (stage,), (stage, handle), (offer, stage, handle)):
                counts[key][0] += 1
                counts[key][1] += int(done)
        total, done_all = counts[()]
        overall = done_all / total if total else 1.0

        def shrunk(key: tuple[str, ...], parent: float) -> float:
            seen, done = counts[key]
            return (done + PRIOR_JOURNEYS * parent) / (seen + PRIOR_JOURNEYS)

        stages = {key[0]: shrunk(key, overall) for key in counts if len(key) == 1}
        handles = {"|".join(key): shrunk(key, stages[key[0]]) for key in counts if len(key) == 2}
        cells = {
            "|".join(key): shrunk(key, handles["|".join(key[1:])])
            for key in counts
            if len(key) == 3
        }
        return cls(
            overall=overall,
            stages=dict(sorted(stages.items())),
            handles=dict(sorted(handles.items())),
            cells=dict(sorted(cells.items())),
            journeys={"|".join(key): counts[key][0] for key in sorted(counts) if len(key) == 3},
        )

    def rate(self, offer: str, stage: str, handle: str) -> float:
        """Share of journeys that get done, 0–1."""
        for key, table in (
            (f"{offer}|{stage}|{handle}", self.cells),
            (f"{stage}|{handle}", self.handles),
            (stage, self.stages),
        ):
            if key in table:
                return table[key]
        return self.overall


def asset_tier(assets_cny: float) -> int:
    """Tier 0 to 6 of total assets (CNY).

    >>> asset_tier(9_999), asset_tier(10_000), asset_tier(7_000_000)
    (0, 1, 6)
    """
    return sum(assets_cny >= bound for bound in TIER_BOUNDS_CNY)


class AmountModel(StrictConfig):
    """Expected amount of a purchase: the median of the customer's asset tier, else of the offer."""

    by_offer: dict[str, float]
    by_tier: dict[str, float]

    @classmethod
    def fit(cls, purchases: Iterable[tuple[str, float | None, float]]) -> AmountModel:
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

    def expected_cny(self, offer: str, assets_cny: float | None) -> float | None:
        """Expected amount (CNY); None for an offer nobody was seen to buy."""
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
