"""Where it goes from here, and to whom."""

from __future__ import annotations

from features.catalog import MODES, Channel
from serving.contract import DecisionOwner, Route
from serving.decide.record import DecisionInputs


def route(reach: Channel, handle: Channel) -> Route:
    """Stay where he is, transfer towards a person, or return.

    Towards a person is online → remote → offline; within one mode, towards more staff time.
    """
    if reach.id == handle.id:
        return "stay"
    here = (MODES.index(reach.mode), reach.staff_minutes)
    there = (MODES.index(handle.mode), handle.staff_minutes)
    return "transfer" if there >= here else "return"


def owner(inputs: DecisionInputs, handle: Channel) -> DecisionOwner:
    """Name who takes it: his own manager where that is the role, else the outlet if offline."""
    own, outlet = inputs.state.owner, inputs.state.outlet
    if own is not None and own.role == handle.id:
        return DecisionOwner(org_id=own.org_id, staff_id=own.staff_id, name=own.name)
    if outlet is not None and handle.mode == "offline":
        return DecisionOwner(org_id=outlet.org_id)
    return DecisionOwner()
