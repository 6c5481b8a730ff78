"""The bank's policy: every number a banker may turn, typed and bounded (`policy.yaml`)."""

from __future__ import annotations

from datetime import date
from itertools import pairwise
from zoneinfo import ZoneInfo, available_timezones

from pydantic import Field, field_validator, model_validator

from features.catalog import Names, OfferKind
from features.config import StrictConfig
from features.errors import did_you_mean

Share = Field(ge=0, le=1)


class HourRange(StrictConfig):
    """Hours of the day in the bank's time zone: from `start`, up to but without `end` (0–24)."""

    start: int = Field(ge=0, le=23)
    end: int = Field(ge=1, le=24)

    @model_validator(mode="after")
    def _ends_after_its_start(self) -> HourRange:
        if self.start >= self.end:
            raise ValueError(f"hours end ({self.end}) before they start ({self.start})")
        return self


class Caps(StrictConfig):
    """The most contacts a customer may get (per day, 7 and 30 days; in all and by channel).

    ``unanswered_30_days``: who answered none of his last so many, all of the last 30 days, is left
    alone; None: that is no reason.
    """

    per_day: int = Field(ge=0)
    per_7_days: int = Field(ge=0)
    per_30_days: int = Field(ge=0)
    unanswered_30_days: int | None = Field(None, ge=1)
    by_channel_30_days: dict[str, int] = {}

    @model_validator(mode="after")
    def _longer_periods_allow_no_less(self) -> Caps:
        if not self.per_day <= self.per_7_days <= self.per_30_days:
            raise ValueError(
                "impossible caps: a day may not allow more than 7 days, nor those more than 30 "
                f"(got {self.per_day}, {self.per_7_days}, {self.per_30_days})"
            )
        for channel, most in self.by_channel_30_days.items():
            if not 0 <= most <= self.per_30_days:
                raise ValueError(
                    f"impossible cap: channel '{channel}' allows {most}, "
                    f"all channels together {self.per_30_days}"
                )
        return self


class CoolDowns(StrictConfig):
    """Days without an offer after the customer refused it; for credit, its whole category.

    At most the year that refusals are known for. ``lifted_by_intent``: the customer asks for it
    himself, so it is no longer pitched to him.
    """

    credit_days: int = Field(ge=0, le=365)
    other_days: int = Field(ge=0, le=365)
    lifted_by_intent: bool = True


class Elderly(StrictConfig):
    """From `age` on: risk levels never offered, and those that need a person (R1–R5)."""

    age: int = Field(default=65, ge=0, le=130)
    never_from_risk_level: int = Field(default=4, ge=1, le=5)
    person_from_risk_level: int = Field(default=3, ge=1, le=5)


class HighRisk(StrictConfig):
    """Investments from `from_level` on (R1–R5) are never pitched to a customer unasked.

    For `raised_hold_days` after his risk tolerance came out higher they need a person: who was
    lifted to C4 yesterday should not buy alone today.
    """

    from_level: int = Field(default=4, ge=1, le=5)
    raised_hold_days: int = Field(default=7, ge=0, le=365)


class Exploration(StrictConfig):
    """A share of decisions draws the handle of the first place among its best `arms`."""

    share: float = Share
    arms: int = Field(default=5, ge=1, le=5)
    salt: str = Field(min_length=1)


class HoldOut(StrictConfig):
    """The share of customers never contacted unasked, by a salted hash of the customer."""

    share: float = Share
    salt: str = Field(min_length=1)


class Restrictions(StrictConfig):
    """What restrictions do.

    ``kept``: this bank keeps restrictions; where they cannot be read, they hold.
    ``anti_fraud_channels``: the only channels that may handle anything under an anti-fraud hold.
    """

    kept: bool
    anti_fraud_channels: tuple[str, ...] = ()


class Services(StrictConfig):
    """Services and care that need a reason, and when there is one.

    Days before the assessment expires from which its renewal is offered; assets (CNY) from which
    a benefit is. An offer left out here needs no reason.
    """

    risk_assessment: str | None = None
    identity: str | None = None
    benefit: str | None = None
    complaint: str | None = None
    renew_within_days: int = Field(default=60, ge=0)
    benefit_from_cny: float = Field(default=0, ge=0)


class Tier(StrictConfig):
    """A service tier and the assets (CNY) it starts from."""

    names: Names
    from_cny: float = Field(ge=0)


class Triggers(StrictConfig):
    """When a fact about the customer becomes a reason.

    ``maturity_days`` ahead; ``idle_cash_cny`` on current accounts, for what has no tenor;
    ``tier_gap_share`` of the next tier still missing; ``unanswered_calls`` in 30 days;
    ``many_steps`` of a scorecard cell's necessity in number of steps (0–100), from which a
    specialist helps.
    """

    maturity_days: int = Field(default=30, ge=0)
    maturity_categories: tuple[str, ...] = ()
    idle_cash_cny: float = Field(default=50_000, ge=0)
    idle_cash_categories: tuple[str, ...] = ()
    tier_gap_share: float = Share
    tier_gap_categories: tuple[str, ...] = ()
    unanswered_calls: int = Field(default=3, ge=1)
    many_steps: float = Field(default=60, ge=0, le=100)


class Doors(StrictConfig):
    """Channels that reasons and rules speak of; left out where the bank has none such.

    At ``machines`` the customer does it himself, even though staff keep an eye on them.
    """

    app: str | None = None
    video: str | None = None
    wecom: str | None = None
    calls: tuple[str, ...] = ()
    counters: tuple[str, ...] = ()
    managers: tuple[str, ...] = ()
    machines: tuple[str, ...] = ()


class Popularity(StrictConfig):
    """What is believed where no model speaks: start probability by kind, and a completion rate."""

    p_start: dict[OfferKind, float]
    completion: float = Share

    @field_validator("p_start")
    @classmethod
    def _are_probabilities(cls, value: dict[OfferKind, float]) -> dict[OfferKind, float]:
        for kind in ("product", "service", "care"):
            if not 0 <= value.get(kind, -1.0) <= 1:
                raise ValueError(f"'{kind}' needs a probability between 0 and 1")
        return value


class Policy(StrictConfig):
    """The whole policy.

    ``experience_cny`` is the dial: what one point of experience (0–1) is worth in CNY.
    ``handover_friction`` is the experience lost when the customer must change door (0–1).
    ``care_visit_friction`` is lost besides where care would send him to an outlet (0–1).
    ``own_money_categories``: who takes one of these pays it from what he has with us, so no more
    is expected of him than that.
    ``minimum_p_start`` leaves products that are less likely to be started (0–1) out of an inbound
    answer, unless the customer came for them.
    ``unknown_means_up_to_cny``: a minimum amount up to this holds for customers whose assets are
    not known; above it, unknown means are a veto.
    ``call_hours`` and ``holidays`` bind the channels of `doors.calls`, in the bank's time zone.
    ``agency_categories``: what an agency outlet sells whose own scope is not given.
    ``must_be_reachable``: remote channels that need a proof that they reach the customer.
    ``must_have_consent``: channels by which nobody is contacted who has not said yes to it; by the
    others, who has not said no.
    ``managed_contact``: channels by which a customer who has a manager may be contacted.
    """

    timezone: str
    experience_cny: float = Field(ge=0)
    handover_friction: float = Share
    care_visit_friction: float = Field(default=0, ge=0, le=1)
    own_money_categories: tuple[str, ...] = ()
    minimum_p_start: float = Field(default=0, ge=0, le=1)
    unknown_means_up_to_cny: float = Field(default=0, ge=0)
    assessment_months: int = Field(default=12, ge=1, le=12)
    adult_age: int = Field(default=18, ge=0, le=130)
    call_hours: tuple[HourRange, ...]
    holidays: tuple[date, ...] = ()
    caps: Caps
    cool_downs: CoolDowns
    elderly: Elderly = Elderly()
    high_risk: HighRisk = HighRisk()
    exploration: Exploration
    hold_out: HoldOut
    restrictions: Restrictions
    services: Services = Services()
    triggers: Triggers
    tiers: tuple[Tier, ...] = ()
    doors: Doors = Doors()
    agency_categories: tuple[str, ...] = ()
    must_be_reachable: tuple[str, ...] = ()
    must_have_consent: tuple[str, ...]
    managed_contact: tuple[str, ...] = ()
    popularity: Popularity

    @field_validator("timezone")
    @classmethod
    def _is_a_zone(cls, value: str) -> str:
        if value not in available_timezones():
            raise ValueError(did_you_mean(value, available_timezones()))
        return value

    @field_validator("call_hours")
    @classmethod
    def _hours_follow_each_other(cls, value: tuple[HourRange, ...]) -> tuple[HourRange, ...]:
        for before, after in pairwise(value):
            if after.start < before.end:
                raise ValueError(
                    f"hours from {after.start} overlap or go before those until {before.end}; "
                    "write them in order, each once"
                )
        return value

    @field_validator("holidays")
    @classmethod
    def _holidays_stand_once(cls, value: tuple[date, ...]) -> tuple[date, ...]:
        for before, after in pairwise(value):
            if after <= before:
                raise ValueError(f"holiday {after} stands after {before}; write them in order")
        return value

    @field_validator("tiers")
    @classmethod
    def _tiers_rise(cls, value: tuple[Tier, ...]) -> tuple[Tier, ...]:
        starts = [tier.from_cny for tier in value]
        if starts != sorted(set(starts)):
            raise ValueError("tiers must stand in rising order of from_cny")
        return value

    @property
    def zone(self) -> ZoneInfo:
        """The bank's time zone."""
        return ZoneInfo(self.timezone)

    def channels_named(self) -> dict[str, tuple[str, ...]]:
        """Every channel id the policy names, by the key that names it."""
        doors = self.doors
        single = {"app": doors.app, "video": doors.video, "wecom": doors.wecom}
        return {
            "caps.by_channel_30_days": tuple(self.caps.by_channel_30_days),
            "restrictions.anti_fraud_channels": self.restrictions.anti_fraud_channels,
            "must_be_reachable": self.must_be_reachable,
            "must_have_consent": self.must_have_consent,
            "managed_contact": self.managed_contact,
            "doors.calls": doors.calls,
            "doors.counters": doors.counters,
            "doors.managers": doors.managers,
            "doors.machines": doors.machines,
            **{f"doors.{key}": (name,) for key, name in single.items() if name is not None},
        }

    def offers_named(self) -> dict[str, str]:
        """Every offer id the policy names, by the key that names it."""
        services = self.services
        named = {
            "services.risk_assessment": services.risk_assessment,
            "services.identity": services.identity,
            "services.benefit": services.benefit,
            "services.complaint": services.complaint,
        }
        return {key: offer for key, offer in named.items() if offer is not None}
