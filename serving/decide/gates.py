"""The five gates in their order: what passes, what is removed, and by which one rule."""

from __future__ import annotations

from dataclasses import dataclass

from features.catalog import Channel, Offer
from serving.contract import Considered
from serving.decide import affordable, deployable, eligible, permitted, suitable
from serving.decide.case import Case
from serving.decide.record import ExcludedAction
from serving.decide.rules import ACTION_RULES, GATES, OFFER_RULES, Gate

_GATE_FILES = (eligible, suitable, deployable, permitted, affordable)  # importing them registers

ANY_HANDLE = "*"
"""Handle of an exclusion that holds at every channel for the same reason."""

Removal = tuple[Gate, str]


@dataclass(frozen=True)
class Sifted:
    """What is left of the candidates: by offer the handles, in catalog order.

    ``excluded`` names each removed candidate once; one entry with handle `*` stands for all
    handles of an offer where gate and reason are the same.
    """

    survivors: dict[str, tuple[Channel, ...]]
    excluded: tuple[ExcludedAction, ...]
    considered: Considered


def exclusion_codes() -> tuple[str, ...]:
    """Every reason code a gate can give, gate by gate."""
    codes: list[str] = []
    for gate in GATES:
        codes += [rule.code for rule in OFFER_RULES[gate]]
        codes += [rule.code for rule in ACTION_RULES[gate]]
    return tuple(dict.fromkeys(codes))


def sift(case: Case) -> Sifted:
    """Send every offer at every handle channel through the gates.

    Serving what the customer holds sells nothing: there the vetoes of whole offers (risk, age,
    cool-down, complaint…) are not asked, those of channels and of the scorecard are.
    """
    catalog = case.rules.catalog
    handles = case.rules.handles
    left = dict.fromkeys(GATES, 0)
    survivors: dict[str, tuple[Channel, ...]] = {}
    excluded: list[ExcludedAction] = []
    for offer in catalog.offers:
        removed: dict[str, Removal] = {}
        alive = handles
        for gate in GATES:
            alive = _pass(case, offer, alive, gate, removed)
            if not alive:
                break
            left[gate] += len(alive)
        if alive:
            survivors[offer.id] = alive
        excluded.extend(_exclusions(offer, handles, removed))
    total = len(catalog.offers) * len(handles)
    return Sifted(survivors, tuple(excluded), Considered(candidates=total, **left))


def _pass(
    case: Case,
    offer: Offer,
    alive: tuple[Channel, ...],
    gate: Gate,
    removed: dict[str, Removal],
) -> tuple[Channel, ...]:
    sells = not case.only_serves(offer)
    for whole in OFFER_RULES[gate] if sells or gate == "deployable" else ():
        if whole.vetoes(case, offer):
            for handle in alive:
                removed[handle.id] = (gate, whole.code)
            return ()
    passed: list[Channel] = []
    for handle in alive:
        for rule in ACTION_RULES[gate]:
            if rule.vetoes(case, offer, handle):
                removed[handle.id] = (gate, rule.code)
                break
        else:
            passed.append(handle)
    return tuple(passed)


def _exclusions(
    offer: Offer, handles: tuple[Channel, ...], removed: dict[str, Removal]
) -> list[ExcludedAction]:
    kinds = set(removed.values())
    if len(removed) == len(handles) and len(kinds) == 1:
        gate, code = kinds.pop()
        return [ExcludedAction(offer=offer.id, handle=ANY_HANDLE, gate=gate, reason=code)]
    return [
        ExcludedAction(offer=offer.id, handle=handle, gate=gate, reason=code)
        for handle, (gate, code) in removed.items()
    ]
