"""Facts of a customer since he was published; each takes effect on the very next request."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from features.catalog import OfferKind
from serving.contract import Direction, Outcome
from serving.events import Event, FactKind

Purpose = Literal["inbound", "marketing", "service"]


@dataclass(frozen=True)
class LiveFact:
    """Something that happened at ``event_time``; ``body`` is JSON, named as in the contract."""

    kind: FactKind
    event_time: datetime
    body: Mapping[str, Any]


@dataclass(frozen=True)
class Place:
    """One place of an answer: what, at which step, where it is handled and what that takes.

    ``purpose`` is `inbound` where the customer came to us; else why we went to him.
    """

    rank: int
    offer: str
    stage: str
    reach: str
    handle: str
    org_id: str
    staff_minutes: float
    purpose: Purpose = "inbound"


def purpose_of(direction: Direction, kind: OfferKind) -> Purpose:
    """Say why a place is shown: the customer came to us, or we go to him to sell or to serve.

    >>> purpose_of("outbound", "care")
    'service'
    """
    if direction == "inbound":
        return "inbound"
    return "marketing" if kind == "product" else "service"


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
        case "shown" | "unreached" if place.purpose != "inbound":
            said = {"channel": place.reach, "offer": place.offer, "purpose": place.purpose}
            return LiveFact("contact", at, said)
    return None
