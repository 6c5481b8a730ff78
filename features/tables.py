"""The data contract: every table a bank may bring, its columns, units and ranges.

Times are UTC with microseconds, money is CNY as DECIMAL(18,2). Only `customers` and one of
`interactions` and `holdings` are required. A column with ``filled_at`` is filled in after its row
was written and counts only from the moment in that other column (or from its own value, where it
is a time itself).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from features.catalog import STAGES

Dtype = Literal["id", "text", "time", "date", "money", "number", "integer", "flag"]

INTERACTION_KINDS = (
    "login", "browse", "inquiry", "apply", "step", "complete", "abandon", "visit", "call",
    "service", "error", "touch",
)  # fmt: skip
"""What a customer can do at a channel: `apply` starts an application, `complete` gets it done."""

TRANSACTION_KINDS = (
    "payroll", "pension", "repayment", "bill", "transfer_in", "transfer_out", "spend",
)  # fmt: skip
SCORE_HEADS = ("start", "preference", "completion")
"""What a score is a probability of: that the customer starts the product, that he chooses the
channel for it at that stage, that it gets done if it is handled there."""

ASSET_CLASSES = ("demand", "deposit", "wealth", "fund", "insurance", "metal")
"""Classes of balances; `demand` is money on current accounts."""

PERSONALISATION = "personalisation"
"""Channel of `consents` that carries the right to a non-personal answer."""

NO_CONTACT = "none"
"""Channel of `contacts` for the hold-out: nobody was contacted."""

PURPOSES = ("marketing", "service", "inbound")
"""Why a contact was made; `inbound`: the customer came to us and was shown the offer, which is no
contact of ours: it counts for no cap and no fatigue."""


@dataclass(frozen=True)
class Column:
    """One column of a table of the contract.

    ``vocabulary`` names the catalog ids a value must be one of, ``allowed`` the words of the
    contract itself; ``low`` and ``high`` are inclusive bounds; ``lost`` says what a bank without
    this optional column does without.
    """

    name: str
    dtype: Dtype
    required: bool = False
    unit: str = ""
    low: float | None = None
    high: float | None = None
    allowed: tuple[str, ...] = ()
    vocabulary: tuple[Literal["channels", "offers"], ...] = ()
    filled_at: str = ""
    future: bool = False  # the value may lie after now (a maturity, an expiry)
    lost: str = ""


@dataclass(frozen=True)
class Table:
    """One table: its columns, the key that may not be doubled, and what is lost without it.

    An ``own`` table is written by OnePoint itself (`python -m training score`): no bank is asked
    for it, and none lacks it.
    """

    name: str
    columns: tuple[Column, ...]
    key: tuple[str, ...]
    required: bool = False
    lost: str = ""
    own: bool = False

    @property
    def has_history(self) -> bool:
        """Whether rows happen at a time (`event_time`) and join the past of a customer."""
        return any(column.name == "event_time" for column in self.columns)

    def column(self, name: str) -> Column:
        """Find the column of that name; `KeyError` where the contract has none."""
        return {column.name: column for column in self.columns}[name]


CUSTOMER = Column("customer_id", "id", required=True)
EVENT_TIME = Column("event_time", "time", required=True)
AVAILABLE_AT = Column("available_at", "time", lost="rows count from event_time on")


def _channel(required: bool = True, allowed: tuple[str, ...] = (), lost: str = "") -> Column:
    return Column("channel", "id", required, vocabulary=("channels",), allowed=allowed, lost=lost)


TABLES: dict[str, Table] = {
    table.name: table
    for table in (
        Table(
            "customers",
            (
                CUSTOMER,
                Column("birth_date", "date", lost="age features and every rule on age"),
                Column("gender", "text", lost="fairness by gender"),
                Column("region", "text", lost="fairness by region"),
                Column("occupation", "text", lost="occupation as a feature"),
                Column("income_cny", "money", unit="CNY/year", low=0, lost="declared income"),
                Column("joined_at", "time", lost="length of the relation"),
                Column("join_channel", "id", vocabulary=("channels",), lost="channel of entry"),
                Column("org_id", "id", lost="the home outlet"),
                Column("valid_from", "time", lost="the history of attributes: the row always held"),
                Column("valid_to", "time", filled_at="valid_to", future=True,
                       lost="the end of an attribute's validity"),
                AVAILABLE_AT,
            ),
            key=("customer_id", "valid_from"),
            required=True,
        ),
        Table(
            "interactions",
            (
                CUSTOMER,
                EVENT_TIME,
                _channel(),
                Column("kind", "text", allowed=INTERACTION_KINDS,
                       lost="applications, completions and errors: every row is a touch"),
                Column("product", "id", vocabulary=("offers",), lost="interest by offer"),
                Column("stage", "text", allowed=STAGES, lost="channel preference by stage"),
                Column("session_id", "id", lost="sessions"),
                Column("amount_cny", "money", unit="CNY", low=0, lost="amounts applied for"),
                Column("duration_s", "number", unit="s", low=0, lost="time spent"),
                Column("wait_s", "number", unit="s", low=0, lost="waiting times"),
                Column("error_code", "text", lost="online barriers"),
                Column("org_id", "id", lost="the outlet visited"),
                AVAILABLE_AT,
            ),
            key=("customer_id", "event_time", "channel", "kind", "product", "stage"),
            lost="channel preference, activity and channel history",
        ),
        Table(
            "holdings",
            (
                CUSTOMER,
                Column("product", "id", required=True, vocabulary=("offers",)),
                EVENT_TIME,
                Column("closed_at", "time", filled_at="closed_at", lost="when a holding ended"),
                Column("amount_cny", "money", unit="CNY", low=0, lost="amounts held"),
                Column("maturity_at", "time", future=True, lost="maturities"),
                _channel(required=False, lost="the channel of purchase"),
                AVAILABLE_AT,
            ),
            key=("customer_id", "product", "event_time"),
            lost="products held and bought",
        ),
        Table(
            "balances",
            (
                CUSTOMER,
                EVENT_TIME,
                Column("asset_class", "text", required=True, allowed=ASSET_CLASSES),
                Column("balance_cny", "money", required=True, unit="CNY"),
                AVAILABLE_AT,
            ),
            key=("customer_id", "event_time", "asset_class"),
            lost="asset size, its tier and its change",
        ),
        Table(
            "accounts",
            (
                CUSTOMER,
                EVENT_TIME,
                Column("kind", "text", required=True, allowed=("loan", "card")),
                Column("balance_cny", "money", unit="CNY", lost="debts"),
                Column("limit_cny", "money", unit="CNY", low=0, lost="use of limits"),
                Column("overdue_days", "integer", unit="days", low=0, high=36_500,
                       lost="the overdue veto for credit holds for everybody"),
                AVAILABLE_AT,
            ),
            key=("customer_id", "event_time", "kind"),
            lost="debts and overdue days; the credit veto holds for everybody",
        ),
        Table(
            "transactions",
            (
                CUSTOMER,
                EVENT_TIME,
                Column("kind", "text", required=True, allowed=TRANSACTION_KINDS),
                Column("direction", "text", required=True, allowed=("in", "out")),
                Column("amount_cny", "money", required=True, unit="CNY", low=0),
                AVAILABLE_AT,
            ),
            key=("customer_id", "event_time", "kind", "direction"),
            lost="salary, pension, bills and flows",
        ),
        Table(
            "contacts",
            (
                Column("contact_id", "id", required=True),
                CUSTOMER,
                EVENT_TIME,
                _channel(allowed=(NO_CONTACT,)),
                Column("offer", "id", required=True, vocabulary=("offers",)),
                Column("propensity", "number", low=0, high=1,
                       lost="effects without a model of who was contacted"),
                Column("policy", "text", lost="which policy made the contact"),
                Column("purpose", "text", allowed=PURPOSES, lost="caps by purpose"),
                Column("delivered_at", "time", filled_at="delivered_at", lost="delivery rates"),
                Column("responded_at", "time", filled_at="responded_at", lost="response rates"),
                Column("refusal_reason", "text", filled_at="refused_at",
                       lost="why a customer refused"),
                Column("refused_at", "time", filled_at="refused_at",
                       lost="cool-downs after a refusal"),
                Column("opted_out_at", "time", filled_at="opted_out_at",
                       lost="opt-outs by contact"),
                Column("staff_id", "id", lost="who made the contact"),
                AVAILABLE_AT,
            ),
            key=("contact_id",),
            lost="fatigue, response to contacts and cool-downs after a refusal",
        ),
        Table(
            "ratings",
            (
                CUSTOMER,
                EVENT_TIME,
                _channel(),
                Column("score", "integer", required=True, unit="points", low=1, high=5),
                Column("stage", "text", lost="ratings by stage"),
                Column("complaint", "flag", lost="open complaints"),
                Column("resolved_at", "time", filled_at="resolved_at",
                       lost="when a complaint was settled"),
                AVAILABLE_AT,
            ),
            key=("customer_id", "event_time", "channel"),
            lost="satisfaction and complaints",
        ),
        Table(
            "consents",
            (
                CUSTOMER,
                EVENT_TIME,
                _channel(allowed=(PERSONALISATION,)),
                Column("allowed", "flag", required=True),
                AVAILABLE_AT,
            ),
            key=("customer_id", "event_time", "channel"),
            lost="consent by channel: nobody may be contacted unasked",
        ),
        Table(
            "reachability",
            (
                CUSTOMER,
                EVENT_TIME,
                _channel(),
                Column("reachable", "flag", required=True),
                AVAILABLE_AT,
            ),
            key=("customer_id", "event_time", "channel"),
            lost="which channels reach a customer",
        ),
        Table(
            "risk_assessments",
            (
                CUSTOMER,
                EVENT_TIME,
                Column("level", "text", required=True, allowed=("C1", "C2", "C3", "C4", "C5")),
                Column("expires_at", "time", required=True, future=True),
                AVAILABLE_AT,
            ),
            key=("customer_id", "event_time"),
            lost="risk tolerance: no investment is recommended",
        ),
        Table(
            "credit_offers",
            (
                CUSTOMER,
                EVENT_TIME,
                Column("offer", "id", required=True, vocabulary=("offers",)),
                Column("limit_cny", "money", required=True, unit="CNY", low=0),
                Column("expires_at", "time", required=True, future=True),
                AVAILABLE_AT,
            ),
            key=("customer_id", "event_time", "offer"),
            lost="pre-approved credit",
        ),
        Table(
            "restrictions",
            (
                CUSTOMER,
                EVENT_TIME,
                Column("kind", "text", required=True, allowed=(
                    "anti_fraud", "aml_high", "overdue", "minor", "limited_capacity")),
                Column("until", "time", future=True,
                       lost="the end of a restriction: it never ends"),
                AVAILABLE_AT,
            ),
            key=("customer_id", "event_time", "kind"),
            lost="anti-fraud and AML restrictions",
        ),
        Table(
            "benefits",
            (
                CUSTOMER,
                EVENT_TIME,
                Column("benefit", "text", required=True),
                Column("kind", "text", required=True, allowed=("granted", "used")),
                AVAILABLE_AT,
            ),
            key=("customer_id", "event_time", "benefit", "kind"),
            lost="benefits granted and used",
        ),
        Table(
            "orgs",
            (
                Column("org_id", "id", required=True),
                Column("parent", "id", lost="the tree of outlets"),
                Column("kind", "text", allowed=("own", "agency"), lost="agency outlets"),
                Column("region", "text", lost="the region of an outlet"),
                Column("business_scope", "text",
                       lost="what an outlet may do: every outlet does all"),
                Column("name", "text", lost="the outlet's name in an answer"),
            ),
            key=("org_id",),
            lost="outlets and their business scope",
        ),
        Table(
            "staff",
            (
                Column("staff_id", "id", required=True),
                Column("org_id", "id", required=True),
                Column("role", "id", required=True, vocabulary=("channels",)),
                Column("minutes_per_day", "number", unit="minutes/day", low=0, high=1440,
                       lost="capacity by person"),
                Column("name", "text", lost="the person's name in an answer"),
            ),
            key=("staff_id",),
            lost="who works where",
        ),
        Table(
            "assignments",
            (
                CUSTOMER,
                Column("staff_id", "id", required=True),
                Column("from", "time", required=True),
                Column("to", "time", filled_at="to", future=True, lost="the end of an assignment"),
                AVAILABLE_AT,
            ),
            key=("customer_id", "staff_id", "from"),
            lost="the customer's own manager",
        ),
        Table(
            "demand",
            (
                Column("product", "id", required=True, vocabulary=("offers",)),
                EVENT_TIME,
                Column("recent_share", "number", required=True, unit="share", low=0, high=1),
                Column("usual_share", "number", required=True, unit="share", low=0, high=1),
                AVAILABLE_AT,
            ),
            key=("product", "event_time"),
            lost="what is in demand across the bank",
        ),
        Table(
            "identities",
            (
                Column("identity", "id", required=True),
                CUSTOMER,
            ),
            key=("identity",),
            lost="rows under a phone number, openid or device of a customer",
        ),
        Table(
            "scores",
            (
                CUSTOMER,
                EVENT_TIME,
                Column("head", "text", required=True, allowed=SCORE_HEADS),
                Column("product", "id", required=True, vocabulary=("offers",)),
                Column("stage", "text", allowed=STAGES),
                _channel(required=False),
                Column("probability", "number", required=True, low=0, high=1),
                Column("release", "id", required=True),
            ),
            key=("customer_id", "event_time", "head", "product", "stage", "channel"),
            lost="tags that a model gives",
            own=True,
        ),
    )
}  # fmt: skip
"""Every table of the contract by name. `orgs.business_scope` lists offer categories, separated
by `;`, that the outlet may handle; empty or missing = all. A row of `demand` is a report on the
whole bank: of all who bought anything in a recent and in a longer time before it, the share who
bought the product."""

BROUGHT: dict[str, Table] = {name: table for name, table in TABLES.items() if not table.own}
"""The tables a bank may bring: the contract without those that OnePoint writes itself."""
