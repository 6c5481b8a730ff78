"""Making the catalogue: entries, with what a source and a release add to them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from zoneinfo import ZoneInfo

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from features.build import build
from features.catalog import Catalog
from features.catalogue.entries import (
    FeatureEntry,
    MissingTagEntry,
    TagEntry,
    feature_entries,
    missing_tag_entries,
    tag_entries,
)
from features.catalogue.spread import some_customers, spread_of
from features.config import StrictConfig
from features.registry import all_features
from features.sources import Source
from features.spine import customers_at
from features.tags.book import TagSettings
from features.tags.build import build_tags
from features.tags.registry import Tags, all_tags, available_tags
from features.tags.tag import ENDS, Tag, part_column


class Described(StrictConfig):
    """Whom the spreads are counted over: `customers` of a source at a moment (ISO 8601)."""

    source: str
    as_of: datetime
    customers: int
    all_customers: int


class Catalogue(StrictConfig):
    """Every feature and tag of a catalog."""

    catalog: str
    features: tuple[FeatureEntry, ...]
    tags: tuple[TagEntry, ...]
    tags_not_carried: tuple[MissingTagEntry, ...]
    described: Described | None = None
    release: str | None = None

    def groups(self) -> list[tuple[str, str, tuple[str, str], int]]:
        """List what there is by group: `feature` or `tag`, group, its names zh and en, how many."""
        entries = [("feature", one) for one in self.features] + [("tag", one) for one in self.tags]
        counted: dict[tuple[str, str], int] = {}
        names: dict[tuple[str, str], tuple[str, str]] = {}
        for what, one in entries:
            key = (what, one.group)
            names[key] = one.group_names
            counted[key] = counted.get(key, 0) + 1
        return [(*key, names[key], count) for key, count in counted.items()]


def catalogue_of(catalog: Catalog) -> Catalogue:
    """Give every feature and tag a catalog declares, and the tags that cannot be carried."""
    tags = all_tags(catalog)
    return Catalogue(
        catalog=catalog.name,
        features=tuple(feature_entries(all_features(catalog))),
        tags=tuple(tag_entries(tags)),
        tags_not_carried=tuple(missing_tag_entries(tags.book.not_carried)),
    )


def with_spreads(
    catalogue: Catalogue,
    source: Source,
    as_of: datetime,
    progress: Callable[[str], None] = lambda _: None,
) -> Catalogue:
    """Add how every feature and tag is distributed over the source's customers at a moment.

    What the source does not bring has no spread; of many customers a part is taken, by hash.
    """
    spine = customers_at(source, [as_of], some_customers(source))
    # two builds: one wide one takes longer than both
    features, tags = build(spine, progress=progress), available_tags(source)
    tagged = build_tags(spine, tags, progress)
    described = Described(
        source=source.config.name,
        as_of=as_of.astimezone(ZoneInfo(source.config.time_zone)).replace(microsecond=0),
        customers=len(spine),
        all_customers=len(customers_at(source, [as_of])),
    )
    return catalogue.model_copy(
        update={
            "described": described,
            "features": features_described(catalogue.features, features),
            "tags": tags_described(catalogue.tags, tagged, tags),
        }
    )


def features_described(
    entries: Sequence[FeatureEntry], table: pa.Table
) -> tuple[FeatureEntry, ...]:
    """Add the spread of each column of a table of built features to the entry of its name."""
    known = set(table.column_names)
    spreads = {one.name: spread_of(table[one.name]) for one in entries if one.name in known}
    return tuple(one.model_copy(update={"spread": spreads.get(one.name)}) for one in entries)


def tags_described(
    entries: Sequence[TagEntry], table: pa.Table, tags: Tags
) -> tuple[TagEntry, ...]:
    """Add to each entry who holds the tag, and with which values, by a table of built tags."""
    held = {tag.code: _held(table, tag, tags.book[tag.code]) for tag in tags.tags}
    return tuple(_tag_described(one, table, held.get(one.name)) for one in entries)


def with_importance(catalogue: Catalogue, release: str, shares: dict[str, float]) -> Catalogue:
    """Add each feature's importance (share of split gain, 0–1) in a release."""
    features = tuple(
        one.model_copy(update={"importance": shares.get(one.name)}) for one in catalogue.features
    )
    return catalogue.model_copy(update={"features": features, "release": release})


def _held(table: pa.Table, tag: Tag, settings: TagSettings) -> npt.NDArray[np.bool_]:
    """Say which rows of built tags have the tag, as `features.tags.build.held_tags` does."""
    if tag.value is None:
        has = np.zeros(table.num_rows, dtype=bool)
        for part in tag.parts:
            has |= pc.is_valid(table[part_column(tag.code, part)]).to_numpy()
    elif settings.shape == "flag":
        has = pc.fill_null(table[tag.code], 0).to_numpy() != 0
    else:
        has = pc.is_valid(table[tag.code]).to_numpy()
    if tag.ends is not None:
        has = has & (pc.fill_null(table[part_column(tag.code, ENDS)], 0).to_numpy() > 0)
    return has


def _tag_described(entry: TagEntry, table: pa.Table, has: npt.NDArray[np.bool_] | None) -> TagEntry:
    if has is None:
        return entry.model_copy(update={"lost": True})
    share = float(has.mean()) if len(has) else 0.0
    spread = None
    if entry.shape != "flag" and entry.name in table.column_names:
        values = table[entry.name].filter(pa.array(has))
        if entry.shape == "band":
            # a band is an index into its words
            names = pa.array(entry.words, pa.string())
            values = pa.chunked_array([names.take(values.combine_chunks().cast(pa.int64()))])
        spread = spread_of(values)
    return entry.model_copy(update={"held_share": share, "spread": spread})
