"""From a request to a decision on disk and an answer: who, scored how, decided, stored."""

from __future__ import annotations

import asyncio
import contextvars
import hashlib
import logging
import secrets
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import ParamSpec, TypeVar

from lightgbm.basic import LightGBMError

from features.errors import OnePointError, did_you_mean
from features.online import OnlineStoreError
from features.state import CustomerState
from serving.config import Clock, ServiceConfig
from serving.contract import Audience, Outcome, RecommendRequest, Versions
from serving.counting import counters_at
from serving.decide.answering import answer_bytes
from serving.decide.case import stages_for
from serving.decide.pipeline import decide, with_contributions
from serving.decide.record import DecisionInputs, DecisionRecord, Scores
from serving.decide.rulebook import Rulebook
from serving.decide.unreadable import unknown_state
from serving.errors import RequestRefused
from serving.keys import Key, not_your_door
from serving.passage import answered, decided, step
from serving.scoring import Features, Scorer, feature_values
from serving.stores.decisions import DecisionStore, Place, StoredDecision
from serving.stores.online import PublishedCustomers

logger = logging.getLogger("onepoint.serving")
P = ParamSpec("P")
Result = TypeVar("Result")
# What a release may throw at scoring. The customer gets the rules at least, and the log no values.
MODEL_FAILURES = (LightGBMError, OnePointError, ValueError, ArithmeticError, LookupError, OSError)


class Recommender:
    """Answers requests: reads the customer, scores, decides, and stores before it says anything.

    Reading, scoring and deciding run in one thread of their own, in the order requests came: the
    work holds the interpreter anyway, and the event loop stays free.
    """

    def __init__(
        self,
        rules: Rulebook,
        scorer: Scorer,
        customers: PublishedCustomers,
        store: DecisionStore,
        clock: Clock,
        config: ServiceConfig,
    ) -> None:
        self.rules = rules
        self.scorer = scorer
        self.customers = customers
        self.store = store
        self.clock = clock
        self.config = config
        self._desk = ThreadPoolExecutor(max_workers=1, thread_name_prefix="onepoint-desk")

    def close(self) -> None:
        """Finish what is begun, then let go of the files."""
        self._desk.shutdown(wait=True)
        self.customers.close()
        self.store.close()

    async def recommend(self, request: RecommendRequest, audience: Audience) -> bytes:
        """Answer a customer at a door; the bytes are those on disk.

        Raises
        ------
        RequestRefused
            404 unknown customer; 409 the request id was used for something else; 422 unknown
            channel or offer, or an ``as_of`` before the features or after the present.
        StoreError
            The decision could not be stored, so there is no answer.
        """
        drawn = await self._at_desk(self._decide, request, audience)
        with step("store"):
            stored = await self.store.add(drawn) if isinstance(drawn, _New) else drawn
        if stored.request_sha256 != _fingerprint(request, audience):
            raise RequestRefused.at(
                409,
                "request_id",
                f"'{request.request_id}' was used for another request of this customer",
                "send a new request_id, or the same request again",
            )
        answered(stored.decision_id)
        return stored.answer

    async def decision(self, decision_id: str, caller: Key) -> bytes:
        """Show a decision: to a reviewer the whole record, to its own door the answer."""
        return await self._at_desk(self._show, decision_id, caller)

    async def record_outcome(self, outcome: Outcome) -> bool:
        """Store what happened to a place; False where that was known already."""
        place = await self._at_desk(self._place, outcome)
        return await self.store.add_outcome(outcome, place)

    def swap(self, scorer: Scorer) -> Scorer:
        """Score by another release from the next request on; gives back the scorer left.

        The desk itself changes it, between two requests: what a request began with it ends with.
        """
        return self._desk.submit(self._swapped, scorer).result()

    def _swapped(self, scorer: Scorer) -> Scorer:
        left, self.scorer = self.scorer, scorer
        return left

    def warm_up(self) -> None:
        """Decide for nobody once, storing nothing, so that the first customer does not wait."""
        nobody = unknown_state("nobody", self.clock.now())
        request = RecommendRequest(customer_id="nobody", channel=self.rules.catalog.channel_ids[0])
        self._drawn(request, "reviewer", self.clock.now(), nobody, None, ("warm-up",))

    async def _at_desk(
        self, work: Callable[P, Result], *given: P.args, **named: P.kwargs
    ) -> Result:
        """Have something done by the desk's thread, which then speaks of the same request."""
        told = contextvars.copy_context()
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._desk, partial(told.run, work, *given, **named))

    def _decide(self, request: RecommendRequest, audience: Audience) -> StoredDecision:
        self._check_names(request)
        if request.request_id is not None:
            known = self.store.by_request(request.customer_id, request.request_id)
            if known is not None:
                return known
        now = self.clock.now()
        as_of = request.as_of or now
        if as_of > now + timedelta(seconds=self.config.clock_skew_s):
            raise RequestRefused.at(
                422, "as_of", f"{_iso(as_of)} is in the future (now: {_iso(now)})", "leave it out"
            )
        try:
            with step("read"):
                record = self.customers.read(request.customer_id)
        except OnlineStoreError as error:
            logger.warning("degraded: %s", error)
            state = unknown_state(request.customer_id, as_of)
            return self._drawn(request, audience, as_of, state, None, ("online store: unreadable",))
        if record is None:
            raise RequestRefused.at(
                404,
                "customer_id",
                f"'{request.customer_id}' is not in the online store",
                "check the id; new customers are known after the next publication",
            )
        if as_of < record.as_of:
            raise RequestRefused.at(
                422,
                "as_of",
                f"{_iso(as_of)} lies before the customer's features ({_iso(record.as_of)})",
                "ask for a later moment, or leave as_of out",
            )
        features, degraded = self.scorer.readable(record, self.customers.current())
        return self._drawn(request, audience, as_of, record.state, features, degraded, record.as_of)

    def _drawn(
        self,
        request: RecommendRequest,
        audience: Audience,
        as_of: datetime,
        state: CustomerState,
        features: Features | None,
        degraded: tuple[str, ...],
        features_as_of: datetime | None = None,
    ) -> _New:
        stages = stages_for(request.intent, state, self.rules)
        scores: Scores | None = None
        if features is not None:
            try:
                with step("score"):
                    scores = self.scorer.by_models(features, stages)
            except MODEL_FAILURES as error:
                logger.error("degraded: the models failed (%s)", type(error).__name__)
                features, degraded = None, (*degraded, "models: failed")
        inputs = DecisionInputs(
            decision_id=_new_id(self.clock.now()),
            audience=audience,
            channel=request.channel,
            as_of=as_of,
            limit=request.limit,
            intent=request.intent,
            placement=request.placement,
            session_id=request.session_id,
            state=state,
            features_as_of=features_as_of,
            features=feature_values(features) if features else None,
            scores=scores if scores is not None else self.scorer.by_popularity(stages),
            counters=counters_at(self.store, self.rules, state, as_of),
            degraded=degraded,
            versions=Versions(
                release=self.scorer.release.id if self.scorer.release else None,
                catalog=self.rules.catalog_version,
                policy=self.rules.policy_version,
            ),
        )
        with step("decide"):
            decision = decide(inputs, self.rules)
        if features is not None:
            returned = [place.action.offer for place in decision.ranked]
            try:
                with step("explain"):
                    explained = self.scorer.contributions(features, returned)
                    decision = with_contributions(decision, explained, inputs, self.rules)
            except MODEL_FAILURES as error:
                logger.error("answered without explanation (%s)", type(error).__name__)
        record = DecisionRecord(inputs=inputs, decision=decision)
        decided(record)
        return _New(
            decision_id=inputs.decision_id,
            customer_id=request.customer_id,
            request_id=request.request_id,
            request_sha256=_fingerprint(request, audience),
            audience=audience,
            as_of=as_of,
            record=record.model_dump_json().encode("utf-8"),
            answer=answer_bytes(record, self.rules),
        )

    def _check_names(self, request: RecommendRequest) -> None:
        catalog = self.rules.catalog
        if request.channel not in catalog.channel_by_id:
            problem = f"unknown channel '{request.channel}'"
            hint = did_you_mean(request.channel, catalog.channel_ids)
            raise RequestRefused.at(422, "channel", problem, hint)
        if request.intent is not None and request.intent.offer not in catalog.offer_by_id:
            problem = f"unknown offer '{request.intent.offer}'"
            hint = did_you_mean(request.intent.offer, catalog.offer_ids)
            raise RequestRefused.at(422, "intent.offer", problem, hint)

    def _show(self, decision_id: str, caller: Key) -> bytes:
        stored = self._stored(decision_id)
        if caller.audience == "reviewer":
            return stored.record
        record = DecisionRecord.model_validate_json(stored.record)
        if not caller.opens(record.inputs.channel):
            raise not_your_door(caller, record.inputs.channel)
        return answer_bytes(record, self.rules, caller.audience)

    def _stored(self, decision_id: str) -> StoredDecision:
        stored = self.store.by_id(decision_id)
        if stored is None:
            problem = f"no decision '{decision_id}'"
            raise RequestRefused.at(404, "decision_id", problem, "take it from an answer")
        return stored

    def _place(self, outcome: Outcome) -> Place:
        record = DecisionRecord.model_validate_json(self._stored(outcome.decision_id).record)
        places = {place.rank: place.action for place in record.decision.ranked}
        if outcome.rank not in places:
            there = ", ".join(map(str, places)) or "none"
            problem = f"{outcome.rank} is not a place of decision '{outcome.decision_id}'"
            raise RequestRefused.at(422, "rank", problem, f"its places: {there}")
        self._check_time(outcome, record.inputs.as_of)
        handle = self.rules.catalog.channel_by_id[places[outcome.rank].handle]
        outlet = record.inputs.state.outlet
        at_outlet = handle.mode == "offline" and outlet is not None
        org = outlet.org_id if at_outlet and outlet else ""
        return Place(handle.id, org, handle.staff_minutes)

    def _check_time(self, outcome: Outcome, decided_at: datetime) -> None:
        skew = timedelta(seconds=self.config.clock_skew_s)
        now = self.clock.latest()
        when = outcome.occurred_at
        if when > now + skew:
            problem = f"{_iso(when)} is in the future (now: {_iso(now)})"
            raise RequestRefused.at(422, "occurred_at", problem, "send it once it has happened")
        if when < decided_at - skew:
            problem = f"{_iso(when)} lies before the decision ({_iso(decided_at)})"
            raise RequestRefused.at(422, "occurred_at", problem, "check the time and its zone")


class _New(StoredDecision):
    """A decision not yet on disk."""


def _fingerprint(request: RecommendRequest, audience: Audience) -> str:
    return hashlib.sha256(f"{audience}\n{request.model_dump_json()}".encode()).hexdigest()


def _new_id(now: datetime) -> str:
    """Draw an id that sorts by time, so that the log grows at its end."""
    return f"D{int(now.timestamp() * 1000):012x}{secrets.token_hex(8)}"


def _iso(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
