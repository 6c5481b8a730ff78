"""What the bank offers and through which doors: `channels.yaml` and `offers.yaml`."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import Literal

from pydantic import Field, model_validator

from features.config import StrictConfig, load_yaml
from features.errors import ConfigError

Mode = Literal["online", "remote", "offline"]
MODES: tuple[Mode, ...] = ("online", "remote", "offline")
Stage = Literal["application", "interview", "approval", "signing", "servicing", "inquiry", "rating"]
STAGES: tuple[Stage, ...] = (
    "application", "interview", "approval", "signing", "servicing", "inquiry", "rating",
)  # fmt: skip
OfferKind = Literal["product", "service", "care"]
Suitability = Literal["none", "investment", "fund", "insurance", "credit"]


class Names(StrictConfig):
    """A name in both languages."""

    zh: str = Field(min_length=1)
    en: str = Field(min_length=1)


class Channel(StrictConfig):
    """A door between the customer and the bank.

    ``cost_cny`` is the variable cost of one contact (CNY, ≥ 0), ``staff_minutes`` the staff time
    it takes (minutes, ≥ 0), ``daily_minutes`` the staff time there is in one outlet, or in all
    where outlets are not known (minutes a day; null = no limit).
    """

    id: str = Field(pattern=r"^[a-z][a-z0-9_]*$")
    names: Names
    mode: Mode
    roles: tuple[Literal["reach", "handle"], ...] = Field(min_length=1)
    cost_cny: float = Field(ge=0)
    staff_minutes: float = Field(ge=0)
    daily_minutes: float | None = Field(default=None, ge=0)


class Offer(StrictConfig):
    """A product, a service or a care action that may be recommended.

    Its value to the bank is ``margin_bps`` / 10,000 × expected amount, or ``fixed_cny`` (CNY); one
    of the two. ``expected_amount_cny`` is the amount used where no model prices the offer.
    ``holders`` says who may hold it: an age range in years, both ends included.
    """

    id: str = Field(pattern=r"^[a-z][a-z0-9_]*$")
    names: Names
    kind: OfferKind
    category: str = Field(pattern=r"^[a-z][a-z0-9_]*$")
    repeatable: bool
    suitability: Suitability
    risk_level: int | None = Field(default=None, ge=1, le=5)
    minimum_cny: float = Field(default=0.0, ge=0)
    tenor_days: int | None = Field(default=None, gt=0)
    margin_bps: float | None = None
    expected_amount_cny: float | None = Field(default=None, gt=0)
    fixed_cny: float | None = None
    minimum_age: int = Field(default=0, ge=0, le=130)
    maximum_age: int = Field(default=130, ge=0, le=130)

    @model_validator(mode="after")
    def _is_priced_and_rated(self) -> Offer:
        if (self.margin_bps is None) == (self.fixed_cny is None):
            raise ValueError(f"offer '{self.id}': give margin_bps or fixed_cny, one of the two")
        if self.margin_bps is not None and self.expected_amount_cny is None:
            raise ValueError(f"offer '{self.id}': margin_bps needs expected_amount_cny")
        if self.suitability in ("investment", "fund") and self.risk_level is None:
            raise ValueError(f"offer '{self.id}': an investment needs risk_level 1 to 5")
        if self.minimum_age > self.maximum_age:
            raise ValueError(f"offer '{self.id}': minimum_age is above maximum_age")
        return self

    def value_cny(self, amount_cny: float) -> float:
        """Value of one sale of ``amount_cny`` CNY, in CNY."""
        if self.fixed_cny is not None:
            return self.fixed_cny
        return (self.margin_bps or 0.0) / 10_000 * amount_cny


class _Channels(StrictConfig):
    channels: tuple[Channel, ...] = Field(min_length=1)


class _Offers(StrictConfig):
    offers: tuple[Offer, ...] = Field(min_length=1)


class Catalog(StrictConfig):
    """Channels and offers in file order; ids are append-only, so order is part of a release."""

    name: str
    channels: tuple[Channel, ...]
    offers: tuple[Offer, ...]

    @property
    def channel_ids(self) -> tuple[str, ...]:
        """All channel ids, in catalog order."""
        return tuple(channel.id for channel in self.channels)

    @property
    def handle_ids(self) -> tuple[str, ...]:
        """Ids of the channels where a stage can be handled."""
        return tuple(channel.id for channel in self.channels if "handle" in channel.roles)

    @property
    def offer_ids(self) -> tuple[str, ...]:
        """All offer ids, in catalog order."""
        return tuple(offer.id for offer in self.offers)

    @property
    def product_ids(self) -> tuple[str, ...]:
        """Ids of the offers of kind product: what the next-product model predicts."""
        return tuple(offer.id for offer in self.offers if offer.kind == "product")

    @cached_property
    def channel_by_id(self) -> dict[str, Channel]:
        """Channels by id, in catalog order."""
        return {channel.id: channel for channel in self.channels}

    @cached_property
    def offer_by_id(self) -> dict[str, Offer]:
        """Offers by id, in catalog order."""
        return {offer.id: offer for offer in self.offers}


def load_catalog(folder: Path) -> Catalog:
    """Read `channels.yaml` and `offers.yaml` of a catalog folder; `ConfigError` if they are off."""
    channels = load_yaml(folder / "channels.yaml", _Channels).channels
    offers = load_yaml(folder / "offers.yaml", _Offers).offers
    for file, ids in (
        ("channels.yaml", [channel.id for channel in channels]),
        ("offers.yaml", [offer.id for offer in offers]),
    ):
        twice = sorted({one for one in ids if ids.count(one) > 1})
        if twice:
            raise ConfigError(f"{folder / file}: id '{twice[0]}' stands twice; ids are unique")
    return Catalog(name=folder.name, channels=channels, offers=offers)
