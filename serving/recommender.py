"""From a request to a decision on disk and an answer: who, scored how, decided, stored."""

from __future__ import annotations

import asyncio
import hashlib
import logging
import secrets
from datetime import datetime

from features.config import load_yaml
from features.errors import did_you_mean
from serving.about import AboutAnswer, AboutTexts, about
from serving.config import ABOUT_YAML, Clock, ServiceConfig
from serving.contract import Audience, RecommendRequest, Versions
from serving.counting import counters_of
from serving.customer_pages import CustomerPages
from serving.customer_view import CustomerView
from serving.decide.answering import answer_bytes
from serving.decide.case import stages_for
from serving.decide.pipeline import decide, with_contributions
from serving.decide.record import DecisionInputs, DecisionRecord, Scores
from serving.decide.rulebook import Rulebook
from serving.errors import RequestRefused, in_words
from serving.facts import Place, purpose_of
from serving.intake import Intake
from serving.keys import Key, not_your_door
from serving.known import MODEL_FAILURES, MODELS_FAILED, Knowledge, KnownCustomer, scores_of
from serving.passage import answered, decided, step
from serving.reading import Known, Missing, Published, Reading
from serving.scoring import Scorer, feature_values
from serving.stores.decisions import DecisionStore, MinutesUsed, StoredDecision
from serving.stores.online import PublishedCustomers

logger = logging.getLogger("onepoint.serving")


class Recommender:
    """Answers requests: reads the customer, scores, decides, and stores before it says anything.

    Scoring and deciding run in the event loop: they hold the interpreter anyway, and in a thread
    of their own each had to win it back from the loop a dozen times. Stores are read and written in
    other threads. What is read is waited for only so long (`Reading`); without it the answer goes
    out degraded, and every veto holds. Use it from one thread at a time.
    """

    def __init__(
        self,
        rules: Rulebook,
        scorer: Scorer,
        customers: PublishedCustomers,
        store: DecisionStore,
        clock: Clock,
        config: ServiceConfig,
        unsound: str | None = None,
    ) -> None:
        self.rules = rules
        self.scorer = scorer
        self.customers = customers
        self.store = store
        self.clock = clock
        self.config = config
        self.unsound = unsound
        """Why rules and popularity answer in a release's place; None where that is as wished."""
        self._about = load_yaml(ABOUT_YAML, AboutTexts)
        self._reading = Reading(customers, store, rules, clock, config)
        self.knowledge = Knowledge(config.features_stale_after_s)
        self._pages = CustomerPages(rules, self._reading, self.knowledge)
        self.intake = Intake(store, rules.catalog, clock, config.clock_skew_s)

    def close(self) -> None:
        """Write what waits, then let go of the files."""
        self._reading.close()
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
        self._check_request(request)
        stored = await self._answered_or_new(request, audience)
        may_repeat = request.request_id is not None
        if may_repeat and stored.request_sha256 != _fingerprint(request, audience):
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
        stored = await asyncio.to_thread(self._stored, decision_id)
        if caller.audience == "reviewer":
            return stored.record
        record = DecisionRecord.model_validate_json(stored.record)
        if not caller.opens(record.inputs.channel):
            raise not_your_door(caller.channels, record.inputs.channel)
        return answer_bytes(record, self.rules, caller.audience)

    async def customer(self, customer_id: str, caller: Key) -> CustomerView:
        """Show a customer from all sides, as far as a caller may see him.

        `RequestRefused`: 404, the online store does not know him.
        """
        return await self._pages.of(customer_id, caller, self.clock.now(), self.scorer)

    def about(self) -> AboutAnswer:
        """Say what the algorithm uses at present."""
        return about(self._about, self.rules, self.scorer.release)

    def swap(self, scorer: Scorer) -> Scorer:
        """Score by another release from the next request on; gives back the scorer left.

        From any thread: what a request began with it ends with.
        """
        left, self.scorer, self.unsound = self.scorer, scorer, None
        return left

    def warm_up(self) -> None:
        """Decide for nobody once, storing nothing, so that the first customer does not wait."""
        now = self.clock.now()
        request = RecommendRequest(customer_id="nobody", channel=self.rules.catalog.channel_ids[0])
        self.store.known("nobody", None, now, now)  # opens the connection
        nobody = self.knowledge.of_unread("nobody", (), now, ("warm-up",))
        self._drawn(request, "reviewer", now, nobody, MinutesUsed(), self.scorer)

    async def _answered_or_new(
        self, request: RecommendRequest, audience: Audience
    ) -> StoredDecision:
        now = self.clock.now()
        as_of = request.as_of or now
        asked = self._reading.ask(request, as_of)
        known, degraded = await self._reading.known(asked)
        if known.answered is not None:
            return known.answered
        if as_of > now + self._reading.skew:
            raise RequestRefused.at(
                422,
                "as_of",
                f"{in_words(as_of)} is in the future (now: {in_words(now)})",
                "leave it out",
            )
        found, unread = await self._reading.published(asked.customer, as_of)
        degraded += unread
        new, places = self._decide(request, audience, as_of, found, known, degraded)
        with step("store"):
            return await self.store.add(new, places)

    def _decide(
        self,
        request: RecommendRequest,
        audience: Audience,
        as_of: datetime,
        found: Published | None,
        known: Known,
        degraded: Missing,
    ) -> tuple[StoredDecision, tuple[Place, ...]]:
        scorer = self.scorer
        if found is None or degraded:
            # Where facts are missing, an opt-out may be among them.
            customer = self.knowledge.of_unread(request.customer_id, known.facts, as_of, degraded)
        else:
            customer = self.knowledge.of(found.record, found.store, known.facts, as_of, scorer)
        return self._drawn(request, audience, as_of, customer, known.minutes, scorer)

    def _drawn(
        self,
        request: RecommendRequest,
        audience: Audience,
        as_of: datetime,
        customer: KnownCustomer,
        minutes: MinutesUsed,
        scorer: Scorer,
    ) -> tuple[StoredDecision, tuple[Place, ...]]:
        """Decide, and write the decision and its places down, not yet to disk."""
        state, features, degraded = customer.state, customer.features, customer.degraded
        stages = stages_for(request.intent, state, self.rules)
        scores: Scores | None = None
        if features is not None:
            scores = scores_of(features, stages, scorer, request.intent)
            if scores is None:
                features, degraded = None, (*degraded, MODELS_FAILED)
        inputs = DecisionInputs(
            decision_id=_new_id(self.clock.now()),
            audience=audience,
            channel=request.channel,
            direction=request.direction,
            as_of=as_of,
            limit=request.limit,
            intent=request.intent,
            placement=request.placement,
            session_id=request.session_id,
            state=state,
            features_as_of=customer.features_as_of,
            features=feature_values(features) if features else None,
            scores=scores if scores is not None else scorer.by_popularity(stages),
            counters=counters_of(state, minutes),
            degraded=degraded,
            versions=Versions(
                release=scorer.release.id if scorer.release else None,
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
                    explained = scorer.contributions(features, returned)
                    decision = with_contributions(decision, explained, inputs, self.rules)
            except MODEL_FAILURES as error:
                logger.error("answered without explanation (%s)", type(error).__name__)
        record = DecisionRecord(inputs=inputs, decision=decision)
        decided(record)
        stored = StoredDecision(
            decision_id=inputs.decision_id,
            customer_id=request.customer_id,
            request_id=request.request_id,
            request_sha256=_fingerprint(request, audience),
            audience=audience,
            channel=request.channel,
            as_of=as_of,
            record=record.to_bytes(),
            answer=answer_bytes(record, self.rules),
        )
        return stored, self._places(record)

    def _places(self, record: DecisionRecord) -> tuple[Place, ...]:
        channels, outlet = self.rules.catalog.channel_by_id, record.inputs.state.outlet
        org_id = outlet.org_id if outlet else ""
        return tuple(
            Place(
                rank=place.rank,
                offer=place.action.offer,
                stage=place.action.stage,
                reach=place.action.reach,
                handle=place.action.handle,
                org_id=org_id if place.action.mode == "offline" else "",
                staff_minutes=channels[place.action.handle].staff_minutes,
                purpose=purpose_of(record.inputs.direction, place.action.kind),
            )
            for place in record.decision.ranked
        )

    def _check_request(self, request: RecommendRequest) -> None:
        catalog = self.rules.catalog
        if request.channel not in catalog.channel_by_id:
            problem = f"unknown channel '{request.channel}'"
            hint = did_you_mean(request.channel, catalog.channel_ids)
            raise RequestRefused.at(422, "channel", problem, hint)
        if request.intent is not None and request.intent.offer not in catalog.offer_by_id:
            problem = f"unknown offer '{request.intent.offer}'"
            hint = did_you_mean(request.intent.offer, catalog.offer_ids)
            raise RequestRefused.at(422, "intent.offer", problem, hint)

    def _stored(self, decision_id: str) -> StoredDecision:
        stored = self.store.by_id(decision_id)
        if stored is None:
            problem = f"no decision '{decision_id}'"
            raise RequestRefused.at(404, "decision_id", problem, "take it from an answer")
        return stored


def _fingerprint(request: RecommendRequest, audience: Audience) -> str:
    return hashlib.sha256(f"{audience}\n{request.model_dump_json()}".encode()).hexdigest()


def _new_id(now: datetime) -> str:
    """Draw an id that sorts by time, so that the log grows at its end."""
    return f"D{int(now.timestamp() * 1000):012x}{secrets.token_hex(8)}"
