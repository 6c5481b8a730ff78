"""What the service is told: outcomes of its answers, and what the bank's systems saw."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from features.catalog import Catalog
from features.errors import did_you_mean
from features.tables import PERSONALISATION
from serving.config import Clock
from serving.contract import Outcome, OutcomeReceipt
from serving.errors import RequestRefused, in_words
from serving.events import MOST_EVENTS, Event, EventsReceipt, FactKind, LiveEvents
from serving.keys import not_your_door, opened
from serving.stores.decisions import DecisionStore

OLDEST_EVENT = timedelta(days=366)
"""What a feed may bring late."""


class Intake:
    """Checks what is told, and stores it: from the next request on it counts."""

    def __init__(
        self, store: DecisionStore, catalog: Catalog, clock: Clock, clock_skew_s: float
    ) -> None:
        self.store = store
        self.catalog = catalog
        self.clock = clock
        self.skew = timedelta(seconds=clock_skew_s)

    async def outcomes(
        self, outcomes: Sequence[Outcome], doors: Sequence[str], field: str = ""
    ) -> list[OutcomeReceipt]:
        """Store what happened to places, all or nothing; ``field`` is where they stand.

        ``doors`` are the channels the caller speaks for: of other doors' decisions he says nothing.
        """
        placed = [(f"{field}.{n}." if field else "", one) for n, one in enumerate(outcomes)]
        for place, outcome in placed:
            self._check_past(f"{place}occurred_at", outcome.occurred_at)
        return await self.store.add_outcomes(placed, doors, self.skew.total_seconds())

    async def events(self, events: LiveEvents, doors: Sequence[str]) -> EventsReceipt:
        """Store what a bank's systems saw, all or nothing.

        Who speaks for some ``doors`` tells only of interactions and contacts there; consents and
        holdings are the customer's wherever he gave or bought them.
        """
        placed = events.all()
        if not 1 <= len(placed) <= MOST_EVENTS:
            problem = f"has {len(placed)} events"
            raise RequestRefused.at(422, "body", problem, f"send 1 to {MOST_EVENTS}")
        oldest = self.clock.now() - OLDEST_EVENT
        for place, kind, event in placed:
            self._check_names(place, kind, event)
            if kind in ("interaction", "contact") and not opened(doors, event.named["channel"]):
                raise not_your_door(doors, event.named["channel"], f"{place}.channel")
            self._check_past(f"{place}.event_time", event.happened_at)
            if event.happened_at < oldest:
                problem = f"{in_words(event.happened_at)} is over a year ago"
                remedy = "bring it by the bank's tables"
                raise RequestRefused.at(422, f"{place}.event_time", problem, remedy)
        stored = await self.store.add_events(placed)
        return EventsReceipt(stored=stored, known=len(placed) - stored)

    def _check_names(self, place: str, kind: FactKind, event: Event) -> None:
        extra = (PERSONALISATION,) if kind == "consent" else ()
        for field, name in event.named.items():
            channel = field == "channel"
            ids = (*self.catalog.channel_ids, *extra) if channel else self.catalog.offer_ids
            if name not in ids:
                problem, hint = f"unknown {field} '{name}'", did_you_mean(name, ids)
                raise RequestRefused.at(422, f"{place}.{field}", problem, hint)

    def _check_past(self, place: str, when: datetime) -> None:
        now = self.clock.latest()
        if when > now + self.skew:
            problem = f"{in_words(when)} is in the future (now: {in_words(now)})"
            raise RequestRefused.at(422, place, problem, "send it once it has happened")
