"""A customer as a decision may know him: what was published, with what happened since."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from features.online import OnlineRecord, OnlineStore
from features.state import CustomerState
from serving.decide.unreadable import unknown_state
from serving.facts import LiveFact
from serving.live_features import LiveVector
from serving.overlay import LATE, overlay
from serving.scoring import Features, Scorer

UNPUBLISHED = timedelta(days=30)
"""How far back live facts are read where it is not known when the customers were published."""


@dataclass(frozen=True)
class KnownCustomer:
    """What the rules read (``state``) and the models (``features``; None: they may not)."""

    state: CustomerState
    features: Features | None
    features_as_of: datetime | None
    degraded: tuple[str, ...]


def facts_since(published: datetime | None, as_of: datetime) -> datetime:
    """Say from when on live facts are read."""
    return as_of - UNPUBLISHED if published is None else published - LATE


class Knowledge:
    """Lays live facts over published customers, for the service and the batch alike."""

    def __init__(self, stale_after_s: float) -> None:
        self.stale_after = timedelta(seconds=stale_after_s)
        self._live: LiveVector | None = None

    def of(
        self,
        record: OnlineRecord,
        store: OnlineStore,
        facts: Sequence[LiveFact],
        as_of: datetime,
        scorer: Scorer,
    ) -> KnownCustomer:
        """Know a customer at ``as_of``; ``store`` is the one that ``record`` was read from."""
        if facts:
            record = replace(record, state=overlay(record.state, facts, record.as_of, as_of))
        age = as_of - record.as_of
        if age > self.stale_after:
            stale = f"features: stale, {age.days} days old"
            return KnownCustomer(record.state, None, record.as_of, (stale,))
        features, degraded = scorer.readable(record, store)
        since = [fact for fact in facts if fact.event_time >= record.as_of]
        if features is not None and since:
            if self._live is None or self._live.names != features.names:
                self._live = LiveVector(scorer.rules.catalog, features.names)
            features = replace(features, vector=self._live.overlay(features.vector, since, as_of))
        return KnownCustomer(record.state, features, record.as_of, degraded)

    def of_unread(
        self,
        customer_id: str,
        facts: Sequence[LiveFact],
        as_of: datetime,
        degraded: tuple[str, ...],
    ) -> KnownCustomer:
        """Know what can be known where a store was not read: every veto holds."""
        state = unknown_state(customer_id, as_of)
        state = overlay(state, facts, as_of - UNPUBLISHED, as_of)
        return KnownCustomer(state, None, None, degraded)
