"""A request on its way through the service: what each step took, and what was decided."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Literal

from serving.decide.record import DecisionRecord

Step = Literal["read", "score", "decide", "explain", "store"]
"""Reading the customer, scoring, the rules, the explanation, waiting for the disk."""


@dataclass
class Passage:
    """What the log and the metrics want to know of one request.

    ``seconds`` by step, ``records`` made for it, ``decision_ids`` answered with (a repeated request
    is answered with a decision made before). ``looked_at`` are customers whose page was given,
    ``lacking`` what the pages were degraded by.
    """

    seconds: dict[Step, float] = field(default_factory=dict)
    records: list[DecisionRecord] = field(default_factory=list)
    decision_ids: list[str] = field(default_factory=list)
    looked_at: list[str] = field(default_factory=list)
    lacking: list[str] = field(default_factory=list)


PASSAGE: ContextVar[Passage | None] = ContextVar("onepoint_passage", default=None)
"""The request this task is about."""


@contextmanager
def step(name: Step) -> Iterator[None]:
    """Time a step of the present request; outside of one nothing is kept."""
    passage, begun = PASSAGE.get(), time.perf_counter()
    try:
        yield
    finally:
        if passage is not None:
            spent = time.perf_counter() - begun
            passage.seconds[name] = passage.seconds.get(name, 0.0) + spent


def decided(record: DecisionRecord) -> None:
    """Note a decision of the present request."""
    passage = PASSAGE.get()
    if passage is not None:
        passage.records.append(record)


def answered(decision_id: str) -> None:
    """Note the decision that the present request is answered with, made now or before."""
    passage = PASSAGE.get()
    if passage is not None:
        passage.decision_ids.append(decision_id)


def looked_at(customer_id: str, degraded: Iterable[str]) -> None:
    """Note whose page the present request is answered with, and what it lacks."""
    passage = PASSAGE.get()
    if passage is not None:
        passage.looked_at.append(customer_id)
        passage.lacking.extend(degraded)
