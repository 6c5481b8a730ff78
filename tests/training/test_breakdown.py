"""The test broken down: hand-checked, and intervals that hold what they promise."""

import numpy as np
import pytest

from features.feature_set import FeatureSet
from training import breakdown
from training.breakdown import ScoredTest
from training.intervals import mean_interval, share_interval, standard_error

DAY = 86_400_000_000


@pytest.fixture
def tested() -> ScoredTest:
    """Four rows, three classes; the last row has no event, the third's cannot be had."""
    p = np.array([[0.5, 0.3, 0.2], [0.2, 0.5, 0.3], [0.6, 0.3, 0.1], [0.1, 0.2, 0.7]])
    happened = np.array([[1, 0, 0], [0, 0, 1], [0, 1, 0], [0, 0, 0]], dtype=bool)
    possible = np.ones_like(happened)
    possible[2, 0] = False
    rule = np.tile([0.1, 0.2, 0.3], (4, 1))
    days = np.array([0, 10, 40, 41]) * DAY
    codes = np.array([0, 0, 1, 1])
    return ScoredTest(("a", "b", "c"), p, happened, possible, {"popular": rule}, codes, days)


def test_gains_by_depth(tested):
    assert breakdown.gains(tested) == [
        {"depth": 1, "model": pytest.approx(2 / 3), "popular": pytest.approx(1 / 3)},
        {"depth": 2, "model": 1.0, "popular": pytest.approx(2 / 3)},
        {"depth": 3, "model": 1.0, "popular": 1.0},
    ]


def test_periods_are_months_of_the_banks_clock(tested):
    rows = breakdown.periods(tested, "UTC", 1, "accuracy")
    assert [(row["period"], row["rows"], row["accuracy"]) for row in rows] == [
        ("1970-01", 2, 0.5), ("1970-02", 1, 1.0),
    ]  # fmt: skip
    assert [row["popular"] for row in rows] == [0.5, 0.0]
    for row in rows:
        assert row["low"] <= row["accuracy"] <= row["high"]


def test_segments_are_told_in_order_of_age_with_unknowns_last(tested):
    feature_set = FeatureSet(
        names=("age_years", "gender"), groups={"age_years": "life", "gender": "life"},
        vocabularies={"gender": ("F", "M")},
    )  # fmt: skip
    x = np.array([[70.0, 0.0], [20.0, 1.0], [np.nan, np.nan], [30.0, 0.0]])
    names = breakdown.segments_of(x, feature_set)
    assert names["age band"].tolist() == ["65 and over", "under 26", "unknown", "26-35"]
    assert names["gender"].tolist() == ["F", "M", "unknown", "F"]
    rows = breakdown.segments(tested, names, 1, "accuracy")
    # the fourth row has no event: nobody is right or wrong about it
    assert [(row["segment"], row["group"], row["rows"], row["accuracy"]) for row in rows] == [
        ("age band", "under 26", 1, 0.0), ("age band", "65 and over", 1, 1.0),
        ("age band", "unknown", 1, 1.0), ("gender", "F", 1, 1.0), ("gender", "M", 1, 0.0),
        ("gender", "unknown", 1, 1.0),
    ]  # fmt: skip


def test_lift_is_the_rate_of_the_highest_scored_over_all():
    p = np.linspace(1, 0, 1_000).reshape(-1, 1)
    happened = np.zeros((1_000, 1), dtype=bool)
    happened[:80] = True
    happened[500:520] = True
    one = ScoredTest(
        ("a",), p, happened, np.ones_like(happened), {}, np.arange(1_000), np.arange(1_000)
    )
    rows = breakdown.lift(one)
    assert [row["lift"] for row in rows] == pytest.approx([8, 0, 0, 0, 0, 2, 0, 0, 0, 0])
    assert [row["rows"] for row in rows] == [100] * 10
    few = ScoredTest(
        ("a",), p, happened & (p > 0.96), np.ones_like(happened), {}, one.customers, one.as_of
    )
    assert breakdown.lift(few) == []


def test_rows_of_one_customer_count_as_the_customer_they_are():
    """Coverage over many draws: customers with four like rows each, 95 intervals of 100 hold."""
    random = np.random.default_rng(5)
    customers = np.repeat(np.arange(150), 4)
    clustered = naive = 0
    for _ in range(300):
        values = (random.random(150) < 0.3).astype(float)[customers]
        low, high = share_interval(values, customers)
        clustered += low <= 0.3 <= high
        low, high = share_interval(values, np.arange(600))
        naive += low <= 0.3 <= high
    assert 275 <= clustered <= 297
    assert naive < 240


def test_intervals_by_hand():
    values, alone = np.array([1.0, 3.0]), np.arange(2)
    assert standard_error(values, alone) == pytest.approx(np.sqrt(2) / 2)
    assert mean_interval(values, alone) == pytest.approx((2 - 1.386, 2 + 1.386), abs=1e-3)
    # the same with every row doubled: no more is known
    twice = np.repeat(values, 2), np.repeat(alone, 2)
    assert mean_interval(*twice) == pytest.approx(mean_interval(values, alone))
    assert share_interval(np.zeros(5), np.arange(5))[0] == 0.0
