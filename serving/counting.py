"""Counting what a decision must know of the day so far: staff minutes already spoken for."""

from __future__ import annotations

from datetime import datetime, time, timedelta

from features.state import CustomerState
from serving.decide.record import Counters
from serving.decide.rulebook import Rulebook
from serving.stores.decisions import DecisionStore


def counters_at(
    decisions: DecisionStore, rules: Rulebook, state: CustomerState, as_of: datetime
) -> Counters:
    """Count the staff minutes used at the customer's outlet on the day of ``as_of``.

    The day is the bank's, midnight to midnight in its time zone.
    """
    day = datetime.combine(as_of.astimezone(rules.zone).date(), time(), rules.zone)
    org = state.outlet.org_id if state.outlet else ""
    return Counters(minutes_used=decisions.minutes_used(day, day + timedelta(days=1), org))
