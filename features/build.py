"""Building features: declarations and a spine in, one row of values per spine row out."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import narwhals.stable.v2 as nw
import pyarrow as pa

from features.feature import Feature
from features.histories import HISTORIES
from features.history import Frame
from features.registry import available_features
from features.spine import Spine

Progress = Callable[[str], None]


def build(
    spine: Spine, features: list[Feature] | None = None, progress: Progress = lambda _: None
) -> pa.Table:
    """Features of every spine row, as known at its `as_of`.

    Parameters
    ----------
    spine
        Whom to describe and when.
    features
        What to compute; by default all that the source can have. Features that others are made
        from must be among them.
    progress
        Called with the name of each history before it is aggregated.

    Returns
    -------
    pa.Table
        `row_id`, `customer_id`, `as_of` (microseconds) and one column per feature (float64, or
        string for categories), in order of `row_id`.
    """
    with building(spine, features, progress) as frame:
        return spine.source.arrow(frame)


@contextmanager
def building(
    spine: Spine, features: list[Feature] | None = None, progress: Progress = lambda _: None
) -> Iterator[Frame]:
    """Give what `build` gives as a lazy frame of the source's engine, good within the block."""
    wanted = available_features(spine.source) if features is None else features
    source = spine.source
    parts = {
        history: f"part_{spine.table}_{history}"
        for history in dict.fromkeys(feature.history for feature in wanted if feature.history)
    }
    try:
        frames = []
        for history, table in parts.items():
            progress(history)
            # each part is made once, here: left lazy, the joins would hide which one is slow
            frames.append(source.keep(table, _aggregated(spine, history, wanted)))
        yield _joined(spine, frames, wanted)
    finally:
        for table in parts.values():
            source.drop(table)


def _aggregated(spine: Spine, history: str, wanted: list[Feature]) -> Frame:
    own = [feature for feature in wanted if feature.history == history]
    rows = HISTORIES[history][1](spine).group_by("row_id")
    return rows.agg(*(feature.expr.alias(feature.name) for feature in own))


def _joined(spine: Spine, parts: list[Frame], wanted: list[Feature]) -> Frame:
    frame = spine.frame()
    for part in parts:
        frame = frame.join(part, on="row_id", how="left")
    for layer in _layers(wanted):
        frame = frame.with_columns(*(_typed(feature) for feature in layer))
    names = [feature.name for feature in wanted]
    return frame.sort("row_id").select("row_id", "customer_id", "as_of", *names)


def _layers(wanted: list[Feature]) -> Iterator[list[Feature]]:
    """Give aggregates, then features made row by row, in as few passes as their inputs allow."""
    aggregates = [feature for feature in wanted if feature.history]
    if aggregates:
        yield aggregates
    known = {feature.name for feature in aggregates}
    waiting = [feature for feature in wanted if not feature.history]
    while waiting:
        ready = [feature for feature in waiting if known.issuperset(feature.inputs)]
        if not ready:
            lacking = sorted({name for f in waiting for name in f.inputs} - known)
            raise ValueError(f"'{waiting[0].name}' is made from features not asked for: {lacking}")
        yield ready
        known.update(feature.name for feature in ready)
        waiting = [feature for feature in waiting if feature.name not in known]


def _typed(feature: Feature) -> nw.Expr:
    value = nw.col(feature.name) if feature.history else feature.expr
    if feature.category:
        return value.cast(nw.String).alias(feature.name)
    value = value.cast(nw.Float64)
    if feature.empty is not None:
        value = value.fill_null(feature.empty)
    return value.alias(feature.name)
