"""Counting what a decision must know of the day so far: staff minutes already spoken for."""

from __future__ import annotations

from datetime import datetime, time, timedelta

from features.state import CustomerState
from serving.decide.record import Counters
from serving.decide.rulebook import Rulebook
from serving.stores.decisions import DecisionStore, MinutesUsed


def minutes_on_day(decisions: DecisionStore, rules: Rulebook, as_of: datetime) -> MinutesUsed:
    """Count the staff minutes used on the day of ``as_of``.

    The day is the bank's, midnight to midnight in its time zone.
    """
    day = datetime.combine(as_of.astimezone(rules.zone).date(), time(), rules.zone)
    return decisions.minutes_used(day, day + timedelta(days=1))


def counters_of(state: CustomerState, used: MinutesUsed) -> Counters:
    """Pick what counts for a customer: channels without an outlet, and those of his own."""
    return Counters(minutes_used=used.of(state.outlet.org_id if state.outlet else ""))
