"""The answer as its audience may read it."""

from __future__ import annotations

from collections.abc import Mapping

from serving.contract import (
    Audience,
    Exclusion,
    Explanation,
    GroupContribution,
    Recommendation,
    RecommendResponse,
    Text,
)
from serving.decide.case import Case, make_case
from serving.decide.phrases import Value
from serving.decide.record import (
    Contributions,
    DecisionRecord,
    ExcludedAction,
    RankedAction,
)
from serving.decide.routing import owner
from serving.decide.rulebook import Rulebook
from serving.decide.triggers import day_in_words


def answer(
    record: DecisionRecord, rules: Rulebook, audience: Audience | None = None
) -> RecommendResponse:
    """Render a stored decision for an audience (default: the one it was asked by).

    A customer sees what, where, who and the sentences approved for customers; never a score, a
    contribution, an exclusion or a count. Staff and reviewers see them all; a reviewer also hears
    the sentences meant for reviewers. At most three reasons a place, at least one.
    """
    inputs, decision = record.inputs, record.decision
    audience = audience or inputs.audience
    inside = audience != "customer"
    case = make_case(inputs, rules)
    return RecommendResponse(
        decision_id=decision.decision_id,
        customer_id=inputs.state.customer_id,
        as_of=case.now,
        features_as_of=inputs.features_as_of,
        degraded=bool(inputs.degraded),
        personalised=decision.personalised,
        versions=inputs.versions,
        considered=decision.considered if inside else None,
        recommendations=tuple(_place(place, case, audience) for place in decision.ranked),
        excluded=tuple(_exclusion(one, case) for one in decision.excluded) if inside else None,
    )


def answer_bytes(
    record: DecisionRecord, rules: Rulebook, audience: Audience | None = None
) -> bytes:
    """Render the answer as it is stored and sent: what an audience may not see is absent."""
    return answer(record, rules, audience).model_dump_json(exclude_defaults=True).encode("utf-8")


def _place(place: RankedAction, case: Case, audience: Audience) -> Recommendation:
    action, rules, inputs = place.action, case.rules, case.inputs
    offer = rules.catalog.offer_by_id[action.offer]
    handle = rules.catalog.channel_by_id[action.handle]
    public = Recommendation(
        rank=place.rank,
        offer=offer.id,
        offer_name=Text(zh=offer.names.zh, en=offer.names.en),
        kind=action.kind,
        stage=action.stage,
        reach=action.reach,
        handle=handle.id,
        handle_name=Text(zh=handle.names.zh, en=handle.names.en),
        mode=action.mode,
        route=action.route,
        owner=owner(inputs, handle),
        reasons=rules.phrases.heard_by(audience, place.reasons),
    )
    if audience == "customer":
        return public
    return public.model_copy(
        update={
            "p_start": action.p_start,
            "p_start_is": action.p_start_is,
            "preference": action.preference,
            "completion": action.completion,
            "expected_amount_cny": action.expected_amount_cny,
            "value_cny": action.value_cny,
            "experience": action.experience,
            "score": action.score,
            "propensity": action.propensity,
            "explanation": _explanation(place.contributions),
        }
    )


def _explanation(contributions: Contributions | None) -> Explanation | None:
    if contributions is None:
        return None
    groups = sorted(contributions.groups.items(), key=lambda item: (-abs(item[1]), item[0]))
    return Explanation(
        raw_score=contributions.raw_score,
        bias=contributions.bias,
        groups=tuple(GroupContribution(group=g, contribution=c) for g, c in groups),
    )


def _exclusion(excluded: ExcludedAction, case: Case) -> Exclusion:
    values = _exclusion_values(excluded, case)
    return Exclusion(
        offer=excluded.offer,
        handle=excluded.handle,
        reason=excluded.reason,
        text=case.rules.phrases.text(excluded.reason, values),
    )


def _exclusion_values(excluded: ExcludedAction, case: Case) -> Mapping[str, Value]:
    """Fill in what an exclusion's sentence may name: risk levels, and the days of a refusal."""
    offer = case.rules.catalog.offer_by_id[excluded.offer]
    values: dict[str, Value] = {}
    newest, refusal = case.state.risk_assessment, case.refused.get(offer.id)
    if newest is not None and offer.risk_level is not None:
        values |= {"r": str(offer.risk_level), "c": str(newest.level)}
    if refusal is not None:
        said = case.refusal_until(refusal, offer)
        values["until"] = day_in_words(said, case.today)
        values["date"] = day_in_words(case.refusal_day(refusal), case.today)
    return values
