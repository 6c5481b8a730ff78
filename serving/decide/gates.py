"""The five gates in their order: what passes, what is removed, and by which one rule."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from itertools import chain

from serving.contract import Considered
from serving.decide import affordable, deployable, eligible, permitted, suitable
from serving.decide.actions import Actions, ActionSets, Row
from serving.decide.case import Case
from serving.decide.once import once
from serving.decide.record import ExcludedAction
from serving.decide.rules import GATES, RULES, Rule, asked

_GATE_FILES = (eligible, suitable, deployable, permitted, affordable)  # importing them registers

ANY_HANDLE = "*"
"""Handle of an exclusion that holds at every channel for the same reason."""


@dataclass(frozen=True)
class Sifted:
    """What is left of the candidates, and what each rule removed, in the order of the gates.

    Every candidate is in ``alive`` or in one of ``removed``, and in one only.
    """

    sets: ActionSets
    alive: Actions
    removed: tuple[tuple[Rule, Actions], ...]
    considered: Considered

    @property
    def survivors(self) -> dict[str, tuple[int, ...]]:
        """By offer the places of the handles that are left, in catalog order."""
        sets = self.sets
        return {offer: sets.places(row) for offer, row in sets.rows(self.alive)}

    @once
    def excluded(self) -> tuple[ExcludedAction, ...]:
        """Each removed candidate as it stands in the record.

        One entry with handle `*` stands for all handles of an offer where the reason is the same.
        """
        written = (_written(by, self.sets, actions) for by, actions in self.removed)
        return tuple(chain.from_iterable(written))


def sift(case: Case) -> Sifted:
    """Send every offer at every handle channel through the gates.

    Serving what the customer holds sells nothing: there the vetoes of sales (risk, age,
    cool-down, complaint…) do not hold, those of channels and of the scorecard do.
    """
    alive, unsold = case.sets.everything, ~case.served
    removed: list[tuple[Rule, Actions]] = []
    left: dict[str, int] = {}
    for gate in GATES:
        for one in asked(gate, case.outbound):
            vetoed = one.vetoes(case) & alive
            if one.sale:
                vetoed &= unsold
            if vetoed:
                removed.append((one, vetoed))
                alive &= ~vetoed
        left[gate] = alive.bit_count()
    considered = Considered(candidates=case.sets.everything.bit_count(), **left)
    return Sifted(case.sets, alive, tuple(removed), considered)


def exclusion_codes() -> tuple[str, ...]:
    """Every reason code a gate can give, gate by gate."""
    return tuple(dict.fromkeys(one.code for gate in GATES for one in RULES[gate]))


@lru_cache(maxsize=2**13)
def _written(by: Rule, sets: ActionSets, actions: Actions) -> tuple[ExcludedAction, ...]:
    """Write out what a rule removed; many customers lose the same to it."""
    rows = sets.rows(actions)
    return tuple(one for offer, row in rows for one in _excluded(by, sets, offer, row))


@lru_cache(maxsize=2**16)  # the same few thousand, for millions of customers
def _excluded(by: Rule, sets: ActionSets, offer: str, row: Row) -> tuple[ExcludedAction, ...]:
    everywhere = row == sets.row
    handles = (ANY_HANDLE,) if everywhere else tuple(sets.handles[at].id for at in sets.places(row))
    return tuple(
        ExcludedAction(offer=offer, handle=one, gate=by.gate, reason=by.code) for one in handles
    )
