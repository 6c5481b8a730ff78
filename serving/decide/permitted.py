"""Gate 4, permitted: whether we may do this with this customer now."""

from __future__ import annotations

from features.catalog import Channel, Offer
from serving.decide.affordable import has_minutes
from serving.decide.case import Case
from serving.decide.deployable import is_deployed
from serving.decide.rules import action_rule, offer_rule


@offer_rule("permitted", "complaint_first")
def must_settle_complaint(case: Case, offer: Offer) -> bool:
    """Sell nothing before an open complaint is settled."""
    return case.complaint_open and offer.kind == "product"


@offer_rule("permitted", "refusal_cooldown")
def refused_lately(case: Case, offer: Offer) -> bool:
    """Veto what the customer refused while the cool-down is not over (credit: gate 2)."""
    if offer.suitability == "credit" or offer.kind == "care":
        return False
    return case.refusal_in_force(offer) is not None


@action_rule("permitted", "no_consent")
def forbids_channel(case: Case, offer: Offer, handle: Channel) -> bool:
    """Veto a remote channel over which the customer does not want to be spoken to."""
    if handle.mode != "remote" or handle.id == case.inputs.channel:
        return False
    return case.state.consents.get(handle.id) is False


@action_rule("permitted", "unreachable")
def cannot_be_reached(case: Case, offer: Offer, handle: Channel) -> bool:
    """Veto a remote channel that does not reach him; some (WeCom) need proof that they do."""
    if handle.mode != "remote" or handle.id == case.inputs.channel:
        return False
    reachable = case.state.reachable.get(handle.id)
    if reachable is not None:
        return not reachable
    known = not case.not_known("reachability")
    return known and handle.id in case.rules.policy.must_be_reachable


@action_rule("permitted", "senior_keeps_person")
def sends_senior_to_machine(case: Case, offer: Offer, handle: Channel) -> bool:
    """Who is a senior and stands before a person is not sent to the app or to a machine."""
    reach = case.rules.catalog.channel_by_id[case.inputs.channel]
    has_person = reach.mode == "offline" or (reach.mode == "remote" and reach.staff_minutes > 0)
    if not (case.senior and has_person) or handle.id == reach.id:
        return False
    return handle.mode == "online" or handle.id in case.rules.policy.doors.machines


@action_rule("permitted", "managers_precedence")
def has_own_manager(case: Case, offer: Offer, handle: Channel) -> bool:
    """Another manager keeps out where the customer's own does this step and has time today."""
    own, managers = case.state.owner, case.rules.policy.doors.managers
    if own is None or handle.id not in managers or own.role not in managers:
        return False
    if handle.id in (own.role, case.inputs.channel):
        return False
    role = case.rules.catalog.channel_by_id[own.role]
    return is_deployed(case, offer, role) and has_minutes(case, role)
