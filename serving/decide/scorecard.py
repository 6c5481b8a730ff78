"""The scorecard: which channel may do which step of which offer, and how well it suits.

Compact rules instead of thousands of cells. A rule names offers (by id or category), channels (by
id or mode) and stages; what it leaves out means all. Where several rules name a cell, the most
specific wins: first by offer (id before category before all), then by channel (id before mode
before all), then by stage. Two of equal rank are an error; a cell no rule names is forbidden.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import Literal

from pydantic import Field, model_validator

from features.catalog import STAGES, Catalog, Channel, Mode, Offer, Stage
from features.config import StrictConfig
from features.errors import ConfigError, did_you_mean

Points = Field(ge=0, le=100)


class Criteria(StrictConfig):
    """The survey's four criteria: points of 0 to 100, or their weights."""

    ease_online: float = Points
    risk_control: float = Points
    regulation: float = Points
    number_of_steps: float = Points

    def weighted(self, weights: Criteria) -> float:
        """Mean of the points under the survey's weights (0–100)."""
        pairs = (
            (self.ease_online, weights.ease_online),
            (self.risk_control, weights.risk_control),
            (self.regulation, weights.regulation),
            (self.number_of_steps, weights.number_of_steps),
        )
        return sum(points * weight for points, weight in pairs) / sum(w for _, w in pairs)


class ScorecardRule(StrictConfig):
    """One line of the scorecard.

    ``basis`` says by what law, rule or practice it is allowed or forbidden; ``expires`` is its
    last valid day; ``minutes`` the customer's own time; ``feasibility`` how well the step can be
    done there, ``necessity`` how much it needs to be done there.
    """

    offers: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()
    channels: tuple[str, ...] = ()
    modes: tuple[Mode, ...] = ()
    stages: tuple[Stage, ...] = ()
    compliance: Literal["allowed", "forbidden"]
    basis: str = Field(min_length=1)
    feasibility: Criteria | None = None
    necessity: Criteria | None = None
    minutes: int | None = Field(default=None, gt=0)
    owner: str | None = None
    evidence: str | None = None
    expires: date | None = None

    @model_validator(mode="after")
    def _is_one_selection_with_scores(self) -> ScorecardRule:
        if self.offers and self.categories:
            raise ValueError("a rule names offers or categories, not both")
        if self.channels and self.modes:
            raise ValueError("a rule names channels or modes, not both")
        if self.compliance == "allowed" and not (self.feasibility and self.necessity):
            raise ValueError("an allowed rule needs feasibility and necessity")
        return self

    @property
    def rank(self) -> tuple[int, int, int]:
        """How specific the rule is; a higher rank wins."""
        return (
            2 if self.offers else 1 if self.categories else 0,
            2 if self.channels else 1 if self.modes else 0,
            1 if self.stages else 0,
        )

    def names_offer(self, offer: Offer) -> bool:
        """Whether the rule speaks of this offer."""
        if self.offers:
            return offer.id in self.offers
        return not self.categories or offer.category in self.categories

    def names_channel(self, channel: Channel) -> bool:
        """Whether the rule speaks of this channel."""
        if self.channels:
            return channel.id in self.channels
        return not self.modes or channel.mode in self.modes


class Scorecard(StrictConfig):
    """`scorecard.yaml`: the weights, who answers for it by default, until when, and the rules."""

    weights: Criteria = Criteria(ease_online=73, risk_control=72, regulation=60, number_of_steps=57)
    owner: str = Field(min_length=1)
    evidence: str = Field(min_length=1)
    expires: date
    rules: tuple[ScorecardRule, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _has_weights(self) -> Scorecard:
        if not any(self.weights.model_dump().values()):
            raise ValueError("weights may not all be 0")
        return self


@dataclass(frozen=True)
class Cell:
    """One cell (offer, stage, handle channel) as the winning rule fills it.

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
    owner: str
    evidence: str
    rule: int

    def valid_on(self, day: date) -> bool:
        """Whether the cell has not expired; its last day still counts."""
        return day <= self.expires


Cells = dict[tuple[str, Stage], dict[str, Cell]]


def fill_cells(card: Scorecard, catalog: Catalog, where: str) -> Cells:
    """Write out every cell that a rule names, handle channels only, in catalog order.

    Raises
    ------
    ConfigError
        An unknown offer, category or channel (with the nearest match), a channel that handles
        nothing, or a cell that two rules of equal rank name; `where` opens the message.
    """
    for number, rule in enumerate(card.rules, start=1):
        _check_names(rule, catalog, f"{where}: rule {number}")
    cells: Cells = {}
    for offer in catalog.offers:
        by_offer = [(n, r) for n, r in enumerate(card.rules, start=1) if r.names_offer(offer)]
        for stage in STAGES:
            by_stage = [(n, r) for n, r in by_offer if not r.stages or stage in r.stages]
            row: dict[str, Cell] = {}
            for handle in catalog.handle_ids:
                channel = catalog.channel_by_id[handle]
                rules = [(n, r) for n, r in by_stage if r.names_channel(channel)]
                if rules:
                    place = f"{where}: cell ({offer.id}, {stage}, {handle})"
                    row[handle] = _cell(card, *_winner(rules, place))
            cells[offer.id, stage] = row
    return cells


def _check_names(rule: ScorecardRule, catalog: Catalog, where: str) -> None:
    categories = sorted({offer.category for offer in catalog.offers})
    for kind, names, allowed in (
        ("offer", rule.offers, catalog.offer_ids),
        ("category", rule.categories, tuple(categories)),
        ("channel", rule.channels, catalog.channel_ids),
    ):
        for name in names:
            if name not in allowed:
                raise ConfigError(
                    f"{where}: unknown {kind} '{name}'; {did_you_mean(name, allowed)}"
                )
    for name in rule.channels:
        if name not in catalog.handle_ids:
            raise ConfigError(
                f"{where}: channel '{name}' only reaches customers and handles nothing; "
                f"remove it, or give it the role 'handle' in channels.yaml"
            )


def _winner(rules: list[tuple[int, ScorecardRule]], place: str) -> tuple[int, ScorecardRule]:
    best = max(rule.rank for _, rule in rules)
    first, *others = [(number, rule) for number, rule in rules if rule.rank == best]
    if others:
        raise ConfigError(
            f"{place} stands in rule {first[0]} and, equally specific, in rule {others[0][0]}; "
            "take it out of one of them"
        )
    return first


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
