"""What a bank's systems tell us as it happens: bodies of `POST /v1/interactions`.

The fields are those of the tables of the data contract, and so are their units and ranges.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from pydantic import Field

from features.catalog import Stage
from serving.contract import Identifier, Message, Moment

MOST_EVENTS = 100
"""Events, or outcomes, in one request."""

InteractionKind = Literal[
    "login", "browse", "inquiry", "apply", "step", "complete", "abandon", "visit", "call",
    "service", "error", "touch",
]  # fmt: skip
FactKind = Literal["interaction", "contact", "holding", "consent", "refusal"]
Amount = Annotated[float, Field(ge=0, le=1e15, allow_inf_nan=False, strict=True)]
Seconds = Annotated[float, Field(ge=0, le=1e9, allow_inf_nan=False, strict=True)]
Flag = Annotated[bool, Field(strict=True)]


class Event(Message):
    """Something that happened to a customer; ``event_id`` sent twice changes nothing."""

    event_id: Identifier
    customer_id: Identifier
    event_time: Moment

    @property
    def happened_at(self) -> datetime:
        """When it happened, and from when on it counts."""
        return self.event_time

    @property
    def named(self) -> dict[str, str]:
        """Ids of the catalog it names, by field."""
        fields = ("channel", "offer", "product")
        values = {field: getattr(self, field, None) for field in fields}
        return {field: value for field, value in values.items() if value is not None}


class LiveInteraction(Event):
    """The customer came to us: a row of `interactions`."""

    channel: Identifier
    kind: InteractionKind = "touch"
    product: Identifier | None = None
    stage: Stage | None = None
    session_id: Identifier | None = None
    amount_cny: Amount | None = None
    duration_s: Seconds | None = None
    wait_s: Seconds | None = None
    error_code: Identifier | None = None
    org_id: Identifier | None = None


class LiveContact(Event):
    """We went to the customer: a row of `contacts`, ``event_id`` is its `contact_id`."""

    channel: Identifier
    offer: Identifier
    purpose: Literal["marketing", "service"] = "marketing"
    responded: Flag = False
    staff_id: Identifier | None = None


class LiveHolding(Event):
    """A product opened (``event_time``) or, with ``closed_at``, one that ended."""

    product: Identifier
    closed_at: Moment | None = None
    amount_cny: Amount | None = None
    maturity_at: Moment | None = None
    channel: Identifier | None = None

    @property
    def happened_at(self) -> datetime:
        """When it was opened, or when it ended."""
        return self.closed_at or self.event_time


class LiveConsent(Event):
    """The customer allowed or forbade a channel, or (`personalisation`) a personal answer."""

    channel: Identifier
    allowed: Flag


Interactions = Annotated[tuple[LiveInteraction, ...], Field(max_length=MOST_EVENTS)]
Contacts = Annotated[tuple[LiveContact, ...], Field(max_length=MOST_EVENTS)]
Holdings = Annotated[tuple[LiveHolding, ...], Field(max_length=MOST_EVENTS)]
Consents = Annotated[tuple[LiveConsent, ...], Field(max_length=MOST_EVENTS)]


class LiveEvents(Message):
    """Up to 100 events in all; all of them are stored, or none."""

    interactions: Interactions = ()
    contacts: Contacts = ()
    holdings: Holdings = ()
    consents: Consents = ()

    def all(self) -> list[tuple[str, FactKind, Event]]:
        """Give every event with its place in the body and its kind."""
        given: tuple[tuple[str, FactKind, tuple[Event, ...]], ...] = (
            ("interactions", "interaction", self.interactions),
            ("contacts", "contact", self.contacts),
            ("holdings", "holding", self.holdings),
            ("consents", "consent", self.consents),
        )
        return [
            (f"{field}.{number}", kind, event)
            for field, kind, events in given
            for number, event in enumerate(events)
        ]


class EventsReceipt(Message):
    """How many events were new, and how many were known already."""

    stored: int
    known: int
