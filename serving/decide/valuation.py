"""What an action is worth: value to the bank, experience of the customer, in CNY (DESIGN §7).

``value = p_start · completion · value of a sale − cost − price · staff minutes``, where the
channel the customer is in already costs nothing to reach;
``experience = preference · completion − the best such over all handles − friction`` (≤ 0), with
friction where he must change door, and more where care would send him to an outlet;
``score = value + experience_cny · experience``.

Every candidate is priced, for its order; the terms are written out for what takes a place.
"""

from __future__ import annotations

from operator import itemgetter, mul
from typing import NamedTuple

from features.catalog import Channel, Offer
from serving.decide.case import Case
from serving.decide.record import PStartIs, ScoredAction, Scores
from serving.decide.routing import route


class Arm(NamedTuple):
    """One surviving action with every term of its score (see `ScoredAction`)."""

    prospect: Prospect
    handle: Channel
    preference: float
    completion: float
    gross_value_cny: float
    cost_cny: float
    staff_cost_cny: float
    value_cny: float
    friction: float
    experience: float
    score: float

    @property
    def offer(self) -> Offer:
        """What is offered."""
        return self.prospect.offer

    def action(self, case: Case, propensity: float | None) -> ScoredAction:
        """Write the arm as it stands in the record."""
        reach, believed, offer = case.reach, self.prospect, self.prospect.offer
        return ScoredAction(
            offer=offer.id,
            kind=offer.kind,
            stage=case.stages[offer.id],
            reach=reach.id,
            handle=self.handle.id,
            mode=self.handle.mode,
            route=route(reach, self.handle),
            p_start=believed.p_start,
            p_start_is=believed.p_start_is,
            preference=self.preference,
            completion=self.completion,
            expected_amount_cny=believed.amount_cny,
            gross_value_cny=self.gross_value_cny,
            cost_cny=self.cost_cny,
            staff_cost_cny=self.staff_cost_cny,
            value_cny=self.value_cny,
            friction=self.friction,
            experience=self.experience,
            score=self.score,
            propensity=propensity,
        )


_Terms = tuple[int, float, float, float, float, float, float, float]


class Prospect:
    """An offer that survived the gates at some handles, and what it is worth at each of them.

    ``survivors`` are the places of handles among the rulebook's. Nothing is priced before it is
    asked for: most offers take no place for want of interest.
    """

    def __init__(self, case: Case, offer: Offer, survivors: tuple[int, ...]) -> None:
        self.offer = offer
        self._case = case
        self._survivors = survivors
        self._scores, self._row = _believed(case, offer)
        self.p_start = self._scores.p_start[self._row]
        self._priced: list[_Terms] | None = None

    @property
    def p_start_is(self) -> PStartIs:
        """Where `p_start` comes from."""
        return self._scores.p_start_is[self._row]

    @property
    def completion(self) -> tuple[float, ...]:
        """Completion at every handle of the rulebook, whether it survived or not."""
        return self._scores.completion[self._row]

    @property
    def amount_cny(self) -> float:
        """The amount that may be expected (CNY)."""
        return _within_means(self._case, self.offer, self._scores.amount_cny[self._row])

    @property
    def best_score(self) -> float:
        """The score at the best of the handles."""
        return max(terms[-1] for terms in self._terms())

    def arms(self) -> list[Arm]:
        """Every surviving handle with all its terms, best first (ties in catalog order)."""
        handles, completion = self._case.rules.handles, self.completion
        preference = self._scores.preference[self._row]
        return [
            Arm(self, handles[at], preference[at], completion[at], *terms)
            for at, *terms in sorted(self._terms(), key=_score, reverse=True)
        ]

    def _terms(self) -> list[_Terms]:
        """By surviving handle its place, then the terms as they stand at the end of an `Arm`.

        Plain tuples: some fifty a customer, of which three are shown.
        """
        if self._priced is not None:
            return self._priced
        case, p_start = self._case, self.p_start
        door, dial = case.door, case.rules.policy.experience_cny
        cost_cny, staff_cny = door.cost_cny, case.staff_cny
        frictions = door.care_friction if self.offer.kind == "care" else door.friction
        completion = self.completion
        ease = list(map(mul, self._scores.preference[self._row], completion))
        best, sale_cny = max(ease), self.offer.value_cny(self.amount_cny)
        self._priced = terms = []
        for at in self._survivors:
            cost, staff, friction = cost_cny[at], staff_cny[at], frictions[at]
            gross = p_start * completion[at] * sale_cny
            value = gross - cost - staff
            experience = ease[at] - best - friction
            score = value + dial * experience
            terms.append((at, gross, cost, staff, value, friction, experience, score))
        return terms


_score = itemgetter(-1)


def _believed(case: Case, offer: Offer) -> tuple[Scores, int]:
    """Find what may be believed of an offer: a table of scores and its row there.

    The inputs' scores; the rulebook's popularity where they say nothing of the offer, or where
    they are a person's own and he refused personalisation.
    """
    scores = case.inputs.scores
    row = scores.row.get(offer.id)
    if row is None or (not case.personal and scores.p_start_is[row] != "popularity"):
        scores = case.rules.popular
        row = scores.row[offer.id]
    return scores, row


def _within_means(case: Case, offer: Offer, amount_cny: float) -> float:
    """Expect no more of his own money than he has with us, where that is known and may be read."""
    assets = case.state.assets_cny
    own_money = offer.category in case.rules.policy.own_money_categories
    if not (own_money and case.personal) or assets is None or amount_cny <= assets:
        return amount_cny
    return max(assets, 0.0)
