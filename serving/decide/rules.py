"""The register of vetoes: a rule is one function, written in the file of its gate.

An *offer rule* vetoes an offer wherever it is handled; an *action rule* vetoes it at one handle
channel. Within a gate the offer rules are asked first, then the action rules, each in the order
they are written; the first that vetoes gives the one primary reason code.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from features.catalog import Channel, Offer
from serving.decide.case import Case

Gate = Literal["eligible", "suitable", "deployable", "permitted", "affordable"]
GATES: tuple[Gate, ...] = ("eligible", "suitable", "deployable", "permitted", "affordable")

OfferVeto = Callable[[Case, Offer], bool]
ActionVeto = Callable[[Case, Offer, Channel], bool]


@dataclass(frozen=True)
class OfferRule:
    """A veto of an offer at every channel; `code` is its reason."""

    gate: Gate
    code: str
    vetoes: OfferVeto


@dataclass(frozen=True)
class ActionRule:
    """A veto of an offer at one handle channel; `code` is its reason."""

    gate: Gate
    code: str
    vetoes: ActionVeto


OFFER_RULES: dict[Gate, list[OfferRule]] = {gate: [] for gate in GATES}
ACTION_RULES: dict[Gate, list[ActionRule]] = {gate: [] for gate in GATES}


def offer_rule(gate: Gate, code: str) -> Callable[[OfferVeto], OfferVeto]:
    """Register a function as a veto of whole offers."""

    def register(vetoes: OfferVeto) -> OfferVeto:
        OFFER_RULES[gate].append(OfferRule(gate, code, vetoes))
        return vetoes

    return register


def action_rule(gate: Gate, code: str) -> Callable[[ActionVeto], ActionVeto]:
    """Register a function as a veto of an offer at a channel."""

    def register(vetoes: ActionVeto) -> ActionVeto:
        ACTION_RULES[gate].append(ActionRule(gate, code, vetoes))
        return vetoes

    return register
