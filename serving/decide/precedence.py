"""What comes before score: why an offer may stand first whatever another would bring."""

from __future__ import annotations

from typing import Literal

from features.catalog import Offer
from serving.decide.actions import needs_assessment
from serving.decide.case import Case

Precedence = Literal["complaint", "asked_for", "assessment", "score"]
PRECEDENCE: tuple[Precedence, ...] = ("complaint", "asked_for", "assessment", "score")
"""From first to last."""


def precedence(case: Case, offer: Offer) -> Precedence:
    """Say what gives an offer its place.

    Care while a complaint is open; the offer the customer came for; the renewal of the risk
    assessment in place of what he came for, where that needs one; for all others the score.
    """
    services = case.rules.policy.services
    if case.complaint_open and offer.id == services.complaint:
        return "complaint"
    if offer.id == case.intent_offer:
        return "asked_for"
    wanted = case.rules.catalog.offer_by_id.get(case.intent_offer or "")
    blocked = wanted is not None and needs_assessment(wanted)
    return "assessment" if blocked and offer.id == services.risk_assessment else "score"
