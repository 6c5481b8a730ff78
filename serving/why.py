"""Why not: the rules that removed an offer at a channel, or what stood before it."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Literal

from features.catalog import Channel, Offer
from features.errors import OnePointError, did_you_mean
from serving.config import ROOT
from serving.contract import Text
from serving.decide.answering import exclusion_values
from serving.decide.case import Case, make_case
from serving.decide.gates import sift
from serving.decide.pipeline import in_order
from serving.decide.precedence import PRECEDENCE, precedence
from serving.decide.record import DecisionRecord, RankedAction, ScoredAction
from serving.decide.rulebook import Rulebook
from serving.decide.rules import GATES, Gate, Rule, asked
from serving.decide.valuation import Prospect

Standing = Literal["shown", "other_handle", "unlikely", "precedence", "outranked"]


@dataclass(frozen=True)
class Veto:
    """One rule that stands in the way.

    ``text`` is the approved sentence (None where it needs a fact that is not known), ``says`` what
    the rule's function says of itself, ``where`` its file and name.
    """

    gate: Gate
    code: str
    text: Text | None
    says: str
    where: str


@dataclass(frozen=True)
class CellShown:
    """What the scorecard says of the offer's next step at a channel, for the customer's segment.

    ``rule`` counts from 1.
    """

    stage: str
    segment: str
    allowed: bool
    basis: str
    owner: str | None
    evidence: str | None
    expires: date
    expired: bool
    rule: int


@dataclass(frozen=True)
class Survivor:
    """Where a candidate that no rule removed came to stand, and beside what.

    ``standing``: it is *shown*; the same offer is shown at an *other handle*; it is *unlikely* to
    be started (below the policy's `minimum_p_start`); what must come first has *precedence*; or it
    is *outranked* by score. ``rank`` is the offer's place among all that would have one (``of``),
    ``handle_rank`` the handle's among the offer's. ``beside`` is what was shown instead: the same
    offer elsewhere, else the last place of the answer.
    """

    standing: Standing
    rank: int | None
    of: int
    handle_rank: int
    action: ScoredAction
    beside: RankedAction | None


@dataclass(frozen=True)
class Candidate:
    """One (offer, handle): what removed it, first the primary reason; or where it came to stand."""

    handle: str
    vetoes: tuple[Veto, ...]
    cell: CellShown | None
    survivor: Survivor | None


@dataclass(frozen=True)
class WhyNot:
    """What became of an offer in a decision, at one handle or at all of them."""

    record: DecisionRecord
    offer: Offer
    candidates: tuple[Candidate, ...]


def why_not(record: DecisionRecord, rules: Rulebook, offer: str, handle: str | None) -> WhyNot:
    """Say what became of an offer (at a handle channel, or at each) in a decision.

    Raises
    ------
    OnePointError
        No such offer, or a channel where nothing is handled; names the nearest.
    """
    catalog = rules.catalog
    if offer not in catalog.offer_by_id:
        raise OnePointError(f"unknown offer '{offer}'; {did_you_mean(offer, catalog.offer_ids)}")
    if handle is not None and handle not in catalog.handle_ids:
        hint = did_you_mean(handle, catalog.handle_ids)
        raise OnePointError(f"nothing is handled at a channel '{handle}'; {hint}")
    chosen = catalog.offer_by_id[offer]
    case = make_case(record.inputs, rules)
    at = [one for one in rules.handles if handle in (None, one.id)]
    vetoes = {one.id: tuple(_vetoes(case, chosen, one)) for one in at}
    survivors = _survivors(record, case, chosen)
    return WhyNot(
        record=record,
        offer=chosen,
        candidates=tuple(
            Candidate(one.id, vetoes[one.id], _cell(case, chosen, one), survivors.get(one.id))
            for one in at
        ),
    )


def _vetoes(case: Case, offer: Offer, handle: Channel) -> Iterator[Veto]:
    """Every rule that vetoes a candidate, in the order of the gates: the first is the reason."""
    candidate = case.sets.offer[offer.id] & case.sets.handle[handle.id]
    for gate in GATES:
        for rule in asked(gate, case.outbound):
            holds = rule.vetoes(case) & candidate
            if holds and not (rule.sale and case.served & candidate):
                yield _veto(case, rule, offer)


def _veto(case: Case, rule: Rule, offer: Offer) -> Veto:
    function = rule.vetoes
    file = Path(inspect.getfile(function)).relative_to(ROOT)
    return Veto(
        gate=rule.gate,
        code=rule.code,
        text=case.rules.phrases.text(rule.code, exclusion_values(offer.id, rule.code, case)),
        says=inspect.getdoc(function) or "",
        where=f"{file}: {function.__name__}",
    )


def _cell(case: Case, offer: Offer, handle: Channel) -> CellShown | None:
    cell = case.cell(offer, handle)
    if cell is None:
        return None
    return CellShown(
        stage=case.stages[offer.id],
        segment=case.segment,
        allowed=cell.allowed,
        basis=cell.basis,
        owner=cell.owner,
        evidence=cell.evidence,
        expires=cell.expires,
        expired=not cell.valid_on(case.today),
        rule=cell.rule,
    )


def _survivors(record: DecisionRecord, case: Case, offer: Offer) -> dict[str, Survivor]:
    """Every handle where the offer survived, with where it came to stand."""
    sifted = sift(case)
    handles = sifted.survivors.get(offer.id)
    if not handles:
        return {}
    order = in_order(case, sifted)
    places = [one.offer.id for one in order]
    rank = places.index(offer.id) + 1 if offer.id in places else None
    ranked = record.decision.ranked
    same = next((place for place in ranked if place.action.offer == offer.id), None)
    beside = same or (ranked[-1] if ranked else None)
    found: dict[str, Survivor] = {}
    arms = Prospect(case, offer, handles).arms()
    for handle_rank, arm in enumerate(arms, start=1):
        shown = same is not None and same.action.handle == arm.handle.id
        found[arm.handle.id] = Survivor(
            standing="shown" if shown else _standing(case, offer, rank, same, beside),
            rank=rank,
            of=len(order),
            handle_rank=handle_rank,
            action=arm.action(case, None),
            beside=None if shown else beside,
        )
    return found


def _standing(
    case: Case,
    offer: Offer,
    rank: int | None,
    same: RankedAction | None,
    beside: RankedAction | None,
) -> Standing:
    if same is not None:
        return "other_handle"
    if rank is None:
        return "unlikely"
    before = case.rules.catalog.offer_by_id[beside.action.offer] if beside else offer
    ranks = [PRECEDENCE.index(precedence(case, one)) for one in (before, offer)]
    return "precedence" if ranks[0] < ranks[1] else "outranked"
