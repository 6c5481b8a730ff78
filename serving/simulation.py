"""What policies would do to a whole customer base; nothing is stored, nobody is contacted."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from features.age_bands import age_band
from serving.base import Base
from serving.bootstrap import interval, resampled_means
from serving.decide.calendar_days import age_on, local_day
from serving.decide.gates import ANY_HANDLE
from serving.decide.pipeline import decide
from serving.decide.record import Decision, DecisionInputs, RankedAction
from serving.decide.rulebook import Rulebook
from serving.groups import UNKNOWN, Parity, parity

MEASURES = ("value_cny", "experience", "score_cny", "staff_minutes", "coverage")
"""Of each customer: value, experience and score of the first place (0 where there is none), the
staff minutes it takes if it is started as often as expected, and whether a product is offered."""

FAMILIES = {"investments": ("investment", "fund"), "credit": ("credit",)}
"""What fairness is asked of, by the kinds of suitability."""

BEFORE_DEPLOYMENT = ("eligible", "suitable")
CENTRAL = "(central)"
"""Stands for staff who belong to no outlet: remote channels, customers without one."""


@dataclass
class PolicyRun:
    """What one policy does to the customers counted so far; ``rules`` holds the policy.

    ``measures`` has a row a customer (see `MEASURES`); ``first`` is what stands first for each.
    ``minutes`` are expected staff minutes, by channel and by outlet; ``places`` counts all places
    of all answers by channel, mode and route; ``excluded`` counts candidates (offer at a handle)
    by reason code. ``suitable`` and ``offered`` tell, by family, for whom it passes the first two
    gates and who is offered it.
    """

    rules: Rulebook
    measures: list[tuple[float, ...]] = field(default_factory=list)
    first: list[tuple[str, str] | None] = field(default_factory=list)
    minutes: dict[str, dict[str, float]] = field(
        default_factory=lambda: {"channel": defaultdict(float), "org": defaultdict(float)}
    )
    places: dict[str, Counter[str]] = field(
        default_factory=lambda: {"channel": Counter(), "mode": Counter(), "route": Counter()}
    )
    excluded: Counter[str] = field(default_factory=Counter)
    suitable: dict[str, list[bool]] = field(default_factory=lambda: {one: [] for one in FAMILIES})
    offered: dict[str, list[bool]] = field(default_factory=lambda: {one: [] for one in FAMILIES})

    def add(self, inputs: DecisionInputs) -> None:
        """Decide on one customer and count what comes out."""
        decision = decide(inputs, self.rules)
        first = decision.ranked[0] if decision.ranked else None
        self.first.append((first.action.offer, first.action.handle) if first else None)
        self._measure(decision, first, inputs)
        for place in decision.ranked:
            self.places["channel"][place.action.handle] += 1
            self.places["mode"][place.action.mode] += 1
            self.places["route"][place.action.route] += 1
        every = len(self.rules.handles)
        for one in decision.excluded:
            self.excluded[one.reason] += every if one.handle == ANY_HANDLE else 1
        self._note_families(decision)

    def array(self) -> npt.NDArray[np.float64]:
        """The measures, shape (customers, len(MEASURES))."""
        return np.array(self.measures, dtype=np.float64).reshape(-1, len(MEASURES))

    def _measure(
        self, decision: Decision, first: RankedAction | None, inputs: DecisionInputs
    ) -> None:
        products = any(place.action.kind == "product" for place in decision.ranked)
        if first is None:
            self.measures.append((0.0, 0.0, 0.0, 0.0, 0.0))
            return
        action = first.action
        handle = self.rules.catalog.channel_by_id[action.handle]
        minutes = action.p_start * handle.staff_minutes
        if minutes:
            outlet = inputs.state.outlet if handle.mode == "offline" else None
            self.minutes["channel"][handle.id] += minutes
            self.minutes["org"][outlet.org_id if outlet else CENTRAL] += minutes
        self.measures.append(
            (action.value_cny, action.experience, action.score, minutes, float(products))
        )

    def _note_families(self, decision: Decision) -> None:
        known = self.rules.catalog.offer_by_id
        vetoed: Counter[str] = Counter()
        every = len(self.rules.handles)
        for one in decision.excluded:
            if one.gate in BEFORE_DEPLOYMENT:
                vetoed[one.offer] += every if one.handle == ANY_HANDLE else 1
        shown = {known[place.action.offer].suitability for place in decision.ranked}
        for family, kinds in FAMILIES.items():
            offers = [one.id for one in self.rules.catalog.offers if one.suitability in kinds]
            self.suitable[family].append(any(vetoed[offer] < every for offer in offers))
            self.offered[family].append(any(kind in shown for kind in kinds))


@dataclass(frozen=True)
class Simulation:
    """Two policies over the same customers, in the same order.

    ``groups`` holds, by attribute (age band, gender, region), each customer's group.
    """

    customer_ids: tuple[str, ...]
    runs: tuple[PolicyRun, PolicyRun]
    groups: dict[str, tuple[str, ...]]

    def differences(self) -> dict[str, tuple[float, float, float]]:
        """Mean of second minus first by measure, with its 95 % interval, paired by customer."""
        first, second = (run.array() for run in self.runs)
        gap = second - first
        draws = resampled_means(gap)
        return {
            name: (float(gap[:, place].mean()), *interval(draws[:, place]))
            for place, name in enumerate(MEASURES)
        }

    def moved(self) -> float:
        """The share of customers whose first place is another one."""
        pairs = zip(self.runs[0].first, self.runs[1].first, strict=True)
        return sum(one != other for one, other in pairs) / len(self.customer_ids)

    def parities(self) -> Iterator[tuple[str, str, tuple[Parity, Parity]]]:
        """Give, by family and attribute, how alike groups are treated under each policy."""
        for family in FAMILIES:
            for attribute, names in self.groups.items():
                one, other = (
                    parity(np.array(run.suitable[family]), np.array(run.offered[family]), names)
                    for run in self.runs
                )
                yield family, attribute, (one, other)


def simulate(
    bases: tuple[Base, Base],
    customer_ids: Sequence[str],
    attributes: dict[str, dict[str, str]],
    advance: Any,
) -> Simulation:
    """Decide on every customer under two policies, on the same luck, and store nothing.

    ``bases`` are the same customers with two rulebooks; ``attributes`` as `read_attributes` gives
    them; ``advance`` is told each customer as he begins.
    """
    runs = (PolicyRun(bases[0].rules), PolicyRun(bases[1].rules))
    bands: list[str] = []
    for both in zip(*(base.chunks(customer_ids) for base in bases), strict=True):
        for pair in zip(*both, strict=True):
            advance("")
            for run, inputs in zip(runs, pair, strict=True):
                # The id seeds the draw of trials: the same for both, so that chance is the same.
                same = f"simulated:{inputs.state.customer_id}"
                run.add(inputs.model_copy(update={"decision_id": same}))
            bands.append(_age_band(pair[0], runs[0].rules))
    groups = {"age": tuple(bands)} | {
        name: tuple(of.get(customer, UNKNOWN) for customer in customer_ids)
        for name, of in attributes.items()
    }
    return Simulation(tuple(customer_ids), runs, groups)


def _age_band(inputs: DecisionInputs, rules: Rulebook) -> str:
    born = inputs.state.birth_date
    return age_band(None if born is None else age_on(born, local_day(inputs.as_of, rules.zone)))
