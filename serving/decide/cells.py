"""The scorecard's cells, written out: what the most specific rule says of each step and channel."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import Literal

from features.catalog import STAGES, Catalog, Stage
from features.errors import ConfigError, did_you_mean
from serving.decide.scorecard import Scorecard, ScorecardRule


@dataclass(frozen=True)
class Cell:
    """One cell (offer, stage, handle channel, segment) as the winning rule fills it.

    ``feasibility`` and ``necessity`` are weighted points (0–100), ``steps`` the necessity by
    number of steps; all None where a forbidding rule gives none. ``rule`` counts from 1.
    """

    allowed: bool
    basis: str
    expires: date
    feasibility: float | None
    necessity: float | None
    steps: float | None
    minutes: int | None
    owner: str | None
    evidence: str | None
    rule: int

    def valid_on(self, day: date) -> bool:
        """Whether the cell has not expired; its last day still counts."""
        return day <= self.expires


Row = dict[str, Cell]
"""The cells of one stage of one offer for one segment, by handle channel."""

Cells = dict[tuple[str, Stage, str], Row]
"""Rows by (offer, stage, reading): the readings are the scorecard's segments and, where facts may
be unknown, what `Scorecard.segment_of` says then."""


@dataclass(frozen=True)
class Fault:
    """What makes a scorecard unusable: where, and what to do; ``rules`` count from 1."""

    code: Literal["unknown", "handles_nothing", "duplicate"]
    text: str
    rules: tuple[int, ...]


def fill_cells(card: Scorecard, catalog: Catalog, where: str) -> Cells:
    """Write out every cell that a rule names, handle channels only, in catalog order.

    Raises
    ------
    ConfigError
        An unknown offer, category, channel or segment (with the nearest match), a channel that
        handles nothing, or a cell that two rules of equal rank name; `where` opens each line.
    """
    named = _name_cells(card, catalog)
    faults = [*_unknown_names(card, catalog), *_duplicates(named)]
    if faults:
        raise ConfigError("\n".join(f"{where}: {fault.text}" for fault in faults))
    cells: Cells = {}
    for offer in catalog.offer_ids:
        for stage in STAGES:
            rows = {
                segment: {
                    handle: _cell(card, *rules[0])
                    for handle, rules in named[offer, stage, segment].items()
                }
                for segment in card.segment_ids
            }
            for reading in card.readings:
                parts = [rows[segment] for segment in reading.split("|")]
                cells[offer, stage, reading] = _strictest_row(parts)
    return cells


def find_faults(card: Scorecard, catalog: Catalog) -> list[Fault]:
    """Find all that makes a scorecard unusable with a catalog: names first, then doubled cells."""
    return [*_unknown_names(card, catalog), *_duplicates(_name_cells(card, catalog))]


_Numbered = tuple[int, ScorecardRule]
_Named = dict[tuple[str, Stage, str], dict[str, list[_Numbered]]]


def _name_cells(card: Scorecard, catalog: Catalog) -> _Named:
    """Give of each (offer, stage, segment) and handle the most specific rules, one if all is well.

    Handles that no rule names are left out.
    """
    named: _Named = {}
    numbered = list(enumerate(card.rules, start=1))
    channels = [catalog.channel_by_id[handle] for handle in catalog.handle_ids]
    for offer in catalog.offers:
        of_offer = [(n, rule) for n, rule in numbered if rule.names_offer(offer)]
        for stage in STAGES:
            of_stage = [(n, r) for n, r in of_offer if not r.stages or stage in r.stages]
            for segment in card.segment_ids:
                rules = [(n, r) for n, r in of_stage if not r.segments or segment in r.segments]
                row = {c.id: [(n, r) for n, r in rules if r.names_channel(c)] for c in channels}
                named[offer.id, stage, segment] = {
                    handle: _most_specific(own) for handle, own in row.items() if own
                }
    return named


def _most_specific(rules: list[_Numbered]) -> list[_Numbered]:
    best = max(rule.rank for _, rule in rules)
    return [(number, rule) for number, rule in rules if rule.rank == best]


def _duplicates(named: _Named) -> list[Fault]:
    """Name each group of rules that share cells once, at the first of those cells."""
    shared: dict[tuple[int, ...], dict[str, None]] = {}
    for (offer, stage, segment), row in named.items():
        for handle, rules in row.items():
            if len(rules) > 1:
                of = f", {segment}" if any(rule.segments for _, rule in rules) else ""
                place = f"({offer}, {stage}, {handle}{of})"
                shared.setdefault(tuple(number for number, _ in rules), {})[place] = None
    faults = []
    for numbers, places in shared.items():
        first, *others = numbers
        rest = " and ".join(f"rule {number}" for number in others)
        more = f", as do {len(places) - 1} cells more" if len(places) > 1 else ""
        text = f"stands in rule {first} and, equally specific, in {rest}{more}; take it out of one"
        faults.append(Fault("duplicate", f"cell {next(iter(places))} {text}", numbers))
    return faults


def _unknown_names(card: Scorecard, catalog: Catalog) -> list[Fault]:
    numbered = enumerate(card.rules, start=1)
    return [fault for n, rule in numbered for fault in _name_faults(n, rule, card, catalog)]


def _name_faults(
    number: int, rule: ScorecardRule, card: Scorecard, catalog: Catalog
) -> list[Fault]:
    categories = tuple(sorted({offer.category for offer in catalog.offers}))
    segments = tuple(segment.id for segment in card.segments)
    faults = [
        Fault(
            "unknown",
            f"rule {number}: unknown {kind} '{name}'; {did_you_mean(name, known)}",
            (number,),
        )
        for kind, names, known in (
            ("offer", rule.offers, catalog.offer_ids),
            ("category", rule.categories, categories),
            ("channel", rule.channels, catalog.channel_ids),
            ("segment", rule.segments, segments),
        )
        for name in names
        if name not in known
    ]
    for name in rule.channels:
        if name in catalog.channel_ids and name not in catalog.handle_ids:
            text = (
                f"rule {number}: channel '{name}' only reaches customers and handles nothing; "
                f"remove it, or give it the role 'handle' in channels.yaml"
            )
            faults.append(Fault("handles_nothing", text, (number,)))
    return faults


def _strictest_row(rows: list[Row]) -> Row:
    """Take of each handle the strictest cell; one not named in all rows is named in none."""
    if len(rows) == 1:
        return rows[0]
    handles = [handle for handle in rows[0] if all(handle in row for row in rows)]
    return {handle: min((row[handle] for row in rows), key=_leniency) for handle in handles}


def _leniency(cell: Cell) -> tuple[bool, date, float]:
    """Order of cells from the strictest: forbidden, then soonest expired, then least feasible."""
    return cell.allowed, cell.expires, cell.feasibility or 0.0


def _cell(card: Scorecard, number: int, rule: ScorecardRule) -> Cell:
    feasibility, necessity = rule.feasibility, rule.necessity
    return Cell(
        allowed=rule.compliance == "allowed",
        basis=rule.basis,
        expires=rule.expires or card.expires,
        feasibility=feasibility.weighted(card.weights) if feasibility else None,
        necessity=necessity.weighted(card.weights) if necessity else None,
        steps=necessity.number_of_steps if necessity else None,
        minutes=rule.minutes,
        owner=rule.owner or card.owner,
        evidence=rule.evidence or card.evidence,
        rule=number,
    )
