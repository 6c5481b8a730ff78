"""Gate 1, eligible: whether this customer may have the offer at all."""

from __future__ import annotations

from features.catalog import Channel, Offer
from serving.decide.case import Case
from serving.decide.rules import action_rule, offer_rule


@offer_rule("eligible", "restrictions_unknown")
def cannot_read_restrictions(case: Case, offer: Offer) -> bool:
    """Nothing is marketed while the customer's record, and so a restriction, cannot be read."""
    return case.unknown and case.rules.policy.restrictions.kept and offer.kind == "product"


@offer_rule("eligible", "aml_high")
def is_high_aml_risk(case: Case, offer: Offer) -> bool:
    """No product is marketed to a customer of high money-laundering risk."""
    return "aml_high" in case.restrictions and offer.kind == "product"


@offer_rule("eligible", "minor")
def is_minor(case: Case, offer: Offer) -> bool:
    """No investment, insurance or credit for minors and people of limited legal capacity."""
    if offer.suitability == "none":
        return False
    young = case.age is not None and case.age < case.rules.policy.adult_age
    return young or bool(case.restrictions & {"minor", "limited_capacity"})


@offer_rule("eligible", "overdue_restriction")
def is_restricted_for_overdue(case: Case, offer: Offer) -> bool:
    """No credit while a restriction for overdue debts is in force."""
    return "overdue" in case.restrictions and offer.suitability == "credit"


@offer_rule("eligible", "age_unknown")
def cannot_know_age(case: Case, offer: Offer) -> bool:
    """Hold back an offer bound to an age where the birth date is not known."""
    bound = offer.minimum_age > 0 or offer.maximum_age < 130
    return case.age is None and bound


@offer_rule("eligible", "age_out_of_range")
def is_out_of_age(case: Case, offer: Offer) -> bool:
    """Veto an offer whose holders must be younger or older than he is."""
    return case.age is not None and not offer.minimum_age <= case.age <= offer.maximum_age


@offer_rule("eligible", "already_holds")
def holds_it(case: Case, offer: Offer) -> bool:
    """Veto what he has already where one is enough; he may ask about it and rate it."""
    if offer.repeatable or offer.id not in case.held:
        return False
    return case.stages[offer.id] not in ("inquiry", "rating")


@offer_rule("eligible", "means_unknown")
def cannot_know_means(case: Case, offer: Offer) -> bool:
    """Hold back a large minimum amount where the customer's assets are not known."""
    unknown = case.state.assets_cny is None
    return unknown and offer.minimum_cny > case.rules.policy.unknown_means_up_to_cny


@offer_rule("eligible", "below_minimum")
def is_below_minimum(case: Case, offer: Offer) -> bool:
    """Veto a minimum amount above all the assets the customer has with us."""
    return case.state.assets_cny is not None and offer.minimum_cny > case.state.assets_cny


@offer_rule("eligible", "assessment_not_due")
def needs_no_assessment(case: Case, offer: Offer) -> bool:
    """Veto the renewal of an assessment that is valid for long."""
    services = case.rules.policy.services
    if offer.id != services.risk_assessment or _asked_for(case, offer):
        return False
    if case.not_known("risk_assessments"):
        return True
    until = case.assessment_valid_until
    return until is not None and (until - case.today).days > services.renew_within_days


@offer_rule("eligible", "no_identity_need")
def needs_no_identity_update(case: Case, offer: Offer) -> bool:
    """Veto the identity update unless the counter must check who he is, or nothing is known."""
    if offer.id != case.rules.policy.services.identity or _asked_for(case, offer):
        return False
    return not (case.unknown or "anti_fraud" in case.restrictions)


@offer_rule("eligible", "no_benefit")
def has_no_benefit(case: Case, offer: Offer) -> bool:
    """Veto a benefit for who has not the assets for it, or refused personalisation."""
    services = case.rules.policy.services
    if offer.id != services.benefit or _asked_for(case, offer) or case.unknown:
        return False
    assets = case.state.assets_cny
    return not case.personal or assets is None or assets < services.benefit_from_cny


@offer_rule("eligible", "no_complaint")
def has_no_complaint(case: Case, offer: Offer) -> bool:
    """Veto care for a complaint where none is open."""
    if offer.id != case.rules.policy.services.complaint or _asked_for(case, offer):
        return False
    return not case.complaint_open


@action_rule("eligible", "anti_fraud_counter_only")
def must_go_to_counter(case: Case, offer: Offer, handle: Channel) -> bool:
    """Under an anti-fraud hold only the counter acts; so too where no hold can be ruled out."""
    restrictions = case.rules.policy.restrictions
    held = "anti_fraud" in case.restrictions or (case.unknown and restrictions.kept)
    return held and handle.id not in restrictions.anti_fraud_channels


def _asked_for(case: Case, offer: Offer) -> bool:
    """Whether he came for it, or is in the middle of it: reason enough for a service."""
    if case.intent_offer == offer.id:
        return True
    broken = case.state.broken_application
    return case.personal and broken is not None and broken.offer == offer.id
