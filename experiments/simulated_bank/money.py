"""Money: salaries and pensions, spending, maturities, purchases, debts, month-end balances."""

from __future__ import annotations

import numpy as np

from experiments.simulated_bank.journeys import Journeys
from experiments.simulated_bank.luck import Bools, Floats
from experiments.simulated_bank.recorder import Recorder
from experiments.simulated_bank.state import State, maturity_of
from experiments.simulated_bank.table_log import fen
from experiments.simulated_bank.timeline import DAY, HOUR, NEVER, next_business_day
from features.tables import ASSET_CLASSES

_YEARLY_RATE = {"deposit": 0.016, "wealth": 0.024, "fund": 0.03, "insurance": 0.022, "metal": 0.04}
_MONTHLY_SWING = {"wealth": 0.002, "fund": 0.03, "metal": 0.035}
_LARGE_INFLOW_RATE = 0.015


def settle_maturities(state: State, recorder: Recorder) -> None:
    """Pay what falls due this month back to demand money; its holding closes that day."""
    book, timeline = state.book, state.parameters.timeline
    due = np.nonzero(book.is_open & (book.maturity != NEVER)
                     & (book.maturity < timeline.start(state.month + 1)))[0]  # fmt: skip
    book.closed[due] = book.maturity[due]
    money = state.parameters.asset_class[book.product[due]] >= 0
    np.add.at(state.demand, book.customer[due[money]], book.value[due[money]])


def falling_due(state: State) -> Floats:
    """CNY of own money falling due this month by customer, shape (N,)."""
    book, timeline = state.book, state.parameters.timeline
    rows = book.is_open & (state.parameters.asset_class[book.product] >= 0)
    rows &= (book.maturity >= state.moment) & (book.maturity < timeline.start(state.month + 1))
    return np.bincount(
        book.customer[rows], weights=book.value[rows], minlength=len(state.people)
    ).astype(float)


def close_some(state: State) -> None:
    """Let customers redeem, cancel and repay: holdings close with their product's churn.

    Held long or short makes no difference: the data's way of saying "accounts change hands".
    """
    parameters, book = state.parameters, state.book
    churn = parameters.weights["churn"][book.product]
    drawn = state.luck.uniform("churn", book.customer, book.product, book.opened, state.month)
    rows = np.nonzero(book.is_open & (book.opened < state.moment) & (drawn < churn))[0]
    span = parameters.timeline.start(state.month + 1) - state.moment
    book.closed[rows] = state.moment + (drawn[rows] / churn[rows] * span).astype(np.int64)
    money = parameters.asset_class[book.product[rows]] >= 0
    np.add.at(state.demand, book.customer[rows[money]], book.value[rows[money]])


def open_holdings(state: State, journeys: Journeys, recorder: Recorder) -> None:
    """Open a holding for each completed sale; money missing here comes from another bank."""
    parameters = state.parameters
    rows = journeys.done & parameters.is_product[journeys.product]
    customer, product = journeys.customer[rows], journeys.product[rows]
    amount, ended = journeys.amount[rows], journeys.ended[rows]
    state.book.open(
        customer, product, ended, np.nan_to_num(amount),
        maturity_of(parameters, product, ended), journeys.handle[rows],
    )  # fmt: skip
    own = parameters.asset_class[product] >= 0
    spent = np.bincount(customer[own], weights=amount[own], minlength=len(state.people))
    missing = np.maximum(spent - state.demand, 0)
    brings = np.nonzero(missing > 0)[0]
    first = np.full(len(state.people), np.iinfo(np.int64).max)
    np.minimum.at(first, customer[own], ended[own])
    recorder.add(
        "transactions", brings, first[brings] - HOUR, kind="transfer_in", direction="in",
        amount_cny=fen(np.ceil(missing[brings] / 100) * 100),
    )  # fmt: skip
    state.demand = state.demand + np.ceil(missing / 100) * 100 - spent
    lent = parameters.is_loan[product] & (product == parameters.position("consumer_loan"))
    np.add.at(state.demand, customer[lent], amount[lent])


def move_money(state: State, recorder: Recorder) -> None:
    """Move one month of salaries, pensions, bills, spending, transfers and large inflows."""
    income = _regular_income(state, recorder)
    large = _large_inflows(state, recorder)
    people = state.people
    usual = 0.22 * people.first_assets + 0.05 * people.income
    drawn = state.luck.normal("outflow", np.arange(len(people)), state.month)
    leaves = income + 0.25 * (state.demand + income - usual) + 0.04 * usual * drawn
    leaves = np.clip(leaves, 0.1 * income, 0.92 * (state.demand + income))
    leaves = np.where(state.present, leaves, 0.0)
    _write_outflows(state, recorder, leaves)
    state.demand = np.maximum(state.demand + income + large - leaves, 0.0)
    state.inflow = np.where(large > 0, 1.0, 0.45 * state.inflow)


def _regular_income(state: State, recorder: Recorder) -> Floats:
    people, parameters, luck = state.people, state.parameters, state.luck
    timeline = parameters.timeline
    everybody = np.arange(len(people))
    noise = 1 + 0.04 * luck.normal("salary", everybody, state.month)
    monthly = np.maximum(np.round(people.income / 12 * noise, 2), 100.0)
    paid = state.present & (state.held[:, parameters.position("payroll_account")] > 0)
    day = next_business_day(timeline.day(state.month) + people.payday - 1)
    drawn = luck.uniform("pay clock", everybody, state.month)
    moment = timeline.at(day, ((9 + 6 * drawn) * HOUR).astype(np.int64))
    pensioner = state.present & people.has_pension
    other = state.present & ~paid & ~pensioner
    other &= luck.uniform("other income", everybody, state.month) < 0.45
    total = np.zeros(len(people))
    for kind, rows in (("payroll", paid), ("pension", pensioner), ("transfer_in", other)):
        rows = rows & (moment > people.joined_us)
        recorder.add(
            "transactions", everybody[rows], moment[rows], kind=kind, direction="in",
            amount_cny=fen(monthly[rows]),
        )  # fmt: skip
        total += np.where(rows, monthly, 0.0)
    return total


def _large_inflows(state: State, recorder: Recorder) -> Floats:
    """Bring a bonus, a house sold, an inheritance: in the last third of the month."""
    people, luck = state.people, state.luck
    everybody = np.arange(len(people))
    drawn = luck.uniform("large inflow", everybody, state.month)
    rows = state.present & (drawn < _LARGE_INFLOW_RATE)
    size = np.exp(np.log(0.6 * people.income + 0.3 * people.first_assets)
                  + 0.6 * luck.normal("inflow size", everybody, state.month))  # fmt: skip
    size = np.round(np.clip(size, 10_000, 5_000_000), -2)
    moment = state.parameters.timeline.start(state.month + 1) - (
        HOUR + (drawn / _LARGE_INFLOW_RATE * 9 * DAY).astype(np.int64)
    )
    rows &= moment > people.joined_us
    recorder.add(
        "transactions", everybody[rows], moment[rows], kind="transfer_in", direction="in",
        amount_cny=fen(size[rows]),
    )  # fmt: skip
    return np.where(rows, size, 0.0)


def _write_outflows(state: State, recorder: Recorder, leaves: Floats) -> None:
    """Outflows as a few rows: bills where they are on autopay, one transfer, some spending."""
    parameters, luck, people = state.parameters, state.luck, state.people
    everybody = np.arange(len(people))
    bills = (state.held[:, parameters.position("bill_autopay")] > 0) & (leaves > 50)
    transfers = (leaves > 300) & (luck.uniform("transfers", everybody, state.month) < 0.4)
    spends = luck.poisson(0.75 + 0.45 * people.ease, "spends", everybody, state.month, most=4)
    spends = np.where(leaves > 20, spends, 0)
    for kind, slot, rows, share in (
        ("bill", 0, bills, 0.08), ("transfer_out", 1, transfers, 0.35),
        ("spend", 2, spends > 0, 0.3), ("spend", 3, spends > 1, 0.2), ("spend", 4, spends > 2, 0.1),
    ):  # fmt: skip
        who = everybody[rows]
        drawn = luck.uniform("outflow day", who, state.month, slot)
        span = parameters.timeline.start(state.month + 1) - state.moment
        moment = state.moment + (drawn * span).astype(np.int64)
        late = moment > people.joined_us[who]
        amount = np.maximum(leaves[who] * share * (0.7 + 0.6 * drawn), 1.0)
        recorder.add(
            "transactions", who[late], moment[late], kind=kind, direction="out",
            amount_cny=fen(amount[late]),
        )  # fmt: skip


def run_debts(state: State, recorder: Recorder) -> None:
    """Loans and cards at month end: balance, limit, days overdue, and the repayments made."""
    parameters, people, book, luck = state.parameters, state.people, state.book, state.luck
    everybody = np.arange(len(people))
    loans = book.is_open & parameters.is_loan[book.product]
    months = np.maximum(parameters.tenor_months[book.product], 1)
    rate = book.amount / months
    payment = np.bincount(book.customer[loans], weights=rate[loans], minlength=len(people))
    book.value[loans] = np.maximum(book.value[loans] - rate[loans], 0.0)
    debt = np.bincount(book.customer[loans], weights=book.value[loans], minlength=len(people))
    granted = np.bincount(book.customer[loans], weights=book.amount[loans], minlength=len(people))
    borrows = granted > 0
    card = state.held[:, parameters.position("credit_card")] > 0
    slips = luck.uniform("slip", everybody, state.month) < 0.012 * np.exp(-0.9 * people.prudence)
    recovers = luck.uniform("recover", everybody, state.month) < 0.6
    longer = np.where(recovers, 0, state.overdue_days + 30)
    newly = np.where(slips, 1 + luck.below(25, "late", everybody, state.month), 0)
    late = np.where(state.overdue_days > 0, longer, newly)
    state.overdue_days = np.where(state.present & (borrows | card), np.minimum(late, 360), 0)
    moment = np.full(len(people), parameters.timeline.start(state.month + 1) - 6 * HOUR)
    limit = np.round(np.clip(people.income * 0.4, 3_000, 100_000), -3)
    use = limit * np.clip(0.25 + 0.2 * luck.normal("card use", everybody, state.month), 0, 1)
    pays = state.overdue_days == 0
    for kind, rows, balance, ceiling in (
        ("loan", borrows, debt, granted),
        ("card", card, use, limit),
    ):
        who = everybody[rows & state.present]
        recorder.add(
            "accounts", who, moment[who], prompt=True, kind=kind, balance_cny=fen(balance[who]),
            limit_cny=fen(ceiling[who]), overdue_days=state.overdue_days[who],
        )  # fmt: skip
    day = parameters.timeline.day(state.month) + 17
    repaying = everybody[borrows & pays & state.present & (payment > 1)]
    recorder.add(
        "transactions", repaying, parameters.timeline.at(day, 8 * HOUR + repaying * 1_000),
        kind="repayment", direction="out", amount_cny=fen(payment[repaying]),
    )  # fmt: skip
    state.demand = np.maximum(state.demand - np.where(pays, payment, 0) * 0.3, 0.0)


def run_markets(state: State) -> None:
    """Values of open holdings follow their class: interest, and the month's swing of the market."""
    parameters, book = state.parameters, state.book
    classes = parameters.asset_class[book.product]
    for name, yearly in _YEARLY_RATE.items():
        rows = book.is_open & (classes == ASSET_CLASSES.index(name))
        swing = _MONTHLY_SWING.get(name, 0.0) * float(
            state.luck.normal(f"market {name}", state.month)
        )
        book.value[rows] *= 1 + yearly / 12 + swing


def write_balances(state: State, recorder: Recorder, shown: Bools) -> Bools:
    """Month-end balances at six in the evening; a class once shown is shown until it is empty.

    ``shown`` (N, classes) tells which had money at the last month end; returns the new one.
    """
    values = state.class_values()
    has = (values > 0.005) & state.present[:, None]
    has[:, 0] = state.present
    moment = state.parameters.timeline.start(state.month + 1) - 6 * HOUR
    for column, name in enumerate(ASSET_CLASSES):
        who = np.nonzero((has | shown)[:, column] & state.present)[0]
        joined = state.people.joined_us[who] < moment
        who = who[joined]
        recorder.add(
            "balances", who, np.full(len(who), moment), prompt=True, asset_class=name,
            balance_cny=fen(values[who, column]),
        )  # fmt: skip
    return np.asarray(has)


def write_holdings(state: State, recorder: Recorder) -> None:
    """Write the whole book once, at the end."""
    book, parameters = state.book, state.parameters
    takes_amount = np.array([setting.amount is not None for setting in parameters.settings])
    amount = np.where(takes_amount[book.product], book.amount, np.nan)
    recorder.add(
        "holdings", book.customer, book.opened, product=parameters.offer_code[book.product],
        closed_at=book.closed, amount_cny=fen(amount), maturity_at=book.maturity,
        channel=parameters.handle_code[book.handle],
    )  # fmt: skip
