"""Why: the sentences that apply to one place of the answer, in order of importance."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from features.groups import GROUPS
from serving.contract import Reason
from serving.decide import economics, triggers
from serving.decide.case import Case
from serving.decide.economics import SUM_CODES
from serving.decide.gate_counts import GATE_CODES
from serving.decide.next_steps import STEP_CODES
from serving.decide.phrases import Value
from serving.decide.reason_rules import REASON_RULES, ReasonRule, Shown, Spot
from serving.decide.record import Contributions
from serving.decide.valuation import Arm
from serving.decide.why_first import FIRST_CODES

if TYPE_CHECKING:
    from serving.decide.rulebook import Rulebook

_REASON_FILES = (triggers, economics)  # importing them registers

MODEL_CODES = tuple(code for one in GROUPS for code in (f"model_{one}", f"model_{one}_against"))
"""What is said of each group of features, for an offer and against it."""

GENERAL_CODES = ("non_personal", "popular", "fits_needs")
"""One of them is said where there is nothing else to say."""

ALWAYS_NEEDED = (
    *GENERAL_CODES, *MODEL_CODES, *STEP_CODES, *FIRST_CODES, *SUM_CODES, *GATE_CODES,
)  # fmt: skip
"""Sentences every catalog must have. Those of `REASON_RULES` it may leave unsaid."""

MODEL_REASONS = 2
"""How many groups of features are named at most."""

CLEAR_CONTRIBUTION = 0.1
"""Least log-odds of a group that is named; less moves the odds by under a tenth: no reason."""


def reasons_for(case: Case, arm: Arm, arms: list[Arm], explored: bool) -> tuple[Reason, ...]:
    """All approved sentences that apply, most important first; at least one, for every audience.

    A sentence the catalog has no text for is not approved, so it is not said; nor is one whose
    placeholders are not all known.
    """
    phrases = case.rules.phrases
    shown = Shown(case, arm, arms, explored)
    found: list[Reason] = []
    for rule in case.rules.said_at(arm.offer, arm.handle, case.reach, case.personal):
        values: Mapping[str, Value] | None = rule.says(shown)
        if values is None:
            continue
        reason = phrases.reason(rule.code, values)
        if reason is not None:
            found.append(reason)
    found.append(phrases.fixed[_general_code(case, arm)])
    return phrases.sort(found)


def said_at(spot: Spot, personal: bool) -> tuple[ReasonRule, ...]:
    """The rules that may apply there and have an approved sentence for such an answer."""
    return tuple(
        rule
        for rule in REASON_RULES
        if rule.code in spot.rules.phrases.by_code
        and (personal or not rule.personal)
        and rule.where(spot)
    )


def model_reasons(contributions: Contributions, rules: Rulebook) -> list[Reason]:
    """Name the groups of features that speak most for the offer (at least `CLEAR_CONTRIBUTION`).

    The code is ``model_<group>``; equal contributions stand in alphabetical order.
    """
    clear = sorted(
        (-value, group)
        for group, value in contributions.groups.items()
        if value >= CLEAR_CONTRIBUTION
    )[:MODEL_REASONS]
    said = (rules.phrases.fixed.get(f"model_{group}") for _, group in clear)
    return [reason for reason in said if reason is not None]


def reason_codes() -> tuple[str, ...]:
    """Every code a reason rule can give."""
    return (*(rule.code for rule in REASON_RULES), *ALWAYS_NEEDED)


def _general_code(case: Case, arm: Arm) -> str:
    if not case.personal:
        return "non_personal"
    return "popular" if arm.prospect.p_start_is == "popularity" else "fits_needs"
