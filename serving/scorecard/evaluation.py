"""The scorecard held against what happened, and the cells whose evidence contradicts them."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import reduce
from operator import add
from typing import Literal

from features.catalog import Stage
from serving.decide.rulebook import Rulebook
from serving.scorecard.evidence import Evidence, Key, Sums, Visits

LEAST_JOURNEYS = 30
MARGIN = 0.03
FALSE_DISCOVERIES = 0.05
TESTED = ("completion", "abandonment", "errors")

Kind = Literal["scored_high_does_badly", "scored_low_does_well", "forbidden_but_done"]


@dataclass(frozen=True)
class Row:
    """One offer or category, stage and channel: what the scorecard says, and what happened.

    ``feasibility`` and ``necessity`` are means over the journeys whose cell is allowed, None where
    none is; ``outside`` counts journeys whose cell is forbidden, expired or not there, by the
    customer's segment and the day of the step. ``cost_cny`` and ``staff_minutes`` are the
    catalog's, per completion: what was spent on those who did not complete is in it; None where
    nobody completed.
    """

    group: str
    stage: Stage
    channel: str
    journeys: int
    outside: int
    feasibility: float | None
    necessity: float | None
    metrics: dict[str, Sums]
    cost_cny: float | None
    staff_minutes: float | None


@dataclass(frozen=True)
class Contradiction:
    """A cell that the evidence contradicts.

    ``value`` and ``others`` are the share at this channel and at all others of the same offer (or
    category) and stage; ``p`` is the p-value; for `forbidden_but_done`, ``value`` counts journeys.
    """

    kind: Kind
    group: str
    stage: Stage
    channel: str
    metric: str
    value: float
    others: float | None = None
    p: float | None = None


@dataclass(frozen=True)
class Evaluation:
    """The scorecard beside the evidence.

    ``tests`` counts the comparisons that were made; of the contradictions those that were tested
    come first, then those of cells that should not be used, the most used first.
    """

    evidence: Evidence
    rows: tuple[Row, ...]
    contradictions: tuple[Contradiction, ...]
    tests: int


def evaluate(evidence: Evidence, rules: Rulebook) -> Evaluation:
    """Put the evidence beside the scorecard and find what contradicts it.

    Each channel is compared with all other channels of its offer (or category) and stage together,
    in completion, abandonment and errors, where both sides have 30 journeys or more: a two-sided
    score test of two shares, each for as many journeys as it is worth with customers as clusters
    (a customer on both sides is taken as two). All comparisons of the report are one family: those
    significant at a false discovery rate of 5 % (Benjamini and Hochberg, JRSS B 1995) and at least
    3 percentage points apart count. Then a cell is contradicted when

    - *scored high, does badly*: its feasibility is at least that of the other channels (mean over
      their journeys), and completion is lower, or abandonment or errors are higher;
    - *scored low, does well*: its feasibility is below theirs, and completion is higher;
    - *forbidden but done*: journeys were begun there that the scorecard forbids (the cell is
      forbidden, expired on that day or not there, for the customer's segment).

    Customers choose their channels, so a difference is no effect of the channel; and it is today's
    scorecard that is read: begin with the day it came into force.
    """
    by_key = _by_key(evidence, rules)
    rows = tuple(_row(key, evidence.sums[key], visits, rules) for key, visits in by_key.items())
    tested = [
        (row, metric, others, _p_value(row.metrics[metric], others))
        for row in rows
        for metric in TESTED
        for others in _others(row, rows, metric)
    ]
    kept = significant([p for *_, p in tested], FALSE_DISCOVERIES)
    found = []
    for (row, metric, others, p), counts in zip(tested, kept, strict=True):
        kind = _contradiction(row, rows, metric, others) if counts else None
        if kind is not None:
            value = row.metrics[metric].ratio
            found.append(
                Contradiction(
                    kind, row.group, row.stage, row.channel, metric, value, others.ratio, p
                )
            )
    found += [_forbidden(row) for row in sorted(rows, key=lambda row: -row.outside) if row.outside]
    return Evaluation(evidence, rows, tuple(found), len(tested))


def significant(p_values: Sequence[float], rate: float) -> list[bool]:
    """Say which p-values count at a false discovery rate (Benjamini and Hochberg, 1995).

    >>> significant([0.01, 0.02, 0.04, 0.5], 0.05)
    [True, True, False, False]
    """
    ordered = sorted(p_values)
    passing = [p for place, p in enumerate(ordered, 1) if p <= rate * place / len(ordered)]
    return [bool(passing) and p <= passing[-1] for p in p_values]


def _by_key(evidence: Evidence, rules: Rulebook) -> dict[Key, list[Visits]]:
    found: dict[Key, list[Visits]] = {key: [] for key in evidence.sums}
    for one in evidence.visits:
        offer = rules.catalog.offer_by_id[one.offer]
        group = offer.id if evidence.by == "offer" else offer.category
        found[group, one.stage, one.channel].append(one)
    return found


def _row(key: Key, metrics: dict[str, Sums], visits: Iterable[Visits], rules: Rulebook) -> Row:
    group, stage, channel = key
    outside, feasible, necessary, inside = 0, 0.0, 0.0, 0
    for one in visits:
        cell = rules.cell(one.offer, stage, channel, one.segment)
        if cell is None or not cell.allowed or not cell.valid_on(one.day):
            outside += one.journeys
            continue
        inside += one.journeys
        feasible += one.journeys * (cell.feasibility or 0.0)
        necessary += one.journeys * (cell.necessity or 0.0)
    door, done = rules.catalog.channel_by_id[channel], metrics["completion"].ratio
    return Row(
        group, stage, channel, inside + outside, outside,
        feasible / inside if inside else None,
        necessary / inside if inside else None,
        metrics,
        door.cost_cny / done if done else None,
        door.staff_minutes / done if done else None,
    )  # fmt: skip


def _alike(row: Row, rows: Sequence[Row]) -> list[Row]:
    """Give the other channels of the row's offer (or category) and stage."""
    place = (row.group, row.stage)
    return [one for one in rows if (one.group, one.stage) == place and one is not row]


def _others(row: Row, rows: Sequence[Row], metric: str) -> list[Sums]:
    """Sum up the other channels; nothing where either side is too small or cannot be told."""
    if metric not in row.metrics:
        return []
    others = reduce(add, (one.metrics.get(metric, Sums()) for one in _alike(row, rows)), Sums())
    enough = min(row.metrics[metric].d, others.d) >= LEAST_JOURNEYS
    return [others] if enough else []


def _p_value(one: Sums, other: Sums) -> float:
    """Two-sided p-value of a score test that two shares are equal."""
    pooled = (one.ratio * one.worth + other.ratio * other.worth) / (one.worth + other.worth)
    variance = pooled * (1 - pooled) * (1 / one.worth + 1 / other.worth)
    if variance <= 0:
        return 1.0
    return math.erfc(abs(one.ratio - other.ratio) / math.sqrt(2 * variance))


def _contradiction(row: Row, rows: Sequence[Row], metric: str, others: Sums) -> Kind | None:
    gap = row.metrics[metric].ratio - others.ratio
    scored = [one for one in _alike(row, rows) if one.feasibility is not None]
    if row.feasibility is None or not scored or abs(gap) < MARGIN:
        return None
    weight = [one.journeys - one.outside for one in scored]
    theirs = sum((one.feasibility or 0.0) * w for one, w in zip(scored, weight, strict=True))
    high = row.feasibility >= theirs / sum(weight)
    better = gap > 0 if metric == "completion" else gap < 0
    if high and not better:
        return "scored_high_does_badly"
    return "scored_low_does_well" if not high and better and metric == "completion" else None


def _forbidden(row: Row) -> Contradiction:
    return Contradiction(
        "forbidden_but_done", row.group, row.stage, row.channel, "journeys", float(row.outside)
    )
