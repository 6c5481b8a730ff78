"""Merged text boosters: the same scores as single ones, bit for bit, and taken apart again."""

import lightgbm as lgb
import numpy as np
import pytest

from training.models import boosters
from training.models.boosters import (
    contributions,
    merge,
    one_output,
    raw_scores,
    trees_of,
)

ROUNDS = (25, 9, 14)
ROWS, FEATURES = 600, 6


@pytest.fixture(scope="module")
def x():
    """Rows with holes, whose last column is a category of twelve codes."""
    random = np.random.default_rng(3)
    x = random.normal(size=(ROWS, FEATURES))
    x[random.random(x.shape) < 0.15] = np.nan
    x[:, -1] = random.integers(0, 12, ROWS)
    return x


@pytest.fixture(scope="module")
def single(x):
    """Three boosters of different lengths, each with splits on holes and on the category."""
    boosters = []
    for number, rounds in enumerate(ROUNDS):
        random = np.random.default_rng(number)
        signal = np.nan_to_num(x[:, number], nan=1.5) + np.isin(x[:, -1], [1, 4, 7 + number])
        y = (signal + random.normal(size=ROWS) > 1).astype(float)
        options = {
            "objective": "binary", "num_leaves": 9, "min_data_in_leaf": 5, "verbosity": -1,
            "min_data_per_group": 5, "num_threads": 1, "seed": number,
        }  # fmt: skip
        data = lgb.Dataset(x, y, categorical_feature=[FEATURES - 1], params=options)
        boosters.append(lgb.train(options, data, rounds))
    return boosters


@pytest.fixture(scope="module")
def merged_text(single):
    return merge([booster.model_to_string() for booster in single])


def test_the_trees_are_not_trivial(single):
    for booster, rounds in zip(single, ROUNDS, strict=True):
        text = booster.model_to_string()
        assert len(trees_of(text)) == rounds
        assert "cat_threshold=" in text
        assert booster.dump_model()["tree_info"][0]["num_leaves"] > 4


def test_a_merged_booster_scores_as_the_single_ones_bit_for_bit(single, merged_text, x):
    merged = lgb.Booster(model_str=merged_text)
    scores = raw_scores(merged, x, len(single))
    for k, booster in enumerate(single):
        assert np.array_equal(scores[:, k], booster.predict(x, raw_score=True, num_threads=1))
    assert np.unique(scores[:, 1]).size > 50


def test_shorter_boosters_are_padded_with_trees_that_add_nothing(single, merged_text):
    trees = trees_of(merged_text)
    assert len(trees) == max(ROUNDS) * len(ROUNDS)
    last_of_the_short = trees[-2]
    assert "num_leaves=1\n" in last_of_the_short
    assert "leaf_value=0\n" in last_of_the_short


def test_merging_the_other_way_round_swaps_the_outputs(single, x):
    back = lgb.Booster(model_str=merge([one.model_to_string() for one in reversed(single)]))
    assert np.array_equal(
        raw_scores(back, x, 3)[:, 0], single[-1].predict(x, raw_score=True, num_threads=1)
    )


@pytest.mark.parametrize("output", range(len(ROUNDS)))
def test_one_output_apart_scores_the_same(single, merged_text, x, output):
    apart = lgb.Booster(model_str=one_output(merged_text, output))
    alone = single[output].predict(x, raw_score=True, num_threads=1)
    assert np.array_equal(raw_scores(apart, x, 1)[:, 0], alone)


@pytest.mark.parametrize("output", range(len(ROUNDS)))
def test_contributions_of_one_output_add_up_to_its_score(merged_text, x, output):
    apart = lgb.Booster(model_str=one_output(merged_text, output))
    values = contributions(apart, x)
    assert values.shape == (ROWS, FEATURES + 1)
    merged = raw_scores(lgb.Booster(model_str=merged_text), x, len(ROUNDS))
    np.testing.assert_allclose(values.sum(axis=1), merged[:, output], rtol=0, atol=1e-9)
    assert (np.abs(values[:, :-1]).max(axis=0) > 1e-3).sum() >= 3


def test_merging_survives_the_text_form_twice(single, merged_text, x):
    again = lgb.Booster(model_str=merged_text).model_to_string()
    assert np.array_equal(
        raw_scores(lgb.Booster(model_str=again), x, 3),
        raw_scores(lgb.Booster(model_str=merged_text), x, 3),
    )


def test_a_booster_without_any_split_merges_too(single, x):
    options = {"objective": "binary", "verbosity": -1, "num_threads": 1, "min_data_in_leaf": 400}
    flat = lgb.train(options, lgb.Dataset(x, np.arange(ROWS) % 2, params=options), 3)
    merged = lgb.Booster(model_str=merge([flat.model_to_string(), single[1].model_to_string()]))
    scores = raw_scores(merged, x, 2)
    assert np.array_equal(scores[:, 0], flat.predict(x, raw_score=True, num_threads=1))
    assert np.array_equal(scores[:, 1], single[1].predict(x, raw_score=True, num_threads=1))


def test_a_booster_asked_for_another_number_of_outputs_says_so(x, merged_text):
    with pytest.raises(ValueError, match="gives 30 numbers, not 20"):
        raw_scores(lgb.Booster(model_str=merged_text), x[:10], 2)


def test_one_row_is_scored_and_explained_as_among_many(x, single, merged_text):
    merged = lgb.Booster(model_str=merged_text)
    many = raw_scores(merged, x, 3)
    told = contributions(single[0], x[:50])
    for row in range(50):
        alone = x[row : row + 1]
        assert np.array_equal(raw_scores(merged, alone, 3)[0], many[row])
        assert np.array_equal(contributions(single[0], alone)[0], told[row])
        assert np.array_equal(raw_scores(single[0], alone, 1)[0, 0], single[0].predict(
            alone, raw_score=True, num_threads=1)[0])  # fmt: skip
    with pytest.raises(ValueError, match="gives 3 numbers, not 2"):
        raw_scores(lgb.Booster(model_str=merged_text), x[:1], 2)
    with pytest.raises(ValueError, match="a row of 5 numbers, 6 were announced"):
        raw_scores(merged, x[:1, :5], 3)


def test_what_was_kept_for_single_rows_goes_with_its_booster(x, merged_text):
    kept = len(boosters._ONE_ROW)
    for _ in range(3):
        raw_scores(lgb.Booster(model_str=merged_text), x[:1], 3)
    assert len(boosters._ONE_ROW) == kept
