"""From what the stores say of a customer to the page of him that a caller may read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import groupby

from features.catalog import Names, Stage
from features.state import CustomerState
from features.tags.book import TAG_GROUPS, TagBook, TagGroup, TagSettings
from features.tags.packed import PublishedTag
from features.tags.words import Vocabulary, catalog_words, with_id
from serving.contract import Audience, DecisionOwner, Text
from serving.customer_view import (
    ChannelOf,
    ChannelsFor,
    CustomerTag,
    CustomerView,
    HeldProduct,
    HomeOutlet,
    PastDecision,
    PastOutcome,
    PastPlace,
    TagsOfGroup,
)
from serving.decide.record import Scores
from serving.decide.rulebook import Rulebook
from serving.stores.decisions import Remembered

BINDING: TagGroup = "gate"
"""The one group of tags that is told of who declined personalisation: what must not be done."""


@dataclass(frozen=True)
class Seen:
    """All that was read of a customer; None: the store that has it could not be read.

    ``scores``, at ``stages`` by offer, are the models' for him or, where he declined
    personalisation, everybody's.
    """

    customer_id: str
    as_of: datetime
    state: CustomerState | None = None
    features_as_of: datetime | None = None
    tags: Sequence[PublishedTag] | None = None
    scores: Scores | None = None
    stages: Mapping[str, Stage] = field(default_factory=dict)
    decisions: Sequence[Remembered] | None = None
    personalised: bool = False
    degraded: tuple[str, ...] = ()


class Viewer:
    """Writes the page of a customer for an audience, in the words of a catalog and its tags."""

    def __init__(self, rules: Rulebook, book: TagBook) -> None:
        self.rules = rules
        self.book = book
        self._words = catalog_words(rules.catalog)

    def page(self, seen: Seen, audience: Audience) -> CustomerView:
        """Write what the audience may read.

        The customer's own screen shows tags that may be said to him, what he holds, who looks after
        him and what he was answered; no probability, and nothing of how the bank sees him.
        """
        inside, state = audience != "customer", seen.state
        known = state is not None
        return CustomerView(
            customer_id=seen.customer_id,
            as_of=seen.as_of,
            features_as_of=seen.features_as_of,
            degraded=bool(seen.degraded),
            degraded_because=seen.degraded if inside and seen.degraded else None,
            personalised=seen.personalised,
            tags=None if seen.tags is None or not known else self._tags(seen, inside),
            products=self._products(state) if state else None,
            manager=_manager(state),
            outlet=_outlet(state),
            channels=self._channels(seen) if inside else None,
            decisions=self._decisions(seen.decisions) if seen.decisions is not None else None,
        )

    def _tags(self, seen: Seen, inside: bool) -> tuple[TagsOfGroup, ...]:
        words = self._vocabulary(seen)
        told = []
        for tag in seen.tags or ():
            settings = self.book.tags.get(tag.code)
            # A tag the bank has taken out of its book since is none any more.
            if settings is None or tag.expires_at <= seen.as_of:
                continue
            hidden = not seen.personalised and settings.group != BINDING
            if hidden or not (inside or settings.say_to_customer):
                continue
            told.append((settings.group, _tag(tag, settings, words, inside)))
        order = list(TAG_GROUPS)
        told.sort(key=lambda one: order.index(one[0]))
        return tuple(
            TagsOfGroup(
                group=group,
                name=Text(zh=TAG_GROUPS[group][0], en=TAG_GROUPS[group][1]),
                tags=tuple(tag for _, tag in tags),
            )
            for group, tags in groupby(told, key=lambda one: one[0])
        )

    def _vocabulary(self, seen: Seen) -> Vocabulary:
        """Words for ids: the catalog's, and the names of his own outlet and manager."""
        words, state = dict(self._words), seen.state
        if state is not None and state.outlet is not None:
            words[state.outlet.org_id] = with_id(state.outlet.org_id, state.outlet.name)
        if state is not None and state.owner is not None:
            role = self._words.get(state.owner.role)
            words[state.owner.staff_id] = with_id(state.owner.staff_id, state.owner.name, role)
        return Vocabulary(words, seen.features_as_of or seen.as_of, self.rules.zone)

    def _products(self, state: CustomerState) -> tuple[HeldProduct, ...]:
        return tuple(
            HeldProduct(
                offer=held.offer,
                offer_name=self._name(held.offer),
                opened_at=held.opened_at,
                amount_cny=held.amount_cny,
                maturity_at=held.maturity_at,
            )
            for held in state.holdings
        )

    def _name(self, name: str) -> Text:
        """Name an offer; what the catalog does not know keeps its id."""
        return _text(self._words.get(name) or Names(zh=name, en=name))

    def _channels(self, seen: Seen) -> ChannelsFor | None:
        scores, state, catalog = seen.scores, seen.state, self.rules.catalog
        if scores is None or state is None:
            return None
        held = {one.offer for one in state.holdings}
        open_to_him = [
            (scores.p_start[row], offer)
            for offer, row in scores.row.items()
            if catalog.offer_by_id[offer].kind == "product"
            and (catalog.offer_by_id[offer].repeatable or offer not in held)
        ]
        if not open_to_him:
            return None
        offer = max(open_to_him)[1]
        told = scores.of(offer)
        assert told is not None  # noqa: S101 (it is a row of the table)
        by_preference = sorted(
            catalog.channels, key=lambda one: told.preference.get(one.id, -1.0), reverse=True
        )
        return ChannelsFor(
            offer=offer,
            offer_name=self._name(offer),
            stage=seen.stages[offer],
            preference_is="model" if told.p_start_is == "propensity" else "popularity",
            channels=tuple(
                ChannelOf(
                    channel=one.id,
                    name=_text(one.names),
                    mode=one.mode,
                    preference=told.preference.get(one.id),
                    completion=told.completion.get(one.id),
                    allowed=state.consents.get(one.id),
                    reachable=state.reachable.get(one.id),
                )
                for one in by_preference
            ),
        )

    def _decisions(self, decisions: Sequence[Remembered]) -> tuple[PastDecision, ...]:
        return tuple(
            PastDecision(
                decision_id=one.decision_id,
                as_of=one.as_of,
                channel=one.channel,
                places=tuple(
                    PastPlace(
                        rank=place.rank,
                        offer=place.offer,
                        offer_name=self._name(place.offer),
                        stage=place.stage,
                        handle=place.handle,
                        outcomes=tuple(
                            PastOutcome(kind=told.kind, occurred_at=told.occurred_at)
                            for told in one.outcomes
                            if told.rank == place.rank
                        ),
                    )
                    for place in one.places
                ),
            )
            for one in decisions
        )


def _tag(tag: PublishedTag, settings: TagSettings, words: Vocabulary, inside: bool) -> CustomerTag:
    return CustomerTag(
        code=tag.code,
        name=_text(settings.names),
        value=None if tag.value is None else _text(words.value(tag.value, settings)),
        parts=tuple(_text(words.part(name, one, settings)) for name, one in tag.parts.items()),
        expires_at=tag.expires_at.astimezone(UTC),
        may_be_said=settings.say_to_customer if inside else None,
        owner=settings.owner if inside else None,
    )


def _manager(state: CustomerState | None) -> DecisionOwner | None:
    if state is None or state.owner is None:
        return None
    own = state.owner
    return DecisionOwner(org_id=own.org_id, staff_id=own.staff_id, name=own.name)


def _outlet(state: CustomerState | None) -> HomeOutlet | None:
    if state is None or state.outlet is None:
        return None
    return HomeOutlet(org_id=state.outlet.org_id, name=state.outlet.name)


def _text(names: Names) -> Text:
    return Text(zh=names.zh, en=names.en)
