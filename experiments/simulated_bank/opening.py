"""The first day: what customers hold, who can be reached, and the constants of the intercepts."""

from __future__ import annotations

import numpy as np
from scipy.special import expit

from experiments.simulated_bank import truth
from experiments.simulated_bank.journeys import draw_amounts
from experiments.simulated_bank.luck import Bools, Floats, Luck
from experiments.simulated_bank.money import falling_due
from experiments.simulated_bank.parameters import Parameters
from experiments.simulated_bank.people import People
from experiments.simulated_bank.state import Book, State, desk_time, maturity_of
from experiments.simulated_bank.timeline import HOUR, NEVER

_ALWAYS_REACHED = (
    "smart_counter", "teller", "lobby_manager", "relationship_manager", "wealth_manager",
    "loan_manager",
)  # fmt: skip
_CONSENT_SHARE = {
    "push": 0.90, "wechat_bank": 0.93, "sms": 0.92, "ai_call": 0.72, "human_call": 0.82,
    "wecom": 0.93, "remote_agent": 0.95, "video": 0.90,
}  # fmt: skip
_PAST_YEARS = 3


def open_bank(parameters: Parameters, people: People, luck: Luck, managed: Bools) -> State:
    """Make the state at the first moment of month 0, intercepts left open."""
    number = len(people)
    state = State(
        parameters=parameters,
        people=people,
        luck=luck,
        intercept=np.zeros(len(parameters.products)),
        month=0,
        present=people.join_month == 0,
        need=first_needs(parameters, people, luck),
        demand=first_demand(people),
        book=Book(),
        held=np.zeros((number, len(parameters.products)), dtype=np.int64),
        maturing=np.zeros(number),
        inflow=np.zeros(number),
        fatigue=np.zeros(number),
        last_handle=np.full(number, -1),
        reachable=_reachable(parameters, people, luck, managed),
        consented=_consented(parameters, number, luck),
        assessment_expires=np.full(number, NEVER),
        benefit=np.zeros(number),
        managed=managed,
        overdue_days=np.zeros(number, dtype=np.int64),
    )
    _fill_book(state)
    state.held = state.count_held()
    state.maturing = falling_due(state)
    return state


def first_demand(people: People) -> Floats:
    """Money on the current account at the start, CNY."""
    return 0.22 * people.first_assets + 0.05 * people.income


def first_needs(parameters: Parameters, people: People, luck: Luck) -> Floats:
    """Needs of month 0: the lasting trait, and a moving part in its long-run spread."""
    share = parameters.config.needs.moving
    keys = np.arange(len(people))[:, None]
    moving = luck.normal("need move", keys, 0, np.arange(people.trait.shape[1])[None, :])
    return np.asarray(np.sqrt(1 - share) * people.trait + np.sqrt(share) * moving)


def next_needs(state: State) -> Floats:
    """Needs a month later: the moving part forgets with `persistence` and keeps its spread."""
    needs = state.parameters.config.needs
    keys = np.arange(len(state.people))[:, None]
    lasting = np.sqrt(1 - needs.moving) * state.people.trait
    fresh = state.luck.normal(
        "need move", keys, state.month + 1, np.arange(lasting.shape[1])[None, :]
    )
    kept = needs.persistence * (state.need - lasting)
    return np.asarray(lasting + kept + np.sqrt(needs.moving * (1 - needs.persistence**2)) * fresh)


def solve_intercepts(state: State) -> Floats:
    """Find the intercepts (P,) that make mean start probabilities equal to the rates asked for.

    Bisection for each product over those present; who may not start counts as 0.
    """
    may = truth.eligible(state)
    drive = state.parameters.config.signal * truth.start_drive(state)
    return _bisect(drive, may, state.parameters.weights["rate"], state.present)


def _bisect(drive: Floats, may: Bools, target: Floats, present: Bools) -> Floats:
    low, high = np.full(drive.shape[1], -25.0), np.full(drive.shape[1], 25.0)
    for _ in range(50):
        middle = (low + high) / 2
        mean = np.where(may, expit(drive + middle), 0.0)[present].mean(axis=0)
        low, high = np.where(mean < target, middle, low), np.where(mean < target, high, middle)
    return np.asarray((low + high) / 2)


def _fill_book(state: State) -> None:
    """Enter what was held before: opened within its tenor, or in the last years."""
    parameters, luck = state.parameters, state.luck
    number = len(state.people)
    keys, places = np.arange(number)[:, None], parameters.offer_code[None, :]
    drive = parameters.config.signal * truth.start_drive(state)
    low, high = parameters.ages
    age = state.age[:, None]
    may = state.present[:, None] & (age >= low) & (age < high + 1)
    mean = np.minimum(parameters.weights["held"], 0.9)
    chance = np.where(may, expit(drive + _bisect(drive, may, mean, state.present)), 0.0)
    chance *= parameters.is_product
    for column, required in enumerate(parameters.requires):
        if required >= 0:
            chance[:, column] *= (
                luck.uniform("held", keys, places)[:, required] < chance[:, required]
            )
    holds = luck.uniform("held", keys, places) < chance
    customer, product = np.nonzero(holds)
    tenor = parameters.tenor_months[product]
    months = np.where(tenor > 0, np.minimum(tenor, 12 * _PAST_YEARS), 12 * _PAST_YEARS)
    back = luck.below(months, "held month", customer, product) + 1
    days = luck.uniform("held day", customer, product)
    early = (parameters.asset_class[product] == 1) & (
        luck.uniform("held early", customer, product) < 0.34
    )
    begin = np.array([parameters.timeline.day(-int(m)) for m in range(0, 12 * _PAST_YEARS + 1)])
    day = begin[back] + (days * np.where(early, 5, 28)).astype(np.int64)
    opened = desk_time(state, day, days * 97 % 1, np.zeros(len(customer), dtype=bool))
    joined = state.people.joined_us[customer] + 2 * HOUR
    opened = np.maximum(opened, joined)
    maturity = maturity_of(parameters, product, opened)
    amount = np.nan_to_num(draw_amounts(state, customer, product))
    handle = truth.chosen_channels(state, customer, product)
    keep = (opened < state.moment - HOUR) & ((maturity == NEVER) | (maturity > state.moment))
    state.book.open(
        customer[keep], product[keep], opened[keep], amount[keep], maturity[keep], handle[keep]
    )


def _reachable(parameters: Parameters, people: People, luck: Luck, managed: Bools) -> Bools:
    number = len(people)
    keys = np.arange(number)
    reachable = np.zeros((number, len(parameters.catalog.channels)), dtype=bool)
    phone = luck.uniform("phone", keys) < 0.965
    wecom = luck.uniform("wecom", keys) < np.where(managed, 0.55, 0.10)
    for channel in parameters.catalog.channel_ids:
        column = parameters.channel(channel)
        if channel in ("mobile_bank", "video"):
            reachable[:, column] = people.takes_app
        elif channel == "push":
            reachable[:, column] = people.takes_app & (luck.uniform("push", keys) < 0.8)
        elif channel == "wechat_bank":
            reachable[:, column] = people.follows_wechat
        elif channel == "wecom":
            reachable[:, column] = wecom
        else:
            reachable[:, column] = phone | (channel in _ALWAYS_REACHED)
    return reachable


def _consented(parameters: Parameters, number: int, luck: Luck) -> Bools:
    share = np.array([_CONSENT_SHARE.get(one, 0.97) for one in parameters.catalog.channel_ids])
    drawn = luck.uniform("consent", np.arange(number)[:, None], np.arange(len(share))[None, :])
    return np.asarray(drawn < share)
