"""Reasons that lie in the sums: what gets done where, what it brings, what time it takes."""

from __future__ import annotations

from collections.abc import Mapping

from serving.contract import Text
from serving.decide.phrases import Value
from serving.decide.reason_rules import Shown, reason

CLEAR_DIFFERENCE = 0.05
"""Completion rates closer than this (0–1) are told to nobody as a difference."""


@reason("channel_fit")
def gets_done_here(shown: Shown) -> Mapping[str, Value] | None:
    """More customers finish at this channel than where he is, or than at the next best one."""
    case, arm = shown.case, shown.arm
    if case.inputs.degraded or arm.scores.p_start_is == "popularity":
        return None
    names = {handle.id: handle.names for handle in case.rules.handles}
    others = [case.inputs.channel, *(other.handle.id for other in shown.arms)]
    compared = [o for o in others if o != arm.handle.id and o in names]
    other = next((o for o in compared if o in arm.scores.completion), None)
    if other is None or arm.completion - arm.scores.completion[other] < CLEAR_DIFFERENCE:
        return None
    return {
        "channel": Text(zh=arm.handle.names.zh, en=arm.handle.names.en),
        "other": Text(zh=names[other].zh, en=names[other].en),
        "a": f"{arm.completion:.0%}",
        "b": f"{arm.scores.completion[other]:.0%}",
    }


@reason("staff_time_saved", personal=False)
def saves_staff_time(shown: Shown) -> Mapping[str, Value] | None:
    """Less staff time is taken where he is sent than where he is."""
    reach = shown.case.rules.catalog.channel_by_id[shown.case.inputs.channel]
    saved = reach.staff_minutes - shown.arm.handle.staff_minutes
    return {"minutes": f"{saved:.0f}"} if shown.changes_door and saved >= 1 else None


@reason("expected_value")
def brings_value(shown: Shown) -> Mapping[str, Value] | None:
    """Say what the offer may be expected to bring, all costs taken off."""
    if shown.arm.offer.kind != "product" or shown.arm.value_cny < 1:
        return None
    return {"value": f"{shown.arm.value_cny:,.0f}"}


@reason("explored", personal=False)
def is_on_trial(shown: Shown) -> Mapping[str, Value] | None:
    """Say that the handle was drawn, not chosen."""
    share = shown.case.rules.policy.exploration.share
    return {"share": f"{share:.0%}"} if shown.explored else None
