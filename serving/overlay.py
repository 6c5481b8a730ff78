"""The published state of a customer with what happened since laid over it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from features.state import BrokenApplication, CustomerState, Holding, PastContact, Refusal
from serving.facts import LiveFact

LATE = timedelta(days=2)
"""A bank's tables may lag so far behind: an opt-out just before the publication still binds."""

CONTACT_WINDOW = timedelta(days=30)
"""How far back a state's contacts go."""


def overlay(
    state: CustomerState, facts: Iterable[LiveFact], published: datetime, as_of: datetime
) -> CustomerState:
    """Lay facts over a state, oldest first; laying one twice changes nothing.

    A fact from before the publication (`LATE`) may be in the state already: of those only what
    protects the customer counts, that is contacts, refusals, opt-outs and what he holds. A moment
    after ``as_of`` (clocks differ) is taken for ``as_of``.
    """
    for fact in facts:
        at = min(fact.event_time, as_of)
        changes = _CHANGES[fact.kind](state, fact.body, at, at < published)
        if changes:
            state = state.model_copy(update=changes)
    return state


def _interaction(
    state: CustomerState, body: Mapping[str, Any], at: datetime, late: bool
) -> dict[str, Any]:
    """Follow the newest application: begun, moved on, or done."""
    offer, kind, broken = body.get("product"), body.get("kind"), state.broken_application
    if late or offer is None:
        return {}
    same = broken is not None and broken.offer == offer
    if kind == "complete":
        return {"broken_application": None} if same else {}
    moved = partial(BrokenApplication, offer=offer, channel=body["channel"], event_time=at)
    if kind == "apply":
        return {"broken_application": moved(stage=body.get("stage") or "application")}
    if same and kind in ("step", "error") and body.get("stage"):
        return {"broken_application": moved(stage=body["stage"])}
    return {}


def _contact(
    state: CustomerState, body: Mapping[str, Any], at: datetime, late: bool
) -> dict[str, Any]:
    if body.get("purpose") == "service":
        return {}
    made = PastContact(
        channel=body["channel"],
        offer=body["offer"],
        event_time=at,
        responded=bool(body.get("responded")),
    )
    known = {(one.channel, one.offer, one.event_time) for one in state.contacts}
    if (made.channel, made.offer, at) in known or at < state.as_of - CONTACT_WINDOW:
        return {}
    return {"contacts": _newest_first((made, *state.contacts), "event_time")}


def _holding(
    state: CustomerState, body: Mapping[str, Any], at: datetime, late: bool
) -> dict[str, Any]:
    offer, opened_at = body["product"], datetime.fromisoformat(body["event_time"])
    same = (offer, opened_at)
    others = tuple(one for one in state.holdings if (one.offer, one.opened_at) != same)
    if body.get("closed_at") is not None:
        return {"holdings": others} if others != state.holdings else {}
    opened = Holding(
        offer=offer,
        opened_at=opened_at,
        amount_cny=body.get("amount_cny"),
        maturity_at=body.get("maturity_at"),
    )
    held = sorted((*others, opened), key=lambda one: (one.opened_at, one.offer))
    broken = state.broken_application
    done = broken is not None and broken.offer == offer and not late
    return {"holdings": tuple(held), **({"broken_application": None} if done else {})}


def _consent(
    state: CustomerState, body: Mapping[str, Any], at: datetime, late: bool
) -> dict[str, Any]:
    if late and body["allowed"]:
        return {}
    return {"consents": {**state.consents, body["channel"]: body["allowed"]}}


def _refusal(
    state: CustomerState, body: Mapping[str, Any], at: datetime, late: bool
) -> dict[str, Any]:
    said = Refusal(offer=body["offer"], channel=body["channel"], refused_at=at)
    known = {(one.channel, one.offer, one.refused_at) for one in state.refusals}
    if (said.channel, said.offer, at) in known:
        return {}
    return {"refusals": _newest_first((said, *state.refusals), "refused_at")}


def _newest_first(rows: tuple[Any, ...], time: str) -> tuple[Any, ...]:
    return tuple(sorted(rows, key=lambda one: getattr(one, time), reverse=True))


_CHANGES = {
    "interaction": _interaction,
    "contact": _contact,
    "holding": _holding,
    "consent": _consent,
    "refusal": _refusal,
}
