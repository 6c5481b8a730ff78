"""At design: which channel fits which stage of an offer, and by which criteria."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

from features.catalog import STAGES, Catalog, Offer, Stage
from serving.decide.cells import Cell, Cells, Row
from serving.decide.scorecard import OTHERS, Criteria, Scorecard

CRITERIA = tuple(Criteria.model_fields)
CRITERIA_NAMES: dict[str, tuple[str, str]] = {
    "ease_online": ("线上化难易", "ease online"),
    "risk_control": ("风险控制", "risk control"),
    "regulation": ("监管合规", "regulation"),
    "number_of_steps": ("环节步骤", "number of steps"),
}
STAGE_NAMES: dict[Stage, tuple[str, str]] = {
    "application": ("申请", "application"),
    "interview": ("面谈", "interview"),
    "approval": ("审批", "approval"),
    "signing": ("签约", "signing"),
    "servicing": ("交易后管理", "servicing"),
    "inquiry": ("查询", "inquiry"),
    "rating": ("评价", "rating"),
}


@dataclass(frozen=True)
class Fit:
    """How well a channel fits a stage: 0–100, and the points each criterion brings to it.

    The mean of weighted feasibility and weighted necessity; ``by_criterion`` sums to ``points``.
    """

    handle: str
    points: float
    by_criterion: dict[str, float]


@dataclass(frozen=True)
class StageDesign:
    """One stage of one offer for one segment.

    ``ranked`` holds the channels that are allowed and not expired, the best first; equals stand in
    catalog order.
    """

    offer: Offer
    stage: Stage
    segment: str
    cells: Row
    ranked: tuple[Fit, ...]

    @property
    def best(self) -> tuple[Fit, ...]:
        """The channels in first place: several where the scorecard does not tell them apart.

        None where it tells none of several apart: then all fit alike.
        """
        if self.runner_up is None and len(self.ranked) > 1:
            return ()
        return tuple(fit for fit in self.ranked if fit.points == self.ranked[0].points)

    @property
    def runner_up(self) -> Fit | None:
        """The best channel that does not share the first place."""
        return next((fit for fit in self.ranked if fit.points < self.ranked[0].points), None)

    @property
    def leads(self) -> tuple[tuple[str, float], ...]:
        """By which criteria the best leads the runner-up, largest first; they sum to its lead."""
        if self.runner_up is None:
            return ()
        own, other = self.ranked[0].by_criterion, self.runner_up.by_criterion
        return tuple(
            sorted(((one, own[one] - other[one]) for one in CRITERIA), key=lambda lead: -lead[1])
        )


def design(card: Scorecard, cells: Cells, catalog: Catalog, day: date) -> list[StageDesign]:
    """Rank the channels of every stage that has a cell, by offer, stage and segment, on a day.

    A named segment is told only where its cells are not those of all other customers.
    """
    told = []
    for offer in catalog.offers:
        for stage in STAGES:
            common = cells[offer.id, stage, OTHERS]
            for segment in (OTHERS, *(one.id for one in card.segments)):
                row = cells[offer.id, stage, segment]
                if row and (segment == OTHERS or row != common):
                    ranked = tuple(rank(card, row, day))
                    told.append(StageDesign(offer, stage, segment, row, ranked))
    return told


def rank(card: Scorecard, row: Row, day: date) -> list[Fit]:
    """Rank the channels of a row that are allowed and not expired on a day, the best first."""
    fits = [
        fit(card, handle, cell)
        for handle, cell in row.items()
        if cell.allowed and cell.valid_on(day)
    ]
    return sorted(fits, key=lambda one: -one.points)


def fit(card: Scorecard, handle: str, cell: Cell) -> Fit:
    """Say how well an allowed cell fits, criterion by criterion."""
    rule = card.rules[cell.rule - 1]
    if rule.feasibility is None or rule.necessity is None:
        raise ValueError(f"rule {cell.rule} has no scores: only allowed cells can be ranked")
    weights = card.weights.model_dump()
    whole = sum(weights.values())
    parts = {
        name: weights[name] / whole * (feasible + getattr(rule.necessity, name)) / 2
        for name, feasible in rule.feasibility
    }
    return Fit(handle, sum(parts.values()), parts)


def segment_names(card: Scorecard, segment: str) -> tuple[str, str]:
    """Name a segment in Chinese and English."""
    named = {one.id: (one.names.zh, one.names.en) for one in card.segments}
    everybody = ("其他客户", "all other customers") if named else ("全部客户", "all customers")
    return named.get(segment, everybody)
