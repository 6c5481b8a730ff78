"""The answer as its audience may read it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import date
from functools import lru_cache

from pydantic import TypeAdapter

from serving.contract import (
    Audience,
    Exclusion,
    Explanation,
    GroupContribution,
    Reason,
    Recommendation,
    RecommendResponse,
    Text,
)
from serving.decide.case import Case, make_case
from serving.decide.economics import economics
from serving.decide.gate_counts import gate_counts
from serving.decide.next_steps import next_steps
from serving.decide.phrases import Value
from serving.decide.reasons import CLEAR_CONTRIBUTION
from serving.decide.record import (
    Contributions,
    Decision,
    DecisionRecord,
    RankedAction,
)
from serving.decide.routing import owner
from serving.decide.rulebook import Rulebook
from serving.decide.triggers import day_in_words
from serving.decide.why_first import why_first

_ANSWER = TypeAdapter(RecommendResponse)  # gives bytes, and not text to be encoded again
TOLD_INSIDE = (
    "p_start", "p_start_is", "preference", "completion", "expected_amount_cny", "value_cny",
    "experience", "score", "propensity",
)  # fmt: skip
"""Terms of an action that staff and reviewers see."""


def answer(
    record: DecisionRecord, rules: Rulebook, audience: Audience | None = None
) -> RecommendResponse:
    """Render a stored decision for an audience (default: the one it was asked by).

    A customer sees what, where, who and the sentences approved for customers; never a score, a
    contribution, an exclusion or a count. Staff see all of them, the next step, and why the first
    place stands before the second; a reviewer also reads the sums, what each gate removed, and the
    sentences meant for reviewers. At most three reasons a place, at least one; a fact about the
    customer is told at the first place it is a reason for.
    """
    inputs, decision = record.inputs, record.decision
    audience = audience or inputs.audience
    inside, review = audience != "customer", audience == "reviewer"
    case = make_case(inputs, rules)
    reasons_told = heard(decision, rules, audience)
    return RecommendResponse(
        decision_id=decision.decision_id,
        customer_id=inputs.state.customer_id,
        as_of=case.now,
        features_as_of=inputs.features_as_of,
        degraded=bool(inputs.degraded),
        degraded_because=inputs.degraded if inside and inputs.degraded else None,
        personalised=decision.personalised,
        explored=decision.explored if inside else None,
        versions=inputs.versions,
        considered=decision.considered if inside else None,
        gates=gate_counts(case, decision) if review else None,
        why_first=why_first(case, decision) if inside else None,
        recommendations=tuple(
            _place(place, reasons, case, audience)
            for place, reasons in zip(decision.ranked, reasons_told, strict=True)
        ),
        no_contact_because=_no_contact(record) if inside else None,
        excluded=_exclusions(decision, case) if inside else None,
    )


def answer_bytes(
    record: DecisionRecord, rules: Rulebook, audience: Audience | None = None
) -> bytes:
    """Render the answer as it is stored and sent: what an audience may not see is absent."""
    return _ANSWER.dump_json(answer(record, rules, audience), exclude_defaults=True)


def _no_contact(record: DecisionRecord) -> tuple[str, ...] | None:
    """Say what held back a planned contact: the codes of its offer, each once, gate by gate."""
    inputs, decision = record.inputs, record.decision
    if inputs.direction == "inbound" or decision.ranked:
        return None
    wanted = None if inputs.intent is None else inputs.intent.offer
    codes = [one.reason for one in decision.excluded if wanted in (None, one.offer)]
    return tuple(dict.fromkeys(codes))


def heard(decision: Decision, rules: Rulebook, audience: Audience) -> list[tuple[Reason, ...]]:
    """Pick the reasons of each place, telling no fact twice where there is another to tell."""
    told: set[str] = set()
    by_place: list[tuple[Reason, ...]] = []
    for place in decision.ranked:
        reasons = rules.phrases.heard_by(audience, place.reasons, told)
        told.update(fact for fact in map(rules.phrases.fact, reasons) if fact is not None)
        by_place.append(reasons)
    return by_place


def _place(
    place: RankedAction, reasons: tuple[Reason, ...], case: Case, audience: Audience
) -> Recommendation:
    action, rules = place.action, case.rules
    offer = rules.catalog.offer_by_id[action.offer]
    handle = rules.catalog.channel_by_id[action.handle]
    public = Recommendation(
        rank=place.rank,
        offer=offer.id,
        offer_name=_text(offer.names.zh, offer.names.en),
        kind=action.kind,
        stage=action.stage,
        reach=action.reach,
        handle=handle.id,
        handle_name=_text(handle.names.zh, handle.names.en),
        mode=action.mode,
        route=action.route,
        owner=owner(case.inputs, handle),
        reasons=reasons,
    )
    if audience == "customer":
        return public
    return replace(
        public,
        **{term: getattr(action, term) for term in TOLD_INSIDE},
        next_steps=next_steps(case, action),
        economics=economics(case, action) if audience == "reviewer" else None,
        explanation=_explanation(place.contributions, rules, audience),
    )


def _explanation(
    contributions: Contributions | None, rules: Rulebook, audience: Audience
) -> Explanation | None:
    if contributions is None:
        return None
    groups = sorted(contributions.groups.items(), key=lambda item: (-abs(item[1]), item[0]))
    return Explanation(
        raw_score=contributions.raw_score,
        bias=contributions.bias,
        groups=tuple(
            GroupContribution(
                group=group, contribution=value, text=_said(group, value, rules, audience)
            )
            for group, value in groups
        ),
    )


def _said(group: str, value: float, rules: Rulebook, audience: Audience) -> Text | None:
    """Say what a group's contribution means, where it is enough to speak of."""
    code = f"model_{group}" if value > 0 else f"model_{group}_against"
    if abs(value) < CLEAR_CONTRIBUTION or code not in rules.phrases.heard[audience]:
        return None
    return rules.phrases.text(code, {})


def _exclusions(decision: Decision, case: Case) -> tuple[Exclusion, ...]:
    phrases = case.rules.phrases
    filled: dict[tuple[str, str], Text | None] = {}
    told: list[Exclusion] = []
    for one in decision.excluded:
        text = phrases.by_code[one.reason].fixed
        if text is None:
            key = one.offer, one.reason
            if key not in filled:
                filled[key] = phrases.text(
                    one.reason, exclusion_values(one.offer, one.reason, case)
                )
            text = filled[key]
        zh, en = (None, None) if text is None else (text.zh, text.en)
        told.append(_exclusion(one.offer, one.handle, one.reason, zh, en))
    return tuple(told)


# A decision removes some seventy actions, for reasons that many customers share: remembering the
# objects by their content is most of what makes an answer cheap (making one costs ten look-ups,
# with `model_construct` twenty).
@lru_cache(maxsize=16_384)
def _exclusion(offer: str, handle: str, reason: str, zh: str | None, en: str | None) -> Exclusion:
    text = None if zh is None or en is None else Text(zh=zh, en=en)
    return Exclusion(offer=offer, handle=handle, reason=reason, text=text)


@lru_cache(maxsize=1024)
def _text(zh: str, en: str) -> Text:
    return Text(zh=zh, en=en)


def exclusion_values(name: str, reason: str, case: Case) -> Mapping[str, Value]:
    """Fill in what an offer's exclusion may name: risk levels, days of a hold, contacts made."""
    offer = case.rules.catalog.offer_by_id[name]
    values: dict[str, Value] = {}
    newest, refusal = case.state.risk_assessment, case.refused.get(offer.id)
    if newest is not None and offer.risk_level is not None:
        values |= {"r": str(offer.risk_level), "c": str(newest.level)}
    if refusal is not None:
        said = case.refusal_until(refusal, offer)
        values["until"] = day_in_words(said, case.today)
        values["date"] = day_in_words(case.refusal_day(refusal), case.today)
    if reason == "fatigue_hold":
        values["n"] = str(len(case.unanswered))
    until = _hold_ends(reason, case)
    if until is not None:
        values["until"] = day_in_words(until, case.today)
    return values


def _hold_ends(reason: str, case: Case) -> date | None:
    """Tell the day a hold ends that is no refusal; None where it has no end."""
    if reason == "rating_raised_lately":
        return case.rating_held_until
    if reason not in ("contact_cap", "channel_cap"):
        return None
    free = case.contact_from if reason == "contact_cap" else case.channel_from
    return None if free == date.max else free
