"""Gate 4, permitted: whether we may do this with this customer now."""

from __future__ import annotations

from features.catalog import Offer
from serving.decide.actions import NOTHING, Actions
from serving.decide.affordable import has_minutes
from serving.decide.case import Case
from serving.decide.deployable import deployed
from serving.decide.rules import rule, sale_rule


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
    """Veto the remote channels over which the customer does not want to be spoken to."""
    refused = case.sets.at(one for one, yes in case.state.consents.items() if not yes)
    return refused & _calls_later(case)


@rule("permitted", "unreachable")
def unreachable(case: Case) -> Actions:
    """Veto remote channels that do not reach him; some (WeCom) need proof that they do."""
    reachable, sets = case.state.reachable, case.sets
    lost = sets.at(channel for channel, reaches in reachable.items() if not reaches)
    if not case.not_known("reachability"):
        proven = case.rules.policy.must_be_reachable
        lost |= sets.at(channel for channel in proven if channel not in reachable)
    return lost & _calls_later(case)


@rule("permitted", "senior_keeps_person")
def senior_keeps_person(case: Case) -> Actions:
    """Who is a senior and stands before a person is not sent to the app or to a machine."""
    reach, sets = case.reach, case.sets
    has_person = reach.mode == "offline" or (reach.mode == "remote" and reach.staff_minutes > 0)
    if not (case.senior and has_person):
        return NOTHING
    machines = sets.at(case.rules.policy.doors.machines)
    return (sets.mode["online"] | machines) & ~sets.at((reach.id,))


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


def _calls_later(case: Case) -> Actions:
    """Return the handles where the bank would speak to him later, not where he is now."""
    return case.sets.mode["remote"] & ~case.sets.at((case.reach.id,))


def _is_care(offer: Offer) -> bool:
    return offer.kind == "care"
