"""The truth of the simulated bank: potential outcomes on demand.

Every (customer, month, offer, reach, handle) has an outcome under every action, whatever was done:
probabilities follow from latents and history (`State`), the luck is one uniform a key, the same
for all actions. The simulator writes its log with these very functions; no other room may read
them.

With s = `signal`, for customer c, month t and offer j:

    logit P(start) = a_j + s · (log season_j(t) + need + age + wealth + income + ease + maturity
                     + inflow + repeat + benefit + assessment + means + uplift(reach))
    P(handle = h)  = softmax_h  s · (base_jh + taste_ch + w_h · (ease, complexity, …) + habit)
    logit P(done)  = s · (c_h + d_h · complexity_j + ease where online) + (1 − s) · logit 0.78

Where s = 0, all handle channels are alike for every offer and customer.
"""

from __future__ import annotations

import numpy as np
from scipy.special import expit

from experiments.simulated_bank.luck import Bools, Floats, Ints
from experiments.simulated_bank.state import State

NO_REACH = -1
_PLAIN_COMPLETION = 1.27  # logit of 0.78


def eligible(state: State) -> Bools:
    """Who may start what, shape (N, P): present, of age, not holding what is sold once."""
    parameters = state.parameters
    may = state.present[:, None] & (parameters.repeatable[None, :] | (state.held == 0))
    if parameters.config.signal == 0:
        return np.asarray(may)
    low, high = parameters.ages
    age = state.age[:, None]
    may = may & (age >= low[None, :]) & (age < high[None, :] + 1)
    for column, required in enumerate(parameters.requires):
        if required >= 0:
            may[:, column] &= state.held[:, required] > 0
    return np.asarray(may)


def start_drive(state: State) -> Floats:
    """Log-odds that a customer's needs and situation add, before the signal knob, shape (N, P)."""
    parameters, people = state.parameters, state.people
    weights = parameters.weights
    drive = weights["need_weight"] * state.need[:, parameters.need_position]
    drive += weights["wealth"] * people.wealth[:, None]
    drive += weights["income"] * np.log(people.income / 72_000)[:, None]
    drive += weights["ease"] * people.ease[:, None]
    drive += weights["maturity"] * np.tanh(state.maturing / 20_000)[:, None]
    drive += weights["inflow"] * state.inflow[:, None]
    drive += weights["again"] * np.minimum(state.held, 3) * parameters.repeatable[None, :]
    drive += weights["benefit"] * np.minimum(state.benefit, 1)[:, None]
    had = (state.assessment_expires > 0) & ~state.assessment_valid
    drive += weights["expired_assessment"] * had[:, None]
    age = state.age
    for column, setting in enumerate(parameters.settings):
        if setting.age is not None:
            away = (age - setting.age.peak) / setting.age.width
            drive[:, column] += setting.age.weight * np.exp(-0.5 * away**2)
        if parameters.asset_class[column] >= 0:
            means = np.log((state.demand + state.maturing + 100) / (parameters.minimum[column] + 1))
            drive[:, column] += np.clip(1.2 * means, -6.0, 0.0)
    return drive


def start_logits(state: State) -> Floats:
    """Log-odds to start each offer this month if nobody is contacted, shape (N, P)."""
    parameters = state.parameters
    month = parameters.timeline.month_of_year(state.month)
    season = np.log([setting.season[month] for setting in parameters.settings])
    logits = state.intercept + parameters.config.signal * (season + start_drive(state))
    return np.asarray(np.where(eligible(state), logits, -np.inf))


def uplift(state: State, customer: Ints, channel: Ints) -> Floats:
    """Log-odds that a delivered contact through ``channel`` (catalog code) adds, shape (n,)."""
    parameters, people = state.parameters, state.people
    added = np.zeros(len(customer))
    for name, reach in parameters.config.reaches.items():
        rows = channel == parameters.channel(name)
        who = customer[rows]
        added[rows] = (
            reach.uplift
            + reach.ease * people.ease[who]
            + reach.taste * people.reach_taste[who, parameters.channel(name)]
            - reach.fatigue * state.fatigue[who]
        )
    return parameters.config.signal * added


def delivered(state: State, customer: Ints, channel: Ints) -> Bools:
    """Whether a contact through ``channel`` would arrive this month, shape (n,)."""
    parameters = state.parameters
    rate = np.zeros(len(parameters.catalog.channels) + 1)
    for name, reach in parameters.config.reaches.items():
        rate[parameters.channel(name)] = reach.delivered
    arrives = state.luck.uniform("delivered", customer, state.month, channel) < rate[channel]
    reached = state.reachable[customer, np.maximum(channel, 0)]
    return np.asarray(arrives & reached & (channel != NO_REACH))


def start_probability(state: State, reach: Ints | None = None) -> Floats:
    """Probability to start each offer this month, shape (N, P).

    ``reach`` (N, P) holds the catalog code of the channel an offer is spoken of, `NO_REACH` where
    it is not; None = nobody is contacted. A contact that does not arrive changes nothing.
    """
    logits = start_logits(state)
    if reach is not None:
        customer, product = np.nonzero(reach != NO_REACH)
        channel = reach[customer, product]
        arrives = delivered(state, customer, channel)
        logits[customer, product] += np.where(arrives, uplift(state, customer, channel), 0.0)
    return np.asarray(expit(logits))


def starts(state: State, reach: Ints | None = None) -> Bools:
    """Who starts what this month under the contacts given: one uniform a key, shape (N, P)."""
    customers = np.arange(len(state.people))[:, None]
    offers = state.parameters.offer_code[None, :]
    drawn = state.luck.uniform("start", customers, state.month, offers)
    return np.asarray(drawn < start_probability(state, reach))


def channel_utilities(
    state: State, customer: Ints, product: Ints, amount: Floats | None = None, step: bool = False
) -> Floats:
    """Give the utility of each handle channel for n (customer, product) pairs, shape (n, H).

    −inf where the channel is closed to the product or the customer has no access; ``step`` for
    the stages after the application, where a person is wanted more.
    """
    parameters, people = state.parameters, state.people
    signal = parameters.config.signal
    if signal == 0:
        return np.zeros((len(customer), len(parameters.handles)))
    weights = parameters.handle_weights
    complexity = parameters.complexity[product] + (0.4 if step else 0.0)
    size = np.zeros(len(customer))
    if amount is not None:
        size = np.nan_to_num(np.log10(np.maximum(amount, 1_000) / 20_000))
    utility = parameters.handle_base[product] + people.handle_taste[customer]
    for name, values in (
        ("ease", people.ease[customer]),
        ("person", complexity),
        ("amount", size),
        ("distance", people.distance[customer]),
        ("patience", people.patience[customer]),
        ("managed", state.managed[customer].astype(float)),
    ):
        utility = utility + values[:, None] * weights[name][None, :]
    last = state.last_handle[customer]
    rows = np.nonzero(last >= 0)[0]
    utility[rows, last[rows]] += parameters.config.habit
    return np.asarray(np.where(_access(state, customer), signal * utility, -np.inf))


def _access(state: State, customer: Ints) -> Bools:
    """Without the app, no mobile bank; who is not in WeCom cannot be served there."""
    parameters = state.parameters
    access = np.ones((len(customer), len(parameters.handles)), dtype=bool)
    for name in ("mobile_bank", "wechat_bank", "wecom", "video"):
        if name in parameters.handles:
            access[:, parameters.handle(name)] = state.reachable[customer, parameters.channel(name)]
    return access


def channel_probabilities(
    state: State, customer: Ints, product: Ints, amount: Floats | None = None, step: bool = False
) -> Floats:
    """Probability that the customer chooses each handle channel himself, shape (n, H)."""
    utility = channel_utilities(state, customer, product, amount, step)
    best = utility.max(axis=1, keepdims=True)
    odds = np.exp(utility - best)
    return np.asarray(odds / odds.sum(axis=1, keepdims=True))


def chosen_channels(
    state: State, customer: Ints, product: Ints, amount: Floats | None = None, stage: int = 0
) -> Ints:
    """Handle channel (position) the customer chooses at a stage (0 = application), shape (n,)."""
    probability = channel_probabilities(state, customer, product, amount, step=stage > 0)
    offer = state.parameters.offer_code[product]
    return state.luck.choice(probability, "handle", customer, state.month, offer, stage)


def completion_probability(state: State, customer: Ints, product: Ints, handle: Ints) -> Floats:
    """Probability that an application begun at ``handle`` gets done, shape (n,)."""
    parameters = state.parameters
    weights = parameters.handle_weights
    complexity = parameters.complexity[product]
    online = parameters.handle_mode[handle] == 0
    logit = weights["completion"][handle] + weights["completion_complexity"][handle] * complexity
    logit = logit + np.where(online, 1.1 * state.people.ease[customer], 0.0)
    signal = min(parameters.config.signal, 1.0)
    return np.asarray(expit(signal * logit + (1 - signal) * _PLAIN_COMPLETION))


def completes(state: State, customer: Ints, product: Ints, handle: Ints) -> Bools:
    """Whether an application begun at ``handle`` gets done: the same luck at every channel."""
    offer = state.parameters.offer_code[product]
    drawn = state.luck.uniform("complete", customer, state.month, offer)
    return np.asarray(drawn < completion_probability(state, customer, product, handle))
