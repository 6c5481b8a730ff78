"""What goes over the wire: requests, answers and outcomes of `/v1`.

The audience follows from the key's scope and is never asked for in a request. Times without a
zone are refused; answers are UTC.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Literal

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
)

from features.catalog import Mode, OfferKind, Stage

Audience = Literal["customer", "staff", "reviewer"]
Direction = Literal["inbound", "outbound"]
Route = Literal["stay", "transfer", "return"]
ReasonKind = Literal["model", "economics", "capacity", "rule"]
OutcomeKind = Literal[
    "shown", "clicked", "started", "completed", "refused", "opted_out", "unreached"
]

Identifier = Annotated[str, Field(min_length=1, max_length=128, pattern=r"^[A-Za-z0-9_.:\-]+$")]


_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d")


def _refuse_numbers(value: object) -> object:
    """Refuse a bare number as a time: nobody knows whether it counts seconds or milliseconds."""
    if isinstance(value, datetime) or (isinstance(value, str) and _TIME.match(value)):
        return value
    raise ValueError("a time is text with a zone, as in 2026-07-01T10:00:00+08:00")


def _in_utc(value: datetime) -> datetime:
    """Convert to UTC; a time that cannot be, at the ends of the calendar, is refused."""
    if not 1900 <= value.year <= 9000:
        raise ValueError("a time lies in the years 1900 to 9000")
    return value.astimezone(UTC)


Moment = Annotated[AwareDatetime, BeforeValidator(_refuse_numbers), AfterValidator(_in_utc)]
Rank = Annotated[int, Field(ge=1, le=20, strict=True)]


STRICT = ConfigDict(extra="forbid")
"""Of dataclasses that stand in messages and records."""


class Message(BaseModel):
    """What is sent or answered: no unknown fields, never changed."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Intent(Message):
    """What the customer says he came for, and with how much money (CNY)."""

    offer: Identifier
    stage: Stage = "application"
    amount_cny: float | None = Field(None, gt=0, le=1e12, allow_inf_nan=False, strict=True)


class RecommendRequest(Message):
    """Ask what comes next for a customer who stands at a door (`channel`).

    ``direction`` `outbound` asks again right before a planned contact: ``channel`` is then the one
    he would be spoken to by, and an answer without places means no contact.
    ``as_of`` (default: now) may not lie before the customer's features. ``request_id`` makes a
    repeated request give the stored answer again instead of a second decision.
    """

    customer_id: Identifier
    channel: Identifier
    direction: Direction = "inbound"
    placement: Identifier | None = None
    session_id: Identifier | None = None
    as_of: Moment | None = None
    limit: Rank = 3
    request_id: Identifier | None = None
    intent: Intent | None = None


# What an answer is made of by the dozen: dataclasses, which cost half of a model to make.
# pydantic checks them where they are read back, and they stand in the schema like the rest.
@dataclass(frozen=True, slots=True)
class Text:
    """A sentence in both languages."""

    __pydantic_config__ = STRICT

    zh: str
    en: str


@dataclass(frozen=True, slots=True)
class Reason:
    """One approved sentence; `kind` tells where it comes from."""

    __pydantic_config__ = STRICT

    kind: ReasonKind
    code: str
    text: Text


@dataclass(frozen=True, slots=True)
class DecisionOwner:
    """Who takes it from here: an outlet, and a person where one is known."""

    __pydantic_config__ = STRICT

    org_id: str | None = None
    staff_id: str | None = None
    name: str | None = None


@dataclass(frozen=True, slots=True)
class GroupContribution:
    """How much one group of features adds to the raw score of `p_start` (log-odds).

    ``text`` says it in words, where it is enough to speak of and the audience may hear it.
    """

    __pydantic_config__ = STRICT

    group: str
    contribution: float
    text: Text | None = None


@dataclass(frozen=True, slots=True)
class Explanation:
    """Exact TreeSHAP of one offer: `bias` + contributions = `raw_score` (log-odds)."""

    __pydantic_config__ = STRICT

    raw_score: float
    bias: float
    groups: tuple[GroupContribution, ...]


ScoreTerm = Literal[
    "p_start", "completion", "sale_value", "cost", "staff_cost", "preference", "friction"
]


class ModelLead(Message):
    """Why a start of the first is likelier: ``bias`` + Σ ``groups`` = ``lead`` (log-odds)."""

    lead: float
    bias: float
    groups: dict[str, float]


class WhyFirst(Message):
    """Why the first place (`offer`) stands before the second (`over`).

    ``because`` names what put it first: an open complaint, that the customer came for it, that
    what he came for needs this risk assessment first, or the score. ``explored``: its handle was
    drawn by exploration. ``parts`` add up to ``lead_cny``, the first score less the second (CNY;
    a part below 0 speaks against the first); the lead may be negative where not the score put it
    first, or the handle was drawn. `preference` and `friction` are the customer's experience, times
    the dial. ``model`` is there where the model explains both. ``reasons`` say in words what
    decided.
    """

    offer: str
    over: str
    because: Literal["complaint", "asked_for", "assessment", "score"]
    explored: bool = False
    lead_cny: float
    parts: dict[ScoreTerm, float]
    model: ModelLead | None = None
    reasons: tuple[Reason, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Recommendation:
    """One place of the answer.

    ``p_start`` (0–1) is the propensity to start the application within the horizon; never an
    effect; ``p_start_is`` names its source. ``value_cny`` and ``score`` are CNY, ``experience`` is
    ≤ 0. ``propensity`` is another thing than ``p_start_is`` `propensity`: the whole probability of
    what was shown in the first place, exploration included; later places carry none.
    ``next_steps`` tell staff what to do now; ``economics`` write the sums out for a reviewer. What
    only staff or reviewers may see is absent from a customer's answer.
    """

    __pydantic_config__ = STRICT

    rank: Annotated[int, Field(ge=1)]
    offer: str
    offer_name: Text
    kind: OfferKind
    stage: Stage
    reach: str
    handle: str
    handle_name: Text
    mode: Mode
    route: Route
    owner: DecisionOwner
    p_start: Annotated[
        float | None,
        Field(description="Probability, 0 to 1, that the customer starts this within the horizon."),
    ] = None
    p_start_is: Annotated[
        Literal["propensity", "popularity"] | None,
        Field(
            description="Where p_start comes from: `propensity` is the model's estimate for this "
            "customer, `popularity` the rate of all customers. Not the field `propensity`."
        ),
    ] = None
    preference: float | None = None
    completion: float | None = None
    expected_amount_cny: float | None = None
    value_cny: float | None = None
    experience: float | None = None
    score: float | None = None
    propensity: Annotated[
        float | None,
        Field(
            description="Probability, 0 to 1, with which exploration showed just this offer in the "
            "first place; weights outcomes in off-policy evaluation. Absent in later places. "
            "Not `p_start`, whatever p_start_is says."
        ),
    ] = None
    reasons: tuple[Reason, ...]
    next_steps: tuple[Reason, ...] | None = None
    economics: tuple[Reason, ...] | None = None
    explanation: Explanation | None = None


@dataclass(frozen=True, slots=True)
class Exclusion:
    """What was not offered and the one primary reason; `handle` `*` = every channel."""

    __pydantic_config__ = STRICT

    offer: str
    handle: str
    reason: str
    text: Text | None = None


class Versions(Message):
    """What decided; `release` is None where no models were at hand."""

    release: str | None
    catalog: str
    policy: str


class Considered(Message):
    """Candidates left after each gate."""

    candidates: int
    eligible: int
    suitable: int
    deployable: int
    permitted: int
    affordable: int


class GateCount(Message):
    """What one gate did: how many actions it removed, by reason code, and how many it left."""

    gate: Literal["eligible", "suitable", "deployable", "permitted", "affordable"]
    removed: int
    left: int
    by_reason: dict[str, int]
    text: Text


class RecommendResponse(Message):
    """The answer; `considered`, `why_first` and `excluded` are for staff and reviewers.

    ``degraded_because`` names what was missing, ``no_contact_because`` the reason codes that held
    back a planned contact (`outbound`) where nothing is left to say; both are for staff and
    reviewers. ``gates`` are for reviewers. ``why_first`` is absent where there are not two places.
    """

    decision_id: str
    customer_id: str
    as_of: datetime
    features_as_of: datetime | None
    degraded: bool
    degraded_because: tuple[str, ...] | None = None
    personalised: bool
    explored: bool | None = Field(
        None,
        description="True where the handle of the first place was drawn for a trial and not chosen "
        "by score, which may then be negative. For staff and reviewers.",
    )
    versions: Versions
    considered: Considered | None = None
    gates: tuple[GateCount, ...] | None = None
    why_first: WhyFirst | None = None
    recommendations: tuple[Recommendation, ...]
    no_contact_because: tuple[str, ...] | None = None
    excluded: tuple[Exclusion, ...] | None = None


class Outcome(Message):
    """What happened to one place of a decision; sending it twice changes nothing."""

    outcome_id: Identifier
    decision_id: Identifier
    rank: Rank
    kind: OutcomeKind
    occurred_at: Moment


class Outcomes(Message):
    """Up to 100 outcomes; all of them are stored, or none."""

    outcomes: Annotated[tuple[Outcome, ...], Field(min_length=1, max_length=100)]


class OutcomeReceipt(Message):
    """`stored` is False where this outcome was known already.

    ``orphaned`` is True where its decision is not known (yet): it is kept, and joined once the
    decision appears.
    """

    outcome_id: str
    stored: bool
    orphaned: bool = False


class OutcomeReceipts(Message):
    """A receipt for each outcome of a batch, in its order."""

    outcomes: tuple[OutcomeReceipt, ...]


class Problem(BaseModel):
    """An error (RFC 9457): `detail` says what, where and what to do."""

    type: str = "about:blank"
    title: str
    status: int
    detail: str
    errors: list[dict[str, str]] = []
