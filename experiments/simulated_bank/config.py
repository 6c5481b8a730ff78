"""The parameters of the simulated bank: `configs/simulation/*.yaml`, typed."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import Annotated

from pydantic import Field, model_validator

from features.config import StrictConfig, load_yaml
from features.errors import ConfigError, did_you_mean

Share = Annotated[float, Field(ge=0, le=1)]
Season = Annotated[tuple[float, ...], Field(min_length=12, max_length=12)]


class AgeBump(StrictConfig):
    """A life stage: added log-odds ``weight`` at age ``peak`` (years), fading over ``width``."""

    peak: float
    width: float = Field(gt=0)
    weight: float


class AmountConfig(StrictConfig):
    """Amount of one sale: log-normal around ``median`` (CNY), × wealth or income to a power."""

    median: float = Field(gt=0)
    spread: float = Field(ge=0)
    wealth: float = 0.0
    income: float = 0.0


class ProductConfig(StrictConfig):
    """What drives one product or service; weights are log-odds and scale with `signal`.

    ``rate`` is the mean number of applications begun per customer and month; ``season`` twelve
    factors from January on; ``held`` the mean number held at the start; ``churn`` the share of
    holdings closed a month; ``complexity`` 0 (a click) to 1 (needs explaining); ``handles`` names
    a set of channels; ``steps`` the stages between application and completion.
    """

    rate: float = Field(gt=0, le=0.5)
    need: str
    need_weight: float = 1.0
    season: Season = (1.0,) * 12
    held: float = Field(default=0.0, ge=0)
    churn: Share = 0.0
    wealth: float = 0.0
    income: float = 0.0
    age: AgeBump | None = None
    maturity: float = 0.0
    inflow: float = 0.0
    again: float = 0.0
    benefit: float = 0.0
    expired_assessment: float = 0.0
    requires: str | None = None
    ease: float = 0.0
    complexity: Share
    amount: AmountConfig | None = None
    handles: str
    steps: tuple[str, ...] = ()


class HandleConfig(StrictConfig):
    """How much a handle channel draws a customer: utilities, scaled with `signal`.

    ``ease`` counts digital ease (−1 to 1), ``person`` the product's complexity (0 to 1),
    ``amount`` the amount's order of magnitude, ``distance`` the way to the branch (standardised),
    ``patience`` and ``managed`` (has a manager of his own). ``completion`` and
    ``completion_complexity`` are log-odds of getting it done there.
    """

    ease: float
    person: float
    amount: float = 0.0
    distance: float = 0.0
    patience: float = 0.0
    managed: float = 0.0
    completion: float = 0.0
    completion_complexity: float = 0.0


class ReachConfig(StrictConfig):
    """What a contact through this channel does: added log-odds to start, scaled with `signal`.

    ``uplift`` + ``ease`` · digital ease + the customer's own taste (standard deviation ``taste``),
    minus ``fatigue`` per recent contact. ``delivered`` is the share that arrives, ``refusal`` the
    base share of refusals among the delivered, ``opt_out`` that of opt-outs.
    """

    uplift: float
    ease: float = 0.0
    taste: float = 0.4
    fatigue: float = 0.25
    delivered: Share
    refusal: Share = 0.0
    opt_out: Share = 0.0


class CampaignConfig(StrictConfig):
    """One campaign of the as-is policy: who is on its list, by observable facts."""

    offer: str
    minimum_age: int = 18
    maximum_age: int = 120
    minimum_assets_cny: float = 0.0
    maturing: bool = False
    holds: str | None = None
    expired_assessment: bool = False


class OutreachConfig(StrictConfig):
    """The as-is contact policy: list share, hold-out, channel weights and managers' discretion."""

    name: str
    list_share: Share
    hold_out: Share
    channels: dict[str, float]
    old_calls: float
    ease_push: float
    asset_human: float
    campaigns: tuple[CampaignConfig, ...] = Field(min_length=1)
    discretion_rate: Share
    discretion_need: float


class PeopleConfig(StrictConfig):
    """Who the customers are."""

    present_at_start: Share
    median_assets_cny: float = Field(gt=0)
    assets_spread: float = Field(gt=0)
    median_income_cny: float = Field(gt=0)
    customers_per_branch: int = Field(gt=0)
    agency_share: Share
    ease_at_25: float
    ease_per_year: float
    ease_spread: float = Field(ge=0)
    managed_above_cny: float
    pension_share: Share


class NeedsConfig(StrictConfig):
    """The factor model of needs: loadings of each need on common factors, and its persistence."""

    factors: tuple[str, ...]
    persistence: Share
    moving: Share
    loadings: dict[str, dict[str, float]]

    @model_validator(mode="after")
    def _loads_on_known_factors(self) -> NeedsConfig:
        for need, loading in self.loadings.items():
            for factor in loading:
                if factor not in self.factors:
                    raise ValueError(
                        f"need '{need}': unknown factor; {did_you_mean(factor, self.factors)}"
                    )
        return self


class ActivityConfig(StrictConfig):
    """Mean number of rows per customer and month of what customers do besides applying."""

    logins: float
    browses: float
    visits: float
    inquiries: float
    services: float
    calls: float
    error_rate: Share
    rating_share: Share


class SimulationConfig(StrictConfig):
    """The whole bank. ``signal`` 1 is the bank as described, 0 leaves popularity only.

    ``warm_up_months`` changes nothing here: it tells studies which months only make history.
    """

    catalog: str
    first_year: int
    first_month: int = Field(ge=1, le=12)
    months: int = Field(ge=2, le=120)
    warm_up_months: int = Field(ge=0)
    utc_offset_hours: int = Field(ge=-12, le=14)
    signal: float = Field(ge=0, le=2)
    habit: float
    people: PeopleConfig
    needs: NeedsConfig
    products: dict[str, ProductConfig]
    handle_sets: dict[str, dict[str, float]]
    handles: dict[str, HandleConfig]
    reaches: dict[str, ReachConfig]
    outreach: OutreachConfig
    activity: ActivityConfig

    @model_validator(mode="after")
    def _names_hang_together(self) -> SimulationConfig:
        for name, product in self.products.items():
            where = f"product '{name}'"
            _must_know(where, product.need, self.needs.loadings)
            _must_know(where, product.handles, self.handle_sets)
            if product.requires is not None:
                _must_know(where, product.requires, self.products)
        for name, channels in self.handle_sets.items():
            for channel in channels:
                _must_know(f"handle set '{name}'", channel, self.handles)
        for campaign in self.outreach.campaigns:
            _must_know("campaign", campaign.offer, self.products)
        for channel in self.outreach.channels:
            _must_know("outreach", channel, self.reaches)
        return self


def _must_know(where: str, word: str, known: Collection[str]) -> None:
    if word not in known:
        raise ValueError(f"{where}: unknown name '{word}'; {did_you_mean(word, known)}")


def load_simulation(path: Path, signal: float | None = None) -> SimulationConfig:
    """Read a simulation YAML; `signal`, where given, replaces the file's."""
    config = load_yaml(path, SimulationConfig)
    if signal is None:
        return config
    if not 0 <= signal <= 2:
        raise ConfigError(f"--signal {signal}: give a number from 0 to 2")
    return config.model_copy(update={"signal": signal})
