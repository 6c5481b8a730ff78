"""The register of vetoes: a rule is one function, written in the file of its gate.

A rule names the candidates that it vetoes for this customer. The gates ask in their order, and
within a gate the rules in the order they are written; the first that vetoes a candidate gives its
one primary reason code.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Literal

from serving.decide.actions import Actions
from serving.decide.case import Case

Gate = Literal["eligible", "suitable", "deployable", "permitted", "affordable"]
GATES: tuple[Gate, ...] = ("eligible", "suitable", "deployable", "permitted", "affordable")

Vetoes = Callable[[Case], Actions]


@dataclass(frozen=True, eq=False)
class Rule:
    """A veto: its gate, its reason code, and the function that names what it vetoes.

    ``sale``: it forbids selling, so that it does not hold where he is served in what he holds.
    ``contact``: it is about contacting him unasked, so that it is not asked where he came to us.
    """

    gate: Gate
    code: str
    vetoes: Vetoes
    sale: bool
    contact: bool


RULES: dict[Gate, list[Rule]] = {gate: [] for gate in GATES}


def rule(gate: Gate, code: str) -> Callable[[Vetoes], Vetoes]:
    """Register a function as a veto."""
    return _into(gate, code)


def contact_rule(gate: Gate, code: str, sale: bool = False) -> Callable[[Vetoes], Vetoes]:
    """Register a function as a veto of contacting a customer unasked."""
    return _into(gate, code, sale=sale, contact=True)


def sale_rule(gate: Gate, code: str) -> Callable[[Vetoes], Vetoes]:
    """Register a function as a veto of selling; serving what the customer holds sells nothing."""
    return _into(gate, code, sale=True)


@cache
def asked(gate: Gate, outbound: bool) -> tuple[Rule, ...]:
    """The rules of a gate that are asked of a customer, by whether we would go to him unasked."""
    return tuple(one for one in RULES[gate] if outbound or not one.contact)


def _into(
    gate: Gate, code: str, sale: bool = False, contact: bool = False
) -> Callable[[Vetoes], Vetoes]:
    def enter(vetoes: Vetoes) -> Vetoes:
        RULES[gate].append(Rule(gate, code, vetoes, sale, contact))
        return vetoes

    return enter
