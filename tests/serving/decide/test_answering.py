"""The same decision as customer, staff and reviewer may read it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from features.state import Owner, Refusal
from serving.decide import answer, decide, with_contributions
from serving.decide.record import Contributions, DecisionRecord

NOW = datetime(2026, 7, 1, 2, 0, tzinfo=UTC)
INSIDE = (
    "p_start", "p_start_is", "preference", "completion", "expected_amount_cny", "value_cny",
    "experience", "score", "propensity", "explanation",
)  # fmt: skip


@pytest.fixture
def record(rules, make_inputs):
    inputs = make_inputs(
        audience="customer",
        limit=3,
        state_owner=Owner(staff_id="S1", org_id="B002", role="wealth_manager", name="王芳"),
        state_refusals=(
            Refusal(offer="consumer_loan", channel="sms", refused_at=NOW - timedelta(days=5)),
        ),
    )
    decision = decide(inputs, rules)
    groups = {"holdings": 0.5, "activity": -0.7}
    found = {
        place.action.offer: Contributions(
            offer=place.action.offer, raw_score=-1.2, bias=-1.0, groups=groups
        )
        for place in decision.ranked
    }
    return DecisionRecord(
        inputs=inputs, decision=with_contributions(decision, found, inputs, rules)
    )


def test_customer_sees_no_score_no_veto_no_contribution(record, rules):
    told = answer(record, rules)
    assert told.excluded is None
    assert told.considered is None
    assert len(told.recommendations) == 3
    for place in told.recommendations:
        assert [getattr(place, name) for name in INSIDE] == [None] * len(INSIDE)
        assert place.reasons
        assert {rules.phrases.by_code[r.code].audience for r in place.reasons} == {"customer"}
    words = told.model_dump_json(exclude_none=True)
    for inside in (*INSIDE, "excluded", "considered", "risk_above_tolerance", "model_"):
        assert inside not in words


@pytest.mark.parametrize("audience", ["staff", "reviewer"])
def test_staff_and_reviewers_see_every_term(audience, record, rules):
    told = answer(record, rules, audience)
    assert told.considered == record.decision.considered
    assert len(told.excluded) == len(record.decision.excluded)
    first, action = told.recommendations[0], record.decision.ranked[0].action
    for name in INSIDE[:-1]:
        assert getattr(first, name) == getattr(action, name)
    assert [g.group for g in first.explanation.groups] == ["activity", "holdings"]
    assert first.explanation.raw_score == -1.2


def test_exclusions_say_levels_and_days(record, rules):
    texts = {(e.offer, e.reason): e.text for e in answer(record, rules, "staff").excluded}
    assert texts["fund_r4", "risk_above_tolerance"].zh == "产品R4高于客户C3,不得主动推介。"
    loan = texts["mortgage", "loan_cooldown"]
    assert loan.zh == "客户6月26日(周五)表示无贷款需求,12月23日(周三)前不再推介。"
    assert all(text is not None for text in texts.values())


def test_answer_names_things_and_owner(record, rules):
    told = answer(record, rules, "staff")
    for place in told.recommendations:
        offer = rules.catalog.offer_by_id[place.offer]
        assert (place.offer_name.zh, place.offer_name.en) == (offer.names.zh, offer.names.en)
        if place.handle == "wealth_manager":
            assert (place.owner.staff_id, place.owner.org_id) == ("S1", "B002")
        elif place.mode == "offline":
            assert (place.owner.staff_id, place.owner.org_id) == (None, "B001")
        else:
            assert place.owner.org_id is None
    assert told.as_of == NOW
    assert told.degraded is False


def test_degraded_and_non_personal_answers_say_so(rules, make_inputs):
    inputs = make_inputs(
        audience="customer", degraded=("models",), scores={},
        state_consents={"personalisation": False},
    )  # fmt: skip
    told = answer(DecisionRecord(inputs=inputs, decision=decide(inputs, rules)), rules)
    assert (told.degraded, told.personalised) == (True, False)
    assert {r.code for p in told.recommendations for r in p.reasons} <= {
        "non_personal", "asked_for", "must_visit", "video_ok", "app_can_finish", "specialist",
    }  # fmt: skip
