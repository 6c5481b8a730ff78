"""The configuration compiled to arrays: products and channels by position."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from experiments.simulated_bank.config import ProductConfig, SimulationConfig
from experiments.simulated_bank.luck import Bools, Floats, Ints
from experiments.simulated_bank.timeline import Timeline
from features.catalog import Catalog, Offer, load_catalog
from features.errors import ConfigError, did_you_mean
from features.tables import ASSET_CLASSES

CATALOGS = Path(__file__).resolve().parents[2] / "configs" / "catalog"

_CLASS_OF_CATEGORY = {
    "deposit": "deposit", "wealth": "wealth", "fund": "fund", "insurance": "insurance",
    "metal": "metal",
}  # fmt: skip


@dataclass(frozen=True)
class Parameters:
    """Arrays over P offers of the simulation (catalog order) and H handle channels.

    ``offer_code`` and ``handle_code`` translate positions into catalog codes.
    """

    config: SimulationConfig
    catalog: Catalog
    timeline: Timeline
    products: tuple[str, ...]
    handles: tuple[str, ...]

    @cached_property
    def settings(self) -> tuple[ProductConfig, ...]:
        """The product configurations in array order."""
        return tuple(self.config.products[name] for name in self.products)

    @cached_property
    def offers(self) -> tuple[Offer, ...]:
        """The catalog's entries in array order."""
        return tuple(self.catalog.offer_by_id[name] for name in self.products)

    @cached_property
    def offer_code(self) -> Ints:
        """Catalog code of each product, shape (P,)."""
        return np.array([self.catalog.offer_ids.index(name) for name in self.products])

    @cached_property
    def handle_code(self) -> Ints:
        """Catalog code of each handle channel, shape (H,)."""
        return np.array([self.catalog.channel_ids.index(name) for name in self.handles])

    @cached_property
    def is_product(self) -> Bools:
        """Whether a completed sale opens a holding, shape (P,)."""
        return np.array([offer.kind == "product" for offer in self.offers])

    @cached_property
    def repeatable(self) -> Bools:
        """Whether it may be started while held, shape (P,)."""
        return np.array([offer.repeatable for offer in self.offers])

    @cached_property
    def complexity(self) -> Floats:
        """From 0 (a click) to 1, shape (P,)."""
        return np.array([setting.complexity for setting in self.settings])

    @cached_property
    def minimum(self) -> Floats:
        """Smallest amount in CNY, shape (P,)."""
        return np.array([offer.minimum_cny for offer in self.offers])

    @cached_property
    def ages(self) -> tuple[Floats, Floats]:
        """Youngest and oldest age that may buy, each of shape (P,)."""
        low = np.array([offer.minimum_age for offer in self.offers], dtype=float)
        return low, np.array([offer.maximum_age for offer in self.offers], dtype=float)

    @cached_property
    def asset_class(self) -> Ints:
        """Position in ``ASSET_CLASSES`` of the money it takes, −1 for none, shape (P,)."""
        return np.array([
            ASSET_CLASSES.index(_CLASS_OF_CATEGORY[offer.category])
            if offer.category in _CLASS_OF_CATEGORY and offer.id != "health_insurance" else -1
            for offer in self.offers
        ])  # fmt: skip

    @cached_property
    def is_loan(self) -> Bools:
        """Whether it is money lent, shape (P,)."""
        lent = [
            offer.suitability == "credit" and setting.amount is not None
            for offer, setting in zip(self.offers, self.settings, strict=True)
        ]
        return np.array(lent)

    @cached_property
    def is_investment(self) -> Bools:
        """Whether it needs a valid risk assessment, shape (P,)."""
        return np.array([offer.suitability in ("investment", "fund") for offer in self.offers])

    @cached_property
    def tenor_months(self) -> Ints:
        """Months until maturity, 0 where it has none, shape (P,)."""
        return np.array([round((offer.tenor_days or 0) / 30.4) for offer in self.offers])

    @cached_property
    def requires(self) -> Ints:
        """Position of the product that must be held, −1 for none, shape (P,)."""
        return np.array([-1 if setting.requires is None else self.products.index(setting.requires)
                         for setting in self.settings])  # fmt: skip

    @cached_property
    def need_position(self) -> Ints:
        """Position of each product's need, shape (P,)."""
        names = list(self.config.needs.loadings)
        return np.array([names.index(setting.need) for setting in self.settings])

    @cached_property
    def weights(self) -> dict[str, Floats]:
        """Log-odds weights by their name in the configuration, each of shape (P,)."""
        names = ("need_weight", "wealth", "income", "maturity", "inflow", "again", "benefit",
                 "expired_assessment", "ease", "rate", "held", "churn")  # fmt: skip
        return {
            name: np.array([getattr(setting, name) for setting in self.settings]) for name in names
        }

    @cached_property
    def handle_base(self) -> Floats:
        """Utility of channel h for product p, −inf where nobody may choose it, shape (P, H)."""
        base = np.full((len(self.products), len(self.handles)), -np.inf)
        for row, setting in enumerate(self.settings):
            for channel, utility in self.config.handle_sets[setting.handles].items():
                base[row, self.handles.index(channel)] = utility
        return base

    @cached_property
    def handle_weights(self) -> dict[str, Floats]:
        """Utility weights of the handle channels, each of shape (H,)."""
        names = ("ease", "person", "amount", "distance", "patience", "managed", "completion",
                 "completion_complexity")  # fmt: skip
        return {
            name: np.array([getattr(self.config.handles[one], name) for one in self.handles])
            for name in names
        }

    @cached_property
    def handle_mode(self) -> Ints:
        """0 online, 1 remote, 2 offline, shape (H,)."""
        modes = ("online", "remote", "offline")
        return np.array([modes.index(self.catalog.channel_by_id[one].mode) for one in self.handles])

    def position(self, product: str) -> int:
        """Array position of a product id."""
        return self.products.index(product)

    def product_or_none(self, product: str) -> int:
        """Array position of a product id, −1 where the configuration leaves it out."""
        return self.products.index(product) if product in self.products else -1

    def handle(self, channel: str) -> int:
        """Array position of a handle channel id."""
        return self.handles.index(channel)

    def channel(self, channel: str) -> int:
        """Catalog code of a channel id."""
        return self.catalog.channel_ids.index(channel)


def compile_parameters(config: SimulationConfig, catalogs: Path = CATALOGS) -> Parameters:
    """Join configuration and catalog; `ConfigError` names an id that the catalog lacks."""
    catalog = load_catalog(catalogs / config.catalog)
    for place, names, known in (
        ("products", config.products, catalog.offer_ids),
        ("handles", config.handles, catalog.handle_ids),
        ("reaches", config.reaches, catalog.channel_ids),
    ):
        for name in names:
            if name not in known:
                raise ConfigError(
                    f"simulation, {place}: '{name}' is not in catalog '{config.catalog}'; "
                    f"{did_you_mean(name, known)}"
                )
    return Parameters(
        config=config,
        catalog=catalog,
        timeline=Timeline(
            config.first_year, config.first_month, config.months, config.utc_offset_hours
        ),
        products=tuple(name for name in catalog.offer_ids if name in config.products),
        handles=tuple(name for name in catalog.handle_ids if name in config.handles),
    )
