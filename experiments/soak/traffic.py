"""What channel apps send: requests at several doors, what became of them, what the bank saw."""

from __future__ import annotations

import hashlib
import json
import random
import uuid
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

from sqlalchemy import Column, Table, select

from experiments.http_connection import Reply, request_bytes
from experiments.served_bank import DOORS, customer_ids, key_of
from features.catalog import load_catalog
from serving.config import CATALOGS, WorkFolder
from serving.startup import catalog_name
from serving.stores.engine import open_to_read
from serving.stores.schema import DECISIONS, LIVE_FACTS, OUTCOMES

Kind = Literal["recommend", "outcomes", "interactions"]
OUTBOUND_DOORS = ("push", "sms", "human_call", "wecom")
OUTCOMES_BY_WEIGHT = {
    "shown": 50, "clicked": 20, "started": 15, "completed": 5, "refused": 8, "unreached": 2,
}  # fmt: skip
REMEMBERED = 10_000
"""Answers whose outcome may still come."""
AT_ONCE = 500


@dataclass(frozen=True)
class Call:
    """One request, ready to be sent."""

    kind: Kind
    body: dict[str, Any]
    request: bytes


@dataclass
class Acknowledged:
    """What the service said it has: it must be in the store, whatever happened since."""

    decisions: dict[str, str] = field(default_factory=dict)
    outcomes: dict[str, tuple[str, int, str]] = field(default_factory=dict)
    events: set[str] = field(default_factory=set)

    def missing(self, address: Path | str) -> list[str]:
        """Ids that are not in the store, or are there with other bytes."""
        engine = open_to_read(address)

        def rows(table: Table, key: Column[str], wanted: list[str]) -> dict[str, Any]:
            found = {}
            with engine.connect() as connection:
                for start in range(0, len(wanted), AT_ONCE):
                    query = select(table).where(key.in_(wanted[start : start + AT_ONCE]))
                    for row in connection.execute(query).mappings():
                        found[row[key.name]] = row
            return found

        try:
            decided = rows(DECISIONS, DECISIONS.c.decision_id, list(self.decisions))
            became = rows(OUTCOMES, OUTCOMES.c.outcome_id, list(self.outcomes))
            seen = rows(LIVE_FACTS, LIVE_FACTS.c.event_id, list(self.events))
        finally:
            engine.dispose()
        there = {one: digest(bytes(row["answer"])) for one, row in decided.items()}
        told = {one: (row["decision_id"], row["rank"], row["kind"]) for one, row in became.items()}
        return [
            *(one for one, bytes_ in self.decisions.items() if there.get(one) != bytes_),
            *(one for one, outcome in self.outcomes.items() if told.get(one) != outcome),
            *(self.events - seen.keys()),
        ]


class Traffic:
    """Draws what comes next, and remembers what was acknowledged.

    ``moment`` says when it happens; the service's clock is pinned.
    """

    def __init__(self, work: WorkFolder, moment: Callable[[], datetime], seed: int) -> None:
        self.moment = moment
        self.acknowledged = Acknowledged()
        self.customers = customer_ids(work)
        catalog = load_catalog(CATALOGS / catalog_name(None, work))
        self._offers = catalog.offer_ids
        self._key = key_of(work, "staff")
        self._luck = random.Random(seed)  # noqa: S311 (no secret)
        self._shown: deque[dict[str, Any]] = deque(maxlen=REMEMBERED)

    def next(self) -> Call:
        """Draw the next request."""
        draw = self._luck.random()
        if draw < 0.25 and self._shown:
            return self._call("outcomes", self._outcome())
        if draw < 0.4:
            return self._call("interactions", self._interaction())
        return self._call("recommend", self._question())

    def answered(self, call: Call, reply: Reply) -> None:
        """Remember what the service said it has."""
        if reply.status != 200:
            return
        body = call.body
        if call.kind == "recommend":
            answer = json.loads(reply.body)
            self.acknowledged.decisions[answer["decision_id"]] = digest(reply.body)
            if answer["recommendations"]:
                self._shown.append(
                    {
                        "decision_id": answer["decision_id"],
                        "as_of": answer["as_of"],
                        "places": len(answer["recommendations"]),
                    }
                )
        elif call.kind == "outcomes":
            told = (body["decision_id"], body["rank"], body["kind"])
            self.acknowledged.outcomes[body["outcome_id"]] = told
        else:
            self.acknowledged.events |= {one["event_id"] for one in body["interactions"]}

    def _call(self, kind: Kind, body: dict[str, Any]) -> Call:
        return Call(kind, body, request_bytes("POST", f"/v1/{kind}", self._key, body))

    def _question(self) -> dict[str, Any]:
        luck = self._luck
        outbound = luck.random() < 0.2
        body: dict[str, Any] = {
            "customer_id": luck.choice(self.customers),
            "channel": luck.choice(OUTBOUND_DOORS if outbound else DOORS),
            "direction": "outbound" if outbound else "inbound",
            "limit": luck.choice((1, 3, 3, 5)),
            "as_of": self.moment().isoformat(),
        }
        if luck.random() < 0.2:
            body["intent"] = {"offer": luck.choice(self._offers)}
        if luck.random() < 0.5:
            body["request_id"] = f"R-{uuid.uuid4().hex}"
        return body

    def _outcome(self) -> dict[str, Any]:
        shown = self._shown[self._luck.randrange(len(self._shown))]
        (kind,) = self._luck.choices(*zip(*OUTCOMES_BY_WEIGHT.items(), strict=True))
        return {
            "outcome_id": f"O-{uuid.uuid4().hex}",
            "decision_id": shown["decision_id"],
            "rank": self._luck.randint(1, shown["places"]),
            "kind": kind,
            "occurred_at": shown["as_of"],
        }

    def _interaction(self) -> dict[str, Any]:
        event = {
            "event_id": f"E-{uuid.uuid4().hex}",
            "customer_id": self._luck.choice(self.customers),
            "event_time": self.moment().isoformat(),
            "channel": self._luck.choice(DOORS),
            "kind": self._luck.choice(("login", "browse", "inquiry", "visit")),
        }
        return {"interactions": [event]}


def digest(content: bytes) -> str:
    """Tell equal bytes from other bytes without keeping them."""
    return hashlib.sha256(content).hexdigest()
