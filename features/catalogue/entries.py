"""Entries of the catalogue: what a feature or tag is, what it needs, and what is known of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

from features.catalogue.spread import Spread
from features.config import StrictConfig
from features.feature import Feature
from features.groups import GROUPS
from features.histories import HISTORIES
from features.tags.book import TAG_GROUPS, NotCarried, TagSettings, Threshold
from features.tags.registry import Tags


class FeatureEntry(StrictConfig):
    """A feature. ``needs`` are the tables and optional columns it is made from, by way of others.

    ``spread`` is known where customers were described, ``importance`` (share of the split gain,
    0–1) where a release was read; a feature the release does not read has none.
    """

    name: str
    group: str
    group_names: tuple[str, str]
    zh: str
    en: str
    unit: str
    low: float | None
    high: float | None
    category: bool
    table: str | None
    inputs: tuple[str, ...]
    needs: tuple[str, ...]
    spread: Spread | None = None
    importance: float | None = None


class TagEntry(StrictConfig):
    """A tag, with what the bank sets of it.

    ``held_share`` is the share of customers (0–1) who have it, ``spread`` the values they have;
    ``lost``: this source does not bring what it needs.
    """

    name: str
    group: str
    group_names: tuple[str, str]
    zh: str
    en: str
    definition_zh: str
    definition_en: str
    kind: Literal["fact", "rule", "model"]
    shape: Literal["flag", "band", "number", "text"]
    unit: str
    words: tuple[str, ...]
    owner: str
    validity_days: float
    event: bool
    say_to_customer: bool
    core: bool
    thresholds: dict[str, Threshold]
    inputs: tuple[str, ...]
    needs: tuple[str, ...]
    lost: bool = False
    held_share: float | None = None
    spread: Spread | None = None


class MissingTagEntry(StrictConfig):
    """A tag of the standard list that the contract cannot carry, and what it lacks."""

    name: str
    group: str
    zh: str
    en: str
    core: bool
    lacks: str


def feature_entries(features: Sequence[Feature]) -> list[FeatureEntry]:
    """Say what each of a catalog's features is, in order."""
    by_name = {feature.name: feature for feature in features}
    return [
        FeatureEntry(
            name=one.name,
            group=one.group,
            group_names=GROUPS[one.group],
            zh=one.zh,
            en=one.en,
            unit=one.unit,
            low=one.low,
            high=one.high,
            category=one.category,
            table=HISTORIES[one.history][0] if one.history else None,
            inputs=one.inputs,
            needs=needs_of([one.name], by_name),
        )
        for one in features
    ]


def tag_entries(tags: Tags) -> list[TagEntry]:
    """Say what each tag is, in the order of the book."""
    by_name = {feature.name: feature for feature in tags.reads}
    entries = []
    for tag in tags.tags:
        one: TagSettings = tags.book[tag.code]
        entries.append(
            TagEntry(
                name=tag.code,
                group=one.group,
                group_names=TAG_GROUPS[one.group],
                zh=one.names.zh,
                en=one.names.en,
                definition_zh=one.definition.zh,
                definition_en=one.definition.en,
                kind=one.kind,
                shape=one.shape,
                unit=one.unit,
                words=tuple(f"{word.zh} {word.en}" for word in one.words),
                owner=one.owner,
                validity_days=one.validity_days,
                event=tag.ends is not None,
                say_to_customer=one.say_to_customer,
                core=one.core,
                thresholds=one.thresholds,
                inputs=tag.inputs,
                needs=needs_of(tag.inputs, by_name),
            )
        )
    return entries


def missing_tag_entries(not_carried: Mapping[str, NotCarried]) -> list[MissingTagEntry]:
    """Name the tags that cannot be carried, and what each lacks."""
    return [
        MissingTagEntry(
            name=code, group=one.group, zh=one.names.zh, en=one.names.en, core=one.core,
            lacks=one.lacks,
        )
        for code, one in not_carried.items()
    ]  # fmt: skip


def needs_of(names: Sequence[str], by_name: Mapping[str, Feature]) -> tuple[str, ...]:
    """Name the tables and optional columns that features read, by way of others too.

    A table stands by itself only where none of its columns is named.
    """
    found: set[str] = set()
    seen: set[str] = set()
    waiting = list(names)
    while waiting:
        feature = by_name[waiting.pop()]
        if feature.name in seen:
            continue
        seen.add(feature.name)
        waiting += feature.inputs
        found.update(feature.needs)
        if feature.history:
            found.add(HISTORIES[feature.history][0])
    with_columns = {need.partition(".")[0] for need in found if "." in need}
    return tuple(sorted(found - with_columns))
