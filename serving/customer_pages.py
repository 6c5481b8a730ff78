"""A customer's page: read, overlaid with what happened since, scored, and written for a caller."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from features.tags.book import load_tag_book
from serving.config import CATALOGS
from serving.customer_view import CustomerView
from serving.decide.case import personal_answer, stages_for
from serving.decide.rulebook import Rulebook
from serving.keys import Key
from serving.known import MODELS_FAILED, Knowledge, scores_of
from serving.passage import looked_at
from serving.reading import Reading
from serving.scoring import Scorer
from serving.viewing import Seen, Viewer


class CustomerPages:
    """Makes pages from the same stores and scores that decisions are made from."""

    def __init__(self, rules: Rulebook, reading: Reading, knowledge: Knowledge) -> None:
        self.rules = rules
        self._reading = reading
        self._knowledge = knowledge
        self._book = load_tag_book(CATALOGS / rules.catalog.name)
        self._viewer = Viewer(rules, self._book)

    async def of(
        self, customer_id: str, caller: Key, now: datetime, scorer: Scorer
    ) -> CustomerView:
        """Write a customer's page, as far as a caller may see him.

        `RequestRefused`: 404, the online store does not know him.
        """
        seen = await self._seen(customer_id, caller, now, scorer)
        looked_at(customer_id, seen.degraded)
        return self._viewer.page(seen, caller.audience)

    async def _seen(self, customer_id: str, caller: Key, now: datetime, scorer: Scorer) -> Seen:
        found, degraded = await self._reading.published(self._reading.ask_for(customer_id), now)
        past, unread = await self._reading.past(customer_id, caller, now, found)
        bare = Seen(customer_id, now, decisions=past.decisions, degraded=degraded + unread)
        if found is None:
            return bare
        known = self._knowledge.of(found.record, found.store, past.facts, now, scorer)
        # Where facts are missing, an opt-out may be among them.
        personalised = personal_answer(known.state.consents) and not unread
        stages = stages_for(None, known.state, self.rules)
        scores, failed = None, False
        if known.features is not None and personalised:
            scores = scores_of(known.features, stages, scorer)
            failed = scores is None
        tags, untold = await self._reading.tags(found) if self._book.tags else ([], ())
        lacking = (*known.degraded, *([MODELS_FAILED] if failed else []), *untold)
        return replace(
            bare,
            state=known.state,
            features_as_of=found.record.as_of,
            tags=tags,
            scores=scores or scorer.by_popularity(stages),
            stages=stages,
            personalised=personalised,
            degraded=bare.degraded + lacking,
        )
