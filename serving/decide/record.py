"""The decision record: all that `decide` reads and all that it says.

Given `DecisionInputs` (and the versions of catalog and policy they name), `decide` gives the same
bytes again. Nothing here knows HTTP, a clock or a disk.
"""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from features.catalog import Mode, OfferKind, Stage
from features.config import StrictConfig
from features.state import CustomerState
from serving.contract import Audience, Considered, Intent, Reason, Route, Versions

PStartIs = Literal["propensity", "popularity"]
Direction = Literal["inbound", "outbound"]


class OfferScores(StrictConfig):
    """What the models say of one offer at the stage considered for this customer.

    ``p_start`` in 0–1; ``preference`` and ``completion`` by handle channel, each in 0–1;
    ``amount_cny`` the expected amount (CNY).
    """

    p_start: float
    p_start_is: PStartIs
    amount_cny: float
    preference: dict[str, float]
    completion: dict[str, float]


class FeatureValues(StrictConfig):
    """The feature vector the scores were made from: names and values in release order.

    A missing value is None. ``sha256`` is over names and packed float64 values.
    """

    sha256: str
    names: tuple[str, ...]
    values: tuple[float | None, ...]


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
    scores: dict[str, OfferScores]
    counters: Counters = Counters()
    prices: dict[str, float] = {}
    degraded: tuple[str, ...] = ()
    versions: Versions


class ScoredAction(StrictConfig):
    """One surviving (offer, stage, handle) with every term of its score."""

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


class ExcludedAction(StrictConfig):
    """One removed candidate, the gate that removed it and its one primary reason code."""

    offer: str
    handle: str
    gate: Literal["eligible", "suitable", "deployable", "permitted", "affordable"]
    reason: str


class Contributions(StrictConfig):
    """Exact TreeSHAP of one offer's start probability, summed into feature groups (log-odds)."""

    offer: str
    raw_score: float
    bias: float
    groups: dict[str, float]
    top_features: tuple[tuple[str, float], ...] = ()
    """The features that move the score most: name and contribution, largest first."""


class RankedAction(StrictConfig):
    """One place of the answer with its reasons and, where a model spoke, its explanation."""

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
