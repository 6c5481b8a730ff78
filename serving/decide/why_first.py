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
"""Least log-odds by which the average customer or a group of features is told to lead."""

TERM_REASONS = 2
"""How many terms of the score are told in words at most."""

LEAST_REST_CNY = 0.01
"""Least sum of the terms not named that is told (CNY)."""

Told = tuple[str, Mapping[str, Value]]
"""A sentence's code and the values of its placeholders."""

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
    "first_explored", *(f"first_{one}" for one in PRECEDENCE), "first_by_average",
    "first_by_model", *(f"term_{term}" for term in TERMS), "term_rest",
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
    told: list[Told] = []
    if decision.explored:
        told.append(("first_explored", {"share": f"{case.rules.policy.exploration.share:.0%}"}))
    if because != "score" or lead >= 0:
        first, second = round(one.score, 2), round(two.score, 2)
        scores = {"a": f"{first:,.2f}", "b": f"{second:,.2f}", "cny": f"{first - second:,.2f}"}
        told.append((f"first_{because}", scores))
    if because == "score":
        largest = _largest(parts)
        for term in largest:
            a, b = RENDERED[term](one, sales[0]), RENDERED[term](two, sales[1])
            told.append((f"term_{term}", {"a": a, "b": b, "cny": f"{parts[term]:+,.2f}"}))
        told += _told_of_the_rest(parts, largest)
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


def _told_of_the_rest(parts: Mapping[ScoreTerm, float], told: list[ScoreTerm]) -> list[Told]:
    """Sum up the parts that no sentence names, or what is told would not add up to the lead."""
    rest = sum(part for term, part in parts.items() if term not in told)
    return [("term_rest", {"cny": f"{rest:+,.2f}"})] if abs(rest) >= LEAST_REST_CNY else []


def _model_lead(one: Contributions | None, two: Contributions | None) -> ModelLead | None:
    if one is None or two is None:
        return None
    return ModelLead(
        lead=one.raw_score - two.raw_score, bias=one.bias - two.bias, groups=group_leads(one, two)
    )


def _told_by_model(model: ModelLead | None) -> list[Told]:
    """Name the group of features that moves the two starts furthest apart, and what it adds to.

    What the average customer would rather start is told too: it may decide alone.
    """
    if model is None:
        return []
    leads: list[tuple[str, float, Mapping[str, Value]]] = [("first_by_average", model.bias, {})]
    named = sorted(model.groups.keys() & _GROUP_NAMES.keys())
    if named:
        group = max(named, key=lambda name: abs(model.groups[name]))
        leads.append(("first_by_model", model.groups[group], {"group": _GROUP_NAMES[group]}))
    return [
        (code, {**said, "value": f"{value:+.2f}", "lead": f"{model.lead:+.2f}"})
        for code, value, said in sorted(leads, key=lambda told: -abs(told[1]))
        if abs(value) >= CLEAR_LEAD
    ]


_GROUP_NAMES = {str(group): Text(zh=zh, en=en) for group, (zh, en) in GROUPS.items()}
