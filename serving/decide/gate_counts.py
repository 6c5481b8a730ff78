"""What each gate removed and why, counted, for a reviewer."""

from __future__ import annotations

from collections import Counter

from serving.contract import GateCount, Text
from serving.decide.case import Case
from serving.decide.gates import ANY_HANDLE
from serving.decide.record import Decision
from serving.decide.rules import GATES

GATE_CODES = tuple(f"gate_{gate}" for gate in GATES)
"""The code of each gate's sentence."""


def gate_counts(case: Case, decision: Decision) -> tuple[GateCount, ...]:
    """Count gate by gate; what a gate removed by reason adds up to what it removed."""
    handles = len(case.rules.handles)
    by_gate: dict[str, Counter[str]] = {gate: Counter() for gate in GATES}
    for one in decision.excluded:
        by_gate[one.gate][one.reason] += handles if one.handle == ANY_HANDLE else 1
    counts: list[GateCount] = []
    before = decision.considered.candidates
    for gate in GATES:
        left = getattr(decision.considered, gate)
        said = {"removed": str(before - left), "left": str(left)}
        text = case.rules.phrases.text(f"gate_{gate}", said)
        counts.append(
            GateCount(
                gate=gate,
                removed=before - left,
                left=left,
                by_reason=dict(by_gate[gate].most_common()),
                text=text or Text(zh="", en=""),
            )
        )
        before = left
    return tuple(counts)
