"""Gate 4, permitted: whether we may do this with this customer now."""

from __future__ import annotations

import hashlib

from features.catalog import Offer
from serving.decide.actions import NOTHING, Actions
from serving.decide.affordable import has_minutes
from serving.decide.case import Case
from serving.decide.deployable import deployed
from serving.decide.exploration import uniform
from serving.decide.policy import HoldOut
from serving.decide.rules import contact_rule, rule, sale_rule


@sale_rule("permitted", "complaint_first")
def complaint_first(case: Case) -> Actions:
    """Sell nothing before an open complaint is settled."""
    return case.sets.products if case.complaint_open else NOTHING


@sale_rule("permitted", "refusal_cooldown")
def refused_lately(case: Case) -> Actions:
    """Veto what the customer refused while the cool-down is not over (credit: gate 2)."""
    sets = case.sets
    return sets.of(case.refused) & ~sets.credit & ~sets.offers(_is_care)


@rule("permitted", "no_consent")
def no_consent(case: Case) -> Actions:
    """Veto what is done over a channel by which the customer does not want to be spoken to.

    Remote handles where he said no; outbound everything, unless he said yes to the channel of the
    contact, or it needs none and he said no such thing. What he said last counts.
    """
    consents = case.state.consents
    if case.outbound:
        silent = not case.unknown and case.reach.id not in case.rules.policy.must_have_consent
        if not consents.get(case.reach.id, silent):
            return case.sets.everything
    return case.sets.at(one for one, yes in consents.items() if not yes) & _calls_later(case)


@rule("permitted", "unreachable")
def unreachable(case: Case) -> Actions:
    """Veto remote channels that do not reach him; some (WeCom) need proof that they do."""
    reachable, sets = case.state.reachable, case.sets
    proven = case.rules.policy.must_be_reachable
    if case.outbound and not reachable.get(
        case.reach.id, not case.unknown and case.reach.id not in proven
    ):
        return sets.everything
    lost = sets.at(channel for channel, reaches in reachable.items() if not reaches)
    if not case.not_known("reachability"):
        lost |= sets.at(channel for channel in proven if channel not in reachable)
    return lost & _calls_later(case)


@contact_rule("permitted", "outside_call_hours")
def outside_call_hours(case: Case) -> Actions:
    """Call nobody outside the hours for calls."""
    hour = case.now.astimezone(case.zone).hour
    open_now = any(hours.start <= hour < hours.end for hours in case.rules.policy.call_hours)
    return case.sets.everything if _we_call(case) and not open_now else NOTHING


@contact_rule("permitted", "holiday")
def holiday(case: Case) -> Actions:
    """Call nobody on a holiday."""
    off = _we_call(case) and case.today in case.rules.policy.holidays
    return case.sets.everything if off else NOTHING


@contact_rule("permitted", "contact_history_unknown")
def contact_history_unknown(case: Case) -> Actions:
    """Contact nobody of whom it is not known how often he was contacted."""
    return case.sets.everything if case.not_known("contacts") else NOTHING


@contact_rule("permitted", "contact_cap")
def contact_cap(case: Case) -> Actions:
    """Contact nobody more often than allowed, all channels together."""
    return case.sets.everything if case.contact_from > case.today else NOTHING


@contact_rule("permitted", "channel_cap")
def channel_cap(case: Case) -> Actions:
    """Contact nobody by one channel more often than allowed."""
    return case.sets.everything if case.channel_from > case.today else NOTHING


@contact_rule("permitted", "fatigue_hold")
def fatigue_hold(case: Case) -> Actions:
    """Leave alone who answered none of the contacts he was given of late."""
    return case.sets.everything if case.rested_from > case.today else NOTHING


@contact_rule("permitted", "managers_customer")
def managers_customer(case: Case) -> Actions:
    """Leave who has a manager to him: other managers and the call centre do not contact him."""
    own, policy = case.state.owner, case.rules.policy
    if own is None:
        return NOTHING
    anothers = case.reach.id in policy.doors.managers and case.reach.id != own.role
    open_to_us = case.reach.id in policy.managed_contact and not anothers
    return NOTHING if open_to_us else case.sets.everything


@rule("permitted", "senior_keeps_person")
def senior_keeps_person(case: Case) -> Actions:
    """Who is a senior and stands before a person is not sent to the app or to a machine."""
    reach, sets = case.reach, case.sets
    has_person = reach.mode == "offline" or (reach.mode == "remote" and reach.staff_minutes > 0)
    if not (case.senior and has_person):
        return NOTHING
    return case.alone & ~sets.at((reach.id,))


@rule("permitted", "managers_precedence")
def managers_precedence(case: Case) -> Actions:
    """Other managers keep out where the customer's own does this step and has time today."""
    own, managers, sets = case.state.owner, case.rules.policy.doors.managers, case.sets
    if own is None or own.role not in managers:
        return NOTHING
    if not has_minutes(case, case.rules.catalog.channel_by_id[own.role]):
        return NOTHING
    others = sets.at(managers) & ~sets.at((own.role, case.reach.id))
    return others & sets.offers_with(deployed(case), own.role)


@contact_rule("permitted", "hold_out")
def hold_out(case: Case) -> Actions:
    """Contact nobody of the hold-out group; asked last, so that it is who else would have been."""
    held = held_out(case.rules.policy.hold_out, case.state.customer_id)
    return case.sets.everything if held else NOTHING


def held_out(policy: HoldOut, customer_id: str) -> bool:
    """Whether a customer is never contacted unasked: by a hash, so for as long as the salt lasts.

    >>> held_out(HoldOut(share=1, salt="a"), "C1"), held_out(HoldOut(share=0, salt="a"), "C1")
    (True, False)
    """
    salted = hashlib.sha256(f"{policy.salt}:{customer_id}".encode()).hexdigest()
    return uniform(salted) < policy.share


def _we_call(case: Case) -> bool:
    return case.reach.id in case.rules.policy.doors.calls


def _calls_later(case: Case) -> Actions:
    """Return the handles where the bank would speak to him later, not where he is now."""
    return case.sets.mode["remote"] & ~case.sets.at((case.reach.id,))


def _is_care(offer: Offer) -> bool:
    return offer.kind == "care"
