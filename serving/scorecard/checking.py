"""What is wrong with a scorecard, and what somebody should look at before it comes true."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Literal

from features.catalog import STAGES, Catalog, Stage, load_catalog
from features.config import parse_config, read_yaml
from features.errors import ConfigError
from serving.decide.cells import Cells, fill_cells, find_faults
from serving.decide.scorecard import OTHERS, Scorecard, ScorecardRule

Level = Literal["error", "warning", "note"]
LEVELS: tuple[Level, ...] = ("error", "warning", "note")

SOON_DAYS = 60
HARDLY_FEASIBLE = 40.0
LOW_REGULATION = 40.0
WELL_SCORED = 70.0


@dataclass(frozen=True)
class Finding:
    """One thing found: how grave, what kind, in words, the rules it is about (counted from 1)."""

    level: Level
    code: str
    text: str
    rules: tuple[int, ...] = ()


def check_scorecard(folder: Path, day: date) -> list[Finding]:
    """Check the scorecard of a catalog folder as it stands on a day, the gravest findings first.

    *Errors*: it breaks its form, names what the catalog has not, names a cell twice, has a rule
    that has expired, or an allowed rule that nobody owns or that rests on no evidence. *Warnings*:
    a rule ends within 60 days; it allows what it scores as hardly feasible (under 40 of 100) or
    against regulation (under 40); it forbids what it scores as well feasible (70 and more); it
    fills no cell; it allows a segment what all others are forbidden; an offer cannot be begun
    anywhere. *Notes*: cells nobody fills, which are forbidden.

    Raises
    ------
    ConfigError
        A file is absent or no YAML, or channels and offers are wrong themselves.
    """
    path = folder / "scorecard.yaml"
    catalog, raw = load_catalog(folder), read_yaml(path)
    try:
        card = parse_config(raw, Scorecard, str(path))
    except ConfigError as error:
        return [Finding("error", "form", line) for line in str(error).splitlines()]
    found = [Finding("error", one.code, one.text, one.rules) for one in find_faults(card, catalog)]
    sound = not found
    found += [*_expiries(card, day), *_unanswered(card), *_contradictions(card)]
    if sound:
        cells = fill_cells(card, catalog, str(path))
        found += [*_idle_rules(card, cells), *_loosened(card, cells), *_gaps(catalog, cells)]
    return sorted(found, key=lambda one: LEVELS.index(one.level))


def _numbered(card: Scorecard) -> Iterator[tuple[int, ScorecardRule]]:
    return iter(enumerate(card.rules, start=1))


def _expiries(card: Scorecard, day: date) -> Iterator[Finding]:
    ends: dict[tuple[date, bool], list[int]] = {}
    for number, rule in _numbered(card):
        ends.setdefault((rule.expires or card.expires, rule.expires is None), []).append(number)
    for (last, by_default), rules in sorted(ends.items()):
        what = "the scorecard's own last day" if by_default else "last day"
        if last < day:
            gone = f"expired: {what} was {last}; confirm it or take it out, its cells are forbidden"
            yield Finding("error", "expired", gone, tuple(rules))
        elif last <= day + timedelta(days=SOON_DAYS):
            left = (last - day).days
            soon = f"expires in {left} days: {what} is {last}; have its owner confirm it"
            yield Finding("warning", "expires_soon", soon, tuple(rules))


def _unanswered(card: Scorecard) -> Iterator[Finding]:
    for code, default, text in (
        ("no_owner", card.owner, "allowed, but nobody answers for it; add owner"),
        ("no_evidence", card.evidence, "allowed, but on no evidence; add evidence"),
    ):
        own = "owner" if code == "no_owner" else "evidence"
        rules = tuple(
            number
            for number, rule in _numbered(card)
            if rule.compliance == "allowed" and not ((getattr(rule, own) or default or "").strip())
        )
        if rules:
            yield Finding("error", code, text, rules)


def _contradictions(card: Scorecard) -> Iterator[Finding]:
    for number, rule in _numbered(card):
        if rule.feasibility is None:
            continue
        points = rule.feasibility.weighted(card.weights)
        if rule.compliance == "forbidden":
            if points >= WELL_SCORED:
                text = f"forbidden, yet scored {points:.0f} of 100 for feasibility"
                yield Finding("warning", "forbidden_but_feasible", text, (number,))
            continue
        if points < HARDLY_FEASIBLE:
            text = f"allowed, yet scored {points:.0f} of 100 for feasibility"
            yield Finding("warning", "allowed_but_hardly_feasible", text, (number,))
        if rule.feasibility.regulation < LOW_REGULATION:
            text = f"allowed, yet scored {rule.feasibility.regulation:.0f} of 100 for regulation"
            yield Finding("warning", "allowed_but_against_regulation", text, (number,))


def _idle_rules(card: Scorecard, cells: Cells) -> Iterator[Finding]:
    filled = Counter(
        cell.rule
        for (_, _, segment), row in cells.items()
        if segment in card.segment_ids
        for cell in row.values()
    )
    idle = tuple(number for number, _ in _numbered(card) if not filled[number])
    if idle:
        text = "fills no cell: more specific rules win them all; take it out"
        yield Finding("warning", "idle", text, idle)


def _loosened(card: Scorecard, cells: Cells) -> Iterator[Finding]:
    """Find where a segment's rule allows what a rule for everybody forbids."""
    loose: dict[tuple[int, int], list[str]] = {}
    for (offer, stage, segment), row in cells.items():
        if segment == OTHERS or segment not in card.segment_ids:
            continue
        for handle, cell in row.items():
            general = cells[offer, stage, OTHERS].get(handle)
            if cell.allowed and general is not None and not general.allowed:
                place = f"({offer}, {stage}, {handle})"
                loose.setdefault((cell.rule, general.rule), []).append(place)
    for rules, places in loose.items():
        who = " and ".join(card.rules[rules[0] - 1].segments)
        text = f"allows {who} what the second rule forbids all others, as in {places[0]}"
        yield Finding("warning", "segment_loosens", text, rules)


def _gaps(catalog: Catalog, cells: Cells) -> Iterator[Finding]:
    for offer in catalog.offers:
        first: Stage = "application" if offer.kind == "product" else "servicing"
        if not any(cell.allowed for cell in cells[offer.id, first, OTHERS].values()):
            text = f"{offer.id} can be begun nowhere: no cell of stage {first} is allowed"
            yield Finding("warning", "no_beginning", text)
        parts = []
        for stage in STAGES:
            open_ = [h for h in catalog.handle_ids if h not in cells[offer.id, stage, OTHERS]]
            if stage == "approval" or not open_:
                continue  # the bank's own step is done at no channel
            everywhere = len(open_) == len(catalog.handle_ids)
            parts.append(f"{stage}: {'every channel' if everywhere else ', '.join(open_)}")
        if parts:
            text = f"{offer.id}: no rule names {'; '.join(parts)} (forbidden)"
            yield Finding("note", "unfilled", text)
