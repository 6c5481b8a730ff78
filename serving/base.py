"""A customer base: everybody whom a work folder's online store knows, ready to be decided on.

What it gives for a customer is what the service would give at the same moment and door, made for
many at a time: one booster call for each head and chunk.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from features.errors import did_you_mean
from features.online import OnlineRecord, OnlineStore, OnlineStoreError
from serving.config import load_service_config
from serving.contract import Audience, Versions
from serving.counting import counters_of, minutes_on_day
from serving.decide.case import stages_for
from serving.decide.pipeline import decide, with_contributions
from serving.decide.record import Decision, DecisionInputs, Scores
from serving.decide.rulebook import Rulebook
from serving.errors import StartError
from serving.known import Knowledge, KnownCustomer, facts_since
from serving.scoring import Scorer, feature_values
from serving.startup import Start, load_rules, scorer_of
from serving.stores.decisions import DecisionStore, MinutesUsed

CHUNK = 500
"""Customers scored together: their rows take some 60 MB."""


UNREADABLE = "online store: unreadable"
"""What is missing of a customer whose record is damaged."""


@dataclass(frozen=True)
class Asked:
    """What everybody in the base is decided on: the moment, the door, how many places."""

    as_of: datetime
    channel: str
    limit: int = 3
    audience: Audience = "staff"


class Base:
    """Customers of an online store at one moment, standing at one door.

    Parameters
    ----------
    rules, scorer
        What decides and scores; a `Scorer` without a release scores by popularity.
    customers
        The opened online store.
    asked
        The moment (not before the store's), the channel and the places.
    stale_after_s
        From what age on features are not believed (seconds).
    decisions
        Where live facts are, and where the minutes used today are counted; None counts none.

    Raises
    ------
    StartError
        An unknown channel, or a moment before the features.
    """

    def __init__(
        self,
        rules: Rulebook,
        scorer: Scorer,
        customers: OnlineStore,
        asked: Asked,
        stale_after_s: float,
        decisions: DecisionStore | None = None,
        threads: int = 1,
    ) -> None:
        _check(asked, rules, customers)
        self.rules = rules
        self.scorer = scorer
        self.asked = asked
        self.versions = Versions(
            release=scorer.release.id if scorer.release else None,
            catalog=rules.catalog_version,
            policy=rules.policy_version,
        )
        self._customers = customers
        self._used = minutes_on_day(decisions, rules, asked.as_of) if decisions else MinutesUsed()
        since = facts_since(customers.as_of, asked.as_of)
        self._facts = decisions.facts_of_all(since, asked.as_of) if decisions else {}
        self._knowledge = Knowledge(stale_after_s)
        self._threads = threads

    @property
    def features_version(self) -> str:
        """What was published when: the version of the features and their moment."""
        return f"{self._customers.version} {self._customers.as_of.astimezone(UTC).isoformat()}"

    def customer_ids(self) -> list[str]:
        """Everybody in the store, in order of id."""
        return self._customers.customer_ids()

    def chunks(
        self, customer_ids: Sequence[str] | None = None, size: int = CHUNK
    ) -> Iterator[list[DecisionInputs]]:
        """Give the inputs of all customers (default: everybody), ``size`` at a time, in order."""
        chosen = self.customer_ids() if customer_ids is None else customer_ids
        for first in range(0, len(chosen), size):
            yield self.inputs(chosen[first : first + size])

    def inputs(self, customer_ids: Sequence[str]) -> list[DecisionInputs]:
        """Read and score customers, each as the service would at the same moment and door.

        A customer whose record is damaged stays in, degraded, with every veto in force.

        Raises
        ------
        StartError
            A customer the store does not know.
        OnlineStoreError
            Nobody of several can be read: that is the store, and no single record.
        OnlineStoreUnreachable
            What holds the store does not answer.
        """
        published = self._customers.read_many(customer_ids)
        read = list(map(self._known, customer_ids, published))
        if len(read) > 1 and all(UNREADABLE in one.degraded for one in read):
            raise OnlineStoreError(
                f"{len(read)} customers in a row cannot be read: the online store is damaged or "
                "closed; publish it again"
            )
        stages = [stages_for(None, one.state, self.rules) for one in read]
        scored = [row for row, one in enumerate(read) if one.features is not None]
        scores: dict[int, Scores] = {}
        if scored:
            x = np.stack([one.features.vector for one in read if one.features is not None])
            together = self.scorer.by_models_together(
                x, [stages[row] for row in scored], self._threads
            )
            scores = dict(zip(scored, together, strict=True))
        return [
            self._inputs(one, scores.get(row) or self.scorer.by_popularity(stages[row]))
            for row, one in enumerate(read)
        ]

    def _inputs(self, one: KnownCustomer, scores: Scores) -> DecisionInputs:
        asked = self.asked
        return DecisionInputs(
            decision_id=self.decision_id(one.state.customer_id),
            audience=asked.audience,
            channel=asked.channel,
            as_of=asked.as_of,
            limit=asked.limit,
            state=one.state,
            features_as_of=one.features_as_of,
            features=feature_values(one.features) if one.features else None,
            scores=scores,
            counters=counters_of(one.state, self._used),
            degraded=one.degraded,
            versions=self.versions,
        )

    def decide(self, chunk: Sequence[DecisionInputs]) -> list[Decision]:
        """Decide on customers, with the models' own explanation of what is returned to each."""
        decisions = [decide(inputs, self.rules) for inputs in chunk]
        scored = [place for place, one in enumerate(chunk) if one.features is not None]
        if not scored:
            return decisions
        x = np.stack([one.features.vector for one in chunk if one.features is not None])
        returned = [[place.action.offer for place in decisions[one].ranked] for one in scored]
        together = self.scorer.contributions_together(x, returned, self._threads)
        for place, explained in zip(scored, together, strict=True):
            decisions[place] = with_contributions(
                decisions[place], explained, chunk[place], self.rules
            )
        return decisions

    def decision_id(self, customer_id: str) -> str:
        """Name the decision on a customer: the same moment, door and versions, the same id."""
        asked, versions = self.asked, self.versions
        parts = (
            asked.as_of.astimezone(UTC).isoformat(), asked.channel, str(asked.limit),
            versions.release or "", versions.catalog, versions.policy, customer_id,
        )  # fmt: skip
        return "B" + hashlib.sha256("\x1f".join(parts).encode()).hexdigest()[:28]

    def _known(
        self, customer_id: str, record: OnlineRecord | OnlineStoreError | None
    ) -> KnownCustomer:
        if isinstance(record, OnlineStoreError):
            return self._knowledge.of_unread(customer_id, (), self.asked.as_of, (UNREADABLE,))
        if record is None:
            raise StartError(
                f"customer '{customer_id}' is not in the online store; take ids that were published"
            )
        facts = self._facts.get(customer_id, ())
        return self._knowledge.of(record, self._customers, facts, self.asked.as_of, self.scorer)


@contextmanager
def open_base(
    start: Start,
    as_of: datetime,
    channel: str | None = None,
    limit: int = 3,
    policy: Path | None = None,
    threads: int = 1,
) -> Iterator[Base]:
    """Open the base of a work folder, with what was told since it was published.

    ``channel`` None is the bank's app; ``policy`` takes the place of the bank's own. Nothing is
    written, and no decision store is made where there is none.

    Raises
    ------
    StartError
        See `Base`; or no channel is given and the policy names no app.
    """
    rules = load_rules(start.work, start.catalog, policy)
    config = load_service_config(start.work)
    scorer = scorer_of(start, rules, config)
    asked = Asked(as_of, _door(channel, rules), limit)
    with ExitStack() as opened:
        customers = opened.enter_context(OnlineStore(start.work.online_store()))
        decisions = DecisionStore.open_if_there(start.work.path)
        if decisions is not None:
            opened.callback(decisions.close)
        stale_after_s = config.features_stale_after_s
        yield Base(rules, scorer, customers, asked, stale_after_s, decisions, threads)


@contextmanager
def open_policies(
    start: Start,
    policies: Sequence[Path | None],
    as_of: datetime,
    channel: str | None = None,
    limit: int = 3,
) -> Iterator[list[Base]]:
    """Open the same customers under several policies (None: the bank's own).

    No decision store is opened: customers are as published, on a day of which no staff time is
    used yet, so that the same policies give the same numbers at any hour; nothing can be stored.
    """
    every = [load_rules(start.work, start.catalog, policy) for policy in policies]
    config = load_service_config(start.work)
    first = scorer_of(start, every[0], config)
    with OnlineStore(start.work.online_store()) as customers:
        yield [
            Base(
                rules,
                Scorer(rules, first.release, config.top_features),
                customers,
                Asked(as_of, _door(channel, rules), limit),
                config.features_stale_after_s,
            )
            for rules in every
        ]


def sample(customer_ids: Sequence[str], size: int | None) -> list[str]:
    """Pick ``size`` customers by hash, always the same ones; None picks everybody."""
    if size is None or size >= len(customer_ids):
        return list(customer_ids)
    by_hash = sorted(customer_ids, key=lambda one: hashlib.sha256(one.encode()).digest())
    return sorted(by_hash[:size])


def _door(channel: str | None, rules: Rulebook) -> str:
    door = channel or rules.policy.doors.app
    if door is None:
        known = ", ".join(rules.catalog.channel_ids)
        raise StartError(f"the policy names no app as a door; choose a channel: {known}")
    return door


def _check(asked: Asked, rules: Rulebook, customers: OnlineStore) -> None:
    if asked.channel not in rules.catalog.channel_by_id:
        hint = did_you_mean(asked.channel, rules.catalog.channel_ids)
        raise StartError(f"unknown channel '{asked.channel}'; {hint}")
    if asked.as_of < customers.as_of:
        raise StartError(
            f"{asked.as_of.isoformat()} lies before the customers' features "
            f"({customers.as_of.isoformat()}); ask for a later moment"
        )
