"""Gate 3, deployable: whether the bank does this step of this offer at this channel."""

from __future__ import annotations

from serving.decide.actions import NOTHING, Actions
from serving.decide.case import Case
from serving.decide.rules import RULES, rule


@rule("deployable", "internal_stage")
def internal_stage(case: Case) -> Actions:
    """Approval is the bank's own step: the customer waits, nothing is recommended."""
    return case.deployment.internal


@rule("deployable", "not_deployed")
def not_deployed(case: Case) -> Actions:
    """Veto cells the scorecard does not name."""
    return case.deployment.unnamed


@rule("deployable", "scorecard_forbidden")
def forbidden(case: Case) -> Actions:
    """Veto cells the scorecard forbids."""
    return case.deployment.forbidden


@rule("deployable", "scorecard_expired")
def expired(case: Case) -> Actions:
    """Veto cells that were allowed until a day that is over, for nobody confirmed them since."""
    return case.deployment.expired_on(case.today)


@rule("deployable", "outside_outlet_scope")
def outside_outlet_scope(case: Case) -> Actions:
    """Veto what the customer's outlet does not sell (an agency does less)."""
    outlet, sets = case.state.outlet, case.sets
    if outlet is None:
        return NOTHING
    scope = outlet.business_scope
    if not scope and outlet.kind == "agency":
        scope = case.rules.policy.agency_categories
    if not scope:
        return NOTHING
    vetoed = sets.products & sets.mode["offline"]
    for category in scope:
        vetoed &= ~sets.category.get(category, NOTHING)
    return vetoed


def deployed(case: Case) -> Actions:
    """Return the candidates that this gate lets through."""
    left = case.sets.everything
    for one in RULES["deployable"]:
        left &= ~one.vetoes(case)
    return left
