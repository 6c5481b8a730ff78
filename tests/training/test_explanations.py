"""Contributions are exact: they add up to 1e-9 and equal Shapley values found by brute force."""

from itertools import combinations
from math import factorial

import lightgbm as lgb
import numpy as np
import pytest

from features.build import build
from features.spine import customers_at, data_end
from training.models.boosters import contributions
from training.models.calibration import PlattCalibrator
from training.models.channel_preference import (
    ChannelPreferenceConfig,
    ChannelPreferenceModel,
    ChoiceRows,
)
from training.models.next_product import NextProductModel
from training.models.start_learner import NextProductConfig, StartRows

FEATURES = 8
GROUPS = {f"feature_{n}": ("money", "age", "activity")[n % 3] for n in range(FEATURES)}


def goes_left(node: dict, value: float) -> bool:
    if node["decision_type"] == "==":
        return not np.isnan(value) and str(int(value)) in node["threshold"].split("||")
    if np.isnan(value):
        if node["missing_type"] == "NaN":
            return node["default_left"]
        value = 0.0
    return value <= node["threshold"]


def expected(node: dict, row: np.ndarray, known: frozenset[int]) -> float:
    """What a tree says when only the features of `known` are known (Lundberg et al. 2020,
    algorithm 1): wherever it asks for another one, the mean of both branches, weighted by rows."""
    if "leaf_value" in node:
        return node["leaf_value"]
    sides = (node["left_child"], node["right_child"])
    if node["split_feature"] in known:
        side = sides[0] if goes_left(node, row[node["split_feature"]]) else sides[1]
        return expected(side, row, known)
    rows = [side.get("internal_count", side.get("leaf_count")) for side in sides]
    return float(np.average([expected(side, row, known) for side in sides], weights=rows))


def brute_force(booster: lgb.Booster, row: np.ndarray) -> np.ndarray:
    """Shapley values (F,) and, last, the bias, from the dumped trees and the definition alone."""
    dumped = booster.dump_model()
    width = dumped["max_feature_idx"] + 1
    trees = [tree["tree_structure"] for tree in dumped["tree_info"]]
    sets = [frozenset(s) for size in range(width + 1) for s in combinations(range(width), size)]
    worth = {known: sum(expected(tree, row, known) for tree in trees) for known in sets}
    values = np.zeros(width + 1)
    values[-1] = worth[frozenset()]
    for known in sets:
        for feature in set(range(width)) - known:
            weight = factorial(len(known)) * factorial(width - len(known) - 1) / factorial(width)
            values[feature] += weight * (worth[known | {feature}] - worth[known])
    return values


@pytest.fixture(scope="module")
def x():
    random = np.random.default_rng(11)
    x = random.normal(size=(3_000, FEATURES))
    x[random.random(x.shape) < 0.1] = np.nan
    x[:, 3] = random.integers(0, 3, len(x))
    return x


@pytest.fixture(scope="module")
def starts_model(x):
    """Two products with boosters of their own and two rare ones that share the pooled one."""
    random = np.random.default_rng(12)
    pull = np.nan_to_num(x[:, :4]) + 0.7 * np.nan_to_num(x[:, 4:]) * np.nan_to_num(x[:, [0]])
    chance = 1 / (1 + np.exp(-(pull - np.array([1.0, 1.5, 4.2, 5.5]))))
    starts = random.random(chance.shape) < chance
    splits = np.split(np.arange(len(x)), [2_000, 2_400])
    ages = np.arange(len(x), 0.0, -1)
    about = np.full(FEATURES, -1)
    rows = StartRows(x, about, starts, np.ones_like(starts), ages, *splits)
    config = NextProductConfig(
        num_leaves=6, max_rounds=12, min_data_in_leaf=10, feature_fraction=1.0,
        negatives_per_positive=1, minimum_negatives=300,
    )  # fmt: skip
    return NextProductModel.fit(config, ("deposit", "fund", "gold", "loan"), rows, 1, 1)


@pytest.fixture(scope="module")
def preference_model(x):
    random = np.random.default_rng(13)
    offers = [("deposit", "fund", None)[n % 3] for n in range(len(x))]
    stages = [("application", "signing")[n % 2] for n in range(len(x))]
    pull = np.nan_to_num(x[:, :3]) * 2 + np.array([[offer == "fund", 0, 0.5] for offer in offers])
    channel = (pull + random.gumbel(size=pull.shape)).argmax(axis=1)
    rows = ChoiceRows(
        x, offers, stages, x[:, 0], channel, *np.split(np.arange(len(x)), [2_000, 2_400])
    )
    config = ChannelPreferenceConfig(num_leaves=6, max_rounds=8, feature_fraction=1.0)
    return ChannelPreferenceModel.fit(
        config, ("app", "teller", "video"), ("deposit", "fund"), ("application", "signing"),
        rows, 1, 1,
    )  # fmt: skip


def test_brute_force_equals_contributions_of_a_booster_with_holes_and_categories(x):
    options = {"objective": "regression", "num_leaves": 10, "min_data_in_leaf": 5,
               "min_data_per_group": 5, "verbosity": -1, "num_threads": 1}  # fmt: skip
    y = np.nan_to_num(x[:, 0]) * np.nan_to_num(x[:, 1], nan=2) + 2 * (x[:, 3] == 1)
    y = np.nan_to_num(y) + np.nan_to_num(x[:, 5])
    data = lgb.Dataset(x, y, categorical_feature=[3], params=options)
    booster = lgb.train(options, data, 10)
    assert "cat_threshold=" in booster.model_to_string()
    rows = np.vstack([x[:3], np.full(FEATURES, np.nan)])
    by_definition = np.array([brute_force(booster, row) for row in rows])
    np.testing.assert_allclose(contributions(booster, rows), by_definition, rtol=0, atol=1e-9)


def test_the_model_has_both_kinds_of_product(starts_model):
    assert starts_model.learned_.merged == ("deposit", "fund")
    assert starts_model.learned_.pooled == ("gold", "loan")
    assert min(starts_model.learned_.log_sampling_rate.values()) < 0


@pytest.mark.parametrize("product", ["deposit", "fund", "gold", "loan"])
def test_an_explanation_adds_up_to_the_log_odds_of_its_probability(starts_model, x, product):
    column = starts_model.products.index(product)
    calibrator = starts_model.learned_.calibrators[product]
    assert calibrator != PlattCalibrator()
    for row in x[:25]:
        told = starts_model.explain(row, product, GROUPS)
        p = starts_model.predict(row.reshape(1, -1))[0, column]
        assert told.raw_score == pytest.approx(np.log(p / (1 - p)), abs=1e-9)
        assert told.bias + sum(told.by_feature.values()) == pytest.approx(told.raw_score, abs=1e-9)
        assert told.bias + sum(told.groups.values()) == pytest.approx(told.raw_score, abs=1e-9)
        assert set(told.groups) == {"money", "age", "activity"}
        ages = sum(value for name, value in told.by_feature.items() if GROUPS[name] == "age")
        assert told.groups["age"] == pytest.approx(ages, abs=1e-12)


@pytest.mark.parametrize(("product", "other"), [("deposit", "fund"), ("fund", "loan")])
def test_a_contrast_adds_up_to_the_lead_in_log_odds(starts_model, x, product, other):
    columns = [starts_model.products.index(one) for one in (product, other)]
    for row in x[:25]:
        told = starts_model.contrast(row, product, other, GROUPS)
        p = starts_model.predict(row.reshape(1, -1))[0, columns]
        one, two = np.log(p / (1 - p))
        assert told.lead == pytest.approx(one - two, abs=1e-9)
        assert told.bias + sum(told.by_feature.values()) == pytest.approx(told.lead, abs=1e-9)
        assert told.bias + sum(told.groups.values()) == pytest.approx(told.lead, abs=1e-9)
        assert list(told.by_feature) == list(GROUPS)
        back = starts_model.contrast(row, other, product, GROUPS)
        assert back.groups == {name: -value for name, value in told.groups.items()}
        # each part is the gap between the two explanations
        alone = [starts_model.explain(row, one, GROUPS).groups["age"] for one in (product, other)]
        assert told.groups["age"] == pytest.approx(alone[0] - alone[1], abs=1e-12)


@pytest.mark.parametrize("product", ["deposit", "fund"])
def test_a_merged_products_explanation_is_its_shapley_values(starts_model, x, product):
    starts_model.contributions(x[:1], product)  # takes the product's trees apart
    calibrator = starts_model.learned_.calibrators[product]
    for row in x[:2]:
        told = starts_model.explain(row, product, GROUPS)
        by_definition = brute_force(starts_model._apart[product], row) * calibrator.slope
        np.testing.assert_allclose(
            list(told.by_feature.values()), by_definition[:-1], rtol=0, atol=1e-9
        )
        corrections = calibrator.slope * starts_model.learned_.log_sampling_rate[product]
        constant = by_definition[-1] + corrections + calibrator.bias
        assert told.bias == pytest.approx(constant, abs=1e-9)


@pytest.mark.parametrize(("product", "code"), [("gold", 0.0), ("loan", 1.0)])
def test_a_rare_products_explanation_is_its_shapley_values(starts_model, x, product, code):
    calibrator = starts_model.learned_.calibrators[product]
    row = x[0]
    told = starts_model.explain(row, product, GROUPS)
    values = brute_force(starts_model._pooled, np.append(row, code)) * calibrator.slope
    np.testing.assert_allclose(list(told.by_feature.values()), values[:-2], rtol=0, atol=1e-9)
    # which product it is belongs to the bias
    rate = starts_model.learned_.log_sampling_rate[product]
    constant = values[-1] + values[-2] + calibrator.slope * rate + calibrator.bias
    assert told.bias == pytest.approx(constant, abs=1e-9)


def test_channel_contributions_add_up_to_the_raw_score_of_the_channel(preference_model, x):
    offers, stages = ["fund", None, "deposit"] * 10, ["signing"] * 30
    scores = preference_model._booster.predict(
        preference_model.matrix(x[:30], offers, stages, x[:30, 0]), raw_score=True, num_threads=1
    )
    for column, channel in enumerate(preference_model.channels):
        values = preference_model.contributions(x[:30], offers, stages, x[:30, 0], channel)
        assert values.shape == (30, FEATURES + 4)
        np.testing.assert_allclose(values.sum(axis=1), scores[:, column], rtol=0, atol=1e-9)


def test_channel_contributions_are_the_channels_shapley_values(preference_model, x):
    assert "cat_threshold=" in preference_model.text_
    for channel in preference_model.channels:
        values = preference_model.contributions(x[:1], ["fund"], ["signing"], x[:1, 1], channel)
        row = preference_model.matrix(x[:1], ["fund"], ["signing"], x[:1, 1])[0]
        by_definition = brute_force(preference_model._apart[channel], row)
        np.testing.assert_allclose(values[0], by_definition, rtol=0, atol=1e-9)


def test_explanations_of_a_release(small_run, small_source):
    release = small_run.release
    table = build(customers_at(small_source, [data_end(small_source)]))
    x = release.feature_set.encode(table)[:5]
    learned = release.next_product.learned_
    assert learned.merged
    assert learned.pooled
    for product in (*learned.merged[:2], *learned.pooled[:2]):
        column = release.products.index(product)
        for row in x:
            told = release.explain_start(row, product)
            p = release.p_start(row.reshape(1, -1))[0, column]
            log_odds = float(np.log(p) - np.log1p(-p))
            assert told.raw_score == pytest.approx(log_odds, abs=1e-9)
            assert told.bias + sum(told.groups.values()) == pytest.approx(log_odds, abs=1e-9)
            assert set(told.by_feature) == set(release.feature_names)
    first, second = learned.merged[0], learned.pooled[0]
    told = release.contrast_start(x[0], first, second)
    p = release.p_start(x[:1])[0, [release.products.index(one) for one in (first, second)]]
    lead = float(np.subtract(*(np.log(p) - np.log1p(-p))))
    assert (told.product, told.other) == (first, second)
    assert told.bias + sum(told.groups.values()) == pytest.approx(lead, abs=1e-9)
    told = release.explain_preference(x[0], "fund_r2", "application", "teller")
    amount = release.expected_amounts(x[:1], ["fund_r2"])
    context = (["fund_r2"], ["application"], amount)
    values = release.channel_preference.contributions(x[:1], *context, "teller")
    assert sum(told.values()) == pytest.approx(values.sum(), abs=1e-9)
