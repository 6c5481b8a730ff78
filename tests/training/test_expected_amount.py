"""Expected amounts: better than the tier's median where the features tell, else the tier's."""

import numpy as np
import pytest

from training.models.expected_amount import (
    AmountRows,
    ExpectedAmountConfig,
    ExpectedAmountModel,
    tier_amounts,
)

OFFERS = ("deposit", "fund", "mortgage")
ASSETS = 0
MATURING = 1
CONFIG = ExpectedAmountConfig(max_rounds=60, min_data_in_leaf=10)


def purchases(number: int, seed: int) -> AmountRows:
    """Deposits follow what matures, funds the assets, and nothing tells a mortgage."""
    random = np.random.default_rng(seed)
    assets = np.exp(random.normal(11, 1.2, number))
    maturing = np.where(random.random(number) < 0.6, assets * random.random(number), 0.0)
    x = np.column_stack([assets, maturing, random.normal(size=(number, 4))])
    offers = [OFFERS[k] for k in random.choice(3, number, p=[0.55, 0.4, 0.05])]
    noise = np.exp(random.normal(0, 0.2, number))
    median = np.select(
        [np.array(offers) == "deposit", np.array(offers) == "fund"],
        [0.9 * maturing + 3_000, 0.1 * assets + 500], 600_000.0,
    )  # fmt: skip
    split = np.split(np.arange(number), [int(number * 0.8)])
    return AmountRows(x, offers, median * noise, ASSETS, *split)


@pytest.fixture(scope="module")
def rows() -> AmountRows:
    return purchases(3_000, 1)


@pytest.fixture(scope="module")
def model(rows) -> ExpectedAmountModel:
    return ExpectedAmountModel.fit(CONFIG, tier_amounts(rows, np.arange(3_000)), rows, 1, 1)


def errors(model: ExpectedAmountModel, rows: AmountRows) -> np.ndarray:
    return np.abs(np.log(model.predict(rows.x, rows.offers) / rows.amount_cny))


def test_amounts_are_nearer_than_the_tiers_median(model):
    later = purchases(2_000, 2)
    table = ExpectedAmountModel.of_table(model.learned_.table, ASSETS)
    of_deposits = np.array(later.offers) == "deposit"
    assert errors(model, later)[of_deposits].mean() < 0.6 * errors(table, later)[of_deposits].mean()
    # the answer is a median: half of the amounts lie above it
    above = model.predict(later.x, later.offers) < later.amount_cny
    assert above[of_deposits].mean() == pytest.approx(0.5, abs=0.06)


def test_what_no_feature_tells_keeps_the_tiers_median(model):
    assert "deposit" in model.offers
    random = np.random.default_rng(3)
    same = purchases(3_000, 4)
    flat = AmountRows(
        same.x, same.offers, np.exp(random.normal(9, 1, 3_000)), None, same.train, same.stop
    )
    found = ExpectedAmountModel.fit(CONFIG, tier_amounts(flat, same.train), flat, 1, 1)
    for offer in set(OFFERS) - set(found.offers):
        expected = found.predict(same.x[:5], [offer] * 5)
        assert expected.tolist() == [found.usual_cny(offer, None)] * 5
    assert len(found.offers) < 3


def test_too_few_purchases_leave_the_table(rows):
    few = ExpectedAmountConfig(minimum_purchases=100_000)
    table = tier_amounts(rows, rows.train)
    found = ExpectedAmountModel.fit(few, table, rows, 1, 1)
    assert found.offers == ()
    expected = found.predict(rows.x[:20], rows.offers[:20])
    assert expected.tolist() == [
        table.median_cny(offer, assets)
        for offer, assets in zip(rows.offers[:20], rows.x[:20, ASSETS], strict=True)
    ]


def test_what_nobody_bought_is_not_priced(model, rows):
    priced = model.predict(rows.x[:3], ["gold", None, "deposit"])
    assert np.isnan(priced).tolist() == [True, True, False]
    assert model.usual_cny("gold", 1e5) is None


def test_what_is_told_goes_before_what_is_expected(model, rows):
    told = np.array([7_000.0, np.nan, np.nan])
    offers = ["deposit", "deposit", "gold"]
    amounts = model.told_or_expected(told, rows.x[:3], offers)
    assert amounts[0] == 7_000.0
    assert amounts[1] == model.predict(rows.x[1:2], ["deposit"])[0]
    assert np.isnan(amounts[2])
    assert np.isnan(told[1])  # what was given stays as it was


def test_one_row_is_priced_as_in_a_batch(model, rows):
    batch = model.predict(rows.x[:50], rows.offers[:50])
    alone = [model.predict(rows.x[[n]], [rows.offers[n]])[0] for n in range(50)]
    assert alone == batch.tolist()


def test_it_comes_back_from_disk_as_text(model, rows, tmp_path):
    model.save(tmp_path)
    again = ExpectedAmountModel.load(tmp_path)
    assert np.array_equal(
        again.predict(rows.x, rows.offers), model.predict(rows.x, rows.offers), equal_nan=True
    )
    assert (tmp_path / "expected_amount.txt").read_text("utf-8").startswith("tree\n")


def test_a_seed_gives_the_same_model_again(model, rows):
    again = ExpectedAmountModel.fit(CONFIG, model.learned_.table, rows, 1, 1)
    assert again.text_ == model.text_
    assert again.learned_ == model.learned_
