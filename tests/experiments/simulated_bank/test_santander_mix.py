"""Mix, level and season of what is bought, against the published aggregates of a real bank.

Tolerances: each product's share within a fifth of the real share; the level within 15 % of eight
times the real one; seasons of the four largest products with rank correlation above 0.6.
The rates of `bank.yaml` say which products depart from the aggregates on purpose.
"""

from __future__ import annotations

import csv
import os
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import spearmanr

LEVEL = 8
COLUMNS = {
    ("bill_autopay",): ("recibo_ult1",),
    ("payroll_account",): ("nomina_ult1",),
    ("credit_card",): ("tjcr_fin_ult1",),
    ("mobile_payment",): ("ecue_fin_ult1",),
    ("cash_plus",): ("ctma_fin_ult1", "ctop_fin_ult1", "ctpp_fin_ult1"),
    ("fund_r2", "fund_r3"): ("fond_fin_ult1",),
    ("fund_r4",): ("valo_fin_ult1",),
}
SEASONAL = ("bill_autopay", "payroll_account", "credit_card", "mobile_payment")
pytestmark = pytest.mark.needs("data")


@pytest.fixture(scope="module")
def aggregates() -> dict[str, np.ndarray]:
    """Acquisitions per customer and month, by column (16 months), and the month of the year."""
    folder = Path(os.environ.get("ONEPOINT_DATA", "../shared/data")) / "santander_aggregates"
    with (folder / "monthlyTransitionCounts.csv").open() as file:
        rows = list(csv.DictReader(file))
    sample: dict[str, int] = {}
    with (folder / "monthly_holdings_sample.csv").open() as file:
        for line in csv.DictReader(file):
            sample[line["fecha_dato"]] = sample.get(line["fecha_dato"], 0) + 1
    # The sample is drawn evenly from 13,647,309 customer-months: it tells how many customers
    # there were each month.
    customers = np.array([sample[row[""]] / sum(sample.values()) * 13_647_309 for row in rows])
    found = {"month": np.array([int(row[""][5:7]) - 1 for row in rows])}
    for name in rows[0]:
        if name:
            counts = np.array([float(row[name]) for row in rows])
            found[name.removeprefix("ind_")] = counts / customers
    return found


@pytest.fixture(scope="module")
def bought(lived) -> tuple[np.ndarray, list[str]]:
    """Completed sales per customer present, by month and product, and the product names."""
    world, months = lived
    sold = np.zeros((len(months), len(world.parameters.products)))
    for month in months:
        np.add.at(sold[month.month], month.journeys.product[month.journeys.done], 1)
    present = [(world.people.join_month <= month.month).sum() for month in months]
    return sold / np.array(present)[:, None], list(world.parameters.products)


def test_mix_and_level(aggregates, bought):
    rates, names = bought
    real = np.array([sum(aggregates[c].mean() for c in columns) for columns in COLUMNS.values()])
    simulated = np.array(
        [sum(rates[:, names.index(p)].mean() for p in products) for products in COLUMNS]
    )
    assert simulated.sum() == pytest.approx(LEVEL * real.sum(), rel=0.15)
    np.testing.assert_allclose(simulated / simulated.sum(), real / real.sum(), rtol=0.2)


@pytest.mark.parametrize("product", SEASONAL)
def test_season(aggregates, bought, product):
    rates, names = bought
    real = aggregates[COLUMNS[(product,)][0]]
    season = [real[aggregates["month"] == month].mean() for month in range(12)]
    series = rates[:, names.index(product)]
    simulated = [series[month::12].mean() for month in range(12)]
    assert spearmanr(season, simulated).statistic > 0.6


def test_deposits_are_raised_as_declared(aggregates, bought):
    rates, names = bought
    real = sum(
        aggregates[column].mean() for column in ("deco_fin_ult1", "deme_fin_ult1", "dela_fin_ult1")
    )
    simulated = sum(rates[:, names.index(p)].mean() for p in ("deposit_3m", "deposit_1y", "cd_3y"))
    assert simulated == pytest.approx(2.5 * LEVEL * real, rel=0.3)
