"""Each naive rule on an example that says what it does."""

import numpy as np
import pytest

from training import baselines

TWO = np.arange(2)
T, F = True, False


def test_popular_is_the_rate_among_those_who_may_start_it():
    # the loan is started by two of four who may, the card by one of the one who may
    starts = np.array([[T, F], [T, F], [F, T], [F, F]])
    eligible = np.array([[T, F], [T, F], [T, T], [T, F]])
    scores = baselines.popular(starts, eligible, TWO)
    assert scores.tolist() == [[0.5, 1.0], [0.5, 1.0]]


def test_popular_orders_by_count_where_everybody_may():
    starts = np.array([[T, F, F], [T, T, F], [T, T, F], [F, F, T]])
    scores = baselines.popular(starts, np.ones_like(starts), TWO)
    assert np.argsort(-scores[0]).tolist() == [0, 1, 2]
    assert scores[0].tolist() == [0.75, 0.5, 0.25]


def test_a_product_nobody_may_start_scores_nothing():
    starts, eligible = np.array([[T, F]]), np.array([[T, F]])
    assert baselines.popular(starts, eligible, TWO[:1]).tolist() == [[1.0, 0.0]]


def test_last_product_goes_before_what_is_popular():
    starts = np.array([[F, T, F], [F, T, F], [T, F, F]])
    days = np.array([[np.nan, np.nan, 400.0], [3.0, np.nan, 400.0], [np.nan, np.nan, np.nan]])
    scores = baselines.last_product(days, starts, np.ones_like(starts))
    assert np.argsort(-scores, axis=1).tolist() == [[2, 1, 0], [0, 2, 1], [1, 0, 2]]


def test_co_holding_recommends_what_goes_with_what_one_has():
    # a hundred have had a salary account and start a card; a hundred have had none and start a loan
    held = np.repeat([[T, F, F], [F, F, F]], 100, axis=0)
    starts = np.repeat([[F, T, F], [F, F, T]], 100, axis=0)
    test = np.array([[T, F, F], [F, F, F]])
    scores = baselines.co_holding(held, starts, np.ones_like(starts), test)
    assert scores[0].tolist() == pytest.approx(
        [0.0, (100 + 20 * 0.5) / 120, 20 * 0.5 / 120]
    )  # shrunk to the rate of all by twenty customers
    assert scores[1].tolist() == pytest.approx([0.0, 0.5, 0.5])


def test_co_holding_is_the_mean_over_all_one_has_had():
    held = np.repeat([[T, F], [F, T]], 100, axis=0)
    starts = np.repeat([[T, F], [F, T]], 100, axis=0)
    eligible = np.ones_like(starts)
    one, other, both = (
        baselines.co_holding(held, starts, eligible, np.array([row]))[0]
        for row in ([T, F], [F, T], [T, T])
    )
    np.testing.assert_allclose(both, (one + other) / 2)


def test_majority_last_and_most_used_channel():
    majority = baselines.majority_channel(np.array([2, 2, 0]), 3, 3)
    assert majority.tolist() == [2, 2, 2]
    assert baselines.last_channel(np.array([1, -1, 0]), majority).tolist() == [1, 2, 0]
    uses = np.array([[1.0, 5.0, 0.0], [0.0, 0.0, 0.0], [2.0, 2.0, 1.0]])
    assert baselines.most_used_channel(uses, majority).tolist() == [1, 2, 0]
