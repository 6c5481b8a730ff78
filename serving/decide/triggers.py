"""Reasons that lie in the customer's situation: what happened, what is due, who looks after him."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, timedelta
from functools import lru_cache

from serving.contract import Text
from serving.decide.affordable import has_minutes
from serving.decide.calendar_days import local_day, utc
from serving.decide.next_steps import is_person
from serving.decide.phrases import STAGE_NAMES, Value
from serving.decide.reason_rules import Shown, Spot, reason

WEEKDAYS_ZH = "一二三四五六日"
WEEKDAYS_EN = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
MONTHS_EN = (
    "January", "February", "March", "April", "May", "June", "July", "August", "September",
    "October", "November", "December",
)  # fmt: skip


def _is_care_for_a_complaint(spot: Spot) -> bool:
    return spot.offer.id == spot.rules.policy.services.complaint


def _is_risk_assessment(spot: Spot) -> bool:
    return spot.offer.id == spot.rules.policy.services.risk_assessment


def _is_at_a_manager(spot: Spot) -> bool:
    return spot.handle.id in spot.rules.policy.doors.managers


def _is_at_this_counter(spot: Spot) -> bool:
    return spot.handle.id in spot.rules.policy.doors.counters and not spot.changes_door


@reason("complaint_follow_up", where=_is_care_for_a_complaint)
def settles_complaint(shown: Shown) -> Mapping[str, Value] | None:
    """His complaint comes before anything else."""
    return _complaint(shown)


@reason("complaint_first", where=_is_care_for_a_complaint)
def staff_settle_complaint(shown: Shown) -> Mapping[str, Value] | None:
    """Say the same as staff are told it."""
    return _complaint(shown)


@reason("asked_for", personal=False)
def asked_for(shown: Shown) -> Mapping[str, Value] | None:
    """Say that it is what he came for."""
    return {} if shown.case.intent_offer == shown.arm.offer.id else None


@reason(
    "maturity_soon",
    where=lambda spot: spot.offer.category in spot.rules.policy.triggers.maturity_categories,
)
def matures_soon(shown: Shown) -> Mapping[str, Value] | None:
    """Money of his comes free soon, and this offer could take it."""
    case, triggers = shown.case, shown.case.rules.policy.triggers
    last = case.today + timedelta(days=triggers.maturity_days)
    due = [
        (local_day(holding.maturity_at, case.zone), place, holding.offer)
        for place, holding in enumerate(case.state.holdings)
        if holding.maturity_at is not None and utc(holding.maturity_at) >= case.now
    ]
    soon = [one for one in due if one[0] <= last]
    if not soon:
        return None
    day, _, offer = min(soon)
    known = case.rules.catalog.offer_by_id.get(offer)
    if known is None:
        return None
    return {"product": known.names, "date": day_in_words(day, case.today)}


@reason("application_resume")
def resumes_application(shown: Shown) -> Mapping[str, Value] | None:
    """He broke this application off and can go on where he stopped."""
    broken, offer = shown.case.state.broken_application, shown.arm.offer
    if broken is None or broken.offer != offer.id:
        return None
    return {"stage": STAGE_NAMES[shown.case.stages[offer.id]]}


@reason("risk_test_due", where=_is_risk_assessment)
def renews_assessment(shown: Shown) -> Mapping[str, Value] | None:
    """His risk assessment expires soon."""
    return None if shown.case.assessment_expired else _assessment_until(shown)


@reason("risk_test_expired", where=_is_risk_assessment)
def repeats_expired_assessment(shown: Shown) -> Mapping[str, Value] | None:
    """His risk assessment no longer counts."""
    return _assessment_until(shown) if shown.case.assessment_expired else None


@reason("risk_test_missing", where=_is_risk_assessment)
def takes_first_assessment(shown: Shown) -> Mapping[str, Value] | None:
    """He never took a risk assessment."""
    case = shown.case
    first = case.assessment_valid_until is None and not case.not_known("risk_assessments")
    return {} if first else None


@reason(
    "id_check",
    personal=False,
    where=lambda spot: spot.offer.id == spot.rules.policy.services.identity,
)
def checks_identity(_: Shown) -> Mapping[str, Value] | None:
    """Say that the counter checks who he is."""
    return {}


@reason("benefit_ready", where=lambda spot: spot.offer.id == spot.rules.policy.services.benefit)
def claims_benefit(shown: Shown) -> Mapping[str, Value] | None:
    """His tier has benefits to claim."""
    return None if shown.case.unknown else {}


@reason("own_rm")
def goes_to_own_manager(shown: Shown) -> Mapping[str, Value] | None:
    """Name the one who looks after him and follows up."""
    own = shown.case.state.owner
    if own is None or own.name is None or own.role != shown.arm.handle.id:
        return None
    return {"name": own.name}


@reason("capacity_handover", where=_is_at_a_manager)
def manager_is_full(shown: Shown) -> Mapping[str, Value] | None:
    """His own manager has no time today, so another one takes it."""
    case, handle = shown.case, shown.arm.handle
    own, managers = case.state.owner, case.rules.policy.doors.managers
    if own is None or own.name is None or own.role not in managers:
        return None
    if own.role == handle.id or has_minutes(case, case.rules.catalog.channel_by_id[own.role]):
        return None
    due = day_in_words(case.today + timedelta(days=1), case.today)
    return {"name": own.name, "team": handle.names, "due": due}


@reason("senior_care", where=lambda spot: is_person(spot.rules, spot.handle))
def is_served_by_a_person(shown: Shown) -> Mapping[str, Value] | None:
    """Say that a senior is served by a person, where it is one and no machine."""
    return {} if shown.case.senior else None


@reason(
    "idle_cash",
    where=lambda spot: (
        spot.offer.tenor_days is None
        and spot.offer.category in spot.rules.policy.triggers.idle_cash_categories
    ),
)
def has_idle_cash(shown: Shown) -> Mapping[str, Value] | None:
    """Much money lies on his current account; this offer could take it, and give it back any day.

    What binds money for a tenor is not on demand, which the sentence speaks of.
    """
    case, triggers = shown.case, shown.case.rules.policy.triggers
    return {} if (case.state.demand_cny or 0.0) >= triggers.idle_cash_cny else None


@reason(
    "tier_gap",
    where=lambda spot: spot.offer.category in spot.rules.policy.triggers.tier_gap_categories,
)
def is_close_to_next_tier(shown: Shown) -> Mapping[str, Value] | None:
    """Say that a little more with us lifts him to the next service tier."""
    case, triggers = shown.case, shown.case.rules.policy.triggers
    assets = case.state.assets_cny
    if assets is None:
        return None
    higher = next((tier for tier in case.rules.policy.tiers if tier.from_cny > assets), None)
    if higher is None or higher.from_cny - assets > triggers.tier_gap_share * higher.from_cny:
        return None
    gap = f"{higher.from_cny - assets:,.0f}"
    amount = Text(zh=f"{gap}元", en=f"{gap} yuan")
    return {"tier": higher.names, "amount": amount}


@reason("switch_channel", where=lambda spot: spot.handle.id == spot.rules.policy.doors.wecom)
def does_not_pick_up(shown: Shown) -> Mapping[str, Value] | None:
    """Say that calls were not answered, so it is WeCom."""
    case, policy = shown.case, shown.case.rules.policy
    calls = [c for c in case.state.contacts if c.channel in policy.doors.calls and not c.responded]
    return {} if len(calls) >= policy.triggers.unanswered_calls else None


@reason(
    "app_can_finish",
    personal=False,
    where=lambda spot: spot.changes_door and spot.handle.id == spot.rules.policy.doors.app,
)
def app_finishes_it(shown: Shown) -> Mapping[str, Value] | None:
    """Say that the app does this step, no visit needed."""
    cell = shown.case.cell(shown.arm.offer, shown.arm.handle)
    if cell is None or cell.minutes is None:
        return None
    return {"minutes": str(cell.minutes)}


@reason(
    "video_ok",
    personal=False,
    where=lambda spot: spot.handle.id == spot.rules.policy.doors.video,
)
def video_is_enough(shown: Shown) -> Mapping[str, Value] | None:
    """Say that the interview can be held by video."""
    return {} if shown.case.stages[shown.arm.offer.id] == "interview" else None


@reason(
    "must_visit",
    personal=False,
    where=lambda spot: spot.handle.mode == "offline" != spot.reach.mode,
)
def must_come_in_person(shown: Shown) -> Mapping[str, Value] | None:
    """No channel but the outlet may do this step, and he is not in one."""
    case, offer = shown.case, shown.arm.offer
    for handle in case.rules.handles:
        cell = case.cell(offer, handle)
        if handle.mode != "offline" and cell is not None and cell.allowed:
            return None
    return {}


@reason("specialist", personal=False, where=_is_at_a_manager)
def specialist_helps(shown: Shown) -> Mapping[str, Value] | None:
    """Many steps, so a specialist goes along."""
    case, handle = shown.case, shown.arm.handle
    own = case.state.owner
    if not _has_many_steps(shown):
        return None
    if own is not None and own.role == handle.id and own.name is not None and case.personal:
        return None  # own_rm names the person
    return {"role": handle.names}


@reason("demo_help", personal=False, where=_is_at_this_counter)
def agent_shows_the_steps(shown: Shown) -> Mapping[str, Value] | None:
    """At the counter a remote agent can show how it goes."""
    return {} if _has_many_steps(shown) else None


@lru_cache(maxsize=1024)
def day_in_words(day: date, today: date) -> Text:
    """Say a day as people do, with its weekday; the year only where it is another one.

    >>> day_in_words(date(2026, 7, 3), date(2026, 7, 1))
    Text(zh='7月3日(周五)', en='Friday 3 July')
    """
    year_zh, year_en = ("", "") if day.year == today.year else (f"{day.year}年", f" {day.year}")
    weekday = day.weekday()
    return Text(
        zh=f"{year_zh}{day.month}月{day.day}日(周{WEEKDAYS_ZH[weekday]})",
        en=f"{WEEKDAYS_EN[weekday]} {day.day} {MONTHS_EN[day.month - 1]}{year_en}",
    )


def _complaint(shown: Shown) -> Mapping[str, Value] | None:
    return {} if shown.case.complaint_open else None


def _assessment_until(shown: Shown) -> Mapping[str, Value] | None:
    case = shown.case
    until = case.assessment_valid_until
    return None if until is None else {"date": day_in_words(until, case.today)}


def _has_many_steps(shown: Shown) -> bool:
    case, arm = shown.case, shown.arm
    cell = case.cell(arm.offer, arm.handle)
    least = case.rules.policy.triggers.many_steps
    return cell is not None and cell.steps is not None and cell.steps >= least
