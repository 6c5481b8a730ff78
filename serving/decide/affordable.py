"""Gate 5, affordable: whether there is staff time left today."""

from __future__ import annotations

from features.catalog import Channel
from serving.decide.actions import Actions
from serving.decide.case import Case
from serving.decide.rules import rule


@rule("affordable", "capacity_full")
def capacity_full(case: Case) -> Actions:
    """Veto the channels that have not the minutes left that one more customer would take.

    Outbound the contact itself takes its channel's minutes too.
    """
    if case.outbound and not has_minutes(case, case.reach):
        return case.sets.everything
    return case.sets.at(one.id for one in case.sets.handles if not has_minutes(case, one))


def has_minutes(case: Case, handle: Channel) -> bool:
    """Whether one more customer fits into the channel's day."""
    if handle.daily_minutes is None:
        return True
    used = case.inputs.counters.minutes_used.get(handle.id, 0.0)
    return used + handle.staff_minutes <= handle.daily_minutes
