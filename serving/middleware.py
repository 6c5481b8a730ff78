"""The gate in front of every route: is there room, who asks what, how much, of what type."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, MutableMapping, Sequence
from typing import Any

from serving import metrics
from serving.errors import PROBLEM_TYPE, RequestRefused, problem_body
from serving.keys import VERBS, Key, KeyRing, Verb
from serving.neighbours import Neighbours

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

CALLER = "onepoint.caller"
"""Key of the ASGI scope under which the `Key` of a request stands."""
PROBES = frozenset({"/livez", "/readyz", "/healthz"})
RETRY_S = "1"
FIRST_LIMIT = 16
LEAST_LIMIT = 2.0
"""One is decided while another waits for the disk."""
DRAINED_BYTES = 16 * 1024 * 1024
DRAINED_S = 5.0
SOON_SHARE = 0.25
"""Part of the deadline that an answer may take inside; under a load it also waits for the loop
before it gets in, which is not seen here."""
HELD_S = 0.05
"""How long who is sent away waits for that, at most."""


class Room:
    """Outermost ASGI middleware: lets in what can be answered in time and sends the rest away.

    It reads nothing of a request: under an overload most are sent away, and what that costs is
    taken from those inside. How many may be inside is found while it runs, since a fixed number is
    wrong on a slower machine, where all of them would wait past the deadline. An answer slower than
    `SOON_SHARE` of the deadline cuts the number, quicker ones add to it while it is reached
    (additive increase, multiplicative decrease, as in TCP), from two to ``max_concurrency``. Up to
    where it began, quick ones add to it also while it is not: of a disk that stood still nothing
    is left a few seconds later, however seldom somebody asks.

    Who is sent away hears it up to `HELD_S` later, all of them at once. Eight callers who asked
    again at once, thousands of times a second, took four fifths of the time of those inside.
    """

    def __init__(
        self, app: App, max_concurrency: int, deadline_s: float, neighbours: Neighbours
    ) -> None:
        self.app = app
        self.neighbours = neighbours
        self.most = max_concurrency
        self.deadline_s = deadline_s
        self.first = float(min(FIRST_LIMIT, max_concurrency))
        self.limit = self.first
        self._inside = 0
        self._cut_at = 0.0
        self._waiting: asyncio.Event | None = None
        self._full = _problem(
            RequestRefused(
                429,
                "more requests are inside than can be answered in time; try again",
                headers={"Retry-After": RETRY_S},
            )
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request in while there is room; probes always."""
        if scope["type"] != "http" or scope["path"] in PROBES:
            await self.app(scope, receive, send)
            return
        if self._inside >= int(self.limit):
            metrics.count_shed()
            await self._held()
            # what he still sends is dropped by the server, where the connection stays open
            for message in self._full:
                await send(message)
            return
        begun = time.monotonic()
        self._moved(1)
        try:
            await self.app(scope, receive, send)
        finally:
            self._adapt(begun, time.monotonic())
            self._moved(-1)

    def _moved(self, more: int) -> None:
        self._inside += more
        metrics.show_inside(self._inside)
        self.neighbours.show(self._inside)

    async def _held(self) -> None:
        if self._waiting is None:
            self._waiting = asyncio.Event()
            asyncio.get_running_loop().call_later(HELD_S, self._let_go, self._waiting)
        await self._waiting.wait()

    def _let_go(self, waiting: asyncio.Event) -> None:
        waiting.set()
        self._waiting = None

    def _adapt(self, begun: float, now: float) -> None:
        soon = self.deadline_s * SOON_SHARE
        if now - begun > soon:
            # One cut for all that waited in the same queue, to what would have been in time.
            if begun >= self._cut_at:
                self.limit = max(LEAST_LIMIT, self.limit * max(0.5, soon / (now - begun)))
                self._cut_at = now
        elif self.limit < self.first or self._inside >= int(self.limit):
            self.limit = min(float(self.most), self.limit + 1 / self.limit)


class Gate:
    """ASGI middleware: authenticates, bounds type, size and time of requests.

    Pure ASGI, since Starlette's `BaseHTTPMiddleware` would read bodies and tie tasks together.
    """

    def __init__(self, app: App, keys: KeyRing, max_body_bytes: int, deadline_s: float) -> None:
        self.app = app
        self.keys = keys
        self.max_body_bytes = max_body_bytes
        self.deadline_s = deadline_s

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request in, or answer it with a problem body."""
        if scope["type"] != "http" or scope["path"] in PROBES:
            await self.app(scope, receive, send)
            return
        headers = {name.lower(): value for name, value in scope["headers"]}
        try:
            scope[CALLER] = self._caller(headers, scope["method"], scope["path"])
            if scope["method"] in ("POST", "PUT", "PATCH"):
                _refuse_other_types(headers)
            body = await self._bounded_body(headers, receive)
        except RequestRefused as refused:
            closing = refused.status in (408, 413)
            await _turn_away(_problem(refused, more=True, close=closing), receive, send)
            return
        begun = False

        async def send_on(message: Message) -> None:
            nonlocal begun
            begun = True
            await send(message)

        try:
            async with asyncio.timeout(self.deadline_s):
                await self.app(scope, _replay(body, receive), send_on)
        except TimeoutError:
            if begun:
                raise
            detail = f"no answer within {self.deadline_s:g} s; try again"
            for message in _problem(RequestRefused(503, detail, headers={"Retry-After": RETRY_S})):
                await send(message)

    def _caller(self, headers: dict[bytes, bytes], method: str, path: str) -> Key:
        scheme, _, key = headers.get(b"authorization", b"").decode("latin-1").partition(" ")
        caller = self.keys.find(key.strip()) if scheme.lower() == "bearer" else None
        if caller is None:
            given = "is not a key of this service"
            if not scheme:
                given = "is missing"
            elif scheme.lower() == "bearer" and not key.strip():
                given = "is an empty Bearer: the key is missing"
            refused = RequestRefused.at(
                401, "header Authorization", given, "send 'Authorization: Bearer KEY'"
            )
            refused.headers["WWW-Authenticate"] = "Bearer"
            raise refused
        verb = verb_of(method, path)
        if verb is not None and verb not in caller.verbs:
            raise RequestRefused.at(
                403,
                "header Authorization",
                f"this key of a {caller.audience} channel may not '{verb}'"
                if caller.audience != "reviewer"
                else f"a reviewer's key reads and writes nothing; it may not '{verb}'",
                f"it may: {', '.join(caller.verbs)}",
            )
        return caller

    async def _bounded_body(self, headers: dict[bytes, bytes], receive: Receive) -> bytes:
        declared = headers.get(b"content-length", b"0")
        if declared.isdigit() and int(declared) > self.max_body_bytes:
            raise self._too_large(f"has {int(declared):,} bytes")
        body = bytearray()
        try:
            async with asyncio.timeout(self.deadline_s):
                while True:
                    message = await receive()
                    body += message.get("body", b"")
                    if len(body) > self.max_body_bytes:
                        raise self._too_large("is longer")
                    if not message.get("more_body", False):
                        return bytes(body)
        except TimeoutError:
            remedy = "send it in one go"
            problem = f"did not arrive within {self.deadline_s:g} s"
            raise RequestRefused.at(408, "body", problem, remedy) from None

    def _too_large(self, problem: str) -> RequestRefused:
        limit = f"send at most {self.max_body_bytes:,} bytes"
        return RequestRefused.at(413, "body", problem, limit)


async def _turn_away(answer: Sequence[Message], receive: Receive, send: Send) -> None:
    """Answer at once; then let the caller finish sending, a little, so that he hears it.

    A connection closed on a caller who is still sending is reset, and the answer is lost. What
    he still sends is thrown away piece by piece, up to a bound in bytes and seconds.
    """
    for message in answer:
        await send(message)
    drained, until = 0, time.monotonic() + DRAINED_S
    try:
        async with asyncio.timeout(DRAINED_S):
            while drained < DRAINED_BYTES and time.monotonic() < until:
                message = await receive()
                if message["type"] == "http.disconnect" or not message.get("more_body"):
                    break
                drained += len(message.get("body", b""))
    except TimeoutError:
        drained = DRAINED_BYTES
    await send({"type": "http.response.body", "body": b"", "more_body": False})


def verb_of(method: str, path: str) -> Verb | None:
    """Say what a request wants to do; None where no route is there.

    >>> verb_of("POST", "/v1/recommend"), verb_of("GET", "/v1/decisions/D1"), verb_of("GET", "/")
    ('recommend', 'read', None)
    """
    if path == "/metrics":
        return "metrics"
    if path == "/openapi.json":
        return "docs"
    if not path.startswith("/v1/"):
        return None
    if method in ("GET", "HEAD"):
        return "read"
    return next((verb for verb in VERBS if verb == path.split("/")[2]), None)


def _refuse_other_types(headers: dict[bytes, bytes]) -> None:
    given = headers.get(b"content-type", b"").decode("latin-1")
    kind, _, parameters = given.partition(";")
    charset = parameters.strip().lower().replace('"', "")
    if kind.strip().lower() != "application/json" or charset not in ("", "charset=utf-8"):
        shown = f"is '{given[:80]}'" if given else "is missing"
        remedy = "send JSON in UTF-8 with 'Content-Type: application/json'"
        raise RequestRefused.at(415, "header Content-Type", shown, remedy)


def _replay(body: bytes, receive: Receive) -> Receive:
    given = False

    async def receive_again() -> Message:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return receive_again


def _problem(
    refused: RequestRefused, *, more: bool = False, close: bool = False
) -> tuple[Message, Message]:
    """Write the two messages of an answer that refuses; ``more``: a last, empty one follows."""
    body = problem_body(refused)
    headers = {
        "content-type": PROBLEM_TYPE,
        "content-length": str(len(body)),
        "cache-control": "no-store",
        **refused.headers,
        **({"connection": "close"} if close else {}),
    }
    raw = [(name.lower().encode(), value.encode("latin-1")) for name, value in headers.items()]
    return (
        {"type": "http.response.start", "status": refused.status, "headers": raw},
        {"type": "http.response.body", "body": body, "more_body": more},
    )
