"""Reasons that lie in the sums: what gets done where, what it brings, what time it takes."""

from __future__ import annotations

from collections.abc import Mapping

from serving.contract import Reason
from serving.decide.case import Case
from serving.decide.phrases import Value
from serving.decide.reason_rules import Shown, reason
from serving.decide.record import ScoredAction

CLEAR_DIFFERENCE = 0.05
"""Completion rates closer than this (0–1) are told to nobody as a difference."""


@reason("channel_fit")
def gets_done_here(shown: Shown) -> Mapping[str, Value] | None:
    """More customers finish at this channel than where he is, or than at the next best one."""
    case, arm = shown.case, shown.arm
    if case.inputs.degraded or arm.prospect.p_start_is == "popularity":
        return None
    place = case.rules.handle_place
    others = (case.inputs.channel, *(one.handle.id for one in shown.arms[:2]))
    other = next((one for one in others if one != arm.handle.id and one in place), None)
    if other is None:
        return None
    there = arm.prospect.completion[place[other]]
    if arm.completion - there < CLEAR_DIFFERENCE:
        return None
    return {
        "channel": arm.handle.names,
        "other": case.rules.catalog.channel_by_id[other].names,
        "a": f"{arm.completion:.0%}",
        "b": f"{there:.0%}",
    }


@reason("staff_time_saved", personal=False, where=lambda spot: spot.changes_door)
def saves_staff_time(shown: Shown) -> Mapping[str, Value] | None:
    """Less staff time is taken where he is sent than where he is."""
    reach = shown.case.rules.catalog.channel_by_id[shown.case.inputs.channel]
    saved = reach.staff_minutes - shown.arm.handle.staff_minutes
    return {"minutes": f"{saved:.0f}"} if saved >= 1 else None


@reason("expected_value", where=lambda spot: spot.offer.kind == "product")
def brings_value(shown: Shown) -> Mapping[str, Value] | None:
    """Say what the offer may be expected to bring, all costs taken off."""
    value_cny = shown.arm.value_cny
    return {"value": f"{value_cny:,.0f}"} if value_cny >= 1 else None


@reason("explored", personal=False)
def is_on_trial(shown: Shown) -> Mapping[str, Value] | None:
    """Say that the handle was drawn, not chosen."""
    share = shown.case.rules.policy.exploration.share
    return {"share": f"{share:.0%}"} if shown.explored else None


SUM_CODES = ("economics_value", "economics_score")
"""The codes of the two sentences that write a score out."""


def economics(case: Case, action: ScoredAction) -> tuple[Reason, ...]:
    """Write the sums of one place out for a reviewer: its value, and its score by the dial."""
    sale = case.rules.catalog.offer_by_id[action.offer].value_cny(action.expected_amount_cny)
    values = {
        "p_start": f"{action.p_start:.2%}",
        "completion": f"{action.completion:.0%}",
        "sale": f"{sale:,.2f}",
        "cost": f"{action.cost_cny:,.2f}",
        "staff_cost": f"{action.staff_cost_cny:,.2f}",
        "value": f"{action.value_cny:,.2f}",
        "preference": f"{action.preference:.0%}",
        "friction": f"{action.friction:.2f}",
        "experience": f"{action.experience:.3f}",
        "dial": f"{case.rules.policy.experience_cny:,.2f}",
        "score": f"{action.score:,.2f}",
    }
    said = (case.rules.phrases.reason(code, values) for code in SUM_CODES)
    return tuple(reason for reason in said if reason is not None)
