"""Gate 5, affordable: whether there is staff time left today."""

from __future__ import annotations

from features.catalog import Channel, Offer
from serving.decide.case import Case
from serving.decide.rules import action_rule


@action_rule("affordable", "capacity_full")
def is_full(case: Case, offer: Offer, handle: Channel) -> bool:
    """Veto a channel that has not the minutes left that this would take."""
    return not has_minutes(case, handle)


def has_minutes(case: Case, handle: Channel) -> bool:
    """Whether one more customer fits into the channel's day."""
    if handle.daily_minutes is None:
        return True
    used = case.inputs.counters.minutes_used.get(handle.id, 0.0)
    return used + handle.staff_minutes <= handle.daily_minutes
