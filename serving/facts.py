"""Facts of a customer since he was published; each takes effect on the very next request."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from serving.contract import Outcome
from serving.events import Event, FactKind


@dataclass(frozen=True)
class LiveFact:
    """Something that happened at ``event_time``; ``body`` is JSON, named as in the contract."""

    kind: FactKind
    event_time: datetime
    body: Mapping[str, Any]


@dataclass(frozen=True)
class Place:
    """One place of an answer: what, at which step, where it is handled and what that takes.

    ``unasked`` is True where we went to the customer (outbound) and not he to us.
    """

    rank: int
    offer: str
    stage: str
    reach: str
    handle: str
    org_id: str
    staff_minutes: float
    unasked: bool = False


def event_body(event: Event) -> str:
    """Write down an event without what stands in columns of its own."""
    return event.model_dump_json(exclude={"event_id", "customer_id"}, exclude_none=True)


def fact_of(outcome: Outcome, place: Place) -> LiveFact | None:
    """Say what an outcome means for the next request; None where it changes nothing.

    A refusal starts its cool-down, an opt-out binds, what was started or completed moves the
    journey, and a contact that we made counts, whether or not it reached the customer.
    """
    at = outcome.occurred_at
    match outcome.kind:
        case "refused":
            return LiveFact("refusal", at, {"offer": place.offer, "channel": place.reach})
        case "opted_out":
            return LiveFact("consent", at, {"channel": place.reach, "allowed": False})
        case "started" | "completed":
            begun = "apply" if place.stage == "application" else "step"
            kind = "complete" if outcome.kind == "completed" else begun
            journey = {"kind": kind, "product": place.offer, "stage": place.stage}
            return LiveFact("interaction", at, {"channel": place.handle, **journey})
        case "shown" | "unreached" if place.unasked:
            return LiveFact("contact", at, {"channel": place.reach, "offer": place.offer})
    return None
