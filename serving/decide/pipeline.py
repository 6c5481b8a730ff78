"""The decision: gates, value, order, exploration, reasons; pure, the same bytes every time."""

from __future__ import annotations

from collections.abc import Mapping

from serving.decide.case import Case, make_case
from serving.decide.exploration import Draw, draw, seed_of
from serving.decide.gates import Sifted, sift
from serving.decide.precedence import PRECEDENCE, precedence
from serving.decide.reasons import model_reasons, reasons_for
from serving.decide.record import Contributions, Decision, DecisionInputs, RankedAction
from serving.decide.rulebook import Rulebook
from serving.decide.valuation import Arm, Prospect


def decide(inputs: DecisionInputs, rules: Rulebook) -> Decision:
    """Say what to offer this customer next, where it gets done, and why; or nothing.

    Each offer takes one place, at its best handle. Care comes first while a complaint is open;
    then the offer the customer came for, or, where that needs a risk assessment he lacks, the
    renewal of it; then all others by score (ties in catalog order). A product that the models
    think he will hardly start (below the policy's `minimum_p_start`) takes no place, whatever it
    would bring: nobody is shown the mortgage he has no need for. A negative score keeps its
    place: inbound, silence is no option. Outbound it is: there a negative score takes no place,
    for *no contact* scores 0, and no least probability is asked. No permitted action at all is a
    valid answer with no places.
    """
    _check_handles(inputs, rules)
    case = make_case(inputs, rules)
    sifted = sift(case)
    placed = in_order(case, sifted)[: inputs.limit]
    places = [_better_than_silence(case, prospect.arms()) for prospect in placed]
    seed = seed_of(rules.policy.exploration, inputs.decision_id)
    drawn = _draw_first(case, places[0], seed) if places else None
    ranked = [
        _place(case, rank, arms, drawn if rank == 1 else None)
        for rank, arms in enumerate(places, start=1)
    ]
    return Decision(
        decision_id=inputs.decision_id,
        personalised=case.personal,
        considered=sifted.considered,
        ranked=tuple(ranked),
        excluded=sifted.excluded,
        explored=drawn is not None and drawn.explored,
        seed=seed,
    )


def with_contributions(
    decision: Decision,
    contributions: Mapping[str, Contributions],
    inputs: DecisionInputs,
    rules: Rulebook,
) -> Decision:
    """Add the model's own explanation to the returned offers that have one.

    An offer whose score is popularity gets none; so an answer that is not personal has none.
    """
    ranked: list[RankedAction] = []
    for place in decision.ranked:
        found = contributions.get(place.action.offer)
        if found is None or place.action.p_start_is == "popularity":
            ranked.append(place)
            continue
        reasons = rules.phrases.sort([*place.reasons, *model_reasons(found, rules)])
        ranked.append(
            RankedAction(rank=place.rank, action=place.action, reasons=reasons, contributions=found)
        )
    return decision.model_copy(update={"ranked": tuple(ranked)})


def _check_handles(inputs: DecisionInputs, rules: Rulebook) -> None:
    if inputs.scores.handles != rules.handle_ids:
        raise ValueError(
            f"decision {inputs.decision_id}: its scores are by {', '.join(inputs.scores.handles)}, "
            f"the catalog's handles are {', '.join(rules.handle_ids)}; "
            "decide with the catalog it was scored with"
        )


def in_order(case: Case, sifted: Sifted) -> list[Prospect]:
    """Price what survived and is worth a place, and put it in order."""
    offers = case.rules.catalog.offer_by_id
    prospects = [
        Prospect(case, offers[offer], handles) for offer, handles in sifted.survivors.items()
    ]
    return sorted(
        (one for one in prospects if _worth_a_place(case, one)),
        key=lambda one: (PRECEDENCE.index(precedence(case, one.offer)), -one.best_score),
    )


def _better_than_silence(case: Case, arms: list[Arm]) -> list[Arm]:
    return [arm for arm in arms if arm.score >= 0] if case.outbound else arms


def _worth_a_place(case: Case, prospect: Prospect) -> bool:
    if case.outbound:
        return prospect.best_score >= 0
    if prospect.offer.kind != "product" or prospect.offer.id == case.intent_offer:
        return True
    return prospect.p_start >= case.rules.policy.minimum_p_start


def _draw_first(case: Case, arms: list[Arm], seed: str) -> Draw:
    """Draw the first place's handle; no trials on care, without models or without leave."""
    trial = case.personal and not case.inputs.degraded and arms[0].offer.kind != "care"
    return draw(seed, len(arms) if trial else 1, case.rules.policy.exploration)


def _whole(case: Case, drawn: float) -> float:
    """The whole probability of what is shown: unasked, the held-out share is shown nothing."""
    return drawn * (1.0 - case.rules.policy.hold_out.share) if case.outbound else drawn


def _place(case: Case, rank: int, arms: list[Arm], drawn: Draw | None) -> RankedAction:
    shown = arms[drawn.arm] if drawn is not None else arms[0]
    action = shown.action(case, _whole(case, drawn.propensity) if drawn is not None else None)
    explored = drawn is not None and drawn.explored
    return RankedAction(rank=rank, action=action, reasons=reasons_for(case, shown, arms, explored))
