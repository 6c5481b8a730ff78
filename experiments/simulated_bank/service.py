"""The bank's own records: ratings, risk assessments, credit, restrictions, benefits, customers."""

from __future__ import annotations

import numpy as np

from experiments.simulated_bank.journeys import Journeys
from experiments.simulated_bank.luck import Bools, Floats, Ints
from experiments.simulated_bank.network import Network
from experiments.simulated_bank.recorder import BENEFITS, Recorder
from experiments.simulated_bank.state import State
from experiments.simulated_bank.table_log import fen
from experiments.simulated_bank.timeline import DAY, HOUR, NEVER, SECOND

_YEAR = 365 * DAY


def rate_journeys(state: State, journeys: Journeys, recorder: Recorder) -> None:
    """Let some rate what they went through; of the angry, some complain and are called back."""
    parameters, luck = state.parameters, state.luck
    offer = parameters.offer_code[journeys.product]
    customer = journeys.customer
    rates = (
        luck.uniform("rates", customer, state.month, offer)
        < parameters.config.activity.rating_share
    )
    mood = luck.normal("mood", customer, state.month, offer) + 0.3 * state.people.patience[customer]
    score = np.clip(np.rint(4.3 + 0.7 * mood - 1.3 * ~journeys.done), 1, 5).astype(np.int64)
    angry = (score <= 2) & (luck.uniform("angry", customer, state.month, offer) < 0.5)
    moment = journeys.ended + 20 * 60 * SECOND
    takes = luck.uniform("resolve", customer, state.month, offer)
    resolved = moment + (DAY + takes * 18 * DAY).astype(np.int64)
    rows = rates
    recorder.add(
        "ratings", customer[rows], moment[rows], prompt=True,
        channel=parameters.handle_code[journeys.handle[rows]], score=score[rows],
        stage="application", complaint=angry[rows].astype(int),
        resolved_at=np.where(angry, resolved, NEVER)[rows],
    )  # fmt: skip
    _call_back(state, recorder, customer[rows & angry], moment[rows & angry] + DAY)


def _call_back(state: State, recorder: Recorder, customer: Ints, moment: Ints) -> None:
    """Follow a complaint up by telephone: a service contact, by rule and not by a draw."""
    parameters = state.parameters
    called = moment + 2 * HOUR
    if len(customer):
        recorder.log.add(
            "contacts", contact_id=recorder.contacts(len(customer)), customer_id=customer,
            event_time=called, available_at=called + 60 * SECOND, channel="human_call",
            offer=parameters.catalog.offer_ids.index("complaint_care"), policy="complaint_service",
            purpose="service", delivered_at=called + 30 * SECOND,
        )  # fmt: skip


def first_assessments(state: State, recorder: Recorder) -> None:
    """At the start, some investors were assessed in the last 20 months: many of these expired."""
    everybody = np.arange(len(state.people))
    invests = state.held[:, state.parameters.is_investment].sum(axis=1) > 0
    share = np.where(invests, 0.9, 0.22 + 0.1 * (state.people.wealth > 0.5))
    rows = state.present & (state.luck.uniform("assessed", everybody) < share)
    ago = (state.luck.uniform("assessed ago", everybody) * 20 * 30 * DAY).astype(np.int64)
    moment = np.maximum(state.moment - DAY - ago, state.people.joined_us + HOUR)
    rows &= state.age >= 18
    _assess(state, recorder, everybody[rows], moment[rows])


def renew_assessments(state: State, journeys: Journeys, recorder: Recorder) -> None:
    """Renewed on its own, or first thing when an investment is applied for without a valid one."""
    parameters = state.parameters
    renewal = parameters.product_or_none("risk_assessment_renewal")
    invests = parameters.is_investment[journeys.product]
    asked = journeys.done & (journeys.product == renewal)
    needed = invests & (state.assessment_expires[journeys.customer] < journeys.began)
    moment = np.where(asked, journeys.ended, journeys.began - 6 * 60 * SECOND)
    rows = np.nonzero(asked | needed)[0]
    rows = rows[np.argsort(moment[rows], kind="stable")]
    customer, first = np.unique(journeys.customer[rows], return_index=True)
    moment = moment[rows][first]
    adult = state.age[customer] >= 18
    _assess(state, recorder, customer[adult], moment[adult])


def _assess(state: State, recorder: Recorder, customer: Ints, moment: Ints) -> None:
    noise = state.luck.normal("assessment", customer, moment)
    level = np.clip(np.rint(2.6 + 0.95 * state.people.risk[customer] + 0.4 * noise), 1, 5)
    expires = moment + _YEAR
    state.assessment_expires[customer] = expires
    recorder.add(
        "risk_assessments", customer, moment, prompt=True,
        level=(level - 1).astype(np.int64), expires_at=expires,
    )  # fmt: skip


def offer_credit(state: State, recorder: Recorder) -> None:
    """Pre-approved limits, every quarter, for those with a salary here and nothing overdue."""
    if state.month % 3 != 1:
        return
    parameters, people = state.parameters, state.people
    everybody = np.arange(len(people))
    good = state.present & (state.overdue_days == 0) & (state.age >= 22) & (state.age < 60)
    good &= (state.held[:, parameters.position("payroll_account")] > 0) | (people.wealth > 0.8)
    for number, (name, times) in enumerate(
        (("consumer_loan", 1.2), ("credit_card", 0.4), ("card_instalment", 0.25))
    ):
        rows = good & (state.luck.uniform("credit offer", everybody, state.month, number) < 0.18)
        if name == "card_instalment":
            rows &= state.held[:, parameters.position("credit_card")] > 0
        else:
            rows &= state.held[:, parameters.position(name)] == 0
        who = everybody[rows]
        moment = np.full(len(who), state.moment + 2 * DAY + (8 + number) * HOUR)
        joined = people.joined_us[who] < moment
        who, moment = who[joined], moment[joined]
        recorder.add(
            "credit_offers", who, moment, prompt=True,
            offer=parameters.catalog.offer_ids.index(name),
            limit_cny=fen(np.round(np.clip(people.income[who] * times, 5_000, 300_000), -3)),
            expires_at=moment + 90 * DAY,
        )  # fmt: skip


def restrict(state: State, recorder: Recorder) -> None:
    """Rare restrictions; a minor's ends with the 18th birthday."""
    people, luck = state.people, state.luck
    everybody = np.arange(len(people))
    drawn = luck.uniform("restriction", everybody, state.month)
    span = state.parameters.timeline.start(state.month + 1) - state.moment - HOUR
    moment = state.moment + (luck.uniform("restricted", everybody, state.month) * span).astype(
        np.int64
    )
    here = state.present & (moment > people.joined_us)
    arrives = here & (people.join_month == state.month)
    until_18 = state.parameters.timeline.at(people.birth_day + 6575)
    old = state.age > 84
    long_overdue = here & (state.overdue_days >= 60) & (state.overdue_days < 90)
    for kind, rows, until in (
        ("anti_fraud", here & (drawn < 0.0005), moment + 90 * DAY),
        ("aml_high", here & (drawn > 0.99992), np.full(len(people), NEVER)),
        ("overdue", long_overdue, moment + 180 * DAY),
        ("minor", arrives & (state.age < 17.9), until_18),
        ("limited_capacity", arrives & old & (luck.uniform("capacity", everybody) < 0.05),
         np.full(len(people), NEVER)),
    ):  # fmt: skip
        recorder.add(
            "restrictions", everybody[rows], moment[rows], prompt=True, kind=kind, until=until[rows]
        )


def grant_benefits(state: State, journeys: Journeys, recorder: Recorder) -> None:
    """Higher tiers are granted benefits every quarter; claiming one is a service of its own."""
    parameters, luck = state.parameters, state.luck
    everybody = np.arange(len(state.people))
    claim = parameters.product_or_none("tier_benefit")
    used = journeys.done & (journeys.product == claim)
    who = journeys.customer[used]
    kind = luck.below(len(BENEFITS), "benefit", who, state.month // 3)
    recorder.add("benefits", who, journeys.ended[used], prompt=True, benefit=kind, kind="used")
    state.benefit[who] = np.maximum(state.benefit[who] - 1, 0)
    if state.month % 3 != 0:
        return
    tier = state.class_values().sum(axis=1) > 200_000
    rows = state.present & tier & (luck.uniform("granted", everybody, state.month) < 0.8)
    moment = np.full(len(everybody), state.moment + DAY + 9 * HOUR)
    rows &= state.people.joined_us < moment
    kind = luck.below(len(BENEFITS), "benefit", everybody, state.month // 3)
    recorder.add(
        "benefits", everybody[rows], moment[rows], prompt=True, benefit=kind[rows], kind="granted"
    )
    state.benefit = np.where(rows, state.benefit + 1, 0.5 * state.benefit)


def write_customers(state: State, network: Network, recorder: Recorder) -> None:
    """Who is a customer, and for a few the change of work and income within the window."""
    people, luck, timeline = state.people, state.luck, state.parameters.timeline
    everybody = np.arange(len(people))
    drawn = luck.uniform("changes", everybody)
    span = timeline.end - timeline.start(0)
    change = timeline.start(0) + (luck.uniform("change day", everybody) * span).astype(np.int64)
    works = (people.occupation != 0) & (people.occupation != 6)
    moves = (drawn < 0.06) & works & (change > people.joined_us + 60 * DAY)
    before = np.where(moves, 1 + luck.below(5, "old work", everybody), people.occupation)
    earlier: Floats = np.round(
        people.income * (0.65 + 0.3 * luck.uniform("old income", everybody)), -2
    )
    joined_by = _join_channels(state)

    def write(rows: Bools, valid_from: Ints, valid_to: Ints, work: Ints, income: Floats) -> None:
        recorder.add(
            "customers", everybody[rows], valid_from[rows], time_column="valid_from", prompt=True,
            valid_to=valid_to[rows], birth_date=people.birth_day[rows], gender=people.gender[rows],
            region=people.region[rows], occupation=work[rows], income_cny=fen(income[rows]),
            joined_at=people.joined_us[rows], join_channel=joined_by[rows],
            org_id=network.org[rows],
        )  # fmt: skip

    never = np.full(len(people), NEVER)
    write(np.ones(len(people), dtype=bool), people.joined_us, np.where(moves, change, never),
          before, np.where(moves, earlier, people.income))  # fmt: skip
    write(moves, change, never, people.occupation, people.income)


def _join_channels(state: State) -> Ints:
    """Draw the door of entry: the counter for the old, the app for the young."""
    people, parameters = state.people, state.parameters
    odds = np.exp(np.stack([1.3 * people.ease, 0.2 * people.ease, -1.3 * people.ease], axis=1))
    names = ("mobile_bank", "smart_counter", "teller")
    codes = np.array([parameters.channel(name) for name in names])
    return np.asarray(codes[state.luck.choice(odds, "join channel", np.arange(len(people)))])
