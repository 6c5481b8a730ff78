"""Ranking metrics on cases small enough for pencil and paper."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from training import metrics

# four rows, eight products; scores fall from left to right
SCORES = np.tile(np.arange(8.0, 0.0, -1.0), (4, 1))
ALL = np.ones((4, 8), dtype=bool)


def started(*rows: tuple[int, ...]) -> np.ndarray:
    mask = np.zeros((len(rows), 8), dtype=bool)
    for row, columns in enumerate(rows):
        mask[row, list(columns)] = True
    return mask


def test_ranking_by_hand():
    # first: right place 1; second: places 2 and 5; third: place 8, beyond every list; fourth: none
    found = metrics.ranking(SCORES, started((0,), (1, 4), (7,), ()), ALL)
    assert found["hit_rate_at_3"] == pytest.approx((1 + 1 + 0) / 3)
    assert found["mrr_at_3"] == pytest.approx((1 + 1 / 2 + 0) / 3)
    assert found["map_at_7"] == pytest.approx((1 + (1 / 2 + 2 / 5) / 2 + 0) / 3)


def test_more_starts_than_places_can_still_be_perfect():
    assert metrics.ranking(SCORES[:1], ALL[:1], ALL[:1])["map_at_7"] == pytest.approx(1.0)


def test_rows_without_a_start_count_for_nothing_and_all_of_them_give_nan():
    alone = metrics.ranking(SCORES[:1], started((1,)), ALL[:1])
    assert metrics.ranking(SCORES[:2], started((1,), ()), ALL[:2]) == alone
    assert np.isnan(metrics.ranking(SCORES, started((), (), (), ()), ALL)["map_at_7"])


def test_a_product_one_may_not_start_is_neither_ranked_nor_a_hit():
    eligible = ALL[:1].copy()
    eligible[0, :2] = False
    assert metrics.top(SCORES[:1], eligible, 3).tolist() == [[2, 3, 4]]
    # a start of product 0 is not counted, one of product 2 is now in the first place
    found = metrics.ranking(SCORES[:1], started((0, 2)), eligible)
    assert found == {"hit_rate_at_3": 1.0, "mrr_at_3": 1.0, "map_at_7": 1.0}


@given(
    hnp.arrays(float, (5, 6), elements=st.floats(-10, 10)),
    hnp.arrays(bool, (5, 6)),
)
def test_the_ineligible_come_after_all_the_eligible(scores, eligible):
    places = metrics.top(scores, eligible, 6)
    for row in range(5):
        may = eligible[row, places[row]]
        assert may[: int(eligible[row].sum())].all()
        ranked = scores[row, places[row]][may]
        assert (np.diff(ranked) <= 0).all()


def test_ties_go_to_the_earlier_column():
    assert metrics.top(np.zeros((1, 4)), np.ones((1, 4), dtype=bool), 2).tolist() == [[0, 1]]


def test_per_product_counts_the_eligible_only():
    p = np.array([[0.9, 0.2], [0.1, 0.2], [0.4, 0.2]])
    starts = np.array([[True, False], [False, False], [True, False]])
    eligible = np.array([[True, True], [True, True], [False, True]])
    deposit, fund = metrics.per_product(("deposit", "fund"), p, starts, eligible)
    assert (deposit["rows"], deposit["starts"], deposit["auc"]) == (2, 1, 1.0)
    assert deposit["mean_p"] == pytest.approx(0.5)
    assert deposit["mean_p_to_rate"] == pytest.approx(1.0)
    assert (fund["starts"], fund["auc"], fund["mean_p_to_rate"]) == (0, None, None)


def test_choice_by_hand():
    p = np.array([[0.8, 0.2], [0.6, 0.4], [0.3, 0.7], [0.9, 0.1]])
    found = metrics.choice(p, np.array([0, 1, 1, 0]))
    assert found["accuracy"] == 0.75
    assert found["auc"] == 1.0
    expected = -np.mean(np.log([0.8, 0.4, 0.7, 0.9]))
    assert found["log_loss"] == pytest.approx(expected)


def test_auc_of_many_channels_is_the_mean_over_those_that_occur():
    p = np.array([[0.7, 0.2, 0.1], [0.2, 0.7, 0.1], [0.4, 0.5, 0.1], [0.6, 0.3, 0.1]])
    found = metrics.choice(p, np.array([0, 1, 0, 1]))
    # channel 0: 0.7, 0.4 against 0.2, 0.6 → 3 of 4 pairs; channel 1: 0.7, 0.3 against 0.2, 0.5
    assert found["auc"] == pytest.approx((3 / 4 + 3 / 4) / 2)


def test_auc_is_not_a_number_where_all_chose_the_same_channel():
    for width in (2, 3):
        found = metrics.choice(np.full((4, width), 1 / width), np.zeros(4, dtype=np.int64))
        assert np.isnan(found["auc"])
        assert found["accuracy"] == 1.0


def test_reliability_fills_bins_equally():
    p = np.linspace(0, 0.99, 100)
    bins = metrics.reliability(p, (p > 0.5).astype(float), bins=10)
    assert [one["rows"] for one in bins] == [10] * 10
    assert bins[0]["rate"] == 0.0
    assert bins[-1]["rate"] == 1.0
    assert bins[0]["mean_p"] == pytest.approx(p[:10].mean())


def test_age_bands_and_groups():
    ages = np.array([25.9, 26, 59.9, 60, 65, np.nan])
    bands = metrics.age_bands(ages)
    assert bands.tolist() == ["under 26", "26-35", "46-59", "60-64", "65 and over", "unknown"]
    found = metrics.by_group(np.array([1.0, 0.0, 1.0]), np.array(["old", "old", "young"]))
    assert found == {"old": {"mean": 0.5, "rows": 2}, "young": {"mean": 1.0, "rows": 1}}


def test_precision_and_recall_by_hand():
    hit = np.array([[1.0, 0.0, 1.0], [0.0, 0.0, 0.0]])
    assert metrics.precision(hit).tolist() == [pytest.approx(2 / 3), 0.0]
    assert metrics.recall(hit, np.array([4.0, 1.0])).tolist() == [0.5, 0.0]


def test_auc_within_blocks_gives_nothing_for_knowing_the_block():
    labels = np.array([0.0, 0, 0, 1, 1, 1, 1, 0])
    blocks = np.repeat([0, 1], 4)
    assert metrics.auc_within(labels, blocks.astype(float), blocks) == 0.5
    # block 0: right in 3 of 3 pairs; block 1: the negative lies above two of three positives
    scores = np.array([0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.9, 0.7])
    assert metrics.auc_within(labels, scores, blocks) == pytest.approx((3 + 1) / 6)


def test_auc_within_is_not_a_number_where_no_block_has_both_labels():
    labels = np.array([0.0, 0.0, 1.0, 1.0])
    assert np.isnan(metrics.auc_within(labels, labels, np.array([0, 0, 1, 1])))
