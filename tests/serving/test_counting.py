"""Staff time counts on the bank's day: what was used up today is there again at its midnight."""

import asyncio
from dataclasses import replace
from datetime import UTC, date, datetime, time, timedelta

import pytest

from features.state import CustomerState, Outlet
from serving.config import CATALOGS
from serving.contract import Outcome
from serving.counting import counters_of, minutes_on_day
from serving.decide.rulebook import load_rulebook
from serving.facts import Place
from serving.stores.decisions import DecisionStore, StoredDecision

MINUTE = timedelta(minutes=1)


@pytest.mark.parametrize("zone", ["Asia/Shanghai", "America/New_York"])
def test_minutes_used_are_there_again_at_the_banks_midnight(zone, tmp_path):
    rules = load_rulebook(CATALOGS / "bank")
    rules = replace(rules, policy=rules.policy.model_copy(update={"timezone": zone}))
    midnight = datetime.combine(date(2026, 7, 1), time(), rules.zone).astimezone(UTC)
    store = DecisionStore.open(tmp_path / "decisions.sqlite")
    decision = StoredDecision(
        "D1", "C0000001", None, "0" * 64, "staff", "teller", midnight - 60 * MINUTE, b"{}", b"{}"
    )
    place = Place(1, "fund_r2", "application", "teller", "teller", "O0001", 12.0)
    begun = Outcome(
        outcome_id="X1", decision_id="D1", rank=1, kind="started", occurred_at=midnight - MINUTE
    )

    async def happen():
        await store.add(decision, [place])
        await store.add_outcomes([("", begun)], ("*",), 60.0)

    asyncio.run(happen())
    at = CustomerState(customer_id="C0000002", as_of=midnight, outlet=Outlet(org_id="O0001"))
    used = [
        counters_of(at, minutes_on_day(store, rules, moment)).minutes_used
        for moment in (midnight - MINUTE, midnight)
    ]
    store.close()
    assert used == [{"teller": 12.0}, {}]
