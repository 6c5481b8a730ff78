"""Next product: which rows count how much, which columns a product reads, what calibration saw."""

import numpy as np
import pytest

from training.models.boosters import one_output
from training.models.next_product import NextProductModel
from training.models.start_learner import NextProductConfig, StartRows

ROWS, FEATURES = 4_000, 5
SPLITS = np.split(np.arange(ROWS), [2_400, 3_200])
CONFIG = NextProductConfig(num_leaves=5, max_rounds=12, min_data_in_leaf=20, feature_fraction=1.0)
PRODUCTS = ("deposit", "fund")


def start_rows(about=(-1, -1, -1, 0, 1), seed=1):
    """Each product starts by its own column of demand, which the other must not follow."""
    random = np.random.default_rng(seed)
    x = random.normal(size=(ROWS, FEATURES))
    pull = x[:, [3, 4]] + x[:, [4, 3]] + x[:, [0, 1]]
    starts = random.random(pull.shape) < 1 / (1 + np.exp(1 - pull))
    ages = np.linspace(400, 0, ROWS)
    return StartRows(x, np.array(about), starts, np.ones_like(starts), ages, *SPLITS)


@pytest.fixture(scope="module")
def model():
    return NextProductModel.fit(CONFIG, PRODUCTS, start_rows(), 1, 1)


def columns_read(text):
    lines = [line for line in text.splitlines() if line.startswith("split_feature=")]
    return {int(column) for line in lines for column in line.split("=")[1].split()}


def test_a_product_reads_its_own_demand_and_no_others(model):
    assert {3, 4} & columns_read(one_output(model.merged_text_, 0)) == {3}
    assert {3, 4} & columns_read(one_output(model.merged_text_, 1)) == {4}
    free = NextProductModel.fit(CONFIG, PRODUCTS, start_rows(about=[-1] * 5), 1, 1)
    assert {3, 4} <= columns_read(one_output(free.merged_text_, 0))


def test_weights_halve_with_age_and_have_a_mean_of_one():
    ages = np.array([0.0, 90.0, 180.0])
    weights = NextProductConfig(recency_half_life_days=90).weights(ages)
    np.testing.assert_allclose(weights / weights[0], [1, 0.5, 0.25])
    assert weights.mean() == pytest.approx(1)
    assert np.array_equal(NextProductConfig().weights(ages), np.ones(3))


def test_the_same_month_last_year_weighs_more_and_its_neighbours_do_not():
    months = np.array([0, 31, 334, 365, 396, 730.0])
    weights = NextProductConfig(same_month_last_year_weight=3.0).weights(months)
    np.testing.assert_allclose(weights / weights[0], [1, 1, 1, 3, 1, 1])


def test_weights_reach_the_boosters_and_the_level_stays(model):
    heavy = CONFIG.model_copy(update={"recency_half_life_days": 30.0})
    weighted = NextProductModel.fit(heavy, PRODUCTS, start_rows(), 1, 1)
    assert weighted.merged_text_ != model.merged_text_
    rows = start_rows()
    rates = rows.starts.mean(axis=0)
    for one in (model, weighted):
        np.testing.assert_allclose(one.predict(rows.x).mean(axis=0), rates, rtol=1e-6)


def test_slopes_come_from_rows_no_tree_of_theirs_has_seen():
    """Starts that nothing tells: trees that had seen the rows would be trusted, others are not."""
    rows = start_rows()
    noise = np.random.default_rng(9).random(rows.starts.shape) < 0.3
    blind = NextProductModel.fit(
        CONFIG, PRODUCTS,
        StartRows(rows.x, rows.about, noise, rows.eligible, rows.age_days, *SPLITS), 1, 1,
    )  # fmt: skip
    spread = blind.predict(rows.x[rows.calibrate]).std(axis=0)
    assert (spread < 0.05).all()


def test_equal_seeds_give_equal_text(model):
    again = NextProductModel.fit(CONFIG, PRODUCTS, start_rows(), 1, 1)
    assert again.merged_text_ == model.merged_text_
    assert again.learned_ == model.learned_
