"""On banks of a known truth the models beat the naive rules, and without a signal they do not.

The shipped release configuration, whole, on five banks of 1,000 customers; `make bench ONLY=truth`
does the same at 5,000.
"""

from __future__ import annotations

import numpy as np
import pytest

from experiments.truth_study import gain, summary, truth

pytestmark = pytest.mark.truth

SEEDS = (1, 2, 3, 4, 5)
CUSTOMERS = 1_000
POPULARITY = ("popular", "recent_popular")
NO_GAIN = 0.01
"""What a model may seem to gain where there is nothing to gain, by the luck of a small test."""


def standard_error(gains: np.ndarray) -> float:
    return float(gains.std(ddof=1) / np.sqrt(len(gains)))


@pytest.fixture(scope="module")
def with_signal():
    return truth(SEEDS, CUSTOMERS, signal=1.0)


@pytest.fixture(scope="module")
def without_signal():
    return truth(SEEDS, CUSTOMERS, signal=0.0)


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
