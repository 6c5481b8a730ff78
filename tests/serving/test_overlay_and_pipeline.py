"""What happened, laid over what was published, equals a rebuild with those rows in the tables.

The rows come the whole way: told to the decision store, exported as tables of the contract, read
beside the bank's own. Both sides are at the same moment: a window moves on, and only a rebuild sees
what falls out of it.
"""

import asyncio
import json
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import numpy as np
import pytest

from features.build import build
from features.feature_set import FeatureSet
from features.registry import available_features
from features.source_config import load_source_config
from features.sources import open_source
from features.spine import customers_at
from features.states import customer_states
from serving.config import Clock
from serving.contract import Outcome
from serving.events import LiveEvents
from serving.exporting import export
from serving.facts import Place
from serving.intake import Intake
from serving.live_features import RATIOS, LiveVector, live_features
from serving.overlay import overlay
from serving.stores.decisions import DecisionStore, StoredDecision
from serving.stores.log import DecisionLog

PUBLISHED = datetime(2026, 7, 1, 2, tzinfo=UTC)
NOW = PUBLISHED + timedelta(hours=3)
NOT_FOLLOWED = """
active_days_30d active_days_90d active_streak_periods app_share_90d app_share_trend
categories_held channels_used_90d days_since_response days_since_unfinished delivered_share_365d
deposit_products_held fund_products_held handovers_30d handovers_365d handovers_to_person_365d
human_call_response_rate_365d lobby_manager_since_purchase mean_duration_90d_s
mobile_bank_since_purchase morning_response_rate_365d morning_responses_365d night_share_90d
offline_mean_wait_180d_s offline_share_change online_abandons_365d online_response_rate_365d
online_share_change products_held products_viewed_30d push_response_rate_365d
remote_response_rate_365d remote_responses_365d remote_share_change response_rate_365d
sessions_30d sessions_since_purchase sms_response_rate_365d teller_completion_rate_365d
teller_completions_365d teller_since_purchase touches_since_purchase unfinished_products_90d
video_since_purchase wealth_manager_completions_365d wechat_bank_completion_rate_365d
wechat_bank_since_purchase weekend_share_90d
"""
"""Features that more than one event defines: as published, until the next publication."""


def minutes(number: float) -> datetime:
    return PUBLISHED + timedelta(minutes=number)


def events() -> LiveEvents:
    told = {"interactions": [], "contacts": [], "holdings": [], "consents": []}

    def event(field, customer, at, /, **fields):
        number = sum(map(len, told.values()))
        given = {"event_id": f"E{number}", "customer_id": customer, "event_time": minutes(at)}
        told[field].append({**given, **fields})

    app = {"channel": "mobile_bank"}
    event("interactions", "young_app", 1, **app, kind="login")
    event("interactions", "young_app", 2, **app, kind="browse", product="fund_r2")
    event("interactions", "young_app", 3, **app, kind="apply", product="fund_r2", amount_cny=5e3)
    event("interactions", "young_app", 9, channel="video", kind="step", product="fund_r2",
          stage="interview")  # fmt: skip
    event("interactions", "old_branch", 20, channel="teller", kind="visit", wait_s=1500.0)
    event("interactions", "old_branch", 21, channel="teller", kind="service", duration_s=600.0)
    event("interactions", "old_branch", 30, channel="remote_agent", kind="call")
    event("interactions", "managed", 5, channel="wealth_manager", kind="inquiry",
          product="wealth_r2")  # fmt: skip
    event("interactions", "managed", 6, channel="wealth_manager", kind="complete",
          product="deposit_1y", stage="signing")  # fmt: skip
    event("interactions", "brand_new", 4, **app, kind="login")
    event("interactions", "refused_loan", 4, channel="wechat_bank", kind="apply",
          product="deposit_1y")  # fmt: skip
    event("interactions", "refused_loan", 7, channel="wechat_bank", kind="abandon",
          product="deposit_1y")  # fmt: skip
    event("interactions", "overdue", 70, **app, kind="error", error_code="E1")
    event("contacts", "old_branch", 40, channel="human_call", offer="deposit_1y", responded=True)
    event("contacts", "old_branch", 50, channel="sms", offer="deposit_1y")
    event("contacts", "brand_new", 50, channel="push", offer="fund_r2")
    event("contacts", "managed", 55, channel="wecom", offer="id_update", purpose="service")
    event("holdings", "old_branch", 60, product="deposit_3m", amount_cny=1e4, channel="teller",
          maturity_at="2026-10-01T01:00:00Z")  # fmt: skip
    event("holdings", "brand_new", 61, product="fund_r2", amount_cny=100.0)
    event("holdings", "managed", 62, product="fund_r2", amount_cny=5e4)
    event("consents", "old_branch", 70, channel="sms", allowed=False)
    event("consents", "brand_new", 70, channel="push", allowed=True)
    return LiveEvents(**told)


def decision(customer: str, direction: str) -> tuple[StoredDecision, Place]:
    """What an export reads of a decision: one place, at the counter or by a call."""
    name, reach = f"D-{customer}", "human_call" if direction == "outbound" else "teller"
    place = Place(1, "fund_r2", "application", reach, "teller", "O1", 12.0,
                  "inbound" if direction == "inbound" else "marketing")  # fmt: skip
    action = {"reach": reach, "offer": "fund_r2", "kind": "product", "propensity": 1.0}
    record = {
        "inputs": {"direction": direction, "versions": {"policy": "p"}},
        "decision": {"ranked": [{"rank": 1, "action": action}]},
    }
    answer = {"recommendations": [{"rank": 1, "owner": {}}]}
    stored = StoredDecision(
        decision_id=name, customer_id=customer, request_id=None, request_sha256="0" * 64,
        audience="staff", channel=reach, as_of=minutes(80),
        record=json.dumps(record).encode(), answer=json.dumps(answer).encode(),
    )  # fmt: skip
    return stored, place


OUTCOMES = {
    # who came and began or refused; who was called and refused, or did not answer
    "complaining": ("inbound", ("started", "completed")),
    "expired_assessment": ("inbound", ("refused",)),
    "overdue": ("outbound", ("shown", "refused")),
    "refused_loan": ("outbound", ("unreached",)),
}


async def tell(store: DecisionStore, intake: Intake) -> None:
    await intake.events(events(), ["*"])
    for customer, (direction, kinds) in OUTCOMES.items():
        stored, place = decision(customer, direction)
        await store.add(stored, [place])
        for number, kind in enumerate(kinds):
            outcome = Outcome(
                outcome_id=f"O-{customer}-{kind}", decision_id=stored.decision_id, rank=1,
                kind=kind, occurred_at=minutes(80 + 5 * number),
            )  # fmt: skip
            await intake.outcomes([outcome], ["*"])


@pytest.fixture(scope="module")
def both(example_yaml, example_folder, tmp_path_factory):
    """The eight customers without and with what was told, as features and as states."""
    folder = tmp_path_factory.mktemp("overlay")
    store = DecisionStore.open(folder / "decisions.sqlite")
    plain = open_source(example_yaml, example_folder, NOW)
    asyncio.run(tell(store, Intake(store, plain.catalog, Clock(NOW), 60.0)))
    bank = load_source_config(example_yaml)
    tables = {name: one.replace("{data}", str(example_folder)) for name, one in bank.tables.items()}
    export(
        DecisionLog(store.engine), folder / "served", "bank", "Asia/Shanghai", NOW,
        bank=bank.model_copy(update={"tables": tables}),
    )  # fmt: skip
    served = open_source(folder / "served" / "source.yaml", example_folder, NOW)
    spines = [customers_at(source, [NOW]) for source in (plain, served)]
    before, after = map(build, spines)
    names = FeatureSet.learn(after, available_features(plain))
    ids = before["customer_id"].to_pylist()
    assert after["customer_id"].to_pylist() == ids
    facts = {one: store.known(one, None, PUBLISHED, NOW)[1] for one in ids}
    yield SimpleNamespace(
        catalog=plain.catalog,
        names=names.names,
        customers=ids,
        before=names.encode(before),
        after=names.encode(after),
        states=[list(customer_states(spine)) for spine in spines],
        facts=facts,
    )
    store.close()


def differing(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    return ~np.isclose(one, other, rtol=0, atol=1e-9, equal_nan=True)


def test_features_laid_over_are_those_of_a_rebuild(both):
    live = LiveVector(both.catalog, both.names)
    followed = (
        set(live_features(both.catalog)) | {one[0] for one in RATIOS} | {"last_channel_index"}
    )
    wrong, changed, left = [], set(), set()
    for row, customer in enumerate(both.customers):
        laid = live.overlay(both.before[row], both.facts[customer], NOW)
        changed |= {both.names[at] for at in np.flatnonzero(differing(laid, both.before[row]))}
        for at in np.flatnonzero(differing(laid, both.after[row])):
            name = both.names[at]
            was, rebuilt = both.before[row, at], both.after[row, at]
            told = f"{customer} {name}: was {was}, laid over {laid[at]}, rebuilt {rebuilt}"
            wrong += [told] if name in followed else []
            left |= {name} - followed
    assert wrong == []
    assert len(changed) > 60
    assert left == set(NOT_FOLLOWED.split())


def test_states_laid_over_are_those_of_a_rebuild(both):
    changed = set()
    for before, after in zip(*both.states, strict=True):
        laid = overlay(before, both.facts[before.customer_id], PUBLISHED, NOW)
        assert laid == after
        changed |= {
            one for one in type(laid).model_fields if getattr(laid, one) != getattr(before, one)
        }
    assert changed == {"holdings", "contacts", "consents", "refusals", "broken_application"}
