"""The decision record: all that `decide` reads and all that it says.

Given `DecisionInputs` (and the versions of catalog and policy they name), `decide` gives the same
bytes again. Nothing here knows HTTP, a clock or a disk.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import Literal

import numpy as np
import numpy.typing as npt
from pydantic import TypeAdapter, model_validator

from features.catalog import Mode, OfferKind, Stage
from features.config import StrictConfig
from features.state import CustomerState
from serving.contract import (
    STRICT,
    Audience,
    Considered,
    Direction,
    Intent,
    Reason,
    Route,
    Versions,
)

PStartIs = Literal["propensity", "popularity"]


@dataclass(frozen=True, slots=True)
class OfferScores:
    """What the models say of one offer at the stage considered for this customer.

    ``p_start`` in 0–1; ``preference`` and ``completion`` by handle channel, each in 0–1;
    ``amount_cny`` the expected amount (CNY).
    """

    p_start: float
    p_start_is: PStartIs
    amount_cny: float
    preference: Mapping[str, float]
    completion: Mapping[str, float]


class Scores(StrictConfig):
    """What the models say of every offer: a table, small on disk and cheap to make.

    Row i is about ``offers[i]`` at the stage considered for this customer: ``p_start`` (0–1) and
    where it comes from, ``amount_cny`` (the expected amount, CNY), and by ``handles``, in their
    order, ``preference`` and ``completion`` (each 0–1).
    """

    offers: tuple[str, ...]
    handles: tuple[str, ...]
    p_start: tuple[float, ...]
    p_start_is: tuple[PStartIs, ...]
    amount_cny: tuple[float, ...]
    preference: tuple[tuple[float, ...], ...]
    completion: tuple[tuple[float, ...], ...]

    @model_validator(mode="after")
    def _is_one_table(self) -> Scores:
        rows = {len(self.offers)} | {
            len(column)
            for column in (self.p_start, self.p_start_is, self.amount_cny,
                           self.preference, self.completion)
        }  # fmt: skip
        widths = {len(self.handles)} | set(map(len, self.preference + self.completion))
        if len(rows) > 1 or len(widths) > 1:
            raise ValueError(f"scores of {len(self.offers)} offers have columns of other lengths")
        return self

    @cached_property
    def row(self) -> dict[str, int]:
        """The row of each offer."""
        return {offer: row for row, offer in enumerate(self.offers)}

    def of(self, offer: str) -> OfferScores | None:
        """Read one offer's row; None where the table has none."""
        row = self.row.get(offer)
        if row is None:
            return None
        return OfferScores(
            p_start=self.p_start[row],
            p_start_is=self.p_start_is[row],
            amount_cny=self.amount_cny[row],
            preference=dict(zip(self.handles, self.preference[row], strict=True)),
            completion=dict(zip(self.handles, self.completion[row], strict=True)),
        )

    @classmethod
    def table(cls, by_offer: Mapping[str, OfferScores], handles: tuple[str, ...]) -> Scores:
        """Lay scores given offer by offer out as a table; each must know all `handles`."""
        rows = by_offer.values()
        return cls(
            offers=tuple(by_offer),
            handles=handles,
            p_start=tuple(one.p_start for one in rows),
            p_start_is=tuple(one.p_start_is for one in rows),
            amount_cny=tuple(one.amount_cny for one in rows),
            preference=tuple(tuple(one.preference[h] for h in handles) for one in rows),
            completion=tuple(tuple(one.completion[h] for h in handles) for one in rows),
        )


class FeatureValues(StrictConfig):
    """The feature vector the scores were made from, in the order of the feature set `version`.

    The release that is named beside it keeps that set's names. A missing value is None. ``sha256``
    is over names and packed float64 values.
    """

    sha256: str
    version: str
    values: tuple[float | None, ...]

    @cached_property
    def vector(self) -> npt.NDArray[np.float64]:
        """The values as a vector, shape (F,), NaN where one is missing."""
        return np.array(self.values, dtype=np.float64)


class Counters(StrictConfig):
    """Live counts that caps and capacity read, at the moment of the decision."""

    minutes_used: dict[str, float] = {}
    """Staff minutes used today by channel (of the customer's outlet where one is known)."""


class DecisionInputs(StrictConfig):
    """Everything a decision reads.

    ``direction``: the customer came to us through ``channel`` (inbound), or we would go to him by
    it (outbound: what may be said at this contact is decided again, and no contact is an answer).
    ``prices`` are CNY per staff minute by channel (empty: free). ``degraded`` names what was
    missing (models, features); empty = nothing. ``features`` is None where no vector was at hand.
    """

    decision_id: str
    audience: Audience
    channel: str
    direction: Direction = "inbound"
    as_of: datetime
    limit: int
    intent: Intent | None = None
    placement: str | None = None
    session_id: str | None = None
    state: CustomerState
    features_as_of: datetime | None = None
    features: FeatureValues | None = None
    scores: Scores
    counters: Counters = Counters()
    prices: dict[str, float] = {}
    degraded: tuple[str, ...] = ()
    versions: Versions


@dataclass(frozen=True, slots=True)
class ScoredAction:
    """One surviving (offer, stage, handle) with every term of its score."""

    __pydantic_config__ = STRICT

    offer: str
    kind: OfferKind
    stage: Stage
    reach: str
    handle: str
    mode: Mode
    route: Route
    p_start: float
    p_start_is: PStartIs
    preference: float
    completion: float
    expected_amount_cny: float
    gross_value_cny: float
    cost_cny: float
    staff_cost_cny: float
    value_cny: float
    friction: float
    experience: float
    score: float
    propensity: float | None = None


@dataclass(frozen=True)
class ExcludedAction:
    """One removed candidate, the gate that removed it and its one primary reason code."""

    __pydantic_config__ = STRICT

    offer: str
    handle: str
    gate: Literal["eligible", "suitable", "deployable", "permitted", "affordable"]
    reason: str

    @cached_property
    def in_short(self) -> str:
        """Say it in a word: the same few thousand are said of millions of customers."""
        return f"{self.reason} {self.offer}/{self.handle}"


@dataclass(frozen=True, slots=True)
class Contributions:
    """Exact TreeSHAP of one offer's start probability, summed into feature groups (log-odds)."""

    __pydantic_config__ = STRICT

    offer: str
    raw_score: float
    bias: float
    groups: dict[str, float]
    top_features: tuple[tuple[str, float], ...] = ()
    """The features that move the score most: name and contribution, largest first."""


@dataclass(frozen=True, slots=True)
class RankedAction:
    """One place of the answer with its reasons and, where a model spoke, its explanation."""

    __pydantic_config__ = STRICT

    rank: int
    action: ScoredAction
    reasons: tuple[Reason, ...]
    contributions: Contributions | None = None


class Decision(StrictConfig):
    """What was decided and why: counts after each gate, exclusions, scores, reasons, seed."""

    decision_id: str
    personalised: bool
    considered: Considered
    ranked: tuple[RankedAction, ...]
    excluded: tuple[ExcludedAction, ...]
    explored: bool
    seed: str


class DecisionRecord(StrictConfig):
    """What is on disk before the answer goes out."""

    inputs: DecisionInputs
    decision: Decision

    def to_bytes(self) -> bytes:
        """Write it as it is stored, and as a replay must write it again."""
        return _WRITTEN.dump_json(self)


_WRITTEN = TypeAdapter(DecisionRecord)  # gives bytes; `model_dump_json` decodes them to text first
