"""What a calendar month adds to a product's start."""

import numpy as np
import pytest
from scipy.special import logit

from training.models.next_product import NextProductModel
from training.models.season import Counts, Season
from training.models.start_learner import NextProductConfig, StartRows


def drawn(factors, rows=40_000, rate=0.02, seed=1):
    random = np.random.default_rng(seed)
    month = random.integers(1, 13, rows).astype(float)
    scores = np.full(rows, logit(rate))
    p = rate * np.asarray(factors)[month.astype(int) - 1]
    return scores, (random.random(rows) < p).astype(float), month


def test_a_month_s_factor_is_found_and_drawn_towards_none():
    factors = np.ones(12)
    factors[3], factors[8] = 0.4, 2.0
    season = Season.fit(*drawn(factors))
    assert np.exp(season.log_odds[8]) == pytest.approx(2.0, rel=0.2)
    assert 0.35 < np.exp(season.log_odds[3]) < 0.75
    rest = [one for month, one in enumerate(season.log_odds) if month not in (3, 8)]
    assert np.abs(rest).max() < 0.3


def test_a_product_without_a_season_gets_none():
    found = [Season.fit(*drawn(np.ones(12), seed=seed)) for seed in range(8)]
    assert np.mean([np.abs(one.log_odds).max() for one in found]) < 0.1


def test_months_never_seen_or_not_told_add_a_part_of_what_their_neighbours_do():
    scores, happened, month = drawn(np.full(12, 2.0))
    half = np.where(month <= 6, month, np.nan)
    season = Season.fit(scores, happened, half)
    assert all(one > 0.3 for one in season.log_odds[:6])
    near, far = np.array(season.log_odds)[[6, 11]], np.array(season.log_odds)[[8, 9]]
    assert (near < 0.4 * season.log_odds[3]).all()
    assert (far < 0.1 * season.log_odds[3]).all()
    assert Season.fit(scores[:0], happened[:0], month[:0]) == Season()


def test_an_earlier_year_tells_the_season_whatever_its_level():
    factors = np.ones(12)
    factors[3], factors[8] = 0.4, 2.0
    scores, happened, month = drawn(factors, rows=4_000, seed=5)
    could = np.full(12, 50_000.0)
    alone, twice = (
        Season.fit(scores, happened, month, earlier)
        for earlier in (None, Counts(could * 0.01 * factors, could))
    )
    truth = np.log([0.4, 2.0])
    near, far = (np.abs(np.array(one.log_odds)[[3, 8]] - truth).max() for one in (twice, alone))
    assert near < 0.15 < far
    nobody = Season.fit(scores, happened, month, Counts(np.zeros(12), could))
    assert nobody.log_odds == pytest.approx(alone.log_odds, abs=1e-4)


@pytest.fixture(scope="module")
def seasonal() -> tuple[StartRows, NextProductModel]:
    """Two products: one bought in June alone three times as much, one alike all year."""
    random = np.random.default_rng(3)
    rows = 9_000
    month = (np.arange(rows) // 500 % 12 + 1).astype(float)
    x = np.column_stack([random.normal(size=rows), month])
    p = np.column_stack([np.where(month == 6, 0.15, 0.05), np.full(rows, 0.08)])
    starts = random.random((rows, 2)) < p
    splits = np.split(np.arange(rows), [6_000, 7_500])
    told = StartRows(
        x, np.array([-1, -1]), starts, np.ones_like(starts), np.arange(rows, 0.0, -1), *splits,
        month=1,
    )  # fmt: skip
    config = NextProductConfig(max_rounds=20, minimum_negatives=500)
    return told, NextProductModel.fit(config, ("fund", "card"), told, 1, 1)


def test_the_model_s_probabilities_follow_the_season(seasonal):
    _, model = seasonal
    p = model.predict(np.array([[0.0, 6.0], [0.0, 2.0], [0.0, np.nan]]))
    assert p[0, 0] > 2 * p[1, 0]
    assert p[0, 1] == pytest.approx(p[1, 1], rel=0.3)
    assert p[1, 0] < p[2, 0] < p[0, 0]


def test_no_tree_reads_the_month_and_its_feature_answers_for_the_season(seasonal):
    rows, model = seasonal
    assert not model.contributions(rows.x[:50], "fund")[:, 1].any()
    told = model.explain(np.array([0.3, 6.0]), "fund", {"noise": "life_stage", "month": "month"})
    assert told.groups["month"] == pytest.approx(model.learned_.seasons["fund"].log_odds[5])
    assert told.bias + sum(told.groups.values()) == pytest.approx(told.raw_score, abs=1e-9)
    odds = model.log_odds(np.array([[0.3, 6.0]]))[0, 0]
    assert told.raw_score == pytest.approx(odds, abs=1e-9)


def test_a_saved_model_keeps_its_seasons(seasonal, tmp_path):
    rows, model = seasonal
    model.save(tmp_path)
    again = NextProductModel.load(tmp_path)
    assert np.array_equal(again.predict(rows.x[:20]), model.predict(rows.x[:20]))
