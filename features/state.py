"""What the rules must know of a customer at a moment: facts, not features.

Gates read these; models read the feature vector. Both come from the same tables under the same
as-known-at rule and are published side by side, so that one key reads both.
"""

from __future__ import annotations

from datetime import date, datetime
from typing import Literal

from pydantic import Field

from features.config import StrictConfig


class Holding(StrictConfig):
    """A product held at the moment."""

    offer: str
    opened_at: datetime
    amount_cny: float | None = None
    maturity_at: datetime | None = None


class Owner(StrictConfig):
    """The person who looks after the customer (管户), and where."""

    staff_id: str
    org_id: str
    role: str
    name: str | None = None


class Outlet(StrictConfig):
    """The customer's home outlet; an empty scope means it handles every category."""

    org_id: str
    kind: Literal["own", "agency"] | None = None
    name: str | None = None
    business_scope: tuple[str, ...] = ()


class Restriction(StrictConfig):
    """A restriction in force; without `until` it never ends."""

    kind: str
    since: datetime
    until: datetime | None = None


class RiskAssessment(StrictConfig):
    """The newest risk assessment; it may have expired.

    ``raised_at`` is when an assessment last came out higher than the one before; None where never.
    """

    level: int = Field(ge=1, le=5)
    assessed_at: datetime
    expires_at: datetime
    raised_at: datetime | None = None


class CreditOffer(StrictConfig):
    """A pre-approved credit limit that has not expired."""

    offer: str
    limit_cny: float
    expires_at: datetime


class Refusal(StrictConfig):
    """The customer said no to an offer."""

    offer: str
    channel: str
    refused_at: datetime
    reason: str | None = None


class BrokenApplication(StrictConfig):
    """An application begun, not completed, and how far it got."""

    offer: str
    stage: str
    channel: str
    event_time: datetime


class PastContact(StrictConfig):
    """A marketing contact of the last 30 days."""

    channel: str
    offer: str
    event_time: datetime
    responded: bool


class CustomerState(StrictConfig):
    """Facts about one customer as known at `as_of` (UTC).

    ``missing`` names the tables of the contract that this bank does not bring: a veto that needs
    one of them holds. ``demand_cny`` is money on current accounts and ``assets_cny`` all assets
    (CNY; None where balances are not known). ``consents`` and ``reachable`` hold what was said
    last by channel (who opts out of a contact says no to its channel); consent channel
    `personalisation` False means no personal answer.
    """

    customer_id: str
    as_of: datetime
    missing: tuple[str, ...] = ()
    birth_date: date | None = None
    outlet: Outlet | None = None
    owner: Owner | None = None
    holdings: tuple[Holding, ...] = ()
    demand_cny: float | None = None
    assets_cny: float | None = None
    restrictions: tuple[Restriction, ...] = ()
    consents: dict[str, bool] = {}
    reachable: dict[str, bool] = {}
    risk_assessment: RiskAssessment | None = None
    credit_offers: tuple[CreditOffer, ...] = ()
    overdue_days: int | None = None
    """The most days overdue on any account in the last 12 months; None where not known."""
    refusals: tuple[Refusal, ...] = ()
    """Refusals of the last 12 months, newest first."""
    contacts: tuple[PastContact, ...] = ()
    """Marketing contacts of the last 30 days, newest first: what caps count."""
    complaint_open_since: datetime | None = None
    broken_application: BrokenApplication | None = None
    """The newest application of the last 72 hours that was not completed."""
