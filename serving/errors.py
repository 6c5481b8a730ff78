"""What the service refuses, and how it says so: problem bodies (RFC 9457) and start-up errors."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from features.errors import OnePointError
from serving.contract import Problem

PROBLEM_TYPE = "application/problem+json"
TITLES = {
    400: "Malformed request",
    401: "Not authenticated",
    403: "Not allowed",
    404: "Not found",
    405: "Method not allowed",
    408: "Request timeout",
    409: "Conflict",
    413: "Body too large",
    415: "Unsupported media type",
    422: "Unprocessable request",
    429: "Too many requests",
    500: "Internal error",
    503: "Service unavailable",
}


class StartError(OnePointError):
    """The service may not start like this; says which file or setting to mend."""


class StoreError(OnePointError):
    """The decision store cannot be read or written; nothing may be answered without it."""


class ExportError(OnePointError):
    """What was served cannot be written as the bank's tables; says why, and nothing is written."""


class RequestRefused(OnePointError):
    """A request that gets a problem body instead of an answer.

    ``status`` is the HTTP status, ``detail`` says what was wrong, where and what to do about it.
    ``errors`` names single places of the request, each with `place`, `problem` and `remedy`.
    """

    def __init__(
        self,
        status: int,
        detail: str,
        errors: Sequence[Mapping[str, str]] = (),
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.errors = [dict(one) for one in errors]
        self.headers = dict(headers or {})

    @classmethod
    def at(cls, status: int, place: str, problem: str, remedy: str) -> RequestRefused:
        """Refuse because of one place of the request.

        >>> RequestRefused.at(422, "limit", "is 0", "give 1 to 20").detail
        'limit: is 0; give 1 to 20'
        """
        error = {"place": place, "problem": problem, "remedy": remedy}
        return cls(status, f"{place}: {problem}; {remedy}", [error])


def problem_body(refused: RequestRefused) -> bytes:
    """Bytes of the problem body; ASCII only, so that a lone surrogate in a request cannot break it.

    >>> problem_body(RequestRefused(404, "no such decision"))[:40]
    b'{"type": "about:blank", "title": "Not fo'
    """
    problem = Problem(
        title=TITLES.get(refused.status, "Error"),
        status=refused.status,
        detail=refused.detail,
        errors=refused.errors,
    )
    return json.dumps(problem.model_dump()).encode("ascii")


def in_words(moment: datetime) -> str:
    """Write a moment for an error.

    >>> in_words(datetime(2026, 7, 1, 2, tzinfo=UTC))
    '2026-07-01T02:00:00Z'
    """
    return moment.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
