"""Who is contacted, by the as-is policy (propensities recorded) and by managers' discretion."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from experiments.simulated_bank import truth
from experiments.simulated_bank.luck import Bools, Floats, Ints
from experiments.simulated_bank.network import Network
from experiments.simulated_bank.state import State
from experiments.simulated_bank.timeline import HOUR, next_business_day

POLICY, DISCRETION = 0, 1
_DISCRETION_OFFERS = (
    "deposit_1y", "cd_3y", "wealth_r2", "fund_r2", "fund_r3", "fund_r4", "annuity_insurance",
    "gold_saving",
)  # fmt: skip


@dataclass(frozen=True)
class Contacts:
    """Contacts of one month, arrays of shape (n,).

    ``product`` is a position, ``channel`` a catalog code or `truth.NO_REACH` for the hold-out;
    ``propensity`` is NaN where nobody drew; ``arms`` (n, K + 1) the probabilities of the policy's
    channels and, last, of the hold-out (NaN for discretion); ``staff`` −1 where nobody did it.
    """

    customer: Ints
    product: Ints
    channel: Ints
    moment: Ints
    propensity: Floats
    arms: Floats
    source: Ints
    staff: Ints


Policy = Callable[[State, Network], Contacts]
"""Anything that says whom to contact this month."""


def nobody(state: State, network: Network) -> Contacts:
    """Contact no one: what would happen by itself."""
    none = np.empty(0, dtype=np.int64)
    return Contacts(none, none, none, none, np.empty(0), np.empty((0, 1)), none, none)


def as_is(state: State, network: Network) -> Contacts:
    """Do what the bank does today: campaigns by observable facts, and what managers see fit."""
    campaigns = _campaign_contacts(state)
    managers = _discretion_contacts(state, network, campaigns)
    return Contacts(
        *(
            np.concatenate([getattr(campaigns, name), getattr(managers, name)])
            for name in Contacts.__dataclass_fields__
        )
    )


def reach_matrix(state: State, contacts: Contacts) -> tuple[Ints, Ints]:
    """Channel and moment of the contact about each offer, two arrays (N, P)."""
    shape = (len(state.people), len(state.parameters.products))
    reach = np.full(shape, truth.NO_REACH)
    moment = np.zeros(shape, dtype=np.int64)
    reach[contacts.customer, contacts.product] = contacts.channel
    moment[contacts.customer, contacts.product] = contacts.moment
    return reach, moment


def campaign_lists(state: State) -> Bools:
    """Who fits which campaign by what the bank can see, shape (N, campaigns)."""
    parameters = state.parameters
    assets, age = state.class_values().sum(axis=1), state.age
    expired = (state.assessment_expires > 0) & ~state.assessment_valid
    fits = np.zeros((len(age), len(parameters.config.outreach.campaigns)), dtype=bool)
    for column, campaign in enumerate(parameters.config.outreach.campaigns):
        product = parameters.position(campaign.offer)
        rows = state.present & (age >= campaign.minimum_age) & (age <= campaign.maximum_age)
        rows &= assets >= campaign.minimum_assets_cny
        if not parameters.repeatable[product]:
            rows &= state.held[:, product] == 0
        if campaign.maturing:
            rows &= state.maturing >= 5_000
        if campaign.holds is not None:
            rows &= state.held[:, parameters.position(campaign.holds)] > 0
        if campaign.expired_assessment:
            rows &= expired
        fits[:, column] = rows
    return fits


def arm_probabilities(state: State, customer: Ints) -> Floats:
    """Probability of each outreach channel and, last, of the hold-out, shape (n, K + 1).

    Zero where the customer cannot be reached or said no; a row of zeros where nothing is left.
    """
    parameters = state.parameters
    outreach = parameters.config.outreach
    age = state.age[customer]
    assets = np.log10(np.maximum(state.class_values().sum(axis=1)[customer], 1_000) / 50_000)
    odds = np.zeros((len(customer), len(outreach.channels) + 1))
    for column, (name, base) in enumerate(outreach.channels.items()):
        score = np.full(len(customer), base)
        if name in ("ai_call", "human_call"):
            score += outreach.old_calls * (age > 55)
        if name in ("push", "wecom"):
            score += outreach.ease_push * (age < 40)
        if name in ("human_call", "wecom"):
            score += outreach.asset_human * assets
        code = parameters.channel(name)
        may = state.reachable[customer, code] & state.consented[customer, code]
        odds[:, column] = np.where(may, np.exp(np.clip(score, -3, 3)), 0.0)
    total = odds.sum(axis=1, keepdims=True)
    some = total[:, 0] > 0
    odds[some] *= (1 - outreach.hold_out) / total[some]
    odds[some, -1] = outreach.hold_out
    return odds


def _campaign_contacts(state: State) -> Contacts:
    """Draw the month's list, then a channel or the hold-out for each on it.

    The offer follows from the campaign calendar (customer number and month), not from a draw, so
    the propensity of the (channel, offer) arm is that of the channel.
    """
    parameters, luck = state.parameters, state.luck
    outreach = parameters.config.outreach
    everybody = np.arange(len(state.people))
    fits = campaign_lists(state)
    number = fits.sum(axis=1)
    eager = 0.7 + 0.5 * (state.maturing > 0) + 0.3 * (state.people.wealth > 0)
    share = np.clip(outreach.list_share * eager / 0.85, 0, 1)
    listed = (luck.uniform("list", everybody, state.month) < share) & (number > 0)
    customer = everybody[listed]
    turn = (customer * 7 + state.month * 5) % number[customer]
    campaign = (np.cumsum(fits[customer], axis=1) <= turn[:, None]).sum(axis=1)
    offers = np.array([parameters.position(one.offer) for one in outreach.campaigns])
    arms = arm_probabilities(state, customer)
    some = arms.sum(axis=1) > 0
    customer, campaign, arms = customer[some], campaign[some], arms[some]
    arm = luck.choice(arms, "arm", customer, state.month)
    codes = np.array([*(parameters.channel(name) for name in outreach.channels), truth.NO_REACH])
    return Contacts(
        customer=customer,
        product=offers[campaign],
        channel=codes[arm],
        moment=_call_times(state, customer, POLICY),
        propensity=arms[np.arange(len(arm)), arm],
        arms=arms,
        source=np.full(len(customer), POLICY),
        staff=np.full(len(customer), -1),
    )


def _discretion_contacts(state: State, network: Network, campaigns: Contacts) -> Contacts:
    """Let managers call whom they believe in need: they see more than the tables say."""
    parameters, luck = state.parameters, state.luck
    outreach = parameters.config.outreach
    staff = network.staff_at(state.moment)
    who = np.nonzero((staff >= 0) & state.present)[0]
    names = [name for name in _DISCRETION_OFFERS if name in parameters.products]
    offers = np.array([parameters.position(name) for name in names])
    need = state.need[who][:, parameters.need_position[offers]]
    seen = outreach.discretion_need * need + luck.normal(
        "judgement", who[:, None], state.month, offers[None, :]
    )
    best = seen.argmax(axis=1)
    eagerness = np.tanh(0.5 * seen[np.arange(len(who)), best])
    called = luck.uniform("discretion", who, state.month) < outreach.discretion_rate * np.maximum(
        2 * eagerness, 0
    )
    product = offers[best]
    known = np.zeros((len(state.people), len(parameters.products)), dtype=bool)
    known[campaigns.customer, campaigns.product] = True
    called &= ~known[who, product] & truth.eligible(state)[who, product]
    role = network.staff_channel[staff[who]]
    wecom = parameters.channel("wecom")
    chats = state.reachable[who, wecom] & (luck.uniform("chat", who, state.month) < 0.35)
    channel = np.where(chats, wecom, role)
    called &= state.consented[who, channel]
    customer = who[called]
    number = len(customer)
    return Contacts(
        customer=customer,
        product=product[called],
        channel=channel[called],
        moment=_call_times(state, customer, DISCRETION),
        propensity=np.full(number, np.nan),
        arms=np.full((number, campaigns.arms.shape[1]), np.nan),
        source=np.full(number, DISCRETION),
        staff=staff[customer],
    )


def _call_times(state: State, customer: Ints, source: int) -> Ints:
    """Draw a business day of the first half of the month, within the hours when one may call."""
    timeline = state.parameters.timeline
    day = timeline.day(state.month) + state.luck.below(
        12, "contact day", customer, state.month, source
    )
    drawn = state.luck.uniform("contact clock", customer, state.month, source)
    hour = np.where(drawn < 0.35, 9 + 3 * drawn / 0.35, 14 + 6 * (drawn - 0.35) / 0.65)
    moment = timeline.at(next_business_day(day), (hour * HOUR).astype(np.int64))
    return np.asarray(np.maximum(moment, state.people.joined_us[customer] + HOUR))
