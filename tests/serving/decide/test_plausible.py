"""What a banker would shake his head at: seniors, complaints, loans and small purses."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import pytest

from features.state import RiskAssessment
from serving.contract import Intent
from serving.decide import decide

NOW = datetime(2026, 7, 1, 2, 0, tzinfo=UTC)
SENIOR = {"state_birth_date": date(1950, 1, 1)}
PEOPLE = ("human_call", "wecom", "remote_agent", "video", "teller", "lobby_manager")


@pytest.fixture(scope="module")
def quiet(rules):
    """The bank's rules without trials."""
    exploration = rules.policy.exploration.model_copy(update={"share": 0.0})
    return replace(rules, policy=rules.policy.model_copy(update={"exploration": exploration}))


def handles(decision):
    return {place.action.handle for place in decision.ranked}


@pytest.mark.parametrize("reach", PEOPLE)
def test_senior_with_a_person_is_not_sent_to_an_app_or_a_machine(
    reach, quiet, make_inputs, make_scores
):
    loves_apps = make_scores(quiet, preference={"mobile_bank": 0.9, "smart_counter": 0.8})
    scores = dict.fromkeys(quiet.catalog.product_ids, loves_apps)
    machines = {"mobile_bank", "wechat_bank", "smart_counter"}
    inputs = make_inputs(channel=reach, scores=scores, **SENIOR)
    assert handles(decide(inputs, quiet))
    assert not handles(decide(inputs, quiet)) & machines
    young = make_inputs(channel=reach, scores=scores)
    assert handles(decide(young, quiet)) & machines


@pytest.mark.parametrize("reach", ["mobile_bank", "wechat_bank", "push", "ai_call"])
def test_senior_who_comes_without_a_person_is_free(reach, quiet, make_inputs, make_scores):
    scores = {"deposit_1y": make_scores(quiet, preference={"mobile_bank": 0.9})}
    inputs = make_inputs(channel=reach, scores=scores, intent=Intent(offer="deposit_1y"), **SENIOR)
    assert decide(inputs, quiet).ranked[0].action.handle == "mobile_bank"


def test_senior_at_the_machine_may_stay_there_but_is_promised_no_person(
    quiet, make_inputs, make_scores
):
    scores = {"deposit_1y": make_scores(quiet, preference={"smart_counter": 0.9})}
    wanted = Intent(offer="deposit_1y")
    inputs = make_inputs(channel="smart_counter", scores=scores, intent=wanted, **SENIOR)
    first = decide(inputs, quiet).ranked[0]
    assert first.action.handle == "smart_counter"
    assert "senior_care" not in {reason.code for reason in first.reasons}


@pytest.mark.parametrize("offer", ["mortgage", "consumer_loan"])
def test_nobody_applies_for_a_loan_in_the_chat_app(offer, quiet, make_inputs, make_scores, removed):
    likes_chat = make_scores(quiet, preference={"wechat_bank": 0.9})
    inputs = make_inputs(
        channel="teller", scores={offer: likes_chat}, intent=Intent(offer=offer)
    )  # fmt: skip
    decision = decide(inputs, quiet)
    assert removed(decision)[offer, "wechat_bank"] == "scorecard_forbidden"
    assert decision.ranked[0].action.offer == offer


def test_nobody_is_moved_from_a_door_he_likes_to_save_a_few_yuan(quiet, make_inputs, make_scores):
    scores = make_scores(quiet, p_start=0.05, preference={"teller": 0.19, "mobile_bank": 0.05})
    inputs = make_inputs(
        channel="teller", scores={"deposit_1y": scores}, intent=Intent(offer="deposit_1y"),
        prices={"teller": 0.4},
    )  # fmt: skip
    assert decide(inputs, quiet).ranked[0].action.handle == "teller"
    cheap = replace(quiet, policy=quiet.policy.model_copy(update={"experience_cny": 20.0}))
    assert decide(inputs, cheap).ranked[0].action.handle != "teller"


@pytest.mark.parametrize(
    ("offer", "age", "offered"),
    [
        ("payroll_account", 17, False), ("payroll_account", 18, True),
        ("bill_autopay", 17, False), ("bill_autopay", 18, True),
        ("mobile_payment", 15, False), ("mobile_payment", 16, True),
    ],
)  # fmt: skip
def test_minors_get_what_minors_may_have(offer, age, offered, quiet, make_inputs):
    decision = decide(make_inputs(state_birth_date=date(2026 - age, 7, 1)), quiet)
    assert (offer in {place.action.offer for place in decision.ranked}) is offered


@pytest.mark.parametrize("offer", ["deposit_1y", "cash_plus", "fund_r2", "gold_saving"])
def test_no_more_is_expected_than_the_customer_has(offer, quiet, make_inputs, make_scores):
    scores = {offer: make_scores(quiet, amount_cny=6_000.0)}

    def expects(**changes):
        decision = decide(make_inputs(scores=scores, intent=Intent(offer=offer), **changes), quiet)
        return next(
            (p.action.expected_amount_cny for p in decision.ranked if p.action.offer == offer), None
        )

    assert expects(state_assets_cny=1_171.0) == 1_171.0
    assert expects(state_assets_cny=300_000.0) == 6_000.0
    minimum = quiet.catalog.offer_by_id[offer].minimum_cny
    assert expects(state_assets_cny=minimum - 0.01) is None


def test_a_loan_is_not_bound_by_what_the_customer_has(quiet, make_inputs, make_scores):
    scores = {"consumer_loan": make_scores(quiet, amount_cny=60_000.0)}
    inputs = make_inputs(
        scores=scores, intent=Intent(offer="consumer_loan"), state_assets_cny=171.0
    )
    assert decide(inputs, quiet).ranked[0].action.expected_amount_cny == 60_000.0


@pytest.mark.parametrize(
    ("reach", "handle"),
    [
        ("human_call", "remote_agent"), ("remote_agent", "remote_agent"),
        ("teller", "teller"), ("smart_counter", "lobby_manager"), ("mobile_bank", "remote_agent"),
    ],
)  # fmt: skip
def test_a_complaint_is_settled_at_the_door_the_customer_uses(reach, handle, quiet, make_inputs):
    inputs = make_inputs(
        channel=reach, state_complaint_open_since=NOW - timedelta(days=1), state_reachable={}
    )
    first = decide(inputs, quiet).ranked[0].action
    assert (first.offer, first.handle) == ("complaint_care", handle)


def test_an_expired_assessment_is_said_in_the_past(quiet, make_inputs):
    old = RiskAssessment(
        level=3, assessed_at=NOW - timedelta(days=200), expires_at=NOW - timedelta(days=26)
    )
    decision = decide(make_inputs(state_risk_assessment=old), quiet)
    texts = {r.code: r.text for place in decision.ranked for r in place.reasons}
    assert texts["risk_test_expired"].en == (
        "Your risk assessment expired on Friday 5 June; retake it before investing."
    )
    assert "risk_test_due" not in texts
