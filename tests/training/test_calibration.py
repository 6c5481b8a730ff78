"""Calibrators find a distortion put there on purpose, and leave few data near the identity."""

import numpy as np
import pytest
from scipy.special import expit, softmax

from training.models.calibration import PlattCalibrator, SoftmaxCalibrator


def test_platt_recovers_a_known_distortion():
    random = np.random.default_rng(1)
    log_odds = random.normal(-1, 1.5, 40_000)
    labels = (random.random(len(log_odds)) < expit(log_odds)).astype(float)
    found = PlattCalibrator.fit((log_odds - 0.8) / 0.5, labels)
    assert found.slope == pytest.approx(0.5, abs=0.02)
    assert found.bias == pytest.approx(0.8, abs=0.04)
    assert found.apply(np.array([0.0]))[0] == pytest.approx(expit(found.bias))


def test_platt_with_few_data_stays_near_the_identity():
    for seed in range(5):
        random = np.random.default_rng(seed)
        few = PlattCalibrator.fit(random.normal(-3, 1, 3), np.zeros(3))
        assert few.slope == pytest.approx(1, abs=0.25)
        assert few.bias == pytest.approx(0, abs=0.3)
    assert PlattCalibrator.fit(np.empty(0), np.empty(0)) == PlattCalibrator()


def test_platt_never_turns_the_ranking_round():
    scores = np.linspace(-2, 2, 400)
    found = PlattCalibrator.fit(scores, (scores < 0).astype(float))
    assert found.slope == 1.0


def test_levelled_gives_the_mean_asked_for_and_keeps_the_slope():
    scores = np.random.default_rng(2).normal(-2, 1, 5_000)
    for rate in (0.0004, 0.03, 0.7):
        level = PlattCalibrator(slope=0.7, bias=0.2).levelled(scores, rate)
        assert level.slope == 0.7
        assert level.apply(scores).mean() == pytest.approx(rate, rel=1e-6)


@pytest.mark.parametrize("rate", [0.0, 1.0])
def test_levelled_at_a_rate_that_no_bias_gives_changes_nothing(rate):
    as_it_was = PlattCalibrator(slope=0.7, bias=0.2)
    assert as_it_was.levelled(np.zeros(4), rate) == as_it_was
    assert as_it_was.levelled(np.empty(0), 0.3) == as_it_was


def test_softmax_recovers_a_known_distortion():
    random = np.random.default_rng(3)
    true = random.normal(size=(30_000, 3)) * 1.5
    classes = (true + random.gumbel(size=true.shape)).argmax(axis=1)
    shift = np.array([0.6, -0.6, 0.0])
    found = SoftmaxCalibrator.fit((true - shift) / 0.6, classes)
    assert found.scale == pytest.approx(0.6, abs=0.02)
    bias = np.array(found.bias) - np.mean(found.bias)
    np.testing.assert_allclose(bias, shift, atol=0.05)
    p = found.apply((true - shift) / 0.6)
    np.testing.assert_allclose(p.sum(axis=1), 1, atol=1e-12)
    np.testing.assert_allclose(p.mean(axis=0), np.bincount(classes) / len(classes), atol=0.002)
    np.testing.assert_allclose(p, softmax(true, axis=1), atol=0.03)


def test_softmax_with_few_data_stays_near_the_identity():
    for seed in range(5):
        random = np.random.default_rng(seed)
        scores = random.normal(size=(4, 11))
        found = SoftmaxCalibrator.fit(scores, (scores + random.gumbel(size=(4, 11))).argmax(axis=1))
        assert found.scale == pytest.approx(1, abs=0.7)
        assert np.abs(found.bias).max() < 0.6
    none = SoftmaxCalibrator.fit(np.empty((0, 2)), np.empty(0, dtype=np.int64))
    assert none == SoftmaxCalibrator(scale=1.0, bias=(0.0, 0.0))
