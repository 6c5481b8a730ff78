"""What a request must know, read from both stores in the time that an answer can afford.

What could not be read in that time is named, and the answer goes out without it.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from features.online import OnlineRecord, OnlineStore, OnlineStoreError
from features.tags.packed import PublishedTag
from serving.config import Clock, ServiceConfig
from serving.contract import RecommendRequest
from serving.counting import minutes_on_day
from serving.decide.rulebook import Rulebook
from serving.errors import RequestRefused, StoreError, in_words
from serving.facts import LiveFact
from serving.keys import Key
from serving.known import facts_since
from serving.passage import step
from serving.stores.decisions import DecisionStore, MinutesUsed, Remembered, StoredDecision
from serving.stores.online import PublishedCustomers
from serving.stores.patience import Patience, TooSlowError

logger = logging.getLogger("onepoint.serving")
Missing = tuple[str, ...]
"""What was not read; empty where all was."""
NO_LOG: Missing = ("decision store: not read",)
RECENT = 20
"""Earlier decisions on a customer's page."""


@dataclass(frozen=True)
class Known:
    """What the decision store says before a decision; nothing where it was not read."""

    answered: StoredDecision | None = None
    facts: tuple[LiveFact, ...] = ()
    minutes: MinutesUsed = field(default_factory=MinutesUsed)


@dataclass(frozen=True)
class Past:
    """What the decision store says of a customer; ``decisions`` is None where it was not read."""

    facts: tuple[LiveFact, ...] = ()
    decisions: tuple[Remembered, ...] | None = None


@dataclass(frozen=True)
class Published:
    """A customer as published, and the store he was read from."""

    record: OnlineRecord
    store: OnlineStore


@dataclass(frozen=True)
class AskedFor:
    """A customer the online store is being asked for; ``wait`` gives him, or raises."""

    customer_id: str
    wait: Callable[[], Awaitable[Published | None]]


@dataclass(frozen=True)
class Asked:
    """What both stores are being asked before a decision."""

    known: Callable[[], Awaitable[Known]]
    customer: AskedFor


class Reading:
    """Reads both stores, each in a thread of its own.

    What a decision needs is asked for by `ask` of both at once, and waited for by `known` and
    `published`.
    """

    def __init__(
        self,
        customers: PublishedCustomers,
        store: DecisionStore,
        rules: Rulebook,
        clock: Clock,
        config: ServiceConfig,
    ) -> None:
        self.customers = customers
        self.store = store
        self.rules = rules
        self.clock = clock
        self.skew = timedelta(seconds=config.clock_skew_s)
        self._online = Patience("online store", config.read_budget_s)
        self._log = Patience("decision store", config.read_budget_s)

    def close(self) -> None:
        """Let the threads go that read, and the online store by its own."""
        self._online.close(self.customers.close)
        self._log.close()

    def ask(self, request: RecommendRequest, as_of: datetime) -> Asked:
        """Ask both stores for what must be known before a decision."""
        customer_id = request.customer_id
        since = facts_since(self.customers.published_at, as_of)
        # Without an `as_of` all that was received counts, whatever our clocks make of it.
        until = as_of if request.as_of else self.clock.latest() + self.skew

        def known() -> Known:
            minutes = minutes_on_day(self.store, self.rules, as_of)
            found = self.store.known(customer_id, request.request_id, since, until)
            return Known(*found, minutes)

        return Asked(self._log.begin(known), self.ask_for(customer_id))

    def ask_for(self, customer_id: str) -> AskedFor:
        """Ask for a customer as published."""

        def read() -> Published | None:
            record = self.customers.read(customer_id)
            return None if record is None else Published(record, self.customers.current())

        return AskedFor(customer_id, self._online.begin(read))

    async def known(self, asked: Asked) -> tuple[Known, Missing]:
        """Wait for an answer already given, live facts and minutes used."""
        try:
            with step("read"):
                return await asked.known(), ()
        except (StoreError, TooSlowError) as error:
            logger.warning("degraded: %s", error)
            return Known(), NO_LOG

    async def past(
        self, customer_id: str, caller: Key, now: datetime, found: Published | None
    ) -> tuple[Past, Missing]:
        """Ask the decision store for a customer's facts since ``found``, and last decisions."""
        since = facts_since(found.store.as_of if found else self.customers.published_at, now)
        until = self.clock.latest() + self.skew

        def ask() -> Past:
            _, facts = self.store.known(customer_id, None, since, until)
            return Past(facts, tuple(self.store.recent(customer_id, caller, RECENT)))

        try:
            with step("read"):
                return await self._log.read(ask), ()
        except (StoreError, TooSlowError) as error:
            logger.warning("degraded: %s", error)
            return Past(), NO_LOG

    async def published(self, asked: AskedFor, as_of: datetime) -> tuple[Published | None, Missing]:
        """Wait for a customer as published.

        `RequestRefused`: 404, the store does not know him; 422, ``as_of`` lies before his features.
        """
        try:
            with step("read"):
                found = await asked.wait()
        except (OnlineStoreError, TooSlowError) as error:
            logger.warning("degraded: %s", error)
            slow = isinstance(error, TooSlowError)
            return None, ("online store: too slow" if slow else "online store: unreadable",)
        if found is None:
            raise RequestRefused.at(
                404,
                "customer_id",
                f"'{asked.customer_id}' is not in the online store",
                "check the id; new customers are known after the next publication",
            )
        since = found.record.as_of
        if as_of < since:
            raise RequestRefused.at(
                422,
                "as_of",
                f"{in_words(as_of)} lies before the customer's features ({in_words(since)})",
                "ask for a later moment, or leave as_of out",
            )
        return found, ()

    async def tags(self, found: Published) -> tuple[list[PublishedTag] | None, Missing]:
        """Read the tags a customer was published with; None where none are there to be read."""

        def read() -> list[PublishedTag] | None:
            if self.customers.current() is not found.store:
                raise OnlineStoreError("tags: not read, customers were published anew meanwhile")
            return self.customers.tags(found.record.state.customer_id)

        try:
            with step("read"):
                tags = await self._online.read(read)
        except (OnlineStoreError, TooSlowError) as error:
            logger.warning("degraded: %s", error)
            return None, ("tags: unreadable",)
        return tags, (() if tags is not None else ("tags: none published",))
