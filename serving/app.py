"""The `/v1` routes: one FastAPI app, typed by the contract, every error a problem body."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from typing import Annotated, Any

from fastapi import Body, FastAPI, Path, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import PlainTextResponse
from fastapi.routing import APIRoute
from pydantic import BaseModel, Discriminator, Tag
from starlette.exceptions import HTTPException

from features.errors import did_you_mean
from serving import metrics
from serving.about import AboutAnswer
from serving.contract import (
    Identifier,
    Intent,
    Outcome,
    OutcomeReceipt,
    OutcomeReceipts,
    Outcomes,
    RecommendRequest,
    RecommendResponse,
)
from serving.customer_view import CustomerView
from serving.decide.record import DecisionRecord
from serving.errors import PROBLEM_TYPE, RequestRefused, StoreError, problem_body
from serving.events import (
    EventsReceipt,
    LiveConsent,
    LiveContact,
    LiveEvents,
    LiveHolding,
    LiveInteraction,
)
from serving.examples import ABOUT as ABOUT_EXAMPLES
from serving.examples import (
    ANSWER,
    CUSTOMER,
    CUSTOMER_ID,
    DECISION_ID,
    EVENTS,
    INTERACTIONS,
    OUTCOMES,
    RECEIPT,
    RECOMMEND,
)
from serving.keys import Key, not_your_door
from serving.middleware import CALLER
from serving.openapi import answers, document, problems
from serving.recommender import Recommender

logger = logging.getLogger("onepoint.serving")
NO_STORE = {"Cache-Control": "no-store"}
FIELDS = {
    ("/v1/recommend",): tuple(RecommendRequest.model_fields),
    ("/v1/recommend", "intent"): tuple(Intent.model_fields),
    ("/v1/outcomes",): tuple(Outcome.model_fields),
    ("/v1/outcomes", "outcomes"): tuple(Outcome.model_fields),
    ("/v1/interactions",): tuple(LiveEvents.model_fields),
    ("/v1/interactions", "interactions"): tuple(LiveInteraction.model_fields),
    ("/v1/interactions", "contacts"): tuple(LiveContact.model_fields),
    ("/v1/interactions", "holdings"): tuple(LiveHolding.model_fields),
    ("/v1/interactions", "consents"): tuple(LiveConsent.model_fields),
}
"""Fields of each object of a request, by path and place."""
SEE_OPENAPI = "see /openapi.json for what is allowed"
A_TIME = "send a time with its zone, as in 2026-07-01T10:00+08:00"
AN_OBJECT = "send a JSON object"
REMEDIES = {
    "missing": "add it",
    "int_type": "send a whole number, such as 3",
    "int_from_float": "send a whole number, such as 3",
    "greater_than_equal": "send {ge} or more",
    "less_than_equal": "send {le} or less",
    "string_type": "send text, in quotes",
    "string_too_short": "send {min_length} or more characters",
    "string_too_long": "send at most {max_length} characters",
    "string_pattern_mismatch": "use only letters A-Z a-z, digits and _ . : -",
    "too_long": "send at most {max_length} at once",
    "too_short": "send {min_length} or more",
    "tuple_type": "send a JSON array",
    "bool_type": "send true or false",
    "float_type": "send a number, such as 1000.5",
    "greater_than": "send more than {gt}",
    "literal_error": "send one of the allowed words",
    "timezone_aware": A_TIME,
    "value_error": A_TIME,  # only times have checks of our own
    "model_type": AN_OBJECT,
    "model_attributes_type": AN_OBJECT,
    "dict_type": AN_OBJECT,
}
"""What to do about each type of pydantic's errors."""


def _kind_of_body(body: Any) -> str:
    many = isinstance(body, Outcomes) or (isinstance(body, dict) and "outcomes" in body)
    return KINDS_OF_BODY[many]


KINDS_OF_BODY = ("<one>", "<many>")
"""How pydantic names the two forms of a body in the place of an error."""
OneOrMore = Annotated[
    Annotated[Outcome, Tag(KINDS_OF_BODY[0])] | Annotated[Outcomes, Tag(KINDS_OF_BODY[1])],
    Discriminator(_kind_of_body),
]


def build_app(recommender: Recommender) -> FastAPI:
    """Make the app that answers with ``recommender``; the gate goes in front of it."""
    app = FastAPI(
        title="OnePoint",
        version="1",
        summary="For this customer, now: what to offer, where, by whom, and why?",
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
    )
    _add_routes(app, recommender)
    app.add_exception_handler(RequestRefused, _on_refused)
    app.add_exception_handler(RequestValidationError, _on_invalid)
    app.add_exception_handler(StoreError, _on_store_error)
    app.add_exception_handler(HTTPException, _on_http_error)
    app.add_exception_handler(Exception, _on_failure)
    app.openapi = lambda: document(app)  # type: ignore[method-assign]
    return app


class ShortRoute(APIRoute):
    """A route of a JSON object and the request: what is well-formed skips FastAPI's own reading.

    That one finds out anew for each request what the endpoint wants, at the cost of a whole score
    of features. It still reads what is not well-formed, since it says best what is wrong there.
    """

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Make what answers a request."""
        at_length, endpoint = super().get_route_handler(), self.endpoint
        assert self.body_field is not None  # noqa: S101 (the endpoint has a body)
        message: Any = self.body_field.field_info.annotation

        async def answer(request: Request) -> Response:
            try:
                body = message.model_validate(await request.json())
            except (ValueError, RecursionError):  # not JSON, nested too deep, not the message
                return await at_length(request)
            answered: Response = await endpoint(body, request)
            return answered

        return answer


def _add_routes(app: FastAPI, recommender: Recommender) -> None:
    async def recommend(
        body: Annotated[RecommendRequest, Body(openapi_examples=RECOMMEND)], request: Request
    ) -> Response:
        caller = _caller(request)
        if not caller.opens(body.channel):
            raise not_your_door(caller.channels, body.channel)
        return _json(await recommender.recommend(body, caller.audience))

    app.router.add_api_route(
        "/v1/recommend",
        recommend,
        methods=["POST"],
        route_class_override=ShortRoute,
        operation_id="recommend",
        response_model=RecommendResponse,
        responses=answers(ANSWER, 400, 401, 403, 404, 408, 409, 413, 415, 422, 429, 503),
        summary="What next for this customer, through which door, by whom, and why",
    )

    @app.post(
        "/v1/outcomes",
        operation_id="outcomes",
        response_model=OutcomeReceipt | OutcomeReceipts,
        responses=answers(RECEIPT, 400, 401, 403, 408, 409, 413, 415, 422, 429, 503),
        summary="What became of one place of a decision, or of up to 100 places",
    )
    async def outcomes(
        body: Annotated[OneOrMore, Body(openapi_examples=OUTCOMES)], request: Request
    ) -> Response:
        doors = _caller(request).channels
        if isinstance(body, Outcomes):
            many = await recommender.intake.outcomes(body.outcomes, doors, "outcomes")
            return _json(_bytes(OutcomeReceipts(outcomes=tuple(many))))
        (receipt,) = await recommender.intake.outcomes([body], doors)
        return _json(_bytes(receipt))

    @app.post(
        "/v1/interactions",
        operation_id="interactions",
        response_model=EventsReceipt,
        responses=answers(EVENTS, 400, 401, 403, 408, 409, 413, 415, 422, 429, 503),
        summary="What happened just now; it takes effect on the next request",
    )
    async def interactions(
        body: Annotated[LiveEvents, Body(openapi_examples=INTERACTIONS)], request: Request
    ) -> Response:
        return _json(_bytes(await recommender.intake.events(body, _caller(request).channels)))

    @app.get(
        "/v1/decisions/{decision_id}",
        operation_id="decision",
        response_model=DecisionRecord | RecommendResponse,
        responses=answers(ANSWER, 401, 403, 404, 422, 429, 503),
        summary="A decision: the whole record for reviewers, the answer for the channel it was of",
    )
    async def decision(
        decision_id: Annotated[Identifier, Path(openapi_examples=DECISION_ID)], request: Request
    ) -> Response:
        return _json(await recommender.decision(decision_id, _caller(request)))

    @app.get(
        "/v1/customers/{customer_id}",
        operation_id="customer",
        response_model=CustomerView,
        responses=answers(CUSTOMER, 401, 403, 404, 422, 429, 503),
        summary="A customer from all sides: tags, products, channels, manager, what was decided",
    )
    async def customer(
        customer_id: Annotated[Identifier, Path(openapi_examples=CUSTOMER_ID)], request: Request
    ) -> Response:
        return _json(_bytes(await recommender.customer(customer_id, _caller(request))))

    @app.get(
        "/v1/about",
        operation_id="about",
        response_model=AboutAnswer,
        responses=answers(ABOUT_EXAMPLES, 401, 403, 429, 503),
        summary="What the algorithm uses: purpose, data, limits, fairness, and how to opt out",
    )
    async def about() -> Response:
        return _json(_bytes(recommender.about()))

    @app.get(
        "/metrics",
        operation_id="metrics",
        response_class=PlainTextResponse,
        responses=problems(401, 403, 429, 503),
        summary="Prometheus' numbers of all workers",
    )
    async def prometheus() -> Response:
        made = await asyncio.to_thread(metrics.exposition)
        return Response(made, media_type=metrics.CONTENT_TYPE, headers=NO_STORE)


def _caller(request: Request) -> Key:
    caller: Key = request.scope[CALLER]
    return caller


def _bytes(message: BaseModel) -> bytes:
    return message.model_dump_json(exclude_none=True).encode("utf-8")


def _json(content: bytes) -> Response:
    return Response(content, media_type="application/json", headers=NO_STORE)


def _problem(refused: RequestRefused) -> Response:
    return Response(
        problem_body(refused),
        status_code=refused.status,
        media_type=PROBLEM_TYPE,
        headers={**NO_STORE, **refused.headers},
    )


async def _on_refused(_: Request, error: Exception) -> Response:
    assert isinstance(error, RequestRefused)  # noqa: S101 (registered for it)
    return _problem(error)


async def _on_invalid(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)  # noqa: S101 (registered for it)
    found = error.errors()
    if any(one["type"] == "json_invalid" for one in found):
        where = found[0]["loc"][-1]
        return _problem(
            RequestRefused.at(400, "body", f"not JSON (at {where})", "send well-formed JSON")
        )
    errors = [_place_error(one, request.url.path) for one in found]
    detail = "; ".join(f"{one['place']}: {one['problem']}; {one['remedy']}" for one in errors[:5])
    return _problem(RequestRefused(422, detail, errors))


def _place_error(error: Any, path: str) -> dict[str, str]:
    """Name the place and the remedy; what was sent there stays out, it may be a customer's."""
    loc = [str(part) for part in error["loc"] if part not in KINDS_OF_BODY]
    place = ".".join(loc[1:])[:200] or loc[0]
    if error["type"] == "extra_forbidden":
        fields = FIELDS[(path, *(part for part in loc[1:-1] if not part.isdigit()))]
        hint = did_you_mean(loc[-1][:64], fields)
        remedy = hint if hint.startswith("did you mean") else f"remove it; {hint}"
        return {"place": place, "problem": "unknown field", "remedy": remedy}
    problem = str(error["msg"]).removeprefix("Value error, ")[:500]
    return {"place": place, "problem": problem, "remedy": _remedy(error)}


def _remedy(error: Any) -> str:
    kind = str(error["type"])
    if kind.startswith("datetime_"):
        return A_TIME
    return REMEDIES.get(kind, SEE_OPENAPI).format(**error.get("ctx", {}))


async def _on_store_error(_: Request, error: Exception) -> Response:
    logger.error("not answered: %s", error)
    return _problem(
        RequestRefused(
            503,
            "the decision store is out of reach, and nothing is answered that is not stored; "
            "try again",
            headers={"Retry-After": "1"},
        )
    )


async def _on_http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101 (registered for it)
    details = {
        400: "body: cannot be read; send well-formed JSON in UTF-8",
        404: "no such path; the paths are in /openapi.json",
        405: f"{request.method} is not possible here; see /openapi.json",
    }
    detail = details.get(error.status_code, str(error.detail))
    return _problem(RequestRefused(error.status_code, detail, headers=error.headers))


async def _on_failure(request: Request, error: Exception) -> Response:
    # Messages of unexpected errors may quote a customer, and paths too; the place in the code not.
    route = getattr(request.scope.get("route"), "path", "a path without a route")
    logger.error("failed: %s", route, exc_info=error)
    return _problem(RequestRefused(500, "our mistake; it is in the service's log"))
