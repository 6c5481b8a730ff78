"""One plain customer at the app, and how to bend him."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from features.state import CustomerState, Outlet, RiskAssessment
from serving.contract import Versions
from serving.decide import Rulebook, load_rulebook
from serving.decide.record import Decision, DecisionInputs, OfferScores, Scores

CATALOGS = Path(__file__).parents[3] / "configs" / "catalog"
NOW = datetime(2026, 7, 1, 2, 0, tzinfo=UTC)
"""Ten in the morning of Wednesday 1 July 2026 in Shanghai."""


@pytest.fixture(scope="session")
def rules() -> Rulebook:
    return load_rulebook(CATALOGS / "bank")


@pytest.fixture(scope="session")
def insurance_rules() -> Rulebook:
    return load_rulebook(CATALOGS / "insurance")


@pytest.fixture(scope="session")
def make_state() -> Callable[..., CustomerState]:
    """A customer of 45 with 300,000 CNY and a valid C3, and no story; keywords change him."""

    def make(**changes: Any) -> CustomerState:
        plain: dict[str, Any] = {
            "customer_id": "C0000001",
            "as_of": NOW - timedelta(hours=10),
            "birth_date": date(1981, 1, 1),
            "outlet": Outlet(org_id="B001", kind="own", name="城东支行"),
            "demand_cny": 8_000.0,
            "assets_cny": 300_000.0,
            "risk_assessment": RiskAssessment(
                level=3,
                assessed_at=NOW - timedelta(days=100),
                expires_at=NOW + timedelta(days=265),
            ),
            "reachable": {"wecom": True},
            "overdue_days": 0,
        }
        return CustomerState(**(plain | changes))

    return make


@pytest.fixture(scope="session")
def make_scores() -> Callable[..., OfferScores]:
    """Scores that prefer no channel, but for what is given by channel."""

    def make(
        rules: Rulebook,
        p_start: float = 0.05,
        preference: dict[str, float] | None = None,
        completion: dict[str, float] | None = None,
        amount_cny: float = 50_000.0,
    ) -> OfferScores:
        handles = rules.catalog.handle_ids
        return OfferScores(
            p_start=p_start,
            p_start_is="propensity",
            amount_cny=amount_cny,
            preference=dict.fromkeys(handles, 1 / len(handles)) | (preference or {}),
            completion=dict.fromkeys(handles, 0.8) | (completion or {}),
        )

    return make


@pytest.fixture(scope="session")
def make_inputs(
    rules: Rulebook,
    make_state: Callable[..., CustomerState],
    make_scores: Callable[..., OfferScores],
) -> Callable[..., DecisionInputs]:
    """A request of staff at the app for that customer; `state_…` keywords change the customer.

    ``scores`` are given by offer, and laid out as the table that a request holds.
    """

    def make(**changes: Any) -> DecisionInputs:
        state_changes = {k[6:]: changes.pop(k) for k in list(changes) if k.startswith("state_")}
        plain: dict[str, Any] = {
            "decision_id": "d-1",
            "audience": "staff",
            "channel": "mobile_bank",
            "as_of": NOW,
            "limit": 20,
            "state": make_state(**state_changes),
            "features_as_of": NOW - timedelta(hours=10),
            "scores": {product: make_scores(rules) for product in rules.catalog.product_ids},
            "versions": Versions(
                release="r1", catalog=rules.catalog_version, policy=rules.policy_version
            ),
        }
        given = plain | changes
        if isinstance(given["scores"], dict):
            given["scores"] = Scores.table(given["scores"], rules.catalog.handle_ids)
        return DecisionInputs(**given)

    return make


@pytest.fixture(scope="session")
def removed(rules: Rulebook) -> Callable[[Decision], dict[tuple[str, str], str]]:
    """Write every exclusion of a decision out: (offer, handle) → code; doubles are an error."""

    def write_out(decision: Decision) -> dict[tuple[str, str], str]:
        found: dict[tuple[str, str], str] = {}
        for one in decision.excluded:
            handles = rules.catalog.handle_ids if one.handle == "*" else (one.handle,)
            for handle in handles:
                assert (one.offer, handle) not in found, "two codes for one candidate"
                found[one.offer, handle] = one.reason
        return found

    return write_out
