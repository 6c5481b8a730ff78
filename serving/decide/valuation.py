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

from features.catalog import Channel, Offer
from serving.decide.case import Case
from serving.decide.record import OfferScores, PStartIs, ScoredAction
from serving.decide.routing import route

Row = tuple[float, ...]
"""One number a handle, in the order of the rulebook's handles."""


@dataclass(frozen=True)
class Arm:
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


class Prospect:
    """An offer that survived the gates at some handles, priced at each of them."""

    def __init__(
        self, case: Case, prices: Prices, offer: Offer, survivors: tuple[Channel, ...]
    ) -> None:
        place = case.rules.handle_place
        self.offer = offer
        self.p_start, self.p_start_is, amount_cny, preference, completion = _believed(case, offer)
        self.amount_cny = _within_means(case, offer, amount_cny)
        self._rules = case.rules
        self._handles = [place[handle.id] for handle in survivors]
        self._prices = prices
        self._friction = prices.care_friction if offer.kind == "care" else prices.friction
        self._preference, self._completion = preference, completion
        self._ease = tuple(likes * done for likes, done in zip(preference, completion, strict=True))
        self._best_ease = max(self._ease)
        self._sale_cny = offer.value_cny(self.amount_cny)
        dial = case.rules.policy.experience_cny
        self._scores = [self._value(at) + dial * self._experience(at) for at in self._handles]
        self.best_score = max(self._scores)

    def arms(self) -> list[Arm]:
        """Every surviving handle with all its terms, best first (ties in catalog order)."""
        handles = self._rules.handle_ids
        scores = OfferScores(
            p_start=self.p_start,
            p_start_is=self.p_start_is,
            amount_cny=self.amount_cny,
            preference=dict(zip(handles, self._preference, strict=True)),
            completion=dict(zip(handles, self._completion, strict=True)),
        )
        scored = sorted(zip(self._handles, self._scores, strict=True), key=lambda one: -one[1])
        return [self._arm(at, score, scores) for at, score in scored]

    def _gross(self, at: int) -> float:
        return self.p_start * self._completion[at] * self._sale_cny

    def _value(self, at: int) -> float:
        return self._gross(at) - self._prices.cost_cny[at] - self._prices.staff_cny[at]

    def _experience(self, at: int) -> float:
        return self._ease[at] - self._best_ease - self._friction[at]

    def _arm(self, at: int, score: float, scores: OfferScores) -> Arm:
        return Arm(
            offer=self.offer,
            handle=self._rules.handles[at],
            scores=scores,
            preference=self._preference[at],
            completion=self._completion[at],
            gross_value_cny=self._gross(at),
            cost_cny=self._prices.cost_cny[at],
            staff_cost_cny=self._prices.staff_cny[at],
            value_cny=self._value(at),
            friction=self._friction[at],
            experience=self._experience(at),
            score=score,
        )


def _believed(case: Case, offer: Offer) -> tuple[float, PStartIs, float, Row, Row]:
    """Return what may be believed of an offer: start, its source, amount, and two by handle.

    The inputs' scores; the rulebook's popularity where they say nothing of the offer, or where
    they are a person's own and he refused personalisation.
    """
    scores = case.inputs.scores
    row = scores.row.get(offer.id)
    if row is None or (not case.personal and scores.p_start_is[row] != "popularity"):
        scores = case.rules.popular
        row = scores.row[offer.id]
    return (
        scores.p_start[row],
        scores.p_start_is[row],
        scores.amount_cny[row],
        scores.preference[row],
        scores.completion[row],
    )


def _within_means(case: Case, offer: Offer, amount_cny: float) -> float:
    """Expect no more of his own money than he has with us, where that is known and may be read."""
    assets = case.state.assets_cny
    own_money = offer.category in case.rules.policy.own_money_categories
    if not (own_money and case.personal) or assets is None or amount_cny <= assets:
        return amount_cny
    return max(assets, 0.0)
