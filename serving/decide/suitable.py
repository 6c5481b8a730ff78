"""Gate 2, suitable: whether the offer is right for this customer, by its kind."""

from __future__ import annotations

from features.catalog import Channel, Offer
from serving.decide.case import Case
from serving.decide.rules import action_rule, offer_rule


def needs_assessment(offer: Offer) -> bool:
    """Whether only who has a valid risk assessment may be offered it.

    Investments and funds always; insurance where it carries a risk level, for then it invests.
    """
    return offer.risk_level is not None and offer.suitability in ("investment", "fund", "insurance")


@offer_rule("suitable", "risk_assessment_unknown")
def cannot_know_tolerance(case: Case, offer: Offer) -> bool:
    """Without the table of risk assessments no investment is offered to anybody."""
    return needs_assessment(offer) and case.not_known("risk_assessments")


@offer_rule("suitable", "risk_assessment_missing")
def has_no_assessment(case: Case, offer: Offer) -> bool:
    """Veto investments for who never took the risk assessment."""
    return needs_assessment(offer) and case.assessment_valid_until is None


@offer_rule("suitable", "risk_assessment_expired")
def has_expired_assessment(case: Case, offer: Offer) -> bool:
    """Veto investments where the assessment expired, or is twelve months old to the day."""
    return needs_assessment(offer) and case.assessment_expired


@offer_rule("suitable", "risk_above_tolerance")
def is_too_risky(case: Case, offer: Offer) -> bool:
    """Veto a product whose risk level is above the customer's tolerance."""
    newest = case.state.risk_assessment
    if newest is None or offer.risk_level is None or not needs_assessment(offer):
        return False
    return offer.risk_level > newest.level


@offer_rule("suitable", "senior_high_risk")
def is_too_risky_for_seniors(case: Case, offer: Offer) -> bool:
    """Never offer the riskiest products to seniors, nor where the age is not known."""
    if offer.risk_level is None or not needs_assessment(offer):
        return False
    risky = offer.risk_level >= case.rules.policy.elderly.never_from_risk_level
    return risky and (case.age is None or case.senior)


@offer_rule("suitable", "overdue_unknown")
def cannot_know_overdue(case: Case, offer: Offer) -> bool:
    """Without the accounts' overdue days no credit is offered to anybody."""
    unknown = case.state.overdue_days is None or case.not_known("accounts")
    return offer.suitability == "credit" and unknown


@offer_rule("suitable", "overdue")
def is_overdue(case: Case, offer: Offer) -> bool:
    """No credit for who was overdue in the last 12 months."""
    return offer.suitability == "credit" and (case.state.overdue_days or 0) > 0


@offer_rule("suitable", "loan_cooldown")
def refused_credit(case: Case, offer: Offer) -> bool:
    """Veto credit of a kind the customer refused while the cool-down is not over."""
    return offer.suitability == "credit" and case.refusal_in_force(offer) is not None


@action_rule("suitable", "senior_needs_person")
def senior_needs_person(case: Case, offer: Offer, handle: Channel) -> bool:
    """Seniors take risky investments and investing insurance with a person, not alone online."""
    if handle.mode != "online" or offer.risk_level is None or not needs_assessment(offer):
        return False
    if case.only_serves(offer):
        return False
    risky = offer.risk_level >= case.rules.policy.elderly.person_from_risk_level
    return risky and (case.age is None or case.senior)
