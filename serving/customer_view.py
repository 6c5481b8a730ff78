"""A customer from all sides (360°): the answer of `GET /v1/customers/{id}`.

What a customer's own screen may not show is absent from it; what a store could not give is absent
too, and then ``degraded`` is True.
"""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from features.catalog import Mode, Stage
from features.tags.book import TagGroup
from serving.contract import DecisionOwner, Message, OutcomeKind, Text


class CustomerTag(Message):
    """A tag the customer has (客户标签), in words; ``expires_at`` is until when it may be used.

    ``value`` is absent where the parts say all. ``may_be_said`` says whether he may be told,
    ``owner`` who answers for the tag; both are for staff and reviewers.
    """

    code: str
    name: Text
    value: Text | None = None
    parts: tuple[Text, ...] = ()
    expires_at: datetime
    may_be_said: bool | None = None
    owner: str | None = None


class TagsOfGroup(Message):
    """The tags of one group."""

    group: TagGroup
    name: Text
    tags: tuple[CustomerTag, ...]


class HeldProduct(Message):
    """A product held; amounts are CNY."""

    offer: str
    offer_name: Text
    opened_at: datetime
    amount_cny: float | None = None
    maturity_at: datetime | None = None


class HomeOutlet(Message):
    """The customer's home outlet."""

    org_id: str
    name: str | None = None


class ChannelOf(Message):
    """A channel for the customer's next step, or to reach him by.

    ``preference`` (0–1) is the probability that he would choose it, ``completion`` (0–1) that the
    step gets done there; both are absent where nothing is handled. ``allowed`` is what he last said
    of being contacted by it, ``reachable`` whether that would reach him; absent where not known.
    """

    channel: str
    name: Text
    mode: Mode
    preference: float | None = None
    completion: float | None = None
    allowed: bool | None = None
    reachable: bool | None = None


class ChannelsFor(Message):
    """Channels by how much he prefers them, for the product he will most likely start next.

    ``preference_is`` `popularity`: what all customers do, and nothing of his own.
    """

    offer: str
    offer_name: Text
    stage: Stage
    preference_is: Literal["model", "popularity"]
    channels: tuple[ChannelOf, ...]


class PastOutcome(Message):
    """What happened to a place, and when."""

    kind: OutcomeKind
    occurred_at: datetime


class PastPlace(Message):
    """One place of an earlier answer and what became of it."""

    rank: int
    offer: str
    offer_name: Text
    stage: str
    handle: str
    outcomes: tuple[PastOutcome, ...] = ()


class PastDecision(Message):
    """An earlier decision of a channel that the key speaks for; all of it is in /v1/decisions."""

    decision_id: str
    as_of: datetime
    channel: str
    places: tuple[PastPlace, ...]


class CustomerView(Message):
    """A customer from all sides, as known now.

    ``personalised`` is False where he declined personal answers, or where that cannot be known:
    then ``tags`` are those of the gates only (what must not be done), and ``channels`` are
    everybody's. ``degraded_because`` is for staff and reviewers. ``tags``, ``products``,
    ``manager``, ``outlet``, ``channels`` and ``decisions`` are absent where the store that has them
    could not be read; empty means that there is nothing.
    """

    customer_id: str
    as_of: datetime
    features_as_of: datetime | None = None
    degraded: bool
    degraded_because: tuple[str, ...] | None = None
    personalised: bool
    tags: tuple[TagsOfGroup, ...] | None = None
    products: tuple[HeldProduct, ...] | None = None
    manager: DecisionOwner | None = None
    outlet: HomeOutlet | None = None
    channels: ChannelsFor | None = None
    decisions: tuple[PastDecision, ...] | None = None
