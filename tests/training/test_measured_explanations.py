"""Stability and faithfulness tell explanations that hold from those that do not."""

from itertools import combinations

import lightgbm as lgb
import numpy as np
import pytest

from training.explanations import (
    TOP,
    Asked,
    faithfulness,
    group_sums,
    jaccard,
    jaccard_by_chance,
    measure,
    used_groups,
)
from training.models.boosters import contributions, trees_of
from training.models.next_product import NextProductModel
from training.models.start_learner import NextProductConfig, StartRows, reseeded

GROUPS = [f"group_{column // 2}" for column in range(12)]
"""Twelve features in six groups of two; the score is made of the first three groups alone."""

CONFIG = NextProductConfig(
    num_leaves=6, max_rounds=20, min_data_in_leaf=20, feature_fraction=0.5,
    negatives_per_positive=2, minimum_negatives=500,
)  # fmt: skip


@pytest.fixture(scope="module")
def x():
    return np.random.default_rng(1).normal(size=(4_000, len(GROUPS)))


@pytest.fixture(scope="module")
def booster(x):
    y = x[:, 0] + x[:, 2] - x[:, 4] + 0.1 * x[:, 6:].sum(axis=1)
    options = {"objective": "regression", "num_leaves": 8, "verbosity": -1, "num_threads": 1}
    return lgb.train(options, lgb.Dataset(x, y, params=options), 60)


@pytest.fixture(scope="module")
def rows(x):
    """Two products with boosters of their own, and a rare one."""
    random = np.random.default_rng(2)
    pull = np.column_stack([x[:, 0] - 1.5, x[:, 3] + x[:, 8] - 2, x[:, 5] - 5])
    starts = random.random(pull.shape) < 1 / (1 + np.exp(-pull))
    train, stop, calibrate = np.split(np.arange(len(x)), [2_600, 3_100])
    return StartRows(
        x=x, about=np.full(x.shape[1], -1), starts=starts, eligible=np.ones_like(starts),
        age_days=np.arange(len(x), 0.0, -1), train=train, stop=stop, calibrate=calibrate,
    )  # fmt: skip


@pytest.fixture(scope="module")
def model(rows):
    return NextProductModel.fit(CONFIG, ("deposit", "fund", "loan"), rows, 1, 1)


def score_of(booster):
    return lambda rows: booster.predict(rows, num_threads=1)


def test_taking_away_the_top_groups_moves_the_score_most(booster, x):
    sample, values = x[:60], contributions(booster, x[:60])[:, :-1]
    names = list(dict.fromkeys(GROUPS))
    found = faithfulness(score_of(booster), sample, values, GROUPS, names, x[-20:])
    assert found.deletion.mean() > 1.3 * found.random_deletion.mean()
    assert found.sufficiency.mean() < 0.5 * found.random_sufficiency.mean()


def test_reasons_that_are_shuffled_do_no_better_than_chance(booster, x):
    """The same contributions, each row's given to the wrong groups."""
    sample, values = x[:60], contributions(booster, x[:60])[:, :-1]
    random = np.random.default_rng(3)
    shuffled = np.array([row.reshape(6, 2)[random.permutation(6)].reshape(12) for row in values])
    names = list(dict.fromkeys(GROUPS))
    found = faithfulness(score_of(booster), sample, shuffled, GROUPS, names, x[-20:])
    assert found.deletion.mean() == pytest.approx(found.random_deletion.mean(), rel=0.15)
    assert found.sufficiency.mean() > 0.8 * found.random_sufficiency.mean()


def test_random_sets_are_all_the_sets_there_are(booster, x):
    """By hand, for one row: the mean over the twenty sets of three of six groups."""
    row, background = x[:1], x[-5:]
    names = list(dict.fromkeys(GROUPS))
    whole = score_of(booster)(row)[0]
    moved = {}
    for chosen in combinations(names, TOP):
        mixed = np.repeat(row, 5, axis=0)
        for column, group in enumerate(GROUPS):
            if group in chosen:
                mixed[:, column] = background[:, column]
        moved[chosen] = abs(whole - score_of(booster)(mixed).mean())
    assert len(moved) == 20
    values = contributions(booster, row)[:, :-1]
    sizes = {name: abs(values[0, 2 * n] + values[0, 2 * n + 1]) for n, name in enumerate(names)}
    top = tuple(sorted(sorted(names, key=lambda name: -sizes[name])[:TOP]))
    rest = tuple(name for name in names if name not in top)
    found = faithfulness(score_of(booster), row, values, GROUPS, names, background)
    assert found.deletion[0] == pytest.approx(moved[top], abs=1e-12)
    assert found.sufficiency[0] == pytest.approx(moved[rest], abs=1e-12)
    everything = np.mean(list(moved.values()))
    assert found.random_deletion[0] == pytest.approx(everything, abs=1e-12)
    assert found.random_sufficiency[0] == pytest.approx(everything, abs=1e-12)


def test_stability_is_one_for_equal_seeds_and_chance_for_shuffled_contributions(model, rows, x):
    rounds = {k: model.learned_.rounds[model.products[k]] for k in (0, 1)}
    same = [one[1] for one in reseeded(CONFIG, rows, rounds, [1] * 5)]
    other = [one[1] for one in reseeded(CONFIG, rows, rounds, range(1, 6))]
    sample = x[3_200:3_400]

    def groups(boosters):
        return [group_sums(contributions(one, sample)[:, :-1], GROUPS) for one in boosters]

    assert jaccard(groups(same)) == pytest.approx(1.0)
    stable = jaccard(groups(other)).mean()
    random = np.random.default_rng(4)
    shuffled = jaccard([random.permuted(one, axis=1) for one in groups(other)]).mean()
    chance = jaccard_by_chance(6)
    assert chance + 0.1 < stable < 1.0
    assert shuffled == pytest.approx(chance, abs=0.03)


def test_a_booster_trained_again_with_the_release_s_seed_is_the_release_s(model, rows):
    rounds = {k: model.learned_.rounds[model.products[k]] for k in (0, 1)}
    again = reseeded(CONFIG, rows, rounds, [1])[0]
    for output, k in enumerate(rounds):
        model.contributions(rows.x[:1], model.products[k])
        apart = model._apart[model.products[k]].model_to_string()
        assert trees_of(again[k].model_to_string()) == trees_of(apart), output


@pytest.fixture(scope="module")
def measured(model, rows, x):
    sample = np.arange(3_500, 3_560)
    asked = Asked(x[sample], rows.eligible[sample], np.arange(60))
    return measure(model, CONFIG, rows, GROUPS, asked, 1)


def test_what_is_reported(measured, model):
    told = {row["measure"]: row for row in measured["explanations"]}
    assert list(told) == ["stability_groups", "stability_features", "deletion", "sufficiency"]
    for name in ("stability_groups", "stability_features", "deletion"):
        assert told[name]["value"] > told[name]["reference"]
        assert told[name]["low"] > 0
    assert told["sufficiency"]["high"] < 0
    assert told["stability_groups"]["reference"] == pytest.approx(0.365, abs=1e-9)
    assert {row["rows"] for row in told.values()} == {60}
    # the rare product has no booster of its own to train again; most starts come first
    assert model.learned_.pooled == ("loan",)
    assert [row["product"] for row in measured["stability"]] == ["deposit", "fund"]
    for what in ("groups", "features"):
        both = np.mean([row[what] for row in measured["stability"]])
        assert told[f"stability_{what}"]["value"] == pytest.approx(both)


def test_where_three_groups_are_all_there_are_nothing_is_claimed_of_groups(model, rows, x):
    groups = [f"group_{column // 4}" for column in range(12)]
    asked = Asked(x[3_500:3_520], rows.eligible[3_500:3_520], np.arange(20))
    found = measure(model, CONFIG, rows, groups, asked, 1)
    assert [row["measure"] for row in found["explanations"]] == ["stability_features"]


def test_a_group_that_moves_nothing_is_no_reason():
    values = np.array([[0.5, 0.0, 0.0], [0.0, 0.0, 0.1]])
    assert used_groups([values], ["money", "age", "activity"]) == ["money", "activity"]
