"""What it takes to go on at each handle from the channel where a customer stands."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from features.catalog import Channel
from serving.decide.policy import Policy

Row = tuple[float, ...]
"""One number a handle, in the order of the rulebook's handles."""


@dataclass(frozen=True)
class Door:
    """A channel as a place to go on from, to each handle.

    ``cost_cny`` is the bank's cost and ``staff_minutes`` the time of its people; ``friction`` and
    ``care_friction`` (0–1) the experience lost, by products and services and by care.
    """

    handles: tuple[str, ...]
    cost_cny: Row
    staff_minutes: Row
    friction: Row
    care_friction: Row

    def staff_cny(self, prices: Mapping[str, float]) -> Row:
        """Price the staff time at each handle; ``prices`` are CNY a minute, none is free."""
        if not prices:
            return (0.0,) * len(self.handles)
        return tuple(
            prices.get(handle, 0.0) * minutes
            for handle, minutes in zip(self.handles, self.staff_minutes, strict=True)
        )


def door_of(reach: Channel, handles: tuple[Channel, ...], policy: Policy) -> Door:
    """Lay out what each handle takes from there; where he is already costs nothing to reach."""
    change, visit = policy.handover_friction, policy.care_visit_friction
    friction = tuple(0.0 if handle.id == reach.id else change for handle in handles)
    return Door(
        handles=tuple(handle.id for handle in handles),
        cost_cny=tuple(0.0 if handle.id == reach.id else handle.cost_cny for handle in handles),
        staff_minutes=tuple(handle.staff_minutes for handle in handles),
        friction=friction,
        care_friction=tuple(
            lost + visit if handle.mode == "offline" != reach.mode else lost
            for lost, handle in zip(friction, handles, strict=True)
        ),
    )
