"""What staff do now: the hand-over or the handling in one sentence, and what need not be asked."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

from features.catalog import Channel, Offer, Stage
from serving.contract import Reason, Text
from serving.decide.case import Case
from serving.decide.phrases import STAGE_NAMES, Value
from serving.decide.record import ScoredAction
from serving.decide.routing import owner

if TYPE_CHECKING:
    from serving.decide.rulebook import Rulebook

STEPS = (
    "next_care", "next_care_handover", "next_here", "next_self", "next_to_manager",
    "next_to_outlet", "next_to_counter", "next_to_remote", "next_back",
)  # fmt: skip
GIVEN = ("next_resume", "next_said")
STEP_CODES = (*STEPS, *GIVEN)
"""Every code a next step can have."""


def next_steps(case: Case, action: ScoredAction) -> tuple[Reason, ...]:
    """Say what to do with one place now, and, where there is some, what is known already.

    It follows from the route (stay, transfer, return), the mode of the channel, the stage and who
    takes it; a hand-over says that the customer need not repeat himself.
    """
    rules = case.rules
    offer = rules.catalog.offer_by_id[action.offer]
    handle, sold = rules.catalog.channel_by_id[action.handle], offer.kind == "product"
    values: dict[str, Value] = {
        "task": _task(offer.names.zh, offer.names.en, action.stage if sold else None),
        "handle": handle.names,
        "stage": STAGE_NAMES[action.stage],
    }
    taker = owner(case.inputs, handle).name
    if taker is not None:
        values["name"] = taker
    codes = (_step(case, action, handle, taker), *_given(case, offer, action))
    said = (rules.phrases.reason(code, values) for code in codes)
    return tuple(reason for reason in said if reason is not None)


def is_person(rules: Rulebook, handle: Channel) -> bool:
    """Whether a person serves the customer at a channel, and no machine nor he himself."""
    return handle.staff_minutes > 0 and handle.id not in rules.policy.doors.machines


@lru_cache(maxsize=1024)
def _task(zh: str, en: str, stage: Stage | None) -> Text:
    """Name what is to be done: the offer and its step; a service is one step."""
    if stage is None:
        return Text(zh=zh, en=en)
    step = STAGE_NAMES[stage]
    return Text(zh=f"{zh}({step.zh})", en=f"{en}, {step.en}")


def _step(case: Case, action: ScoredAction, handle: Channel, taker: str | None) -> str:
    stays, person = action.route == "stay", is_person(case.rules, handle)
    if action.kind == "care" and person:
        return "next_care" if stays else "next_care_handover"
    if stays:
        return "next_here" if person else "next_self"
    if not person and handle.mode == "online":
        return "next_back"
    if taker is not None:
        return "next_to_manager"
    if handle.mode == "remote":
        return "next_to_remote"
    reach = case.rules.catalog.channel_by_id[action.reach]
    return "next_to_counter" if reach.mode == "offline" else "next_to_outlet"


def _given(case: Case, offer: Offer, action: ScoredAction) -> tuple[str, ...]:
    broken = case.state.broken_application
    if case.personal and broken is not None and broken.offer == offer.id:
        return ("next_resume",)
    asked = case.intent_offer == offer.id
    return ("next_said",) if asked and action.route != "stay" else ()
