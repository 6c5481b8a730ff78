"""What contacts lead to besides applications: delivery, answers, refusals, opting out, fatigue."""

from __future__ import annotations

import numpy as np

from experiments.simulated_bank import truth
from experiments.simulated_bank.journeys import Journeys
from experiments.simulated_bank.luck import Bools, Floats, Ints
from experiments.simulated_bank.outreach import DISCRETION, Contacts
from experiments.simulated_bank.recorder import REFUSAL_REASONS, Recorder
from experiments.simulated_bank.state import State
from experiments.simulated_bank.timeline import HOUR, NEVER, SECOND

_FADING = 0.55
"""Share of last month's fatigue that is left a month later."""


def record_contacts(
    state: State, contacts: Contacts, journeys: Journeys, recorder: Recorder
) -> None:
    """Write the contacts with their consequences; who opts out is not contacted there again."""
    parameters, luck = state.parameters, state.luck
    customer, channel = contacts.customer, contacts.channel
    offer = parameters.offer_code[contacts.product]
    arrived = truth.delivered(state, customer, channel)
    drawn = luck.uniform("response", customer, state.month, offer)
    delivered_at = contacts.moment + ((0.2 + 20 * drawn) * 60 * SECOND).astype(np.int64)
    began = _began(state, contacts, journeys)
    answers = arrived & (began > contacts.moment)
    interest = luck.uniform("interest", customer, state.month, offer)
    curious = arrived & ~answers & (interest < 0.06 + 0.05 * (state.people.patience[customer] > 0))
    responded_at = np.where(
        answers, began - SECOND, delivered_at + (drawn * 9 * HOUR).astype(np.int64)
    )
    refuses = arrived & ~answers & ~curious
    refuses &= luck.uniform("refusal", customer, state.month, offer) < _rates(
        state, contacts, "refusal"
    )
    leaves = arrived & ~answers
    leaves &= luck.uniform("opt out", customer, state.month, offer) < _rates(
        state, contacts, "opt_out"
    )
    refused_at = delivered_at + 90 * SECOND
    opted_out_at = delivered_at + HOUR
    reasons = luck.below(len(REFUSAL_REASONS), "reason", customer, state.month, offer)
    tired = state.fatigue[customer] > 1.2
    reasons = np.where(tired & (drawn < 0.6), REFUSAL_REASONS.index("too_many_contacts"), reasons)
    hold_out = recorder.code("contacts", "channel", "none")
    service = np.array([one.kind != "product" for one in parameters.offers])[contacts.product]
    recorder.log.add(
        "contacts",
        contact_id=recorder.contacts(len(customer)),
        customer_id=customer,
        event_time=contacts.moment,
        available_at=contacts.moment + 60 * SECOND,
        channel=np.where(channel == truth.NO_REACH, hold_out, channel),
        offer=offer,
        propensity=contacts.propensity,
        policy=np.where(contacts.source == DISCRETION, 1, 0),
        purpose=np.where(service, 1, 0),
        delivered_at=np.where(arrived, delivered_at, NEVER),
        responded_at=np.where(answers | curious, responded_at, NEVER),
        refused_at=np.where(refuses, refused_at, NEVER),
        refusal_reason=np.where(refuses, reasons, -1),
        opted_out_at=np.where(leaves, opted_out_at, NEVER),
        staff_id=contacts.staff,
    ) if len(customer) else None
    state.consented[customer[leaves], channel[leaves]] = False
    recorder.add(
        "consents", customer[leaves], opted_out_at[leaves], prompt=True,
        channel=channel[leaves], allowed=0,
    )  # fmt: skip
    made = np.bincount(customer[arrived], minlength=len(state.people))
    state.fatigue = _FADING * state.fatigue + made


def _began(state: State, contacts: Contacts, journeys: Journeys) -> Ints:
    """When the customer applied for the offer of the contact this month, `NEVER` if he did not."""
    moment = np.full((len(state.people), len(state.parameters.products)), NEVER)
    moment[journeys.customer, journeys.product] = journeys.began
    return np.asarray(moment[contacts.customer, contacts.product])


def _rates(state: State, contacts: Contacts, what: str) -> Floats:
    """Share that refuses or opts out by channel, more of those contacted often, shape (n,)."""
    parameters = state.parameters
    rate = np.zeros(len(parameters.catalog.channels) + 1)
    for name, reach in parameters.config.reaches.items():
        rate[parameters.channel(name)] = getattr(reach, what)
    tired: Floats = 0.6 + 0.5 * state.fatigue[contacts.customer]
    return np.asarray(rate[contacts.channel] * tired)


def first_permissions(state: State, recorder: Recorder, joining: Bools) -> None:
    """Write consents and reachability of customers when they join (or before the data begins)."""
    parameters, people = state.parameters, state.people
    who = np.nonzero(joining)[0]
    moment = people.joined_us[who] + 600 * SECOND
    for name in (
        "mobile_bank", "push", "wechat_bank", "sms", "ai_call", "human_call", "wecom",
        "remote_agent", "video", "relationship_manager", "wealth_manager", "loan_manager",
    ):  # fmt: skip
        code = parameters.channel(name)
        recorder.add(
            "consents", who, moment + code * SECOND, prompt=True, channel=code,
            allowed=state.consented[who, code].astype(int),
        )  # fmt: skip
        if name in ("relationship_manager", "wealth_manager", "loan_manager"):
            continue
        recorder.add(
            "reachability", who, moment + (60 + code) * SECOND, prompt=True, channel=code,
            reachable=state.reachable[who, code].astype(int),
        )  # fmt: skip
    agrees = state.luck.uniform("personalisation", who) < 0.965
    recorder.add(
        "consents", who, moment + 50 * SECOND, prompt=True,
        channel=recorder.code("consents", "channel", "personalisation"), allowed=agrees.astype(int),
    )  # fmt: skip


def change_access(state: State, recorder: Recorder) -> None:
    """Let some take up the app, follow in WeChat or change their number, from next month on."""
    parameters, people = state.parameters, state.people
    everybody = np.arange(len(people))
    for group, rate in (
        (("mobile_bank", "push", "video"), 0.006),
        (("wechat_bank",), 0.006),
        (("wecom",), 0.008),
        (("sms", "ai_call", "human_call", "remote_agent"), 0.0015),
    ):
        first = parameters.channel(group[0])
        now = state.reachable[:, first]
        eager = np.clip(1 + people.ease, 0.1, 2) if group[0] != "sms" else np.ones(len(people))
        change = np.where(now, 0.25 * rate, rate * eager)
        if group[0] == "sms":
            change = np.where(now, rate, 0.5)
        turns = state.present & (
            state.luck.uniform("access", everybody, state.month, first) < change
        )
        who = everybody[turns]
        drawn = state.luck.uniform("access day", who, state.month, first)
        span = state.parameters.timeline.start(state.month + 1) - state.moment - HOUR
        moment = state.moment + (drawn * span).astype(np.int64)
        moment = np.maximum(moment, people.joined_us[who] + HOUR)
        for name in group:
            code = parameters.channel(name)
            state.reachable[who, code] = ~now[who]
            recorder.add(
                "reachability", who, moment, prompt=True, channel=code,
                reachable=(~now[who]).astype(int),
            )  # fmt: skip
