"""Demand across the bank: the newest report known before a moment, and nothing later."""

from datetime import UTC, datetime

import pytest

from features.build import build
from features.registry import available_features
from features.spine import customers_at

REPORTS = (
    # as_of, then recent and usual demand of deposit_1y and of fund_r2
    (datetime(2026, 5, 1, tzinfo=UTC), (None, None), (None, None)),  # not before the report
    (datetime(2026, 5, 2, tzinfo=UTC), (0.30, 0.28), (0.10, 0.12)),
    (datetime(2026, 6, 1, 12, tzinfo=UTC), (0.30, 0.28), (0.10, 0.12)),  # June is not yet known
    (datetime(2026, 6, 3, tzinfo=UTC), (0.22, 0.27), (None, None)),  # of June, one is told later
    (datetime(2026, 6, 20, tzinfo=UTC), (0.22, 0.27), (0.16, 0.13)),
    (datetime(2026, 7, 1, 2, tzinfo=UTC), (0.22, 0.27), (0.16, 0.13)),  # July's, this very moment
)


@pytest.mark.parametrize(("as_of", "deposit", "fund"), REPORTS, ids=lambda one: str(one))
def test_demand_is_that_of_the_newest_report_known(example_source, as_of, deposit, fund):
    wanted = {
        "recent_demand_deposit_1y": deposit[0], "usual_demand_deposit_1y": deposit[1],
        "recent_demand_fund_r2": fund[0], "usual_demand_fund_r2": fund[1],
    }  # fmt: skip
    features = [f for f in available_features(example_source) if f.name in wanted]
    table = build(customers_at(example_source, [as_of]), features)
    for name, value in wanted.items():
        assert set(table[name].to_pylist()) == {value}, name
