"""Gate 2, suitable: whether the offer is right for this customer, by its kind."""

from __future__ import annotations

from serving.decide.actions import NOTHING, Actions
from serving.decide.case import Case
from serving.decide.rules import contact_rule, sale_rule


@sale_rule("suitable", "risk_assessment_unknown")
def tolerance_unknown(case: Case) -> Actions:
    """Without the table of risk assessments no investment is offered to anybody."""
    return case.sets.investments if case.not_known("risk_assessments") else NOTHING


@sale_rule("suitable", "risk_assessment_missing")
def assessment_missing(case: Case) -> Actions:
    """Veto investments for who never took the risk assessment."""
    return case.sets.investments if case.assessment_valid_until is None else NOTHING


@sale_rule("suitable", "risk_assessment_expired")
def assessment_expired(case: Case) -> Actions:
    """Veto investments where the assessment expired, or is twelve months old to the day."""
    return case.sets.investments if case.assessment_expired else NOTHING


@sale_rule("suitable", "risk_above_tolerance")
def risk_above_tolerance(case: Case) -> Actions:
    """Veto investments whose risk level is above the customer's tolerance."""
    newest = case.state.risk_assessment
    return NOTHING if newest is None else case.sets.risk_from[newest.level + 1]


@sale_rule("suitable", "senior_high_risk")
def high_risk_for_seniors(case: Case) -> Actions:
    """Never offer the riskiest investments to seniors, nor where the age is not known."""
    if case.age is not None and not case.senior:
        return NOTHING
    return case.sets.risk_from[case.rules.policy.elderly.never_from_risk_level]


@contact_rule("suitable", "high_risk_unasked", sale=True)
def high_risk_unasked(case: Case) -> Actions:
    """Never pitch the riskiest investments to who did not ask for them."""
    return case.sets.risk_from[case.rules.policy.high_risk.from_level]


@sale_rule("suitable", "overdue_unknown")
def overdue_unknown(case: Case) -> Actions:
    """Without the accounts' overdue days no credit is offered to anybody."""
    unknown = case.state.overdue_days is None or case.not_known("accounts")
    return case.sets.credit if unknown else NOTHING


@sale_rule("suitable", "overdue")
def overdue(case: Case) -> Actions:
    """No credit for who was overdue in the last 12 months."""
    return case.sets.credit if (case.state.overdue_days or 0) > 0 else NOTHING


@sale_rule("suitable", "loan_cooldown")
def credit_refused(case: Case) -> Actions:
    """Veto credit of a kind the customer refused while the cool-down is not over."""
    return case.sets.of(case.refused) & case.sets.credit


@sale_rule("suitable", "senior_needs_person")
def senior_needs_person(case: Case) -> Actions:
    """Seniors take risky investments and investing insurance with a person, not alone online."""
    if case.age is not None and not case.senior:
        return NOTHING
    risky = case.sets.risk_from[case.rules.policy.elderly.person_from_risk_level]
    return risky & case.alone


@sale_rule("suitable", "rating_raised_lately")
def rating_raised_lately(case: Case) -> Actions:
    """For some days after the risk rating was raised the riskiest investments need a person."""
    until = case.rating_held_until
    if until is None or case.today >= until:
        return NOTHING
    return case.sets.risk_from[case.rules.policy.high_risk.from_level] & case.alone
