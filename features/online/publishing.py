"""Writing a store: from a spine, from tables already built, or customer by customer."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from features.build import build, building
from features.feature_set import FeatureSet
from features.online.location import RedisAddress, location
from features.online.record import Row, StoreMeta, Vector
from features.online.redis_store import write_redis
from features.online.sqlite_store import write_sqlite
from features.registry import available_features
from features.spine import Spine, subset
from features.state import CustomerState
from features.states import state_texts
from features.tags.packed import tag_texts

if TYPE_CHECKING:
    from features.tags.registry import Tags

AT_ONCE = 50_000
"""Customers in memory together: some ten kilobytes each as table, matrix and texts."""

TEXTS_AT_ONCE = 1_000


def publish_customers(
    where: Path | RedisAddress | str,
    feature_set: FeatureSet,
    spine: Spine,
    as_of: datetime,
    tags: Tags | None = None,
    progress: Callable[[str], None] = lambda _: None,
) -> int:
    """Build and publish features, state and tags of every customer of a spine of one moment.

    Parameters
    ----------
    where
        A file or a Redis, see `location`; what is there is replaced when all is written.
    feature_set
        Names and vocabularies of the vectors.
    spine
        The customers, all at `as_of`.
    as_of
        The moment all records speak of (with a time zone).
    tags
        What is published beside them for the page of a customer, see
        `features.tags.registry.available_tags`; None for none.
    progress
        Called with the name of each step before it is done, once for each part of the customers.

    Returns
    -------
    int
        Customers written.
    """

    def rows() -> Iterator[Row]:
        for part in _parts(spine):
            table, held = _built(part, tags, progress)
            progress("states")
            yield from customer_rows(feature_set, table, state_texts(part), held)

    return publish_rows(where, feature_set, as_of, rows())


def part_count(spine: Spine) -> int:
    """Tell in how many parts `publish_customers` publishes a spine."""
    return math.ceil(len(spine) / AT_ONCE)


def _parts(spine: Spine) -> Iterator[Spine]:
    row_ids = np.sort(spine.arrow()["row_id"].to_numpy())
    for first in range(0, len(row_ids), AT_ONCE):
        part = subset(spine, row_ids[first : first + AT_ONCE])
        try:
            yield part
        finally:
            spine.source.drop(part.table)


def _built(
    spine: Spine, tags: Tags | None, progress: Callable[[str], None]
) -> tuple[pa.Table, pa.LargeStringArray | None]:
    """Build features and tags in one go, since they are made from the same histories."""
    if tags is None:
        return build(spine, progress=progress), None
    features = available_features(spine.source)
    columns = [one for tag in tags.tags for one in tag.columns(tags.book[tag.code])]
    wanted = {one.name: one for one in (*features, *tags.reads, *columns)}
    with building(spine, list(wanted.values()), progress) as frame:
        own = frame.select("row_id", "customer_id", "as_of", *(one.name for one in features))
        return spine.source.arrow(own), tag_texts(frame, tags)


def customer_rows(
    feature_set: FeatureSet,
    table: pa.Table,
    states: pa.LargeStringArray,
    tags: pa.LargeStringArray | None = None,
) -> Iterator[Row]:
    """Pack features, states and tags of the same customers, in the same order, into rows."""
    matrix = np.ascontiguousarray(feature_set.encode(table), dtype="<f8")
    width = 8 * matrix.shape[1]
    # slices of the matrix itself: no vector is copied before the store copies it
    packed = matrix.reshape(-1).view(np.uint8).data
    vectors = (packed[first : first + width] for first in range(0, width * len(matrix), width))
    held = itertools.repeat(None, len(states)) if tags is None else _texts(tags)
    return zip(table["customer_id"].to_pylist(), vectors, _texts(states), held, strict=True)


def _texts(column: pa.LargeStringArray) -> Iterator[str]:
    """Give texts, a few of them in memory: strings of all would cost more than to write them."""
    for first in range(0, len(column), TEXTS_AT_ONCE):
        yield from column.slice(first, TEXTS_AT_ONCE).to_pylist()


def publish(
    where: Path | RedisAddress | str,
    feature_set: FeatureSet,
    as_of: datetime,
    records: Iterable[tuple[str, Vector | None, CustomerState]],
    tags: Mapping[str, str] | None = None,
) -> int:
    """Publish customers given one by one; see `publish_customers`.

    ``records`` are customer id, vector of shape (len(feature_set.names),) or None, and state;
    ``tags`` the texts of `features.tags.packed` by customer, of whom has any.
    """
    held = {} if tags is None else tags
    rows = (
        (customer, _packed(vector), state.model_dump_json(), held.get(customer))
        for customer, vector, state in records
    )
    return publish_rows(where, feature_set, as_of, rows)


def _packed(vector: Vector | None) -> bytes | None:
    return None if vector is None else vector.astype("<f8").tobytes()


def publish_rows(
    where: Path | RedisAddress | str,
    feature_set: FeatureSet,
    as_of: datetime,
    rows: Iterable[Row],
) -> int:
    """Publish rows already packed, best in order of customer; see `publish_customers`."""
    meta = StoreMeta(version=feature_set.version, as_of=as_of, names=feature_set.names)
    found = location(where) if isinstance(where, str) else where
    if isinstance(found, RedisAddress):
        return write_redis(found, meta, rows)
    return write_sqlite(found, meta, rows)
