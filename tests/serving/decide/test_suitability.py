"""Exhaustive: tolerance, risk, kind, age, assessment age and handle; zero unsuitable."""

from __future__ import annotations

import itertools
from datetime import UTC, date, datetime, timedelta

import pytest

from features.state import RiskAssessment
from serving.contract import Intent
from serving.decide import decide

NOW = datetime(2026, 7, 1, 2, 0, tzinfo=UTC)
INVESTMENTS = {  # offer: risk level
    "cash_plus": 1, "wealth_r2": 2, "fund_r2": 2, "fund_r3": 3, "fund_r4": 4, "gold_saving": 3,
    "annuity_insurance": 2,
}  # fmt: skip
CREDIT = ("credit_card", "card_instalment", "consumer_loan", "mortgage")
ONLINE = ("mobile_bank", "wechat_bank")

# Birthdays on 1 July and the day after, at 18 and at 65; and not known.
BORN = (
    None,
    date(2008, 7, 2),
    date(2008, 7, 1),
    date(1981, 1, 1),
    date(1961, 7, 2),
    date(1961, 7, 1),
)
# Moment assessed, whether twelve months to the day are not over in Shanghai.
ASSESSED = (
    (datetime(2026, 6, 30, tzinfo=UTC), True),
    (datetime(2025, 7, 1, 16, 0, tzinfo=UTC), True),  # 2 July 2025, 00:00 in Shanghai
    (datetime(2025, 7, 1, 15, 59, 59, tzinfo=UTC), False),  # 1 July 2025, 23:59:59
    (datetime(2024, 1, 1, tzinfo=UTC), False),
)
EXPIRES = (datetime(2030, 1, 1, tzinfo=UTC), NOW)


def returned(decision):
    return {(place.action.offer, place.action.handle) for place in decision.ranked}


def permitted(decision, rules, removed):
    gone = removed(decision)
    return {
        (offer, handle)
        for offer in rules.catalog.offer_ids
        for handle in rules.catalog.handle_ids
        if (offer, handle) not in gone
    }


@pytest.mark.parametrize("degraded", [(), ("models",)])
def test_no_unsuitable_investment_ever(degraded, rules, make_inputs, removed):
    offered = set()
    for level, (at, in_year), expires, born in itertools.product(
        (None, 1, 2, 3, 4, 5), ASSESSED, EXPIRES, BORN
    ):
        risk = level and RiskAssessment(level=level, assessed_at=at, expires_at=expires)
        inputs = make_inputs(
            state_risk_assessment=risk, state_birth_date=born, degraded=degraded,
            scores={} if degraded else make_inputs().scores,
        )  # fmt: skip
        decision = decide(inputs, rules)
        valid = level is not None and in_year and expires > NOW
        adult = born is not None and born <= date(2008, 7, 1)
        senior = born is not None and born <= date(1961, 7, 1)
        allowed = permitted(decision, rules, removed)
        assert returned(decision) <= allowed
        for offer, handle in allowed:
            if offer not in INVESTMENTS:
                continue
            risk_level = INVESTMENTS[offer]
            assert valid, (offer, handle, inputs.state)
            assert adult
            assert risk_level <= level
            assert not (senior and risk_level >= 4)
            assert not (senior and risk_level >= 3 and handle in ONLINE)
            assert not (offer == "fund_r4" and handle in ONLINE)
            offered.add((offer, level))
        if valid and adult and not senior:
            assert {o for o, _ in allowed} & set(INVESTMENTS) == {
                o for o, r in INVESTMENTS.items() if r <= level
            }
        # Where the assessment is lacking, the service offer stands in its place.
        due = not valid or (expires - NOW).days <= 60 or at < NOW - timedelta(days=305)
        assert ("risk_assessment_renewal", "mobile_bank") in allowed or not (due and adult)
    assert offered == {(o, c) for o, r in INVESTMENTS.items() for c in range(r, 6)}


def test_no_unsuitable_credit_ever(rules, make_inputs, removed):
    for overdue, missing, born, degraded in itertools.product(
        (None, 0, 1, 90), ((), ("accounts",)), BORN, ((), ("models",))
    ):
        decision = decide(
            make_inputs(
                state_overdue_days=overdue, state_missing=missing, state_birth_date=born,
                degraded=degraded,
            ),
            rules,
        )  # fmt: skip
        clean = overdue == 0 and not missing
        adult = born is not None and born <= date(2008, 7, 1)
        offers = {offer for offer, _ in permitted(decision, rules, removed)}
        assert not (offers & set(CREDIT)) or (clean and adult)
        if clean and born == date(1981, 1, 1):
            assert set(CREDIT) <= offers


def test_expired_assessment_puts_the_renewal_first_for_who_came_to_invest(rules, make_inputs):
    expired = RiskAssessment(level=3, assessed_at=NOW - timedelta(days=400), expires_at=NOW)
    decision = decide(
        make_inputs(state_risk_assessment=expired, intent=Intent(offer="fund_r2")), rules
    )
    assert decision.ranked[0].action.offer == "risk_assessment_renewal"
    assert "risk_test_expired" in {reason.code for reason in decision.ranked[0].reasons}
