"""Every feature that SQL can tell, told again by SQL from the raw files, to 1e-9."""

import math
from datetime import UTC, datetime
from pathlib import Path

import duckdb
import pytest

from features.build import build
from features.groups import GROUPS
from features.registry import all_features
from features.spine import customers_at

ORACLE = Path(__file__).with_name("oracle.sql").read_text("utf-8")
PREPARATION, *BLOCKS = ORACLE.split("-- block: ")
MIDSUMMER = datetime(2026, 7, 1, 2, tzinfo=UTC)
BEFORE_MUCH_WAS_KNOWN = datetime(2026, 6, 10, tzinfo=UTC)
IN_SPRING = datetime(2026, 3, 15, 4, 5, 6, 789, tzinfo=UTC)


def told_by_sql(con: duckdb.DuckDBPyConnection) -> dict[str, dict[str, float | None]]:
    """Values by feature and customer, read from the views of raw files."""
    con.execute(PREPARATION)
    told: dict[str, dict[str, float | None]] = {}
    for block in BLOCKS:
        table = con.sql(block.split("\n", 1)[1]).to_arrow_table()
        customers = table["customer_id"].to_pylist()
        for feature in table.column_names[1:]:
            assert feature not in told
            told[feature] = dict(zip(customers, table[feature].to_pylist(), strict=True))
    return told


def assert_agrees(source, views: duckdb.DuckDBPyConnection, as_of: datetime) -> set[str]:
    told = told_by_sql(views)
    table = build(customers_at(source, [as_of]))
    customers = table["customer_id"].to_pylist()
    for feature, expected in told.items():
        assert set(expected) == set(customers), feature
        for customer, value in zip(customers, table[feature].to_pylist(), strict=True):
            wanted = expected[customer]
            same = (
                value is None
                if wanted is None
                else value is not None and math.isclose(value, wanted, rel_tol=1e-9, abs_tol=1e-9)
            )
            assert same, f"{feature} of {customer} at {as_of}: built {value}, SQL says {wanted}"
    return set(told)


@pytest.mark.parametrize("as_of", [MIDSUMMER, BEFORE_MUCH_WAS_KNOWN], ids=str)
def test_features_of_the_eight_customers(example_source, example_folder, raw_views, as_of):
    told = assert_agrees(example_source, raw_views(example_folder, as_of), as_of)
    groups = {f.group for f in all_features(example_source.catalog) if f.name in told}
    assert groups == set(GROUPS) - {"demand"}  # of the bank, not of a customer: test_demand.py
    assert len(told) >= 160


def test_days_close_at_the_banks_midnight(bank, raw_views):
    """A balance of the very midnight in Shanghai, and one after it, belong to the new day."""
    bank.append("balances", "complaining,2026-06-20 16:00:00,deposit,50000.00,")
    bank.append("balances", "managed,2026-06-14 17:30:00,demand,3000000.00,")
    for as_of in (MIDSUMMER, datetime(2026, 6, 21, 15, 59, tzinfo=UTC)):
        assert_agrees(bank.open(), raw_views(bank.folder, as_of), as_of)


@pytest.mark.parametrize(
    "as_of",
    [datetime(2025, 10, 31, 16, tzinfo=UTC), IN_SPRING],
    ids=str,
)
def test_features_of_a_simulated_bank(simulated_source, simulated_folder, raw_views, as_of):
    assert_agrees(simulated_source, raw_views(simulated_folder, as_of), as_of)


def test_the_oracle_tells_customers_apart(example_folder, simulated_folder, raw_views):
    """A column that is equal for all customers, wherever it is checked, would prove little."""
    checked = (
        (example_folder, MIDSUMMER),
        (example_folder, BEFORE_MUCH_WAS_KNOWN),
        (simulated_folder, IN_SPRING),
    )
    alike: list[set[str]] = []
    for folder, as_of in checked:
        told = told_by_sql(raw_views(folder, as_of))
        alike.append({name for name, values in told.items() if len(set(values.values())) == 1})
    assert set.intersection(*alike) <= {"month_of_year"}
    assert len(alike[0]) < len(told) / 4
