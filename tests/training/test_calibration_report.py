"""Calibration told by group: what is right passes, what is constant, bent or off does not."""

import numpy as np
import pytest
from scipy.special import expit, logit
from sklearn.linear_model import LogisticRegression

from training.calibration_report import (
    SLOPES,
    Forecasts,
    calibration,
    calibrations,
    slope_range,
    slopes,
    worst_ratio,
)

ROWS = 20_000


def forecasts(bend=lambda z: z, groups=("a", "b"), spread=1.0, seed=1) -> Forecasts:
    """Rows whose true log-odds z are told as bend(z)."""
    random = np.random.default_rng(seed)
    z = random.normal(-1.5, spread, ROWS)
    happened = (random.random(ROWS) < expit(z)).astype(float)
    group = np.arange(ROWS) % len(groups)
    return Forecasts(tuple(groups), group, expit(bend(z)), happened, np.arange(ROWS) // 4)


def test_probabilities_that_mean_what_they_say_pass():
    found = calibrations(forecasts())
    assert [one.group for one in found] == ["a", "b"]
    for one in found:
        assert one.rows == ROWS / 2
        for estimate, right in ((one.ratio, 1), (one.slope, 1), (one.intercept, 0)):
            assert estimate.low < right < estimate.high
            assert estimate.high - estimate.low < 0.25
    assert worst_ratio(found) < 0.05
    low, high = slope_range(slopes(forecasts(), found))
    assert SLOPES[0] < low <= high < SLOPES[1]


def test_the_fit_is_that_of_a_logistic_regression():
    own = forecasts(lambda z: 0.5 * z - 0.3)
    one = calibration(own, "b")
    rows = own.group == 1
    reference = LogisticRegression(C=np.inf).fit(logit(own.p[rows])[:, None], own.happened[rows])
    assert one.slope.value == pytest.approx(reference.coef_[0, 0], rel=1e-3)
    assert one.intercept.value == pytest.approx(reference.intercept_[0], abs=2e-3)
    assert one.slope.value == pytest.approx(2, abs=0.15)


@pytest.mark.parametrize("right_mean", [True, False])
def test_a_constant_prediction_fails_however_right_its_mean(right_mean):
    own = forecasts()
    rate = own.happened.mean() if right_mean else 0.5
    constant = Forecasts(own.groups, own.group, np.full(ROWS, rate), own.happened, own.customer)
    found = calibrations(constant)
    assert (worst_ratio(found) < 0.15) == right_mean
    assert np.isnan(slope_range(slopes(constant, found))).all()
    assert found[0].row()["slope"] is None
    # one constant group among sound ones is enough
    half = Forecasts(
        own.groups, own.group, np.where(own.group == 0, rate, own.p), own.happened, own.customer
    )
    assert np.isnan(slope_range(slopes(half, calibrations(half)))).all()


@pytest.mark.parametrize(("bend", "side"), [(2.0, 0), (0.5, 1)])
def test_too_sure_and_not_sure_enough_fail(bend, side):
    own = forecasts(lambda z: bend * z)
    low_high = slope_range(slopes(own, calibrations(own)))
    assert (low_high[side] < SLOPES[0]) if side == 0 else (low_high[side] > SLOPES[1])


def test_what_is_off_by_a_third_has_a_bad_ratio():
    assert worst_ratio(calibrations(forecasts(lambda z: z + 0.5))) > 0.15


def test_thin_groups_are_judged_together():
    names = tuple(f"group {n}" for n in range(20))
    sound = forecasts(groups=names, spread=0.3)
    found = calibrations(sound)
    assert any(one.thin for one in found)
    counted = slopes(sound, found)
    assert counted[-1].group == f"thin groups together: {sum(one.thin for one in found)}"
    assert counted[-1].slope.value == pytest.approx(1, abs=0.2)
    assert counted[-1].slope.high - counted[-1].slope.low < found[0].slope.high - found[0].slope.low
    few = sound.of(names[:2])
    assert np.isnan(slope_range(slopes(few, calibrations(few, least_rows=100)))).all()
    # scattered rather than thin: together they tell
    random = np.random.default_rng(3)
    noise = forecasts(lambda z: z + random.normal(0, 0.6, len(z)), names, 0.3)
    assert slope_range(slopes(noise, calibrations(noise)))[0] < SLOPES[0]


def test_a_bent_group_cannot_hide_among_the_thin():
    own = forecasts(lambda z: -1.5 + 0.05 * (z + 1.5))  # hardly any spread: a slope of 20
    found = calibrations(own)
    assert not any(one.thin for one in found)
    assert slope_range(slopes(own, found))[0] > SLOPES[1]


def test_intervals_hold_what_they_promise():
    inside = [
        (one := calibration(forecasts(groups=("a",), seed=seed), "a")).slope.low
        < 1
        < one.slope.high
        for seed in range(30)
    ]
    assert np.mean(inside) > 0.85
    few, many = forecasts(), forecasts()
    copied = Forecasts(
        many.groups, np.tile(many.group, 9), np.tile(many.p, 9), np.tile(many.happened, 9),
        np.tile(many.customer, 9),
    )  # fmt: skip
    # rows of the same customers again are nothing new
    narrow, wide = calibration(copied, "a").slope, calibration(few, "a").slope
    assert narrow.high - narrow.low == pytest.approx(wide.high - wide.low, rel=1e-6)


def test_groups_too_small_are_left_out_and_none_passes_nothing():
    own = forecasts()
    assert calibrations(own, least_rows=ROWS) == []
    assert calibrations(own, least_positives=ROWS) == []
    assert np.isnan(worst_ratio([]))
    assert np.isnan(slope_range([])).all()


def test_banks_are_pooled_with_their_customers_apart():
    one, other = forecasts(groups=("a", "b"), seed=1), forecasts(groups=("b", "c"), seed=2)
    both = Forecasts.pooled([one, other])
    assert both.groups == ("a", "b", "c")
    assert np.bincount(both.group).tolist() == [ROWS // 2, ROWS, ROWS // 2]
    assert len(np.unique(both.customer)) == ROWS // 2
    ratio = (one.p[one.group == 1].sum() + other.p[other.group == 0].sum()) / (
        one.happened[one.group == 1].sum() + other.happened[other.group == 0].sum()
    )
    assert calibration(both, "b").ratio.value == pytest.approx(ratio)
