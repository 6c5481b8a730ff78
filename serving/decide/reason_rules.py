"""The register of reasons: a reason is one function that fills its sentence, or has none to say."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from features.catalog import Channel, Offer
from serving.decide.case import Case
from serving.decide.phrases import Value
from serving.decide.valuation import Arm

if TYPE_CHECKING:
    from serving.decide.rulebook import Rulebook


class Shown(NamedTuple):
    """What is recommended in one place: the action, and the offer's arms, best first."""

    case: Case
    arm: Arm
    arms: list[Arm]
    explored: bool


@dataclass(frozen=True)
class Spot:
    """An offer that gets done at a handle, for whoever stands at a channel."""

    rules: Rulebook
    offer: Offer
    handle: Channel
    reach: Channel

    @property
    def changes_door(self) -> bool:
        """Whether one has to go on at another channel."""
        return self.handle.id != self.reach.id


Where = Callable[[Spot], bool]
"""Whether a sentence may apply at a spot at all, whoever the customer is; asked once a spot."""

Says = Callable[[Shown], Mapping[str, Value] | None]
"""The values of a sentence's placeholders; None where it does not apply."""


@dataclass(frozen=True)
class ReasonRule:
    """When a sentence applies; a personal one is never said to who refused personalisation."""

    code: str
    says: Says
    personal: bool
    where: Where


REASON_RULES: list[ReasonRule] = []


def anywhere(_: Spot) -> bool:
    """Nothing but the customer says whether it applies."""
    return True


def reason(code: str, personal: bool = True, where: Where = anywhere) -> Callable[[Says], Says]:
    """Register a function as what makes a reason apply; it is asked at the spots of ``where``."""

    def register(says: Says) -> Says:
        REASON_RULES.append(ReasonRule(code, says, personal, where))
        return says

    return register
