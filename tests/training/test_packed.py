"""Packed boosters: LightGBM's scores, whatever the trees and the holes."""

import re

import lightgbm as lgb
import numpy as np
import pytest

from training.errors import ReleaseError
from training.models.boosters import merge, raw_scores, trees_of
from training.models.packed import PackedBooster

ROWS, FEATURES, CODES = 800, 7, 40


@pytest.fixture(scope="module")
def x():
    """Rows with holes; the second column has none in training, the last two are categories."""
    random = np.random.default_rng(5)
    x = random.normal(size=(ROWS, FEATURES))
    x[random.random(x.shape) < 0.2] = np.nan
    x[:, 1] = random.normal(size=ROWS)
    x[:, 2] = np.where(random.random(ROWS) < 0.4, np.nan, 1.0)  # split by whether it is told
    x[:, -2:] = random.integers(0, CODES, (ROWS, 2))
    x[::9, -1] = np.nan
    return x


def booster(x, leaves, outputs=1, rounds=12, **options):
    random = np.random.default_rng(leaves)
    y = np.nan_to_num(x[:, 0], nan=2.0) + x[:, 1] + np.isin(x[:, -1], [3, 35, 39])
    y += np.isnan(x[:, 2]) * 2 + np.isin(x[:, -2], [0, 7, 33]) + random.normal(size=ROWS) / 2
    settings = {
        "objective": "regression", "num_leaves": leaves, "min_data_in_leaf": 3, "num_threads": 1,
        "min_data_per_group": 3, "cat_smooth": 1.0, "verbosity": -1, "seed": 1, **options,
    }  # fmt: skip
    if outputs > 1:
        y = np.digitize(y, np.quantile(y, np.linspace(0, 1, outputs + 1)[1:-1]))
        settings |= {"objective": "multiclass", "num_class": outputs}
    codes = [FEATURES - 2, FEATURES - 1]
    return lgb.train(settings, lgb.Dataset(x, y, categorical_feature=codes), rounds)


def strange(x):
    """Rows that training never saw: holes anywhere, unknown codes, numbers on the edges."""
    random = np.random.default_rng(6)
    more = x[:60].copy()
    more[random.random(more.shape) < 0.3] = np.nan
    more[:20, -2:] = [[-1.0, 41.0], [33.7, -0.5], [1e6, 31.0], [32.0, 64.0]] * 5
    more[20:30, :2] = [np.inf, -np.inf]
    return more


def assert_the_same(text, x, context, questions=9):
    alone = lgb.Booster(model_str=text)
    outputs = alone.num_model_per_iteration()
    own, asked = x[:, : x.shape[1] - context], x[:questions, x.shape[1] - context :]
    found = PackedBooster(text, context).raw_scores(own, asked)
    assert found.shape == (len(x), questions, outputs)
    for question in range(questions):
        rows = np.hstack([own, np.tile(asked[question], (len(x), 1))])
        same(found[:, question], raw_scores(alone, rows, outputs))
    for row in range(0, len(x), 7):
        by_itself = PackedBooster(text, context).raw_scores(own[row : row + 1], asked)
        assert np.array_equal(by_itself[0], found[row])
    return found


def same(found, expected):
    """All leaves are the same; their sum may differ by the order of adding."""
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-13 * np.abs(expected).max())


@pytest.mark.parametrize("leaves", [2, 8, 9, 16, 31, 64])
@pytest.mark.parametrize("context", [0, 1, 3, FEATURES])
def test_scores_are_lightgbms(x, leaves, context):
    text = booster(x, leaves).model_to_string()
    found = assert_the_same(text, np.vstack([x[:60], strange(x)]), context)
    assert np.unique(found).size > 4


def test_the_trees_split_in_every_way(x):
    lines = re.findall(r"^decision_type=(.*)$", booster(x, 31).model_to_string(), re.M)
    # by category, and by number: a hole is nought, goes right, or goes left
    assert set(" ".join(lines).split()) >= {"2", "8", "9", "10"}


def test_rows_of_their_own_context_are_scored_each_for_its_own(x):
    text = booster(x, 15).model_to_string()
    asked = np.random.default_rng(1).permutation(x[:200])[:, -2:].reshape(20, 10, 2)
    found = PackedBooster(text, 2).raw_scores(x[:20, :-2], asked)
    rows = np.concatenate([np.repeat(x[:20, :-2], 10, axis=0), asked.reshape(-1, 2)], axis=1)
    alone = raw_scores(lgb.Booster(model_str=text), rows, 1)
    same(found.reshape(-1, 1), alone)


def test_outputs_of_a_multiclass_booster_are_told_apart(x):
    found = assert_the_same(booster(x, 15, outputs=4).model_to_string(), strange(x), 2)
    assert np.unique(found[0, 0]).size == 4


def test_shorter_boosters_of_a_merged_one_and_trees_without_a_split(x):
    texts = [booster(x, 7, rounds=rounds).model_to_string() for rounds in (3, 9)]
    flat = booster(x, 7, min_data_in_leaf=500).model_to_string()
    assert "num_leaves=1\n" in trees_of(flat)[0]
    assert_the_same(merge([*texts, flat]), strange(x), 1)
    assert_the_same(flat, strange(x), 1)


def test_a_context_that_no_tree_reads_changes_nothing(x):
    narrow = lgb.train(
        {"objective": "regression", "verbosity": -1, "num_threads": 1},
        lgb.Dataset(np.column_stack([x[:, 1], np.zeros(len(x))]), x[:, 1]),
        5,
    ).model_to_string()
    found = assert_the_same(narrow, x[:9, :2], 1)
    assert np.array_equal(found, np.repeat(found[:, :1], 9, axis=1))


@pytest.mark.parametrize(
    ("leaves", "options", "said"),
    [
        (65, {}, "a tree of 65 leaves; train with `num_leaves` of 64 at most"),
        (7, {"zero_as_missing": True}, "takes noughts for holes"),
        (7, {"linear_tree": True}, "linear leaves"),
    ],
)
def test_trees_of_another_make_are_refused(x, leaves, options, said):
    text = booster(np.abs(x), leaves, min_data_in_leaf=1, **options).model_to_string()
    with pytest.raises(ReleaseError, match=said):
        PackedBooster(text, 1)
