"""The same decision as customer, staff and reviewer may read it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from features.state import Owner, Refusal, Restriction
from serving.contract import RecommendResponse
from serving.decide import answer, decide, with_contributions
from serving.decide.answering import answer_bytes
from serving.decide.record import Contributions, Counters, DecisionRecord

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


NOTHING_LEFT = {
    "only the counter may act, and it is full": {
        "state_restrictions": tuple(
            Restriction(kind=kind, since=NOW - timedelta(days=1))
            for kind in ("aml_high", "anti_fraud")
        ),
        "counters": Counters(minutes_used={"teller": 1440.0}),
    },
    "every cell of the scorecard has expired": {"as_of": datetime(2028, 1, 3, 2, 0, tzinfo=UTC)},
    "he may not be contacted": {"direction": "outbound", "channel": "sms"},
}


@pytest.mark.parametrize("audience", ["customer", "staff", "reviewer"])
@pytest.mark.parametrize("why", NOTHING_LEFT)
def test_nothing_to_offer_is_an_answer_for_everybody(why, audience, rules, make_inputs):
    inputs = make_inputs(audience=audience, **NOTHING_LEFT[why])
    record = DecisionRecord(inputs=inputs, decision=decide(inputs, rules))
    told = RecommendResponse.model_validate_json(answer_bytes(record, rules))
    assert told.recommendations == ()
    assert told.why_first is None
    if audience == "customer":
        assert (told.excluded, told.no_contact_because) == (None, None)
        return
    assert told.considered.affordable == 0
    assert {one.offer for one in told.excluded} == set(rules.catalog.offer_ids)
    assert all(one.text for one in told.excluded)
    assert bool(told.no_contact_because) == (inputs.direction == "outbound")
