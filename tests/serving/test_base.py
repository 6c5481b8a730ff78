"""The base: for everybody just what the service makes of one, at the same moment and door."""

import asyncio
import json
import os
import sqlite3
from datetime import date, timedelta

import numpy as np
import pytest

from features.feature_set import FeatureSet
from features.online import publish
from features.state import (
    BrokenApplication,
    CustomerState,
    Holding,
    Outlet,
    Owner,
    Restriction,
    RiskAssessment,
)
from serving.base import open_base
from serving.contract import Outcome, RecommendRequest
from serving.decide.record import DecisionRecord
from serving.errors import StartError
from serving.startup import choose_start

FULL = os.environ.get("ONEPOINT_FULL") == "1"
CUSTOMERS = 2_000 if FULL else 100
CHANNELS = ("mobile_bank", "wechat_bank", "human_call", "teller", "wealth_manager")
DAY = timedelta(days=1)


def made_up(name: str, random: np.random.Generator, at, offers) -> CustomerState:
    """A customer with a story drawn by chance."""

    def perhaps(share, what):
        return what() if random.random() < share else None

    def day(low, high):
        return at + int(random.integers(low, high)) * DAY

    held = random.choice(offers, size=random.integers(0, 4), replace=False)
    assessed = day(-500, 0)
    return CustomerState(
        customer_id=name,
        as_of=at,
        birth_date=perhaps(0.95, lambda: date(int(random.integers(1935, 2012)), 5, 4)),
        outlet=perhaps(0.9, lambda: Outlet(org_id=f"O{random.integers(3)}")),
        owner=perhaps(
            0.3,
            lambda: Owner(staff_id="S1", org_id="O1", role="wealth_manager", name="李敏"),
        ),
        holdings=tuple(
            Holding(offer=one, opened_at=day(-300, -1), maturity_at=day(-20, 60))
            for one in held.tolist()
        ),
        demand_cny=float(random.integers(0, 200_000)),
        assets_cny=perhaps(0.9, lambda: float(random.integers(0, 2_000_000))),
        restrictions=tuple(
            Restriction(kind=kind, since=day(-30, 0))
            for kind in ("anti_fraud", "overdue")
            if random.random() < 0.05
        ),
        consents={"personalisation": False} if random.random() < 0.1 else {},
        reachable={"wecom": bool(random.random() < 0.5)},
        risk_assessment=perhaps(
            0.8,
            lambda: RiskAssessment(
                level=int(random.integers(1, 6)), assessed_at=assessed, expires_at=day(-60, 300)
            ),
        ),
        overdue_days=int(random.integers(0, 2)),
        complaint_open_since=perhaps(0.05, lambda: day(-9, 0)),
        broken_application=perhaps(
            0.2,
            lambda: BrokenApplication(
                offer=str(random.choice(offers)),
                stage="signing",
                channel="teller",
                event_time=at - DAY,
            ),
        ),
    )


@pytest.fixture
def crowd(recommender):
    """The service's work folder, its store published again with many made-up customers."""
    store, release = recommender.customers.current(), recommender.scorer.release
    random, at = np.random.default_rng(5), store.as_of
    offers = recommender.rules.catalog.product_ids
    features = FeatureSet(
        names=store.feature_names, groups=release.feature_set.groups, vocabularies={}
    )
    names = [f"C{number:04}" for number in range(CUSTOMERS)]
    publish(
        recommender.customers.path, features, at,
        [
            (
                name,
                None if random.random() < 0.03 else random.normal(size=len(store.feature_names)),
                made_up(name, random, at, offers),
            )
            for name in names
        ],
    )  # fmt: skip
    with sqlite3.connect(recommender.customers.path) as con:
        con.execute("update customers set state = '{' where customer_id = 'C0007'")
    con.close()
    return recommender


def start_of(recommender):
    return choose_start(recommender.customers.path.parent, None, recommender.clock.now(), False)


def online(recommender, customer, channel) -> DecisionRecord:
    request = RecommendRequest(customer_id=customer, channel=channel)
    answer = json.loads(asyncio.run(recommender.recommend(request, "staff")))
    return DecisionRecord.model_validate_json(recommender.store.by_id(answer["decision_id"]).record)


def place_with_staff(recommender):
    """A decision and a place of it that takes staff time."""
    channels = recommender.rules.catalog.channel_by_id
    for number in range(CUSTOMERS):
        record = online(recommender, f"C{number:04}", "teller")
        for place in record.decision.ranked:
            if channels[place.action.handle].staff_minutes > 0:
                return record, place
    raise AssertionError("nobody is sent to a person")


@pytest.mark.timeout(3600 if FULL else 600)
def test_the_batch_decides_what_the_service_decides(crowd, capsys):
    begun, place = place_with_staff(crowd)
    outcome = Outcome(
        outcome_id="O1", decision_id=begun.decision.decision_id, rank=place.rank, kind="started",
        occurred_at=crowd.clock.now(),
    )  # fmt: skip
    asyncio.run(crowd.intake.outcomes([outcome], ["*"]))  # so that minutes are used up
    seen, counted, decided, size = set(), set(), 0, 0
    for channel in CHANNELS:
        with open_base(start_of(crowd), crowd.clock.now(), channel) as base:
            for chunk in base.chunks(size=64):
                for inputs in chunk:
                    there = online(crowd, inputs.state.customer_id, channel)
                    same_id = {"decision_id": there.inputs.decision_id}
                    here = inputs.model_copy(update=same_id)
                    assert here.model_dump_json() == there.inputs.model_dump_json()
                    (decision,) = base.decide([here])
                    assert decision.model_dump_json() == there.decision.model_dump_json()
                    decided += 1
                    size += len(decision.model_dump_json())
                    seen |= {(bool(here.degraded), decision.personalised, here.features is None)}
                    counted |= set(here.counters.minutes_used)
    assert len(seen) == 3, "one is degraded, some gave no leave, the others are scored"
    assert place.action.handle in counted
    assert decided == CUSTOMERS * len(CHANNELS)
    with capsys.disabled():
        print(f"\n{decided:,} decisions of the batch: {decided:,} are the service's, inputs and "
              f"{size:,} characters of decisions")  # fmt: skip


def test_the_same_base_has_the_same_decision_ids_and_another_one_others(crowd):
    def ids(as_of, **changes):
        with open_base(start_of(crowd), as_of, **changes) as base:
            return [base.decision_id(customer) for customer in base.customer_ids()]

    now = crowd.clock.now()
    first = ids(now)
    assert first == ids(now, channel="mobile_bank")
    assert len(set(first)) == CUSTOMERS
    for other in (ids(now - DAY / 24), ids(now, channel="teller"), ids(now, limit=2)):
        assert not set(other) & set(first)


def test_what_cannot_be_asked_is_told(crowd):
    now = crowd.clock.now()
    for asked, says in (
        ({"as_of": now, "channel": "telex"}, "unknown channel 'telex'"),
        ({"as_of": now - 9 * DAY}, "lies before the customers' features"),
    ):
        with pytest.raises(StartError, match=says), open_base(start_of(crowd), **asked):
            pass
    with open_base(start_of(crowd), now) as base, pytest.raises(StartError, match="'NOBODY'"):
        base.inputs(["C0001", "NOBODY"])
