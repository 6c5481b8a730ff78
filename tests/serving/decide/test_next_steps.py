"""What staff do now: one sentence by route, channel, stage and taker; then what is known."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from features.state import BrokenApplication, Owner
from serving.contract import Intent
from serving.decide import answer, decide
from serving.decide.next_steps import STEP_CODES
from serving.decide.record import DecisionRecord

NOW = datetime(2026, 7, 1, 2, 0, tzinfo=UTC)
OWN = Owner(staff_id="S1", org_id="B001", role="wealth_manager", name="王芳")
COMPLAINT = {"state_complaint_open_since": NOW}
BROKEN = BrokenApplication(
    offer="consumer_loan", stage="signing", channel="mobile_bank", event_time=NOW
)
# code: (offer, handle that the scores make the best, inputs)
CASES: dict[str, tuple[str, str, dict]] = {
    "next_care": ("complaint_care", "teller", {"channel": "teller", **COMPLAINT}),
    "next_care_handover": ("complaint_care", "remote_agent", COMPLAINT),
    "next_here": ("deposit_1y", "teller", {"channel": "teller"}),
    "next_self": ("deposit_1y", "mobile_bank", {}),
    "next_to_manager": ("fund_r2", "wealth_manager", {"state_owner": OWN}),
    "next_to_outlet": ("fund_r2", "wealth_manager", {}),
    "next_to_counter": ("fund_r2", "wealth_manager", {"channel": "lobby_manager"}),
    "next_to_remote": ("deposit_1y", "remote_agent", {}),
    "next_back": ("deposit_1y", "mobile_bank", {"channel": "teller"}),
    "next_resume": ("consumer_loan", "mobile_bank", {"state_broken_application": BROKEN}),
    "next_said": ("fund_r2", "wealth_manager", {"intent": Intent(offer="fund_r2")}),
}


@pytest.fixture
def steps(rules, make_inputs, make_scores):
    """The next steps of the case's offer at the case's handle, by code."""

    def ask(offer, handle, changes, audience="staff"):
        scores = make_scores(rules, p_start=0.5, preference={handle: 50.0})
        inputs = make_inputs(audience=audience, scores={offer: scores}, **changes)
        told = answer(DecisionRecord(inputs=inputs, decision=decide(inputs, rules)), rules)
        place = next(p for p in told.recommendations if (p.offer, p.handle) == (offer, handle))
        return place.next_steps

    return ask


def test_every_step_has_a_case():
    assert set(CASES) == set(STEP_CODES)


@pytest.mark.parametrize("code", CASES)
def test_step_is_told_where_it_is_the_one(code, steps):
    found = steps(*CASES[code])
    assert code in [step.code for step in found]
    assert {step.kind for step in found} == {"rule"}
    assert 1 <= len(found) <= 2
    for step in found:
        for text in (step.text.zh, step.text.en):
            assert "{" not in text
            assert "None" not in text


def test_a_hand_over_names_who_takes_it_and_what_is_asked(steps):
    told = steps(*CASES["next_to_manager"])
    assert told[0].text.zh == (
        "转介给王芳(理财经理):交代清楚“债券型基金(申请)”和已了解的情况,约好时间。"
    )
    assert told[0].text.en == (
        "Refer to 王芳 (wealth manager): brief them on bond fund, the application, and what is "
        "known; agree a time."
    )


def test_where_he_stopped_is_his_own_affair_once_he_refused_personalisation(steps):
    changes = {"state_broken_application": BROKEN, "state_consents": {"personalisation": False}}
    wanted = {"intent": Intent(offer="consumer_loan")}
    told = steps("consumer_loan", "mobile_bank", changes | wanted)
    assert [step.code for step in told] == ["next_self"]


def test_a_customer_is_not_told_what_staff_do(steps):
    assert steps("deposit_1y", "mobile_bank", {}, audience="customer") is None
