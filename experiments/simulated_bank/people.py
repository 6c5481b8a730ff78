"""Who the customers are: what the bank sees of them, and the latents that it does not see."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from experiments.simulated_bank.luck import Bools, Floats, Ints, Luck
from experiments.simulated_bank.parameters import Parameters
from experiments.simulated_bank.timeline import DAY, HOUR

GENDERS = ("F", "M")
REGIONS = ("east", "north", "south", "central", "southwest", "northwest")
_REGION_SHARE = np.array([[0.26, 0.17, 0.19, 0.17, 0.13, 0.08]])
_REGION_WEALTH = np.array([0.30, 0.15, 0.25, -0.10, -0.25, -0.30])
OCCUPATIONS = (
    "student", "employee", "civil_servant", "self_employed", "farmer", "homemaker", "retired",
)  # fmt: skip
_WORKING_SHARE = np.array([[0.0, 0.50, 0.13, 0.18, 0.12, 0.07, 0.0]])
_OCCUPATION_INCOME = np.array([-1.8, 0.10, 0.20, 0.25, -0.65, -1.2, -0.55])


@dataclass(frozen=True)
class People:
    """N customers; arrays of shape (N,) unless said otherwise.

    Seen: birth day (days since 1970), gender, region and occupation (codes), income (CNY a year),
    ``joined_us`` and ``join_month`` (first month present, 0 for those there at the start).
    Latent: ``ease`` (digital ease, −1 to 1), standardised ``patience``, ``risk`` and ``distance``,
    ``trait`` (N, needs) the lasting part of the needs, ``reach_taste`` (N, channels) and
    ``handle_taste`` (N, H), ``wealth`` (log-assets, standardised), ``prudence`` in repaying.
    """

    birth_day: Ints
    gender: Ints
    region: Ints
    occupation: Ints
    income: Floats
    joined_us: Ints
    join_month: Ints
    payday: Ints
    has_pension: Bools
    ease: Floats
    patience: Floats
    risk: Floats
    distance: Floats
    prudence: Floats
    wealth: Floats
    first_assets: Floats
    trait: Floats
    reach_taste: Floats
    handle_taste: Floats
    takes_app: Bools
    follows_wechat: Bools

    def __len__(self) -> int:
        return len(self.income)

    def age(self, year: float) -> Floats:
        """Age in years, as a fraction, at a year with its fraction."""
        return year - (1970 + self.birth_day / 365.2425)


def make_people(parameters: Parameters, customers: int, luck: Luck) -> People:
    """Draw N customers."""
    config = parameters.config.people
    keys = np.arange(customers)
    start = parameters.timeline.day(0)
    join_month = _join_months(parameters, keys, luck)
    age = _ages(keys, luck)
    birth_day = start - (age * 365.2425).astype(np.int64)
    region = luck.choice(np.repeat(_REGION_SHARE, customers, axis=0), "region", keys)
    occupation = _occupations(age, keys, luck)
    income_noise = luck.normal("income", keys)
    income = config.median_income_cny * np.exp(
        _OCCUPATION_INCOME[occupation] + 0.7 * _REGION_WEALTH[region] + 0.5 * income_noise
        - 0.012 * np.abs(age - 45)
    )  # fmt: skip
    life = -0.0012 * (age - 55) ** 2 + 0.45
    log_assets = (
        np.log(config.median_assets_cny) + life + _REGION_WEALTH[region]
        + config.assets_spread * (0.45 * income_noise + 0.9 * luck.normal("assets", keys))
    )  # fmt: skip
    ease = np.tanh(
        0.5 * (config.ease_at_25 + config.ease_per_year * (age - 25)
               + config.ease_spread * luck.normal("ease", keys))
    )  # fmt: skip
    wealth = (log_assets - np.log(config.median_assets_cny)) / config.assets_spread
    past = (luck.uniform("joined", keys) ** 1.5 * 15 * 365 * DAY).astype(np.int64)
    within = (luck.uniform("join_day", keys) * 25 * DAY).astype(np.int64) + 9 * HOUR
    starts = np.array([parameters.timeline.start(m) for m in range(parameters.config.months)])
    before = parameters.timeline.start(0) - DAY - past
    return People(
        birth_day=birth_day,
        gender=(luck.uniform("gender", keys) < 0.49).astype(np.int64),
        region=region,
        occupation=occupation,
        income=np.round(income, -2),
        joined_us=np.where(join_month == 0, before, starts[join_month] + within),
        join_month=join_month,
        payday=np.array([5, 8, 10, 15, 20, 25])[luck.below(6, "payday", keys)],
        has_pension=(age >= 58) & (luck.uniform("pension", keys) < config.pension_share),
        ease=ease,
        patience=luck.normal("patience", keys),
        risk=0.35 * wealth - 0.03 * (age - 45) + 0.8 * luck.normal("risk", keys),
        distance=luck.normal("distance", keys),
        prudence=luck.normal("prudence", keys),
        wealth=wealth,
        first_assets=np.exp(log_assets),
        trait=_traits(parameters, keys, luck),
        reach_taste=luck.normal(
            "reach_taste", keys[:, None], np.arange(len(parameters.catalog.channels))[None, :]
        ),
        handle_taste=0.55
        * luck.normal("handle_taste", keys[:, None], np.arange(len(parameters.handles))[None, :]),
        takes_app=luck.uniform("takes_app", keys) < 0.5 + 0.47 * np.tanh(1.5 * (ease + 0.55)),
        follows_wechat=luck.uniform("wechat", keys) < 0.35 + 0.3 * ease,
    )


def _join_months(parameters: Parameters, keys: Ints, luck: Luck) -> Ints:
    late = luck.uniform("present", keys) >= parameters.config.people.present_at_start
    month = 1 + luck.below(parameters.config.months - 1, "join_month", keys)
    return np.where(late, month, 0)


def _ages(keys: Ints, luck: Luck) -> Floats:
    young = 29 + 8.0 * luck.normal("age", keys)
    middle = 46 + 9.0 * luck.normal("age", keys)
    old = 67 + 8.0 * luck.normal("age", keys)
    group = luck.choice(np.repeat([[0.34, 0.40, 0.26]], len(keys), axis=0), "age_group", keys)
    age = np.choose(group, [young, middle, old])
    return np.asarray(np.clip(age, 14 + 3 * luck.uniform("age_floor", keys), 96))


def _occupations(age: Floats, keys: Ints, luck: Luck) -> Ints:
    working = luck.choice(np.repeat(_WORKING_SHARE, len(keys), axis=0), "occupation", keys)
    spare = luck.uniform("working", keys)
    student = (age < 18) | ((age < 24) & (spare < 0.65))
    retired = (age >= 65) | ((age >= 57) & (spare < 0.55))
    return np.asarray(np.where(student, 0, np.where(retired, 6, working)))


def _traits(parameters: Parameters, keys: Ints, luck: Luck) -> Floats:
    """Lasting needs: common factors by their loadings, the rest of the variance their own."""
    needs = parameters.config.needs
    factors = luck.normal("factor", keys[:, None], np.arange(len(needs.factors))[None, :])
    traits = np.zeros((len(keys), len(needs.loadings)))
    for column, loading in enumerate(needs.loadings.values()):
        explained = 0.0
        for factor, weight in loading.items():
            # One term after the other: a matrix product may add up in another order elsewhere.
            traits[:, column] += weight * factors[:, needs.factors.index(factor)]
            explained += weight**2
        own = luck.normal("need", keys, column)
        traits[:, column] += np.sqrt(max(1.0 - explained, 0.05)) * own
    return traits
