"""Requests, answers and problems as they stand in the OpenAPI document."""

from __future__ import annotations

from fastapi.openapi.models import Example

AT = "2026-07-01T10:00:00+08:00"


def _example(summary: str, value: dict[str, object] | str) -> Example:
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
DECISION_ID = {
    "of_an_answer": _example("As it stands in an answer", "D019f1b2c3d4e0123456789abcdef")
}
CUSTOMER_ID = {"a_customer": _example("As in the bank's tables", "C0000042")}
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

_VERSIONS = {"release": "b92749a8cca7", "catalog": "6284aef34308", "policy": "163c63604d87"}
_MATURES = {
    "kind": "rule",
    "code": "maturity_soon",
    "text": {"zh": "您有一笔存款将于7月3日到期。", "en": "A deposit of yours matures on 3 July."},
}
_ANSWER: dict[str, object] = {
    "decision_id": "D019f1b2c3d4e0123456789abcdef",
    "customer_id": "C0000042",
    "as_of": "2026-07-01T02:00:00Z",
    "features_as_of": "2026-06-30T16:00:00Z",
    "degraded": False,
    "personalised": True,
    "versions": _VERSIONS,
    "recommendations": [
        {
            "rank": 1,
            "offer": "deposit_1y",
            "offer_name": {"zh": "一年期整存整取", "en": "1-year time deposit"},
            "kind": "product",
            "stage": "application",
            "reach": "teller",
            "handle": "mobile_bank",
            "handle_name": {"zh": "手机银行", "en": "mobile bank"},
            "mode": "online",
            "route": "return",
            "owner": {},
            "reasons": [_MATURES],
        }
    ],
}
ANSWER = {
    "for_a_customer": _example("What a customer's own screen may show", _ANSWER),
    "no_contact": _example(
        "A planned contact that must not be made (staff)",
        {
            **_ANSWER,
            "recommendations": [],
            "considered": {
                "candidates": 11,
                "eligible": 11,
                "suitable": 11,
                "deployable": 11,
                "permitted": 0,
                "affordable": 0,
            },
            "no_contact_because": ["contact_cap"],
        },
    ),
    "degraded": _example(
        "The features are too old: rules and popularity, and every veto holds (staff)",
        {
            **_ANSWER,
            "features_as_of": "2026-06-20T16:00:00Z",
            "degraded": True,
            "degraded_because": ["features: stale, 10 days old"],
        },
    ),
}
_RECEIPT: dict[str, object] = {"outcome_id": "O-20260701-1", "stored": True, "orphaned": False}
RECEIPT = {
    "one": _example("Stored now", _RECEIPT),
    "again": _example("Known already: it was sent twice", {**_RECEIPT, "stored": False}),
    "orphaned": _example("Kept until its decision is known", {**_RECEIPT, "orphaned": True}),
    "many": _example("A receipt for each", {"outcomes": [_RECEIPT]}),
}
EVENTS = {"one": _example("One event, not known before", {"stored": 1, "known": 0})}
CUSTOMER = {
    "for_staff": _example(
        "As staff see him",
        {
            "customer_id": "C0000042",
            "as_of": "2026-07-01T02:00:00Z",
            "features_as_of": "2026-06-30T16:00:00Z",
            "degraded": False,
            "personalised": True,
            "tags": [
                {
                    "group": "event",
                    "name": {"zh": "事件", "en": "events"},
                    "tags": [
                        {
                            "code": "maturity_30d",
                            "name": {"zh": "30日内到期", "en": "matures within 30 days"},
                            "value": {"zh": "是", "en": "yes"},
                            "parts": [{"zh": "金额 100,000 元", "en": "amount 100,000 CNY"}],
                            "expires_at": "2026-07-03T01:00:00Z",
                            "may_be_said": True,
                            "owner": "wealth",
                        }
                    ],
                }
            ],
            "products": [
                {
                    "offer": "deposit_1y",
                    "offer_name": {"zh": "一年期整存整取", "en": "1-year time deposit"},
                    "opened_at": "2025-07-03T01:00:00Z",
                    "amount_cny": 100000.0,
                    "maturity_at": "2026-07-03T01:00:00Z",
                }
            ],
            "manager": {"org_id": "O0001", "staff_id": "S00001", "name": "李敏"},
            "outlet": {"org_id": "O0001", "name": "城西支行"},
            "channels": {
                "offer": "deposit_1y",
                "offer_name": {"zh": "一年期整存整取", "en": "1-year time deposit"},
                "stage": "application",
                "preference_is": "model",
                "channels": [
                    {
                        "channel": "mobile_bank",
                        "name": {"zh": "手机银行", "en": "mobile bank"},
                        "mode": "online",
                        "preference": 0.82,
                        "completion": 0.97,
                    }
                ],
            },
            "decisions": [
                {
                    "decision_id": "D019f1b2c3d4e0123456789abcdef",
                    "as_of": "2026-07-01T02:00:00Z",
                    "channel": "teller",
                    "places": [
                        {
                            "rank": 1,
                            "offer": "deposit_1y",
                            "offer_name": {"zh": "一年期整存整取", "en": "1-year time deposit"},
                            "stage": "application",
                            "handle": "mobile_bank",
                            "outcomes": [
                                {"kind": "started", "occurred_at": "2026-07-01T02:00:00Z"}
                            ],
                        }
                    ],
                }
            ],
        },
    )
}
ABOUT = {
    "without_its_card": _example(
        "The release brought no model card, and that is said",
        {
            "purpose": {"zh": "为客户推荐适合的产品。", "en": "To recommend what suits customers."},
            "how": [{"zh": "先由规则筛选。", "en": "Rules come first."}],
            "not_used": [{"zh": "客户姓名。", "en": "Names."}],
            "opt_out": {
                "text": {"zh": "可随时关闭。", "en": "You may refuse at any time."},
                "consent": {"channel": "personalisation", "allowed": False},
            },
            "policy": {"version": "163c63604d87", "trial_share": 0.05},
            "versions": _VERSIONS,
            "degraded": True,
            "degraded_because": ["model card: none in this release; train it again"],
        },
    )
}
PROBLEMS = {
    400: ("body", "not JSON (at 17)", "send well-formed JSON"),
    401: ("header Authorization", "is missing", "send 'Authorization: Bearer KEY'"),
    403: (
        "header Authorization",
        "this key does not speak for channel 'teller'",
        "its channels: mobile_bank",
    ),
    404: ("customer_id", "'C0000043' is not in the online store", "check the id"),
    408: ("body", "did not arrive within 0.3 s", "send it in one go"),
    409: ("request_id", "'R-1' was used for another request", "send a new request_id"),
    413: ("body", "has 100,000 bytes", "send at most 65,536 bytes"),
    415: ("header Content-Type", "is 'text/plain'", "send JSON in UTF-8"),
    422: ("chanel", "unknown field", "did you mean 'channel'?"),
    429: (None, "more requests are inside than can be answered in time", "try again"),
    503: (None, "the decision store is out of reach", "try again"),
}
"""By status the place, what is wrong there, and what to do about it."""


def problem_example(status: int, title: str) -> dict[str, object]:
    """Write a problem body as the service does."""
    place, problem, remedy = PROBLEMS[status]
    said = f"{problem}; {remedy}"
    error = {"place": place, "problem": problem, "remedy": remedy}
    return {
        "type": "about:blank",
        "title": title,
        "status": status,
        "detail": said if place is None else f"{place}: {said}",
        "errors": [] if place is None else [error],
    }
