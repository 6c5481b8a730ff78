"""A customer as a decision may know him: what was published, with what happened since."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from lightgbm.basic import LightGBMError

from features.catalog import Stage
from features.errors import OnePointError
from features.online import OnlineRecord, OnlineStore
from features.state import CustomerState
from serving.contract import Intent
from serving.decide.record import Scores
from serving.decide.unreadable import unknown_state
from serving.facts import LiveFact
from serving.live_features import LiveVector
from serving.overlay import LATE, overlay
from serving.passage import step
from serving.scoring import Features, Scorer

logger = logging.getLogger("onepoint.serving")
UNPUBLISHED = timedelta(days=30)
"""How far back live facts are read where it is not known when the customers were published."""


MODELS_FAILED = "models: failed"
# What a release may throw at scoring. The customer gets the rules at least, and the log no values.
MODEL_FAILURES = (LightGBMError, OnePointError, ValueError, ArithmeticError, LookupError, OSError)


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


def scores_of(
    features: Features, stages: Mapping[str, Stage], scorer: Scorer, intent: Intent | None = None
) -> Scores | None:
    """Score a customer by the models; None where they fail, which the log says."""
    try:
        with step("score"):
            return scorer.by_models(features, stages, intent)
    except MODEL_FAILURES as error:
        logger.error("degraded: the models failed (%s)", type(error).__name__)
        return None
