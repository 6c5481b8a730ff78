"""Gate 3, deployable: whether the bank does this step of this offer at this channel."""

from __future__ import annotations

from features.catalog import Channel, Offer
from serving.decide.case import Case
from serving.decide.rules import action_rule, offer_rule


@offer_rule("deployable", "internal_stage")
def is_internal(case: Case, offer: Offer) -> bool:
    """Approval is the bank's own step: the customer waits, nothing is recommended."""
    return case.stages[offer.id] == "approval"


@action_rule("deployable", "not_deployed")
def has_no_cell(case: Case, offer: Offer, handle: Channel) -> bool:
    """Veto a cell the scorecard does not name."""
    return case.cell(offer, handle) is None


@action_rule("deployable", "scorecard_forbidden")
def is_forbidden(case: Case, offer: Offer, handle: Channel) -> bool:
    """Veto a cell the scorecard forbids."""
    cell = case.cell(offer, handle)
    return cell is not None and not cell.allowed


@action_rule("deployable", "scorecard_expired")
def has_expired(case: Case, offer: Offer, handle: Channel) -> bool:
    """Veto a cell that was allowed until a day that is over, for nobody has confirmed it since."""
    cell = case.cell(offer, handle)
    return cell is not None and not cell.valid_on(case.today)


@action_rule("deployable", "outside_outlet_scope")
def is_outside_scope(case: Case, offer: Offer, handle: Channel) -> bool:
    """Veto what the customer's outlet does not sell (an agency does less)."""
    outlet = case.state.outlet
    if outlet is None or not outlet.business_scope or offer.kind != "product":
        return False
    return handle.mode == "offline" and offer.category not in outlet.business_scope


def is_deployed(case: Case, offer: Offer, handle: Channel) -> bool:
    """Whether this gate lets the action through."""
    rules = (is_internal(case, offer), has_no_cell(case, offer, handle))
    if any(rules):
        return False
    return not (
        is_forbidden(case, offer, handle)
        or has_expired(case, offer, handle)
        or is_outside_scope(case, offer, handle)
    )
