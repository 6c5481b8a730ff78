"""On banks of a known truth the models beat the naive rules, and without a signal they do not.

The shipped release configuration, whole, on three banks of 1,000 customers and three of 600 without
a signal; with ONEPOINT_FULL=1 on five of 1,000 each, and `make bench ONLY=truth` does the same at
5,000. The study of these banks is made of the same ones.
"""

from __future__ import annotations

import json
import os
from dataclasses import replace

import numpy as np
import pytest

from experiments.studies import simulated_bank as study
from experiments.studies.study import StudyError
from experiments.truth_study import gain, measure, summary, truth
from training.calibration_report import SLOPES, Forecasts

pytestmark = pytest.mark.truth

FULL = bool(os.environ.get("ONEPOINT_FULL"))
SEEDS = (1, 2, 3, 4, 5) if FULL else (1, 2, 3)
CUSTOMERS = 1_000
CUSTOMERS_WITHOUT_A_SIGNAL = 1_000 if FULL else 600
POPULARITY = ("popular", "recent_popular")
NO_GAIN = 0.01
"""What a model may seem to gain where there is nothing to gain, by the luck of a small test."""


def standard_error(gains: np.ndarray) -> float:
    return float(gains.std(ddof=1) / np.sqrt(len(gains)))


def gain_in_loss(results, rule: str) -> np.ndarray:
    return np.array([one[rule] - one["completion_log_loss"] for one in results.values()])


@pytest.fixture(scope="module")
def banks():
    return measure(SEEDS, CUSTOMERS, signal=1.0)


@pytest.fixture(scope="module")
def with_signal(banks):
    return {seed: one.metrics for seed, one in banks.items()}


@pytest.fixture(scope="module")
def without_signal():
    return truth(SEEDS, CUSTOMERS_WITHOUT_A_SIGNAL, signal=0.0)


def test_next_product_beats_popularity_in_every_bank(with_signal):
    gains = gain(with_signal, "map_at_7", POPULARITY)
    assert (gains > 0).all(), summary(with_signal)
    assert gains.mean() > 2 * standard_error(gains)
    assert gains.mean() > NO_GAIN


def test_next_product_beats_every_other_naive_rule(with_signal):
    for rule in ("last_product", "co_holding"):
        gains = gain(with_signal, "map_at_7", (rule,))
        assert gains.mean() > 2 * standard_error(gains), summary(with_signal)


def test_channel_preference_beats_the_last_channel_in_every_bank(with_signal):
    gains = gain(with_signal, "channel_accuracy", ("last_channel",))
    assert (gains > 0).all(), summary(with_signal)
    assert gains.mean() > 2 * standard_error(gains)
    assert gains.mean() > 3 * NO_GAIN


def test_channel_preference_beats_every_other_naive_rule(with_signal):
    for rule in ("majority", "most_used"):
        gains = gain(with_signal, "channel_accuracy", (rule,))
        assert gains.mean() > 2 * standard_error(gains), summary(with_signal)


def test_without_a_signal_next_product_gains_nothing_over_popularity(without_signal):
    gains = gain(without_signal, "map_at_7", POPULARITY)
    assert abs(gains.mean()) < max(2 * standard_error(gains), NO_GAIN / 2), summary(without_signal)


def test_without_a_signal_channel_preference_gains_nothing_over_the_last_channel(without_signal):
    gains = gain(without_signal, "channel_accuracy", ("last_channel",))
    assert gains.mean() < max(2 * standard_error(gains), NO_GAIN), summary(without_signal)
    # every choice is a draw from eleven channels
    right = np.mean([one["channel_accuracy"] for one in without_signal.values()])
    assert right == pytest.approx(1 / 11, abs=2 * NO_GAIN)


def test_amounts_beat_the_tiers_median_and_completion_the_overall_rate(with_signal):
    ratios = np.array([one["amount_error_ratio"] for one in with_signal.values()])
    assert (ratios < 1).all(), summary(with_signal)
    # that it beats the rates of the handles too takes more journeys than these banks have
    gains = gain_in_loss(with_signal, "overall_rate_completion_log_loss")
    assert (gains > 0).all(), summary(with_signal)
    assert gains.mean() > 2 * standard_error(gains)


@pytest.fixture
def told(banks, monkeypatch):
    """The study of these banks, or of what a test makes of them."""

    def run(change=lambda bank: bank, data=None):
        changed = {seed: change(bank) for seed, bank in banks.items()}
        monkeypatch.setattr(study, "measure", lambda *_, **__: changed)
        return study.simulated_bank(data, None, lambda _: None, CUSTOMERS, SEEDS)

    return run


def test_the_study_tells_mean_spread_and_calibration(told, with_signal):
    result = told()
    metrics = result.metrics
    maps = [one["map_at_7"] for one in with_signal.values()]
    assert metrics["map_at_7"] == pytest.approx(np.mean(maps))
    assert metrics["map_at_7_sd"] == pytest.approx(np.std(maps, ddof=1))
    assert metrics["map_at_7"] > metrics["popular_map_at_7"]
    assert metrics["map_at_7"] > metrics["coholding_map_at_7"]
    assert metrics["amount_error_ratio"] < 1
    assert set(result.references) <= set(metrics)
    # small banks: far from the bars of the full size, but of their order
    assert metrics["calibration_ratio_worst"] < 0.5
    assert list(result.tables) == ["products", "channels", "completion cells"]
    for rows in result.tables.values():
        for row in rows:
            assert row["ratio_low"] < row["ratio"] < row["ratio_high"]
            if not row["group"].startswith("thin groups"):  # these may be too few to tell
                assert row["slope_low"] < row["slope"] < row["slope_high"]
                assert 0.4 < row["slope"] < 2.5
    cells = {row["group"]: row["rows"] for row in result.tables["completion cells"]}
    assert cells["application at mobile_bank"] >= 500
    assert json.loads(json.dumps(result.as_json()))["tables"] == result.tables


def test_the_study_fails_a_constant_prediction(told):
    def constant(bank):
        own = bank.forecasts["completion"]
        rate = np.full(len(own.p), own.happened.mean())
        flat = Forecasts(own.groups, own.group, rate, own.happened, own.customer)
        return replace(bank, forecasts={**bank.forecasts, "completion": flat})

    result = told(constant)
    for side in ("lowest", "highest"):
        assert np.isnan(result.metrics[f"calibration_slope_{side}"])
        assert f"calibration_slope_{side} nan, not" in result.verdict


def test_the_study_fails_probabilities_that_are_too_sure(told):
    def sharper(bank):
        own = bank.forecasts["channel_preference"]
        odds = own.p**2 / (own.p**2 + (1 - own.p) ** 2)
        sure = Forecasts(own.groups, own.group, odds, own.happened, own.customer)
        return replace(bank, forecasts={**bank.forecasts, "channel_preference": sure})

    channels = told(sharper).tables["channels"]
    assert min(row["slope"] for row in channels if row["slope_counts"]) < SLOPES[0]


def test_other_simulations_are_named_by_file_or_folder(told, tmp_path):
    for name in ("one.yaml", "two.yaml"):
        (tmp_path / name).write_text("any: thing", "utf-8")
    assert told(data=tmp_path).metrics["banks"] == 2 * len(SEEDS)
    assert told(data=tmp_path / "one.yaml").metrics["banks"] == len(SEEDS)
    (tmp_path / "empty").mkdir()
    with pytest.raises(StudyError, match="no simulation there"):
        told(data=tmp_path / "empty")
