"""All tags of a catalog, and those of them that a given bank can have."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from types import ModuleType

from features.bank import Bank
from features.catalog import Catalog
from features.errors import ConfigError
from features.feature import Feature
from features.histories import HISTORIES
from features.registry import all_features
from features.source_config import CONFIGS
from features.tags import (
    activity,
    benefit,
    channel,
    cycle,
    event,
    experience,
    gate,
    life,
    org,
    product,
    value,
)
from features.tags.book import ALL_GROUPS, TagBook, TagGroup, load_tag_book
from features.tags.tag import Tag

_GROUP_MODULES: dict[TagGroup, ModuleType] = {
    "value": value,
    "life": life,
    "cycle": cycle,
    "event": event,
    "activity": activity,
    "channel": channel,
    "product": product,
    "benefit": benefit,
    "experience": experience,
    "gate": gate,
    "org": org,
}


@dataclass(frozen=True)
class Tags:
    """Tags with the book that sets them.

    ``reads`` are the features and facts the tags are made from, each after those it is made from
    itself; ``lost`` the codes of the tags that a bank cannot have.
    """

    book: TagBook
    tags: tuple[Tag, ...]
    reads: tuple[Feature, ...]
    lost: tuple[str, ...] = ()


def all_tags(catalog: Catalog, groups: Collection[TagGroup] = ALL_GROUPS) -> Tags:
    """Every declared tag of a catalog; `ConfigError` where the book and the code differ."""
    book = load_tag_book(CONFIGS / "catalog" / catalog.name, tuple(groups))
    if not book.tags:
        return Tags(book, (), ())
    modules = [_GROUP_MODULES[group] for group in groups]
    tags = {tag.code: tag for module in modules for tag in module.tags(catalog, book)}
    facts = [fact for module in modules for fact in module.facts(catalog, book)]
    differing = sorted(set(tags) ^ set(book.tags))
    if differing:
        raise ConfigError(
            f"catalog {catalog.name}: tag '{differing[0]}' needs settings in tags/*.yaml and a "
            "declaration in features/tags/; it has only one of them"
        )
    readable = [*all_features(catalog), *facts]
    names = [feature.name for feature in readable]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ValueError(f"facts or features declared twice: {twice}")
    ordered = tuple(tags[code] for code in book.tags)
    return Tags(book, ordered, _closure(ordered, readable))


def available_tags(source: Bank, groups: Collection[TagGroup] = ALL_GROUPS) -> Tags:
    """Keep the tags a bank can have, and what they read."""
    declared = all_tags(source.catalog, groups)
    known = _buildable(source, declared.reads)
    kept = tuple(tag for tag in declared.tags if known.issuperset(tag.inputs))
    lost = tuple(tag.code for tag in declared.tags if tag not in kept)
    return Tags(declared.book, kept, _closure(kept, declared.reads), lost)


def _buildable(source: Bank, features: Sequence[Feature]) -> set[str]:
    """Names of the features whose tables, columns and inputs are all there."""
    waiting = [
        feature
        for feature in features
        if all(source.has(need) for need in feature.needs)
        and (not feature.history or source.has(HISTORIES[feature.history][0]))
    ]
    known: set[str] = set()
    while ready := [
        one for one in waiting if one.name not in known and known.issuperset(one.inputs)
    ]:
        known.update(one.name for one in ready)
    return known


def _closure(tags: Sequence[Tag], features: Sequence[Feature]) -> tuple[Feature, ...]:
    """Keep the features that the tags read, directly or by way of others."""
    by_name = {feature.name: feature for feature in features}
    found: set[str] = set()
    waiting = [(tag.code, name) for tag in tags for name in tag.inputs]
    while waiting:
        reader, name = waiting.pop()
        if name not in by_name:
            raise ValueError(f"'{reader}' reads '{name}', which is no feature and no fact")
        if name not in found:
            found.add(name)
            waiting += [(name, one) for one in by_name[name].inputs]
    return tuple(feature for feature in features if feature.name in found)
