"""Drift: the population stability index, and how much of it is only chance."""

import numpy as np
import pytest
from scipy.stats import chi2

from features.quality.drift import compare, merged, psi, psi_bound
from features.quality.limits import Limits
from features.quality.profile import Distribution

LIMITS = Limits()
NAIVE = 0.1
"""The usual rule: a PSI above it is a drift, whatever the size of the samples."""


def bins(counts, missing=0) -> Distribution:
    counts = tuple(int(count) for count in counts)
    words = tuple(f"w{number}" for number in range(len(counts)))
    rows = sum(counts) + missing
    return Distribution(rows=rows, missing=missing, words=words, counts=counts)


def drift_of(now: Distribution, then: Distribution, chance=0.01):
    return compare(now, then, now.rows, then.rows, LIMITS, chance)


def test_psi_is_the_formula():
    now, then = np.array([300.0, 700.0]), np.array([600.0, 400.0])
    by_hand = (0.3 - 0.6) * np.log(0.3 / 0.6) + (0.7 - 0.4) * np.log(0.7 / 0.4)
    assert psi(now, then) == pytest.approx(by_hand, rel=0.01)
    assert psi(now, now) == 0


def test_the_bound_is_the_chi_square_quantile():
    expected = chi2.ppf(0.999, 9) * (1 / 500 + 1 / 20_000)
    assert psi_bound(10, 500, 20_000, 0.001) == pytest.approx(expected, rel=1e-9)


def test_a_small_sample_of_the_same_customers_is_no_drift():
    """200 resamplings of 150 from one distribution: the naive rule cries out, we do not."""
    random = np.random.default_rng(7)
    then = bins(random.multinomial(20_000, np.full(20, 0.05)))
    drifts = [drift_of(bins(random.multinomial(150, np.full(20, 0.05))), then) for _ in range(200)]
    assert np.mean([one.psi > NAIVE for one in drifts]) > 0.5
    assert np.mean([one.level == "alarm" for one in drifts]) < 0.05
    assert all(one.psi_bound > NAIVE for one in drifts)


@pytest.mark.parametrize("size", [40, 150, 1_000])
@pytest.mark.parametrize("shares", ["even", "uneven", "rare"])
def test_false_alarms_stay_under_the_limit(size, shares):
    """Without a floor, so that nothing but the bound holds the alarms down."""
    weights = {
        "even": np.ones(10),
        "uneven": 1 / np.arange(1, 13),
        "rare": np.array([200.0, *np.ones(15)]),
    }[shares]
    random = np.random.default_rng(size)
    share, limits = weights / weights.sum(), Limits(psi_floor=0)
    then = bins(random.multinomial(5_000, share))
    alarms = [
        compare(bins(random.multinomial(size, share)), then, size, 5_000, limits, 0.01).level
        for _ in range(1_000)
    ]
    assert alarms.count("alarm") / len(alarms) < 0.03


def test_a_real_shift_is_seen_in_large_and_middling_samples():
    then = bins([100, 400, 400, 100])
    for scale in (1, 10):
        now = bins(np.array([300, 200, 200, 300]) * scale)
        assert drift_of(now, then, chance=1e-4).level == "alarm"


def test_a_certain_shift_that_does_not_matter_is_none():
    drift = drift_of(bins([520_000, 480_000]), bins([500_000, 500_000]))
    assert drift.psi > drift.psi_bound
    assert drift.psi < LIMITS.psi_floor
    assert drift.level == "ok"


def test_missing_is_a_bin():
    then, now = bins([500, 500]), bins([250, 250], missing=500)
    assert drift_of(now, then).level == "alarm"


def test_unseen_words_are_a_bin():
    then = bins([500, 500])
    now = then.model_copy(update={"counts": (250, 250)})  # 500 rows hold other words
    assert now.other == 500
    assert drift_of(now, then).level == "alarm"


def test_rows_of_one_customer_are_one_witness():
    """A hundred rows a customer make the shares no surer than the customers do."""
    then, now = bins([3_000, 2_000]), bins([2_500, 2_500])
    assert compare(now, then, 50, 50, Limits(psi_floor=0), 0.01).level == "ok"
    assert compare(now, then, 5_000, 5_000, Limits(psi_floor=0), 0.01).level == "alarm"


@pytest.mark.parametrize(
    ("now", "then", "words"),
    [((3, 1), (500, 500), "too few"), ((90, 0), (80, 0), "alike"), ((0, 0), (5, 5), "no rows")],
)
def test_what_cannot_be_tested_says_why(now, then, words):
    drift = drift_of(bins(now), bins(then))
    assert (drift.level, drift.psi, drift.psi_bound) == ("ok", None, None)
    assert words in drift.untested


def test_merging_loses_no_row():
    random = np.random.default_rng(3)
    for _ in range(50):
        now, then = random.poisson(3, 12).astype(float), random.poisson(30, 12).astype(float)
        less, fewer = merged(now, then)
        assert (less.sum(), fewer.sum()) == (now.sum(), then.sum())
        expected = (less + fewer) / (less + fewer).sum() * now.sum()
        assert len(less) == 1 or expected.min() >= 5
