"""Requests as they stand in the OpenAPI document."""

from __future__ import annotations

from fastapi.openapi.models import Example

AT = "2026-07-01T10:00:00+08:00"


def _example(summary: str, value: dict[str, object]) -> Example:
    return {"summary": summary, "value": value}


RECOMMEND = {
    "at_the_counter": _example(
        "A customer stands at the counter",
        {"customer_id": "C0000042", "channel": "teller", "limit": 3, "request_id": "R-20260701-1"},
    ),
    "with_intent": _example(
        "He says what he came for, and with how much",
        {
            "customer_id": "C0000042",
            "channel": "mobile_bank",
            "intent": {"offer": "fund_r2", "stage": "application", "amount_cny": 50000.0},
        },
    ),
    "before_a_contact": _example(
        "Ask again right before a planned contact; no places = do not contact",
        {
            "customer_id": "C0000042",
            "channel": "human_call",
            "direction": "outbound",
            "intent": {"offer": "deposit_1y"},
        },
    ),
}
_OUTCOME: dict[str, object] = {
    "outcome_id": "O-20260701-1",
    "decision_id": "D019f1b2c3d4e0123456789abcdef",
    "rank": 1,
    "kind": "started",
    "occurred_at": AT,
}
OUTCOMES = {
    "one": _example("The customer began what was recommended first", _OUTCOME),
    "many": _example("Up to 100 at once", {"outcomes": [_OUTCOME]}),
}
INTERACTIONS = {
    "a_login": _example(
        "He opened the app a moment ago",
        {
            "interactions": [
                {
                    "event_id": "E-20260701-1",
                    "customer_id": "C0000042",
                    "event_time": AT,
                    "channel": "mobile_bank",
                    "kind": "login",
                }
            ]
        },
    ),
    "an_opt_out": _example(
        "He does not want to be called any more",
        {
            "consents": [
                {
                    "event_id": "E-20260701-2",
                    "customer_id": "C0000042",
                    "event_time": AT,
                    "channel": "human_call",
                    "allowed": False,
                }
            ]
        },
    ),
}
