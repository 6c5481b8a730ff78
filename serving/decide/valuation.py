"""What an action is worth: value to the bank, experience of the customer, in CNY (DESIGN §7)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from features.catalog import Channel, Offer
from serving.decide.case import Case
from serving.decide.record import OfferScores, ScoredAction
from serving.decide.routing import route


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


def scores_of(case: Case, offer: Offer) -> OfferScores:
    """Return what may be believed of an offer for this customer.

    The inputs' scores; the rulebook's popularity where they say nothing of the offer, or where
    they are a person's own and he refused personalisation.
    """
    given = case.inputs.scores.get(offer.id)
    if given is None or (not case.personal and given.p_start_is != "popularity"):
        return case.rules.popular_scores(offer.id)
    return given


def value_arms(case: Case, offer: Offer, handles: tuple[Channel, ...]) -> list[Arm]:
    """Value every surviving handle of an offer, best first (ties in catalog order).

    ``value = p_start · completion · value of a sale − cost − price · staff minutes``, where the
    channel the customer is in already costs nothing to reach;
    ``experience = preference · completion − the best such over all handles − friction`` (≤ 0),
    with friction where he must change door, and more where care would send him to an outlet;
    ``score = value + experience_cny · experience``.
    """
    rules, scores = case.rules, _within_means(case, offer, scores_of(case, offer))
    reach = rules.catalog.channel_by_id[case.inputs.channel]
    ease = _ease(scores, case.rules.catalog.handle_ids, rules.policy.popularity.completion)
    best = max(ease.values())
    sale_cny = offer.value_cny(scores.amount_cny)
    arms: list[Arm] = []
    for handle in handles:
        stays = handle.id == case.inputs.channel
        completion = scores.completion.get(handle.id, rules.policy.popularity.completion)
        gross = scores.p_start * completion * sale_cny
        cost = 0.0 if stays else handle.cost_cny
        staff_cost = case.inputs.prices.get(handle.id, 0.0) * handle.staff_minutes
        value = gross - cost - staff_cost
        friction = 0.0 if stays else rules.policy.handover_friction
        if offer.kind == "care" and handle.mode == "offline" != reach.mode:
            friction += rules.policy.care_visit_friction
        experience = ease[handle.id] - best - friction
        arms.append(
            Arm(
                offer=offer,
                handle=handle,
                scores=scores,
                preference=scores.preference.get(handle.id, 0.0),
                completion=completion,
                gross_value_cny=gross,
                cost_cny=cost,
                staff_cost_cny=staff_cost,
                value_cny=value,
                friction=friction,
                experience=experience,
                score=value + rules.policy.experience_cny * experience,
            )
        )
    return sorted(arms, key=lambda arm: -arm.score)


def _within_means(case: Case, offer: Offer, scores: OfferScores) -> OfferScores:
    """Expect no more of his own money than he has with us, where that is known and may be read."""
    assets = case.state.assets_cny
    own_money = offer.category in case.rules.policy.own_money_categories
    if not (own_money and case.personal) or assets is None or scores.amount_cny <= assets:
        return scores
    return scores.model_copy(update={"amount_cny": max(assets, 0.0)})


def _ease(
    scores: OfferScores, handles: tuple[str, ...], default_completion: float
) -> Mapping[str, float]:
    """Preference times completion at every handle, vetoed or not."""
    return {
        handle: scores.preference.get(handle, 0.0)
        * scores.completion.get(handle, default_completion)
        for handle in handles
    }
