"""What an action is worth: value to the bank, experience of the customer, in CNY (DESIGN §7).

``value = p_start · completion · value of a sale − cost − price · staff minutes``, where the
channel the customer is in already costs nothing to reach;
``experience = preference · completion − the best such over all handles − friction`` (≤ 0), with
friction where he must change door, and more where care would send him to an outlet;
``score = value + experience_cny · experience``.

Every candidate is priced, for its order; the terms are written out for what takes a place.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

from features.catalog import Channel, Offer
from serving.decide.case import Case
from serving.decide.record import OfferScores, ScoredAction, Scores
from serving.decide.routing import route

Row = tuple[float, ...]
"""One number a handle, in the order of the rulebook's handles."""


class Arm(NamedTuple):
    """One surviving action with every term of its score (see `ScoredAction`)."""

    offer: Offer
    handle: Channel
    scores: OfferScores
    preference: float
    completion: float
    gross_value_cny: float
    cost_cny: float
    staff_cost_cny: float
    value_cny: float
    friction: float
    experience: float
    score: float

    def action(self, case: Case, propensity: float | None) -> ScoredAction:
        """Write the arm as it stands in the record."""
        reach = case.rules.catalog.channel_by_id[case.inputs.channel]
        return ScoredAction(
            offer=self.offer.id,
            kind=self.offer.kind,
            stage=case.stages[self.offer.id],
            reach=reach.id,
            handle=self.handle.id,
            mode=self.handle.mode,
            route=route(reach, self.handle),
            p_start=self.scores.p_start,
            p_start_is=self.scores.p_start_is,
            preference=self.preference,
            completion=self.completion,
            expected_amount_cny=self.scores.amount_cny,
            gross_value_cny=self.gross_value_cny,
            cost_cny=self.cost_cny,
            staff_cost_cny=self.staff_cost_cny,
            value_cny=self.value_cny,
            friction=self.friction,
            experience=self.experience,
            score=self.score,
            propensity=propensity,
        )


@dataclass(frozen=True, slots=True)
class Prices:
    """What going on at each handle costs a customer who stands at this door.

    ``cost_cny`` and ``staff_cny`` are the bank's; ``friction`` and ``care_friction`` the
    experience lost, by products and services and by care.
    """

    cost_cny: Row
    staff_cny: Row
    friction: Row
    care_friction: Row


def prices_at(case: Case) -> Prices:
    """Price every handle from the door of this case."""
    rules, at, prices = case.rules, case.inputs.channel, case.inputs.prices
    reach, handles = rules.catalog.channel_by_id[at], rules.handles
    change, visit = rules.policy.handover_friction, rules.policy.care_visit_friction
    friction = tuple(0.0 if handle.id == at else change for handle in handles)
    return Prices(
        cost_cny=tuple(0.0 if handle.id == at else handle.cost_cny for handle in handles),
        staff_cny=tuple(prices.get(one.id, 0.0) * one.staff_minutes for one in handles),
        friction=friction,
        care_friction=tuple(
            lost + visit if handle.mode == "offline" != reach.mode else lost
            for lost, handle in zip(friction, handles, strict=True)
        ),
    )


class _Terms(NamedTuple):
    """What the score of one handle is made of, in the order of a record; ``at`` is its place."""

    at: int
    gross_value_cny: float
    value_cny: float
    experience: float
    score: float


class Prospect:
    """An offer that survived the gates at some handles, and what it is worth at each of them.

    Nothing is priced before it is asked for: most offers take no place for want of interest.
    """

    def __init__(
        self, case: Case, prices: Prices, offer: Offer, survivors: tuple[Channel, ...]
    ) -> None:
        self.offer = offer
        self._case = case
        self._prices = prices
        self._survivors = survivors
        self._scores, self._row = _believed(case, offer)
        self.p_start = self._scores.p_start[self._row]

    @cached_property
    def amount_cny(self) -> float:
        """The amount that may be expected (CNY)."""
        return _within_means(self._case, self.offer, self._scores.amount_cny[self._row])

    @property
    def best_score(self) -> float:
        """The score at the best of the handles."""
        return max(one.score for one in self._terms)

    def arms(self) -> list[Arm]:
        """Every surviving handle with all its terms, best first (ties in catalog order)."""
        scores, prices, handles = self._believed, self._prices, self._case.rules.handles
        preference, completion = (
            self._scores.preference[self._row],
            self._scores.completion[self._row],
        )
        return [
            Arm(
                offer=self.offer,
                handle=handles[one.at],
                scores=scores,
                preference=preference[one.at],
                completion=completion[one.at],
                gross_value_cny=one.gross_value_cny,
                cost_cny=prices.cost_cny[one.at],
                staff_cost_cny=prices.staff_cny[one.at],
                value_cny=one.value_cny,
                friction=self._friction[one.at],
                experience=one.experience,
                score=one.score,
            )
            for one in sorted(self._terms, key=lambda one: -one.score)
        ]

    @property
    def _friction(self) -> Row:
        return self._prices.care_friction if self.offer.kind == "care" else self._prices.friction

    @property
    def _believed(self) -> OfferScores:
        scores, row = self._scores, self._row
        return OfferScores(
            p_start=self.p_start,
            p_start_is=scores.p_start_is[row],
            amount_cny=self.amount_cny,
            preference=dict(zip(scores.handles, scores.preference[row], strict=True)),
            completion=dict(zip(scores.handles, scores.completion[row], strict=True)),
        )

    @cached_property
    def _terms(self) -> list[_Terms]:
        rules, prices, friction = self._case.rules, self._prices, self._friction
        dial, place, p_start = rules.policy.experience_cny, rules.handle_place, self.p_start
        completion = self._scores.completion[self._row]
        ease = [a * b for a, b in zip(self._scores.preference[self._row], completion, strict=True)]
        best, sale_cny = max(ease), self.offer.value_cny(self.amount_cny)
        terms = []
        for handle in self._survivors:
            at = place[handle.id]
            gross = p_start * completion[at] * sale_cny
            value = gross - prices.cost_cny[at] - prices.staff_cny[at]
            experience = ease[at] - best - friction[at]
            terms.append(_Terms(at, gross, value, experience, value + dial * experience))
        return terms


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
