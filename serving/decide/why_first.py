"""Why the first place stands before the second, in figures and words, for staff and reviewers."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from features.groups import GROUPS
from serving.contract import ModelLead, ScoreTerm, Text, WhyFirst
from serving.decide.case import Case
from serving.decide.contrast import TERMS, group_leads, score_parts
from serving.decide.phrases import Value
from serving.decide.precedence import PRECEDENCE, Precedence, precedence
from serving.decide.record import Contributions, Decision, ScoredAction

CLEAR_PART = 0.1
"""Least share of the largest part's size that a term of the score needs to be told in words."""

CLEAR_LEAD = 0.1
"""Least log-odds by which a group of features is told to lead."""

TERM_REASONS = 2
"""How many terms of the score are told in words at most."""

Rendered = Callable[[ScoredAction, float], str]
RENDERED: dict[ScoreTerm, Rendered] = {
    "p_start": lambda action, sale: f"{action.p_start:.1%}",
    "completion": lambda action, sale: f"{action.completion:.0%}",
    "sale_value": lambda action, sale: f"{sale:,.2f}",
    "cost": lambda action, sale: f"{action.cost_cny:,.2f}",
    "staff_cost": lambda action, sale: f"{action.staff_cost_cny:,.2f}",
    "preference": lambda action, sale: f"{action.experience + action.friction:.2f}",
    "friction": lambda action, sale: f"{action.friction:.2f}",
}
"""How each term reads, of an action and the value of one sale (CNY)."""

FIRST_CODES = (
    "first_explored", *(f"first_{one}" for one in PRECEDENCE), "first_by_model",
    *(f"term_{term}" for term in TERMS),
)  # fmt: skip
"""Every code of a sentence on the first place."""


def why_first(case: Case, decision: Decision) -> WhyFirst | None:
    """Compare the first two places; None where there are not two.

    The terms of the score and the model are told in words only where the score decided.
    """
    if len(decision.ranked) < 2:
        return None
    one, two = decision.ranked[0].action, decision.ranked[1].action
    sales = _sale_cny(case, one), _sale_cny(case, two)
    parts = score_parts(one, two, sales, case.rules.policy.experience_cny)
    lead = one.score - two.score
    model = _model_lead(decision.ranked[0].contributions, decision.ranked[1].contributions)
    because = _because(case, one, two)
    told: list[tuple[str, Mapping[str, Value]]] = []
    if decision.explored:
        told.append(("first_explored", {"share": f"{case.rules.policy.exploration.share:.0%}"}))
    if because != "score" or lead >= 0:
        scores = {"a": f"{one.score:,.2f}", "b": f"{two.score:,.2f}", "cny": f"{lead:,.2f}"}
        told.append((f"first_{because}", scores))
    if because == "score":
        for term in _largest(parts):
            a, b = RENDERED[term](one, sales[0]), RENDERED[term](two, sales[1])
            told.append((f"term_{term}", {"a": a, "b": b, "cny": f"{parts[term]:+,.2f}"}))
        told += _told_by_model(model)
    said = (case.rules.phrases.reason(code, values) for code, values in told)
    return WhyFirst(
        offer=one.offer,
        over=two.offer,
        because=because,
        explored=decision.explored,
        lead_cny=lead,
        parts=parts,
        model=model,
        reasons=tuple(reason for reason in said if reason is not None),
    )


def _because(case: Case, one: ScoredAction, two: ScoredAction) -> Precedence:
    first, second = (
        precedence(case, case.rules.catalog.offer_by_id[action.offer]) for action in (one, two)
    )
    return first if PRECEDENCE.index(first) < PRECEDENCE.index(second) else "score"


def _sale_cny(case: Case, action: ScoredAction) -> float:
    return case.rules.catalog.offer_by_id[action.offer].value_cny(action.expected_amount_cny)


def _largest(parts: Mapping[ScoreTerm, float]) -> list[ScoreTerm]:
    by_size = sorted(parts, key=lambda term: -abs(parts[term]))[:TERM_REASONS]
    least = CLEAR_PART * abs(parts[by_size[0]])
    return [term for term in by_size if abs(parts[term]) >= least and parts[term] != 0]


def _model_lead(one: Contributions | None, two: Contributions | None) -> ModelLead | None:
    if one is None or two is None:
        return None
    return ModelLead(
        lead=one.raw_score - two.raw_score, bias=one.bias - two.bias, groups=group_leads(one, two)
    )


def _told_by_model(model: ModelLead | None) -> list[tuple[str, Mapping[str, Value]]]:
    """Name the group of features that moves the two starts furthest apart."""
    if model is None or not model.groups:
        return []
    group = max(sorted(model.groups), key=lambda name: abs(model.groups[name]))
    value = model.groups[group]
    if abs(value) < CLEAR_LEAD or group not in _GROUP_NAMES:
        return []
    return [("first_by_model", {"group": _GROUP_NAMES[group], "value": f"{value:+.2f}"})]


_GROUP_NAMES = {str(group): Text(zh=zh, en=en) for group, (zh, en) in GROUPS.items()}
