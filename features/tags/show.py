"""Tags as a manager reads them: those of one customer, and the customers who have one tag."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from features.bank import Bank
from features.build import Progress
from features.catalog import Names
from features.errors import OnePointError, did_you_mean
from features.histories import HISTORIES
from features.spine import customers_at
from features.tags.book import TagSettings
from features.tags.build import HeldTag, build_tags, held_tags
from features.tags.registry import Tags, all_tags, available_tags
from features.tags.words import Vocabulary, vocabulary


@dataclass(frozen=True)
class ToldTag:
    """A tag that a customer has, in words; ``parts`` says what each part is called and is."""

    held: HeldTag
    settings: TagSettings
    value: Names | None
    parts: tuple[Names, ...]

    @property
    def acts(self) -> bool:
        """Whether it is a reason to act: an event, or a rule that ends by itself."""
        ends = self.held.tag.ends is not None and self.settings.kind == "rule"
        return ends or self.settings.group == "event"

    def json(self) -> dict[str, Any]:
        """Give what a program reads of this customer's tag."""
        return {
            "value": self.held.value,
            "words": None if self.value is None else self.value.model_dump(),
            "parts": self.held.parts,
            "expires_at": self.held.expires_at.isoformat(),
        }


@dataclass(frozen=True)
class ToldCustomer:
    """Tags of a customer at a moment: reasons to act first, the soonest end on top.

    ``lost`` are codes of tags that the bank's tables cannot give.
    """

    customer_id: str
    vocabulary: Vocabulary
    tags: tuple[ToldTag, ...]
    lost: tuple[str, ...]

    def json(self) -> dict[str, Any]:
        """Give what a program reads."""
        told = [
            {
                "code": one.held.tag.code,
                "group": one.settings.group,
                **one.settings.names.model_dump(),
                **one.json(),
                "acts": one.acts,
                "say_to_customer": one.settings.say_to_customer,
                "owner": one.settings.owner,
            }
            for one in self.tags
        ]
        as_of = self.vocabulary.as_of.astimezone(UTC).isoformat()
        lost = list(self.lost)
        return {"customer_id": self.customer_id, "as_of": as_of, "tags": told, "lost": lost}


@dataclass(frozen=True)
class TagHolders:
    """Who has a tag at a moment, by customer id; the soonest end first."""

    code: str
    settings: TagSettings
    vocabulary: Vocabulary
    customers: tuple[tuple[str, ToldTag], ...]

    def json(self) -> dict[str, Any]:
        """Give what a program reads."""
        found = [{"customer_id": name, **told.json()} for name, told in self.customers]
        as_of = self.vocabulary.as_of.astimezone(UTC).isoformat()
        return {"tag": self.code, "as_of": as_of, "count": len(found), "customers": found}


def tags_of_customer(
    bank: Bank, as_of: datetime, customer: str, progress: Progress = lambda _: None
) -> ToldCustomer:
    """Tell the tags a customer has at a moment.

    Raises
    ------
    OnePointError
        The catalog has no tags, or the customer is not known at that moment.
    """
    tags = available_tags(bank)
    _check_book(bank, tags)
    spine = customers_at(bank, [as_of], [customer])
    rows = build_tags(spine, tags, progress).to_pylist() if len(spine) else []
    if not rows:
        raise OnePointError(
            f"customer '{customer}' is not known at {as_of.isoformat()}: no row of the table of "
            "customers holds then; give another --as-of"
        )
    words = vocabulary(bank, as_of)
    told = [_told(held, tags, words) for held in held_tags(rows[0], tags)]
    told.sort(key=lambda one: (not one.acts, one.held.expires_at if one.acts else as_of))
    return ToldCustomer(customer, words, tuple(told), tags.lost)


def holders_of_tag(
    bank: Bank, as_of: datetime, code: str, progress: Progress = lambda _: None
) -> TagHolders:
    """Tell who has a tag at a moment.

    Raises
    ------
    OnePointError
        The catalog has no tag of that code, it cannot be carried, or this bank lacks what it
        reads.
    """
    tags = _only(available_tags(bank), bank, code)
    words = vocabulary(bank, as_of)
    rows = build_tags(customers_at(bank, [as_of]), tags, progress).to_pylist()
    found = [
        (str(row["customer_id"]), _told(held, tags, words))
        for row in rows
        for held in held_tags(row, tags)
    ]
    found.sort(key=lambda pair: (pair[1].held.expires_at, pair[0]))
    return TagHolders(code, tags.book[code], words, tuple(found))


def _told(held: HeldTag, tags: Tags, words: Vocabulary) -> ToldTag:
    settings = tags.book[held.tag.code]
    value = None if held.value is None else words.value(held.value, settings)
    parts = tuple(words.part(name, part, settings) for name, part in held.parts.items())
    return ToldTag(held, settings, value, parts)


def _check_book(bank: Bank, tags: Tags) -> None:
    if not tags.book.tags:
        raise OnePointError(
            f"the catalog '{bank.catalog.name}' has no tags; declare them in "
            f"configs/catalog/{bank.catalog.name}/tags/"
        )


def _only(tags: Tags, bank: Bank, code: str) -> Tags:
    """Keep one tag, and what it reads."""
    _check_book(bank, tags)
    book = tags.book
    if code in book.not_carried:
        one = book.not_carried[code]
        raise OnePointError(
            f"tag '{code}' ({one.names.zh}, {one.names.en}) cannot be told; it lacks: {one.lacks}"
        )
    if code not in book.tags:
        raise OnePointError(
            f"no tag '{code}'; {did_you_mean(code, [*book.tags, *book.not_carried])}"
        )
    if code in tags.lost:
        raise OnePointError(
            f"tag '{code}' needs what this bank does not bring: {_lacking(bank, code)}; add it to "
            "the source YAML, or for scores give --scores with the file that "
            "`python -m training score` writes"
        )
    (tag,) = (one for one in tags.tags if one.code == code)
    needed = set(tag.inputs)
    for feature in reversed(tags.reads):  # each stands after those it is made from
        if feature.name in needed:
            needed.update(feature.inputs)
    reads = tuple(feature for feature in tags.reads if feature.name in needed)
    return replace(tags, tags=(tag,), reads=reads)


def _lacking(bank: Bank, code: str) -> str:
    """Tables and columns that a tag reads and the bank does not bring."""
    declared = all_tags(bank.catalog)
    (tag,) = (one for one in declared.tags if one.code == code)
    by_name = {feature.name: feature for feature in declared.reads}
    waiting = list(tag.inputs)
    needs: set[str] = set()
    while waiting:
        feature = by_name[waiting.pop()]
        waiting += feature.inputs
        needs.update(feature.needs)
        if feature.history:
            needs.add(HISTORIES[feature.history][0])
    return ", ".join(sorted(need for need in needs if not bank.has(need)))
