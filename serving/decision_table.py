"""Decisions as a table: one row a place of an answer, made for a notebook.

A customer to whom nothing may be offered keeps one row, with an empty `rank`. What is true of the
whole decision is repeated in each of its rows, so that ``table[table.rank == 1]`` is complete; only
`excluded`, which is long, stands in a decision's first row alone, as `reason offer/handle`
with `*` for every handle. `reasons` are all codes of a place; the texts beside them, by audience
and language, are those that this audience is told, in the order of the answer. Contributions are
log-odds by group of features: `bias` and groups add up to `raw_score`. Money is CNY, shares and
probabilities lie in 0–1, times are UTC.
"""

from __future__ import annotations

from dataclasses import fields
from operator import attrgetter
from typing import Any, cast

import pyarrow as pa

from features.groups import GROUPS
from serving.contract import Audience, Considered, Reason
from serving.decide.answering import heard
from serving.decide.record import (
    Contributions,
    Decision,
    DecisionInputs,
    RankedAction,
    ScoredAction,
)
from serving.decide.rulebook import Rulebook

AUDIENCES: tuple[Audience, ...] = ("customer", "staff", "reviewer")
TERMS = tuple(field.name for field in fields(ScoredAction))
GATES = tuple(Considered.model_fields)
_TEXT, _NUMBER, _TIME = pa.string(), pa.float64(), pa.timestamp("us", tz="UTC")
_TEXTS = {
    f"reasons_{audience}_{language}": pa.list_(_TEXT)
    for audience in AUDIENCES
    for language in ("zh", "en")
}
_WORDS = frozenset({"offer", "kind", "stage", "reach", "handle", "mode", "route", "p_start_is"})
_DECISION: dict[str, pa.DataType] = {
    "decision_id": _TEXT,
    "customer_id": _TEXT,
    "as_of": _TIME,
    "features_as_of": _TIME,
    "channel": _TEXT,
    "release": _TEXT,
    "catalog": _TEXT,
    "policy": _TEXT,
    "degraded": pa.list_(_TEXT),
    "personalised": pa.bool_(),
    "explored": pa.bool_(),
    **{f"considered_{gate}": pa.int32() for gate in GATES},
}
_PLACE: dict[str, pa.DataType] = {
    "rank": pa.int32(),
    **{term: _TEXT if term in _WORDS else _NUMBER for term in TERMS},
    "reasons": pa.list_(_TEXT),
    **_TEXTS,
    "raw_score": _NUMBER,
    "bias": _NUMBER,
    **{f"contribution_{group}": _NUMBER for group in GROUPS},
    "excluded": pa.list_(_TEXT),
}
SCHEMA = pa.schema(list((_DECISION | _PLACE).items()))
"""Columns of the table."""


def decision_table(
    chunk: list[DecisionInputs], decisions: list[Decision], rules: Rulebook
) -> pa.Table:
    """Lay decisions out by `SCHEMA`, in their order."""
    of_decision: list[tuple[Any, ...]] = []
    of_place: list[tuple[Any, ...]] = []
    for inputs, decision in zip(chunk, decisions, strict=True):
        excluded = [one.in_short for one in decision.excluded]
        head = _decision(inputs, decision)
        told = zip(*(heard(decision, rules, audience) for audience in AUDIENCES), strict=True)
        places = [_place(place, texts) for place, texts in zip(decision.ranked, told, strict=True)]
        for number, place in enumerate(places or [_NO_PLACE]):
            of_decision.append(head)
            of_place.append((*place, None if number else excluded))
    columns = [*zip(*of_decision, strict=True), *zip(*of_place, strict=True)]
    return pa.table(
        [pa.array(column, kind.type) for column, kind in zip(columns, SCHEMA, strict=True)],
        schema=SCHEMA,
    )


def _decision(inputs: DecisionInputs, decision: Decision) -> tuple[Any, ...]:
    versions, considered = inputs.versions, decision.considered
    return (
        decision.decision_id,
        inputs.state.customer_id,
        inputs.as_of,
        inputs.features_as_of,
        inputs.channel,
        versions.release,
        versions.catalog,
        versions.policy,
        inputs.degraded,
        decision.personalised,
        decision.explored,
        *_counts(considered),
    )


_counts, _terms = attrgetter(*GATES), attrgetter(*TERMS)
_NO_PLACE = (None,) * (len(_PLACE) - 1)
_NO_CONTRIBUTIONS = (None,) * (2 + len(GROUPS))


def _place(place: RankedAction, told: tuple[tuple[Reason, ...], ...]) -> tuple[Any, ...]:
    """Lay out one place; ``told`` are the reasons that each of `AUDIENCES` hears."""
    action = place.action
    return (
        place.rank,
        *_terms(action),
        [reason.code for reason in place.reasons],
        *(
            [getattr(reason.text, language) for reason in reasons]
            for reasons in told
            for language in ("zh", "en")
        ),
        *_contributions(place.contributions),
    )


def _contributions(found: Contributions | None) -> tuple[float | None, ...]:
    if found is None:
        return cast("tuple[float | None, ...]", _NO_CONTRIBUTIONS)
    groups = found.groups
    return (found.raw_score, found.bias, *(groups.get(group) for group in GROUPS))
