"""What happened since the publication, laid over state and vector; repeated, it is the same."""

import math
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from features.catalog import load_catalog
from features.registry import all_features
from features.state import BrokenApplication, CustomerState, Holding
from features.tables import INTERACTION_KINDS
from serving.config import CATALOGS
from serving.events import InteractionKind
from serving.facts import LiveFact
from serving.live_features import LiveVector, live_features
from serving.overlay import overlay

PUBLISHED = datetime(2026, 7, 1, tzinfo=UTC)
NOW = PUBLISHED + timedelta(hours=12)
CATALOG = load_catalog(CATALOGS / "bank")
BROKEN = BrokenApplication(
    offer="fund_r2", stage="application", channel="teller", event_time=PUBLISHED
)


def at(hours: float, kind: str, /, **body) -> LiveFact:
    return LiveFact(kind, PUBLISHED + timedelta(hours=hours), body)


def laid(*facts: LiveFact, **state) -> CustomerState:
    base = CustomerState(customer_id="C1", as_of=PUBLISHED, **state)
    return overlay(base, facts, PUBLISHED, NOW)


def test_contacts_and_refusals_come_newest_first_and_once():
    call = at(1, "contact", channel="human_call", offer="fund_r2")
    sms = at(2, "contact", channel="sms", offer="deposit_1y", responded=True)
    state = laid(call, sms, call)
    assert [(one.channel, one.responded) for one in state.contacts] == [
        ("sms", True),
        ("human_call", False),
    ]
    refused = at(3, "refusal", offer="fund_r2", channel="human_call")
    assert [one.offer for one in laid(refused, refused).refusals] == ["fund_r2"]


def test_the_newest_consent_wins_and_a_late_one_only_if_it_forbids():
    yes = {"channel": "sms", "allowed": True}
    no = {"channel": "sms", "allowed": False}
    assert laid(at(1, "consent", **yes), at(2, "consent", **no)).consents == {"sms": False}
    assert laid(at(1, "consent", **no), at(2, "consent", **yes)).consents == {"sms": True}
    assert laid(at(-3, "consent", **no), consents={"sms": True}).consents == {"sms": False}
    assert laid(at(-3, "consent", **yes), consents={"sms": False}).consents == {"sms": False}


def test_a_holding_opens_and_closes():
    opened = {"product": "deposit_1y", "event_time": "2026-07-01T01:00:00Z", "amount_cny": 5000.0}
    state = laid(at(1, "holding", **opened))
    assert [(one.offer, one.amount_cny) for one in state.holdings] == [("deposit_1y", 5000.0)]
    assert laid(at(1, "holding", **opened), at(1, "holding", **opened)) == state
    closed = at(2, "holding", **opened, closed_at="2026-07-01T02:00:00Z")
    assert laid(at(1, "holding", **opened), closed).holdings == ()
    other = Holding(offer="deposit_1y", opened_at=PUBLISHED - timedelta(days=9))
    assert laid(closed, holdings=(other,)).holdings == (other,)


@pytest.mark.parametrize(
    ("facts", "stage"),
    [
        ([at(1, "interaction", channel="teller", kind="apply", product="fund_r2")], "application"),
        ([at(1, "interaction", channel="teller", kind="browse", product="fund_r2")], None),
        (
            [
                at(1, "interaction", channel="teller", kind="apply", product="fund_r2"),
                at(2, "interaction", channel="video", kind="step", product="fund_r2",
                   stage="interview"),
            ],
            "interview",
        ),
        (
            [
                at(1, "interaction", channel="teller", kind="apply", product="fund_r2"),
                at(2, "interaction", channel="teller", kind="complete", product="fund_r2"),
            ],
            None,
        ),
        (
            [
                at(1, "interaction", channel="teller", kind="apply", product="fund_r2"),
                at(2, "holding", product="fund_r2", event_time="2026-07-01T02:00:00Z"),
            ],
            None,
        ),
    ],
)  # fmt: skip
def test_an_application_is_followed_until_it_is_done(facts, stage):
    broken = laid(*facts).broken_application
    assert (broken.stage if broken else None) == stage


def test_a_completion_ends_what_was_published_as_broken_off():
    done = {"channel": "teller", "kind": "complete", "product": "fund_r2"}
    assert laid(at(1, "interaction", **done), broken_application=BROKEN).broken_application is None
    other = at(1, "interaction", **{**done, "product": "fund_r3"})
    assert laid(other, broken_application=BROKEN).broken_application == BROKEN


def test_a_moment_ahead_of_the_decision_is_taken_for_the_decisions():
    ahead = laid(at(13, "contact", channel="sms", offer="fund_r2"))
    assert ahead.contacts[0].event_time == NOW


def test_every_live_feature_is_one_of_the_registry():
    assert set(live_features(CATALOG)) - {feature.name for feature in all_features(CATALOG)} <= {
        # the registry has none of these: a product that is not repeatable, or the yearly count
        name
        for product in CATALOG.product_ids
        for name in (f"purchases_{product}", f"purchases_{product}_365d")
    }


def test_the_kinds_of_interactions_are_those_of_the_contract():
    assert set(InteractionKind.__args__) == set(INTERACTION_KINDS)


def vector(*facts: LiveFact, **published: float) -> dict[str, float]:
    names = tuple(published)
    values = LiveVector(CATALOG, names).overlay(np.array(list(published.values())), facts, NOW)
    return dict(zip(names, values.tolist(), strict=True))


def test_counts_recencies_and_shares_follow_an_interaction():
    login = at(6, "interaction", channel="mobile_bank", kind="login")
    published = {
        "interactions_1d": 0, "interactions_90d": 3, "online_interactions_90d": 1,
        "online_share_90d": 1 / 3, "login_count_30d": math.nan, "browse_count_7d": 2,
        "days_since_interaction": 9, "days_since_mobile_bank": math.nan, "total_assets_cny": 7,
    }  # fmt: skip
    assert vector(login, **published) == {
        "interactions_1d": 1, "interactions_90d": 4, "online_interactions_90d": 2,
        "online_share_90d": 0.5, "login_count_30d": 1, "browse_count_7d": 2,
        "days_since_interaction": 0.25, "days_since_mobile_bank": 0.25, "total_assets_cny": 7,
    }  # fmt: skip


def test_the_last_channel_is_the_one_just_used():
    handles = CATALOG.handle_ids
    published = {f"days_since_{one}": 10.0 + n for n, one in enumerate(handles)}
    published["last_channel_index"] = 0.0
    came = at(1, "interaction", channel=handles[4], kind="visit")
    assert vector(came, **published)["last_channel_index"] == 4
    called = at(1, "contact", channel=handles[4], offer="fund_r2")
    assert vector(called, **published)["last_channel_index"] == 0


def test_contacts_purchases_and_refusals_are_counted_and_closings_are_not():
    published = {
        "contacts_7d": 1, "remote_contacts_365d": 0, "days_since_contact": math.nan,
        "holds_fund_r2": 0, "purchases_ever": 2, "days_since_fund_r2_purchase": 80,
        "refusals_180d": 0,
    }  # fmt: skip
    facts = [
        at(1, "contact", channel="human_call", offer="fund_r2"),
        at(2, "holding", product="fund_r2", event_time="2026-07-01T02:00:00Z"),
        at(2, "holding", product="fund_r2", event_time="x", closed_at="x"),
        at(3, "refusal", offer="fund_r2", channel="human_call"),
    ]
    assert vector(*facts, **published) == {
        "contacts_7d": 2, "remote_contacts_365d": 1, "days_since_contact": 11 / 24,
        "holds_fund_r2": 1, "purchases_ever": 3, "days_since_fund_r2_purchase": 10 / 24,
        "refusals_180d": 1,
    }  # fmt: skip


def test_a_window_that_is_over_counts_nothing():
    early = LiveFact("interaction", NOW - timedelta(days=2), {"channel": "teller"})
    counted = vector(early, interactions_1d=0, interactions_7d=0)
    assert counted == {"interactions_1d": 0, "interactions_7d": 1}
