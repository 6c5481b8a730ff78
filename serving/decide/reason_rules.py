"""The register of reasons: a reason is one function that fills its sentence, or has none to say."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from serving.decide.case import Case
from serving.decide.phrases import Value
from serving.decide.valuation import Arm


@dataclass(frozen=True)
class Shown:
    """What is recommended in one place: the action, and the offer's arms, best first."""

    case: Case
    arm: Arm
    arms: list[Arm]
    explored: bool

    @property
    def changes_door(self) -> bool:
        """Whether the customer has to go on at another channel."""
        return self.arm.handle.id != self.case.inputs.channel


Says = Callable[[Shown], Mapping[str, Value] | None]
"""The values of a sentence's placeholders; None where it does not apply."""


@dataclass(frozen=True)
class ReasonRule:
    """When a sentence applies; a personal one is never said to who refused personalisation."""

    code: str
    says: Says
    personal: bool


REASON_RULES: list[ReasonRule] = []


def reason(code: str, personal: bool = True) -> Callable[[Says], Says]:
    """Register a function as what makes a reason apply."""

    def register(says: Says) -> Says:
        REASON_RULES.append(ReasonRule(code, says, personal))
        return says

    return register
