"""Applications: when they begin, where they are handled, how they end."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from experiments.simulated_bank import truth
from experiments.simulated_bank.journey_rows import ApplicationRows, Applications
from experiments.simulated_bank.luck import Bools, Floats, Ints
from experiments.simulated_bank.recorder import Recorder
from experiments.simulated_bank.state import State, desk_time
from experiments.simulated_bank.timeline import SECOND

_MINUTE = 60 * SECOND
_EARLY_DAYS = 5  # interest is fixed by the month, and salaries are in: deposits open early in it


@dataclass(frozen=True)
class Journeys:
    """The applications begun in a month: arrays of shape (n,).

    ``product`` and ``handle`` are positions, ``amount`` CNY (NaN where there is none);
    ``done`` tells whether it was completed, ``ended`` when it was completed or given up,
    ``organic`` whether it would have begun without a contact.
    """

    customer: Ints
    product: Ints
    began: Ints
    amount: Floats
    handle: Ints
    done: Bools
    ended: Ints
    organic: Bools

    def __len__(self) -> int:
        return len(self.customer)


def draw_amounts(state: State, customer: Ints, product: Ints) -> Floats:
    """Amount of each application in CNY, NaN where the product has none, shape (n,)."""
    parameters, people = state.parameters, state.people
    offer = parameters.offer_code[product]
    noise = state.luck.normal("amount", customer, state.month, offer)
    amount = np.full(len(customer), np.nan)
    signal = min(parameters.config.signal, 1.0)
    log_wealth = parameters.config.people.assets_spread * people.wealth
    log_income = np.log(people.income / parameters.config.people.median_income_cny)
    for position, setting in enumerate(parameters.settings):
        if setting.amount is None:
            continue
        rows = product == position
        who = customer[rows]
        level = setting.amount.wealth * log_wealth[who] + setting.amount.income * log_income[who]
        amount[rows] = setting.amount.median * np.exp(
            signal * level + setting.amount.spread * noise[rows]
        )
    own_money = parameters.asset_class[product] >= 0
    if signal > 0:
        due = state.maturing[customer]
        again = (
            (due > 0) & own_money & (state.luck.uniform("reinvest", customer, state.month) < 0.7)
        )
        amount = np.where(again, np.maximum(0.95 * due, amount * 0.3), amount)
        liquid = 0.95 * (state.demand + state.maturing)[customer]
        # Some bring the money from another bank; the rest put away what they have here.
        brings = state.luck.uniform("brings", customer, state.month, offer) < 0.35
        amount = np.where(own_money & ~brings, np.minimum(amount, liquid), amount)
    step = np.where(amount >= 10_000, 1_000, np.where(amount >= 1_000, 100, 10))
    amount = np.maximum(np.round(amount / step), 1) * step
    return np.asarray(np.maximum(amount, np.round(parameters.minimum[product])))


def begin_days(state: State, customer: Ints, product: Ints) -> Ints:
    """Local day an application begins without a contact: after a maturity, early, or any day."""
    parameters = state.parameters
    timeline = parameters.timeline
    offer = parameters.offer_code[product]
    length = timeline.days(state.month)
    first = timeline.day(state.month)
    drawn = state.luck.uniform("day", customer, state.month, offer)
    day = (drawn * length).astype(np.int64)
    deposit = parameters.asset_class[product] == 1
    early = deposit & (state.luck.uniform("early", customer, state.month, offer) < 0.34)
    day = np.where(early, (drawn * _EARLY_DAYS).astype(np.int64), day)
    if parameters.config.signal == 0:
        return np.asarray(first + np.minimum(day, length - 1))
    due = _due_days(state)[customer]
    follows = (due >= 0) & (parameters.weights["maturity"][product] > 0.5)
    follows &= state.luck.uniform("follows", customer, state.month, offer) < 0.75
    lag = (4 * state.luck.uniform("lag", customer, state.month, offer) ** 2).astype(np.int64)
    day = np.where(follows, due + lag, day)
    return np.asarray(first + np.minimum(day, length - 1))


def _due_days(state: State) -> Ints:
    """Day of the month (from 0) of a customer's first maturity this month, −1 for none."""
    timeline, book = state.parameters.timeline, state.book
    begin, end = state.moment, timeline.start(state.month + 1)
    rows = book.is_open & (book.maturity >= begin) & (book.maturity < end)
    days = timeline.local_day(book.maturity[rows]) - timeline.day(state.month)
    first = np.full(len(state.people), 99)
    np.minimum.at(first, book.customer[rows], days)
    return np.where(first == 99, -1, first)


def run_journeys(
    state: State, reach: Ints, contacted_at: Ints, recorder: Recorder, org: Ints
) -> Journeys:
    """Draw this month's applications under the contacts made, and write their rows.

    ``reach`` and ``contacted_at`` (N, P): channel and moment of the contact about an offer.
    """
    started = truth.starts(state, reach)
    unasked = truth.starts(state, None)
    customer, product = np.nonzero(started)
    organic = unasked[customer, product]
    amount = draw_amounts(state, customer, product)
    handle = truth.chosen_channels(state, customer, product, amount)
    began = _begin(state, customer, product, handle, organic, contacted_at[customer, product])
    done = truth.completes(state, customer, product, handle)
    applications = Applications(customer, product, handle, amount, began, done)
    ended = ApplicationRows(state, recorder, org, applications).write()
    return Journeys(customer, product, began, amount, handle, done, ended, organic)


def _begin(
    state: State, customer: Ints, product: Ints, handle: Ints, organic: Bools, contact: Ints
) -> Ints:
    """Set the moment of the application; one that the contact brought about comes after it."""
    timeline = state.parameters.timeline
    offer = state.parameters.offer_code[product]
    last = timeline.day(state.month + 1) - 1
    wait = 1 - 4.0 * np.log(state.luck.uniform("answer", customer, state.month, offer))
    answered = np.minimum(timeline.local_day(contact) + wait.astype(np.int64), last)
    day = np.where(organic, begin_days(state, customer, product), answered)
    day = np.maximum(day, timeline.local_day(state.people.joined_us[customer]))
    drawn = state.luck.uniform("clock", customer, state.month, offer)
    began = desk_time(state, day, drawn, state.parameters.handle_mode[handle] == 0)
    return np.asarray(np.maximum(began, state.people.joined_us[customer] + 10 * _MINUTE))
