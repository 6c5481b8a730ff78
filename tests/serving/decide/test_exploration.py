"""What is shown is drawn with exactly the probability that is logged."""

from __future__ import annotations

from collections import Counter

import pytest

from serving.decide import decide
from serving.decide.answering import answer
from serving.decide.case import make_case
from serving.decide.exploration import draw, seed_of
from serving.decide.pipeline import _whole
from serving.decide.policy import Exploration
from serving.decide.record import DecisionRecord


@pytest.mark.parametrize("arms", [1, 2, 3, 5, 9])
def test_propensity_is_the_share_of_many_draws(arms):
    policy = Exploration(share=0.3, arms=5, salt="test")
    draws = [draw(seed_of(policy, f"d-{number}"), arms, policy) for number in range(20_000)]
    counts = Counter((one.arm, round(one.propensity, 12)) for one in draws)
    assert len({arm for arm, _ in counts}) == len(counts) == min(arms, 5), "one value an arm"
    assert sum(propensity for _, propensity in counts) == pytest.approx(1.0)
    for (_, propensity), count in counts.items():
        tolerance = 4.5 * (propensity * (1 - propensity) / 20_000) ** 0.5 + 1e-12
        assert abs(count / 20_000 - propensity) <= tolerance


def test_no_share_no_trial():
    policy = Exploration(share=0.0, arms=5, salt="test")
    drawn = [draw(seed_of(policy, f"d-{number}"), 5, policy) for number in range(200)]
    assert {(one.arm, one.propensity, one.explored) for one in drawn} == {(0, 1.0, False)}


def test_another_salt_draws_otherwise():
    one, other = (Exploration(share=0.5, arms=5, salt=salt) for salt in ("one", "other"))
    ids = [f"d-{number}" for number in range(200)]
    assert [draw(seed_of(one, i), 5, one) for i in ids] != [
        draw(seed_of(other, i), 5, other) for i in ids
    ]


def test_decisions_try_other_handles_of_the_same_offer_as_often_as_they_log(
    rules, make_inputs, removed
):
    inputs = make_inputs(limit=2)
    shown = [
        decide(inputs.model_copy(update={"decision_id": f"d-{number}"}), rules).ranked
        for number in range(800)
    ]
    first = [places[0].action for places in shown]
    assert len({action.offer for action in first}) == 1
    by_handle = Counter(action.handle for action in first)
    logged = {action.handle: action.propensity for action in first}
    assert len(by_handle) > 1
    gone = removed(decide(inputs, rules))
    permitted = [h for h in rules.catalog.handle_ids if (first[0].offer, h) not in gone]
    assert len(by_handle) == min(5, len(permitted)), "every arm is tried"
    assert sum(logged.values()) == pytest.approx(1.0)
    for handle, propensity in logged.items():
        spread = 4.5 * (propensity * (1 - propensity) / 800) ** 0.5
        assert abs(by_handle[handle] / 800 - propensity) <= spread
    assert {places[1].action.propensity for places in shown} == {None}


def test_a_trial_is_told_to_the_reviewer_only(rules, make_inputs):
    for number in range(200):
        decision = decide(make_inputs(decision_id=f"d-{number}"), rules)
        codes = {reason.code for reason in decision.ranked[0].reasons}
        assert ("explored" in codes) == decision.explored
    assert rules.phrases.by_code["explored"].audience == "reviewer"


def test_care_is_no_trial(rules, make_inputs):
    since = make_inputs().as_of
    for number in range(200):
        inputs = make_inputs(decision_id=f"d-{number}", state_complaint_open_since=since)
        first = decide(inputs, rules).ranked[0].action
        assert (first.offer, first.propensity) == ("complaint_care", 1.0)


def test_unasked_the_propensity_counts_the_held_out_share(rules, make_inputs):
    """Whoever is shown something was not held out: that is part of the probability of it."""
    share = rules.policy.hold_out.share
    inputs = make_inputs(decision_id="d-1")
    first = decide(inputs, rules).ranked[0].action
    case = make_case(inputs.model_copy(update={"direction": "outbound"}), rules)
    assert 0 < share < 1
    assert _whole(make_case(inputs, rules), first.propensity) == first.propensity
    assert _whole(case, first.propensity) == first.propensity * (1 - share)


def test_staff_see_that_a_handle_was_drawn_and_customers_do_not(rules, make_inputs):
    seen = set()
    for number in range(120):
        inputs = make_inputs(decision_id=f"d-{number}")
        record = DecisionRecord(inputs=inputs, decision=decide(inputs, rules))
        seen.add(record.decision.explored)
        for audience in ("staff", "reviewer"):
            assert answer(record, rules, audience).explored is record.decision.explored
        assert answer(record, rules, "customer").explored is None
    assert seen == {False, True}
