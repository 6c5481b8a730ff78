"""What customers do besides applying: log in, look at products, come by, ask, get served."""

from __future__ import annotations

import numpy as np
from scipy.special import softmax

from experiments.simulated_bank import truth
from experiments.simulated_bank.journeys import Journeys
from experiments.simulated_bank.luck import Floats, Ints
from experiments.simulated_bank.recorder import Recorder
from experiments.simulated_bank.state import State, desk_time
from experiments.simulated_bank.timeline import DAY, HOUR, SECOND

_BROWSABLE_NEED = 1.1
"""How strongly what is looked at follows the need for it; the rest is curiosity."""


def be_active(state: State, recorder: Recorder, org: Ints) -> None:
    """Logins, browsing, visits, calls, inquiries and servicing of one month."""
    _log_in(state, recorder)
    _browse(state, recorder)
    _come_by(state, recorder, org)
    for kind, stage, mean in (
        ("inquiry", "inquiry", state.parameters.config.activity.inquiries),
        ("service", "servicing", state.parameters.config.activity.services),
    ):
        _get_served(state, recorder, org, kind, stage, mean)


def _repeat(state: State, mean: Floats, purpose: str, most: int) -> tuple[Ints, Ints]:
    """Give customer and running number of each of a Poisson number of events."""
    count = state.luck.poisson(
        np.where(state.present, mean, 0.0), purpose, np.arange(len(state.people)), state.month,
        most=most,
    )  # fmt: skip
    customer = np.repeat(np.arange(len(count)), count)
    number = np.arange(len(customer)) - np.repeat(np.cumsum(count) - count, count)
    return customer, number


def _moments(state: State, customer: Ints, number: Ints, purpose: str, online: bool) -> Ints:
    timeline = state.parameters.timeline
    drawn = state.luck.uniform(f"{purpose} day", customer, state.month, number)
    day = timeline.day(state.month) + (drawn * timeline.days(state.month)).astype(np.int64)
    clock = state.luck.uniform(f"{purpose} clock", customer, state.month, number)
    moment = desk_time(state, day, clock, np.full(len(customer), online))
    return np.asarray(
        np.maximum(moment, state.people.joined_us[customer] + 1 + number * 60 * SECOND)
    )


def _log_in(state: State, recorder: Recorder) -> None:
    parameters = state.parameters
    app = parameters.channel("mobile_bank")
    mean = parameters.config.activity.logins * np.exp(0.9 * state.people.ease) * 1.25
    customer, number = _repeat(
        state, np.where(state.reachable[:, app], mean, 0.0), "logins", most=9
    )
    moment = _moments(state, customer, number, "login", online=True)
    drawn = state.luck.uniform("login length", customer, state.month, number)
    recorder.add(
        "interactions", customer, moment, kind="login", channel=app,
        session_id=recorder.sessions(len(customer)), duration_s=np.round(20 + 300 * drawn**2),
    )  # fmt: skip


def _browse(state: State, recorder: Recorder) -> None:
    """Products looked at: more of what is needed, whether or not anything comes of it."""
    parameters, people = state.parameters, state.people
    app, wechat = parameters.channel("mobile_bank"), parameters.channel("wechat_bank")
    signal = min(parameters.config.signal, 1.0)
    online = state.reachable[:, app] | state.reachable[:, wechat]
    mean = parameters.config.activity.browses * np.exp(0.8 * people.ease) * 1.2
    customer, number = _repeat(state, np.where(online, mean, 0.0), "browses", most=6)
    interest = signal * _BROWSABLE_NEED * state.need[customer][:, parameters.need_position]
    chance = softmax(interest, axis=1) * parameters.is_product
    product = state.luck.choice(chance, "browsed", customer, state.month, number)
    _write_browsing(state, recorder, customer, number, product, _moments(
        state, customer, number, "browse", online=True))  # fmt: skip


def _write_browsing(
    state: State, recorder: Recorder, customer: Ints, number: Ints, product: Ints, moment: Ints
) -> None:
    parameters = state.parameters
    app, wechat = parameters.channel("mobile_bank"), parameters.channel("wechat_bank")
    drawn = state.luck.uniform("browse length", customer, moment, number)
    in_app = state.reachable[customer, app] & (~state.reachable[customer, wechat] | (drawn < 0.8))
    recorder.add(
        "interactions", customer, moment, kind="browse",
        channel=np.where(in_app, app, wechat), product=parameters.offer_code[product],
        session_id=recorder.sessions(len(customer)), duration_s=np.round(15 + 240 * drawn),
    )  # fmt: skip


def browse_before(state: State, recorder: Recorder, journeys: Journeys) -> None:
    """Who applies by himself has often looked before, in the same month, online."""
    parameters = state.parameters
    if parameters.config.signal == 0:
        return
    app, wechat = parameters.channel("mobile_bank"), parameters.channel("wechat_bank")
    customer, product = journeys.customer, journeys.product
    looks = journeys.organic & (state.reachable[customer, app] | state.reachable[customer, wechat])
    offer = parameters.offer_code[product]
    drawn = state.luck.uniform("looks", customer, state.month, offer)
    looks &= (drawn < 0.35 + 0.3 * state.people.ease[customer]) & parameters.is_product[product]
    back = state.luck.uniform("looked", customer, state.month, offer) ** 2 * 10 * DAY + HOUR
    moment = journeys.began - back.astype(np.int64)
    earliest = np.maximum(state.moment, state.people.joined_us[customer])
    looks &= moment > earliest
    _write_browsing(
        state, recorder, customer[looks], np.full(int(looks.sum()), 99), product[looks],
        moment[looks],
    )  # fmt: skip


def _come_by(state: State, recorder: Recorder, org: Ints) -> None:
    """Visits to the branch and calls to the remote desk."""
    people, parameters = state.people, state.parameters
    activity = parameters.config.activity
    visits = activity.visits * np.exp(-1.1 * people.ease - 0.2 * people.distance)
    for kind, channels, mean, purpose in (
        ("visit", ("lobby_manager", "teller"), visits, "visits"),
        ("call", ("remote_agent",), activity.calls * np.ones(len(people)), "calls"),
    ):
        customer, number = _repeat(state, mean, purpose, most=4)
        moment = _moments(state, customer, number, purpose, online=False)
        drawn = state.luck.uniform(f"{purpose} wait", customer, state.month, number)
        codes = np.array([parameters.channel(name) for name in channels])
        offline = kind == "visit"
        recorder.add(
            "interactions", customer, moment, kind=kind,
            channel=codes[(drawn * 7919 % 1 * len(codes)).astype(np.int64)],
            session_id=recorder.sessions(len(customer)),
            duration_s=np.round(120 + 900 * (drawn * 104_729 % 1)),
            wait_s=np.round(-(700.0 if offline else 100.0) * np.log(1 - 0.98 * drawn)),
            org_id=np.where(offline, org[customer], -1),
        )  # fmt: skip


def _get_served(
    state: State, recorder: Recorder, org: Ints, kind: str, stage: str, mean: float
) -> None:
    """Inquiries and servicing about an offer, where the customer prefers to have them."""
    parameters = state.parameters
    customer, number = _repeat(state, np.full(len(state.people), mean), kind, most=4)
    signal = min(parameters.config.signal, 1.0)
    interest = signal * 0.7 * state.need[customer][:, parameters.need_position]
    if kind == "service":
        interest = interest + 1.5 * signal * (state.held[customer] > 0)
    chance = softmax(interest, axis=1) * parameters.is_product
    product = state.luck.choice(chance, f"{kind} product", customer, state.month, number)
    easy = np.full(len(customer), parameters.position("bill_autopay"))
    # Asking and being served is simple whatever the product: the door is that of everyday business.
    probability = truth.channel_probabilities(state, customer, easy)
    handle = state.luck.choice(probability, f"{kind} handle", customer, state.month, number)
    online = parameters.handle_mode[handle] == 0
    offline = parameters.handle_mode[handle] == 2
    moment = np.where(
        online,
        _moments(state, customer, number, kind, online=True),
        _moments(state, customer, number, kind, online=False),
    )
    drawn = state.luck.uniform(f"{kind} wait", customer, state.month, number)
    recorder.add(
        "interactions", customer, moment, kind=kind, stage=stage,
        channel=parameters.handle_code[handle], product=parameters.offer_code[product],
        session_id=recorder.sessions(len(customer)), duration_s=np.round(40 + 500 * drawn),
        wait_s=np.where(offline, np.round(-500 * np.log(1 - 0.98 * drawn)), np.nan),
        org_id=np.where(offline, org[customer], -1),
    )  # fmt: skip
