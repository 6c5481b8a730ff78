"""The scorecard: which channel may do which step of which offer, and how well it suits.

Compact rules instead of thousands of cells. A rule names offers (by id or category), channels (by
id or mode), stages and customer segments; what it leaves out means all. Where several rules name a
cell, the most specific wins: a rule for the customer's segment before one for everybody, then by
offer (id before category before all), then by channel (id before mode before all), then by stage.
Two of equal rank are an error; a cell no rule names is forbidden.

Every customer is in one segment: the first of `segments` that fits him, else `others`. Where his
age or assets are not known, several may fit; he then gets, cell by cell, the strictest of theirs.
"""

from __future__ import annotations

from datetime import date
from typing import Literal

from pydantic import Field, model_validator

from features.catalog import Channel, Mode, Names, Offer, Stage
from features.config import StrictConfig

Points = Field(ge=0, le=100)

OTHERS = "others"
"""The segment of customers whom none of the named segments fits."""


class Criteria(StrictConfig):
    """The survey's four criteria: points of 0 to 100, or their weights."""

    ease_online: float = Points
    risk_control: float = Points
    regulation: float = Points
    number_of_steps: float = Points

    def weighted(self, weights: Criteria) -> float:
        """Mean of the points under the survey's weights (0–100)."""
        pairs = (
            (self.ease_online, weights.ease_online),
            (self.risk_control, weights.risk_control),
            (self.regulation, weights.regulation),
            (self.number_of_steps, weights.number_of_steps),
        )
        return sum(points * weight for points, weight in pairs) / sum(w for _, w in pairs)


class Segment(StrictConfig):
    """A named group of customers, by age in full years (both ends included) and all their assets.

    ``maximum_age`` None means no end; ``minimum_assets_cny`` (CNY) None means any assets.
    """

    id: str = Field(pattern=r"^[a-z][a-z0-9_]*$")
    names: Names
    minimum_age: int = Field(default=0, ge=0, le=130)
    maximum_age: int | None = Field(default=None, ge=0, le=130)
    minimum_assets_cny: float | None = Field(default=None, gt=0)

    @model_validator(mode="after")
    def _says_who_is_in_it(self) -> Segment:
        if not self.minimum_age and self.maximum_age is None and self.minimum_assets_cny is None:
            raise ValueError("a segment needs minimum_age, maximum_age or minimum_assets_cny")
        if self.maximum_age is not None and self.maximum_age < self.minimum_age:
            raise ValueError("minimum_age is above maximum_age")
        if self.id == OTHERS:
            raise ValueError(f"'{OTHERS}' are those in no segment; choose another id")
        return self

    def fits(self, age: int | None, assets_cny: float | None) -> bool | None:
        """Whether a customer is in the segment; None where what is unknown of him decides."""
        by_age: bool | None = True
        if self.minimum_age or self.maximum_age is not None:
            oldest = 130 if self.maximum_age is None else self.maximum_age
            by_age = None if age is None else self.minimum_age <= age <= oldest
        by_assets: bool | None = True
        if self.minimum_assets_cny is not None:
            by_assets = None if assets_cny is None else assets_cny >= self.minimum_assets_cny
        if by_age is False or by_assets is False:
            return False
        return None if by_age is None or by_assets is None else True


class ScorecardRule(StrictConfig):
    """One line of the scorecard.

    ``basis`` says by what law, rule or practice it is allowed or forbidden; ``expires`` is its
    last valid day; ``minutes`` the customer's own time; ``feasibility`` how well the step can be
    done there, ``necessity`` how much it needs to be done there. ``owner``, ``evidence`` and
    ``expires`` default to the scorecard's own.
    """

    offers: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()
    channels: tuple[str, ...] = ()
    modes: tuple[Mode, ...] = ()
    stages: tuple[Stage, ...] = ()
    segments: tuple[str, ...] = ()
    compliance: Literal["allowed", "forbidden"]
    basis: str = Field(min_length=1)
    feasibility: Criteria | None = None
    necessity: Criteria | None = None
    minutes: int | None = Field(default=None, gt=0)
    owner: str | None = Field(default=None, min_length=1)
    evidence: str | None = Field(default=None, min_length=1)
    expires: date | None = None

    @model_validator(mode="after")
    def _is_one_selection_with_scores(self) -> ScorecardRule:
        if self.offers and self.categories:
            raise ValueError("a rule names offers or categories, not both")
        if self.channels and self.modes:
            raise ValueError("a rule names channels or modes, not both")
        if self.compliance == "allowed" and not (self.feasibility and self.necessity):
            raise ValueError("an allowed rule needs feasibility and necessity")
        return self

    @property
    def rank(self) -> tuple[int, int, int, int]:
        """How specific the rule is; a higher rank wins."""
        return (
            1 if self.segments else 0,
            2 if self.offers else 1 if self.categories else 0,
            2 if self.channels else 1 if self.modes else 0,
            1 if self.stages else 0,
        )

    def names_offer(self, offer: Offer) -> bool:
        """Whether the rule speaks of this offer."""
        if self.offers:
            return offer.id in self.offers
        return not self.categories or offer.category in self.categories

    def names_channel(self, channel: Channel) -> bool:
        """Whether the rule speaks of this channel."""
        if self.channels:
            return channel.id in self.channels
        return not self.modes or channel.mode in self.modes


class Scorecard(StrictConfig):
    """`scorecard.yaml`: weights, segments, who answers for it by default, until when, the rules.

    A segment that stands earlier in ``segments`` goes first where several fit a customer.
    """

    weights: Criteria = Criteria(ease_online=73, risk_control=72, regulation=60, number_of_steps=57)
    owner: str | None = Field(default=None, min_length=1)
    evidence: str | None = Field(default=None, min_length=1)
    expires: date
    segments: tuple[Segment, ...] = ()
    rules: tuple[ScorecardRule, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _has_weights(self) -> Scorecard:
        if not any(self.weights.model_dump().values()):
            raise ValueError("weights may not all be 0")
        return self

    @model_validator(mode="after")
    def _names_each_segment_once(self) -> Scorecard:
        ids = [segment.id for segment in self.segments]
        twice = sorted({one for one in ids if ids.count(one) > 1})
        if twice:
            raise ValueError(f"segment '{twice[0]}' stands twice; ids are unique")
        return self

    @property
    def segment_ids(self) -> tuple[str, ...]:
        """Ids of the named segments in their order, then `others`."""
        return (*(segment.id for segment in self.segments), OTHERS)

    def segment_of(self, age: int | None, assets_cny: float | None) -> str:
        """Tell a customer's segment: the first that fits, else `others`.

        Where his age (full years) or assets (CNY) are not known, all that may be his, joined with
        ``|``: the cells of such a reading are the strictest of theirs.
        """
        maybe: list[str] = []
        for segment in self.segments:
            fits = segment.fits(age, assets_cny)
            if fits is not False:
                maybe.append(segment.id)
            if fits:
                return "|".join(maybe)
        return "|".join((*maybe, OTHERS))

    @property
    def readings(self) -> tuple[str, ...]:
        """Everything `segment_of` can say: each segment, then what unknown facts leave open."""
        ages: set[int | None] = {None, 0}
        assets: set[float | None] = {None, 0.0}
        for segment in self.segments:
            ages |= {segment.minimum_age, (segment.maximum_age or 0) + 1}
            assets.add(segment.minimum_assets_cny)
        possible = {self.segment_of(age, money) for age in ages for money in assets}
        return (*self.segment_ids, *sorted(possible - set(self.segment_ids)))
