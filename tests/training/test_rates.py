"""Rates that a reviewer can check by hand: here he does."""

from training.models.rates import Popularity, TierAmounts, asset_tier


def test_asset_tiers():
    assert [asset_tier(cny) for cny in (-5, 0, 49_999.99, 50_000, 6_000_000)] == [0, 0, 1, 2, 6]


def test_amounts_by_tier_and_their_fallbacks():
    small = [("fund", 20_000.0, 100.0 + n) for n in range(21)]  # median 110, tier 1
    large = [("fund", 300_000.0, 9_000.0)] * 19  # one too few for a tier of its own
    unknown = [("fund", None, 1.0)] * 3
    model = TierAmounts.fit([*small, *large, *unknown])
    assert model.median_cny("fund", 30_000.0) == 110.0
    assert set(model.by_tier) == {"fund|1"}
    ordered = sorted([100.0 + n for n in range(21)] + [9_000.0] * 19 + [1.0] * 3)
    assert model.median_cny("fund", 300_000.0) == ordered[len(ordered) // 2]
    assert model.median_cny("fund", None) == ordered[len(ordered) // 2]
    assert model.median_cny("gold", 30_000.0) is None


def test_popularity_keeps_rates_as_given():
    kept = Popularity.from_counts({"fund": 0.02}, {"app": 0.7})
    assert (kept.offers, kept.channels) == ({"fund": 0.02}, {"app": 0.7})
