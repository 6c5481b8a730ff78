"""Gate 1, eligible: whether this customer may have the offer at all."""

from __future__ import annotations

from features.catalog import Offer
from serving.decide.actions import NOTHING, Actions
from serving.decide.case import Case
from serving.decide.rules import rule, sale_rule


@sale_rule("eligible", "restrictions_unknown")
def restrictions_unreadable(case: Case) -> Actions:
    """Nothing is marketed where the bank keeps restrictions and they cannot be read."""
    unknown = _cannot_read_restrictions(case)
    return case.sets.products if unknown else NOTHING


@sale_rule("eligible", "aml_high")
def high_aml_risk(case: Case) -> Actions:
    """No product is marketed to a customer of high money-laundering risk."""
    return case.sets.products if "aml_high" in case.restrictions else NOTHING


@sale_rule("eligible", "minor")
def minors(case: Case) -> Actions:
    """No investment, insurance or credit for minors and people of limited legal capacity."""
    young = case.age is not None and case.age < case.rules.policy.adult_age
    if young or not case.restrictions.isdisjoint(("minor", "limited_capacity")):
        return case.sets.offers(_binds_for_long)
    return NOTHING


@sale_rule("eligible", "overdue_restriction")
def restricted_for_overdue(case: Case) -> Actions:
    """No credit while a restriction for overdue debts is in force."""
    return case.sets.credit if "overdue" in case.restrictions else NOTHING


@sale_rule("eligible", "age_unknown")
def age_unknown(case: Case) -> Actions:
    """Hold back offers bound to an age, or to full age, where the birth date is not known."""
    return case.sets.offers(_is_bound_to_an_age) if case.age is None else NOTHING


@sale_rule("eligible", "age_out_of_range")
def age_out_of_range(case: Case) -> Actions:
    """Veto offers whose holders must be younger or older than he is."""
    return NOTHING if case.age is None else case.sets.closed_to(case.age)


@sale_rule("eligible", "already_holds")
def already_held(case: Case) -> Actions:
    """Veto what he has already where one is enough; he may ask about it and rate it."""
    asks = () if case.outbound else ("inquiry", "rating")
    held = (offer for offer in case.held if case.stages.get(offer) not in asks)
    return case.sets.of(held) & case.sets.offers(_is_enough_once)


@sale_rule("eligible", "means_unknown")
def means_unknown(case: Case) -> Actions:
    """Hold back large minimum amounts where the customer's assets are not known."""
    if case.state.assets_cny is not None:
        return NOTHING
    return case.sets.above(case.rules.policy.unknown_means_up_to_cny)


@sale_rule("eligible", "below_minimum")
def below_minimum(case: Case) -> Actions:
    """Veto minimum amounts above all the assets the customer has with us."""
    assets = case.state.assets_cny
    return NOTHING if assets is None else case.sets.above(assets)


@sale_rule("eligible", "assessment_not_due")
def assessment_not_due(case: Case) -> Actions:
    """Veto the renewal of an assessment that is valid for long."""
    services, until = case.rules.policy.services, case.assessment_valid_until
    if case.not_known("risk_assessments"):
        return _unless_asked_for(case, services.risk_assessment)
    if until is None or (until - case.today).days <= services.renew_within_days:
        return NOTHING
    return _unless_asked_for(case, services.risk_assessment)


@sale_rule("eligible", "no_identity_need")
def no_identity_need(case: Case) -> Actions:
    """Veto the identity update unless the counter must check who he is, or nothing is known."""
    if case.unknown or "anti_fraud" in case.restrictions:
        return NOTHING
    return _unless_asked_for(case, case.rules.policy.services.identity)


@sale_rule("eligible", "no_benefit")
def no_benefit(case: Case) -> Actions:
    """Veto a benefit for who has not the assets for it, or refused personalisation."""
    assets, services = case.state.assets_cny, case.rules.policy.services
    entitled = case.personal and assets is not None and assets >= services.benefit_from_cny
    return NOTHING if case.unknown or entitled else _unless_asked_for(case, services.benefit)


@sale_rule("eligible", "no_complaint")
def no_complaint(case: Case) -> Actions:
    """Veto care for a complaint where none is open."""
    if case.complaint_open:
        return NOTHING
    return _unless_asked_for(case, case.rules.policy.services.complaint)


@rule("eligible", "anti_fraud_counter_only")
def anti_fraud_hold(case: Case) -> Actions:
    """Under an anti-fraud hold only the counter acts; so too where no hold can be ruled out."""
    restrictions = case.rules.policy.restrictions
    if "anti_fraud" in case.restrictions or _cannot_read_restrictions(case):
        return case.sets.everything & ~case.sets.at(restrictions.anti_fraud_channels)
    return NOTHING


def _cannot_read_restrictions(case: Case) -> bool:
    unreadable = case.unknown or case.not_known("restrictions")
    return unreadable and case.rules.policy.restrictions.kept


def _binds_for_long(offer: Offer) -> bool:
    return offer.suitability != "none"


def _is_bound_to_an_age(offer: Offer) -> bool:
    return offer.minimum_age > 0 or offer.maximum_age < 130 or _binds_for_long(offer)


def _is_enough_once(offer: Offer) -> bool:
    return not offer.repeatable


def _unless_asked_for(case: Case, service: str | None) -> Actions:
    """Veto a service, unless he came for it or is in the middle of it: reason enough."""
    broken = case.state.broken_application
    begun = case.personal and broken is not None and broken.offer == service
    if service is None or service == case.intent_offer or begun:
        return NOTHING
    return case.sets.offer[service]
