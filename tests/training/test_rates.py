"""Rates that a reviewer can check by hand: here he does."""

import pytest

from training.models.rates import AmountModel, CompletionModel, Popularity, asset_tier

JOURNEYS = (
    [("fund", "application", "app", True)] * 6
    + [("fund", "application", "app", False)] * 4
    + [("fund", "application", "teller", True)] * 10
    + [("loan", "application", "app", False)] * 20
    + [("loan", "signing", "teller", True)] * 10
)


def test_completion_is_shrunk_to_its_parents_by_hand():
    model = CompletionModel.fit(JOURNEYS)
    assert model.overall == pytest.approx(26 / 50)
    application = (16 + 20 * 26 / 50) / (40 + 20)
    assert model.stages["application"] == pytest.approx(application)
    app = (6 + 20 * application) / (30 + 20)
    assert model.handles["application|app"] == pytest.approx(app)
    assert model.rate("fund", "application", "app") == pytest.approx((6 + 20 * app) / (10 + 20))
    assert model.rate("loan", "application", "app") == pytest.approx((0 + 20 * app) / (20 + 20))
    assert model.journeys == {
        "fund|application|app": 10, "fund|application|teller": 10,
        "loan|application|app": 20, "loan|signing|teller": 10,
    }  # fmt: skip


def test_completion_of_a_cell_nobody_saw_is_that_of_its_nearest_parent():
    model = CompletionModel.fit(JOURNEYS)
    assert model.rate("gold", "application", "app") == model.handles["application|app"]
    assert model.rate("gold", "application", "video") == model.stages["application"]
    assert model.rate("gold", "interview", "video") == model.overall


def test_a_bank_that_records_no_journeys_completes_all():
    assert CompletionModel.fit([]).rate("fund", "application", "app") == 1.0


def test_completion_does_not_depend_on_the_order_of_journeys():
    assert CompletionModel.fit(reversed(JOURNEYS)) == CompletionModel.fit(JOURNEYS)


def test_asset_tiers():
    assert [asset_tier(cny) for cny in (-5, 0, 49_999.99, 50_000, 6_000_000)] == [0, 0, 1, 2, 6]


def test_amounts_by_tier_and_their_fallbacks():
    small = [("fund", 20_000.0, 100.0 + n) for n in range(21)]  # median 110, tier 1
    large = [("fund", 300_000.0, 9_000.0)] * 19  # one too few for a tier of its own
    unknown = [("fund", None, 1.0)] * 3
    model = AmountModel.fit([*small, *large, *unknown])
    assert model.expected_cny("fund", 30_000.0) == 110.0
    assert set(model.by_tier) == {"fund|1"}
    ordered = sorted([100.0 + n for n in range(21)] + [9_000.0] * 19 + [1.0] * 3)
    assert model.expected_cny("fund", 300_000.0) == ordered[len(ordered) // 2]
    assert model.expected_cny("fund", None) == ordered[len(ordered) // 2]
    assert model.expected_cny("gold", 30_000.0) is None


def test_popularity_keeps_rates_as_given():
    kept = Popularity.from_counts({"fund": 0.02}, {"app": 0.7})
    assert (kept.offers, kept.channels) == ({"fund": 0.02}, {"app": 0.7})
