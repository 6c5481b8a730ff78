"""What is seen of a request: its numbers for Prometheus, its line in the log."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Any

from serving import metrics
from serving.draining import Drain
from serving.keys import Key
from serving.logs import FACTS, Pseudonyms
from serving.middleware import CALLER, PROBES, App, Message, Receive, Scope, Send
from serving.neighbours import Neighbours
from serving.passage import PASSAGE, Passage

logger = logging.getLogger("onepoint.serving")
DECISION_HEADER = b"onepoint-decision-id"
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
NO_ROUTE = "none"


class Observed:
    """ASGI middleware that times a request, and counts and logs it after its answer went out.

    ``watch`` gets what was decided for each request, after its answer went out too. While ``drain``
    has begun, or one of the ``neighbours`` is less busy, answers close their connections.
    """

    def __init__(
        self,
        app: App,
        pseudonyms: Pseudonyms,
        drain: Drain,
        neighbours: Neighbours,
        watch: Callable[[Passage], None],
    ) -> None:
        self.app = app
        self.pseudonyms = pseudonyms
        self.drain = drain
        self.neighbours = neighbours
        self.watch = watch

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on; name its decision in a header of the answer."""
        if scope["type"] != "http" or scope["path"] in PROBES:
            await self.app(scope, receive, send)
            return
        begun = time.perf_counter()
        passage = Passage()
        token = PASSAGE.set(passage)
        status = 500

        async def send_on(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                more = []
                if len(passage.decision_ids) == 1:
                    more.append((DECISION_HEADER, passage.decision_ids[0].encode("ascii")))
                if self.drain.begun or self.neighbours.less_busy():
                    more.append((b"connection", b"close"))
                message = {**message, "headers": [*message["headers"], *more]}
            await send(message)

        try:
            await self.app(scope, receive, send_on)
        finally:
            PASSAGE.reset(token)
            self._tell(scope, status, time.perf_counter() - begun, passage)
        self.watch(passage)

    def _tell(self, scope: Scope, status: int, seconds: float, passage: Passage) -> None:
        # The template, never the path: paths hold ids.
        route = getattr(scope.get("route"), "path", NO_ROUTE)
        metrics.count_answer(route, status, seconds, passage)
        caller: Key | None = scope.get(CALLER)
        facts: dict[str, Any] = {
            "method": scope["method"] if scope["method"] in METHODS else "other",
            "route": route,
            "status": status,
            "ms": _milliseconds(seconds),
            "step_ms": {step: _milliseconds(spent) for step, spent in passage.seconds.items()},
            "key": caller.name if caller else None,
            "decisions": passage.decision_ids,
        }
        ids = [one.inputs.state.customer_id for one in passage.records] + passage.looked_at
        if ids:
            missing = [why for one in passage.records for why in one.inputs.degraded]
            missing += passage.lacking
            facts["degraded"] = sorted(set(map(metrics.degradation, missing)))
            facts["customers"] = [self.pseudonyms.of(one) for one in ids]
        logger.info("request", extra={FACTS: facts})


def _milliseconds(seconds: float) -> float:
    return round(seconds * 1000, 2)
