"""Building features: declarations and a spine in, one row of values per spine row out."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import narwhals.stable.v2 as nw
import pyarrow as pa

from features.bank import Cell, Frame
from features.feature import Feature
from features.histories import HISTORIES
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
    source, kept = spine.source, []
    cells: dict[str, Cell] = {}

    def keep(part: str, frame: Frame, own: list[Feature]) -> None:
        table = f"part_{spine.table}_{part}"
        kept.append(table)
        # each part is made once, here: left lazy, the joins would hide which one is slow
        source.keep(table, frame)
        cells.update({one.name: Cell(one.name, table, one.empty) for one in own})

    try:
        for history in dict.fromkeys(one.history for one in wanted if one.history):
            progress(history)
            past = HISTORIES[history][1](spine)
            own = [one for one in wanted if one.history == history]
            for part, some in _passes(history, own, source.distinct_apart):
                keep(part, past.group_by("row_id").agg(*map(_typed, some)), some)
        for number, own in enumerate(_layers(wanted)):
            inputs = dict.fromkeys(name for one in own for name in one.inputs)
            rows = source.gather(spine.table, [cells[name] for name in inputs])
            keep(f"layer_{number}", rows.select("row_id", *map(_typed, own)), own)
        named = [cells[one.name] for one in wanted]
        columns = ["row_id", "customer_id", "as_of", *(one.name for one in wanted)]
        yield source.gather(spine.table, named).select(*columns).sort("row_id")
    finally:
        for table in kept:
            source.drop(table)


def _passes(
    history: str, own: list[Feature], distinct_apart: bool
) -> Iterator[tuple[str, list[Feature]]]:
    """Give the aggregates that go over a history together, each with a name."""
    distinct = [one for one in own if ".n_unique()" in repr(one.expr)] if distinct_apart else []
    rest = [one for one in own if one not in distinct]
    if rest:
        yield history, rest
    if distinct:
        yield f"{history}_distinct", distinct


def _layers(wanted: list[Feature]) -> Iterator[list[Feature]]:
    """Give the features made row by row, in as few passes as their inputs allow."""
    known = {feature.name for feature in wanted if feature.history}
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
    return feature.expr.cast(nw.String if feature.category else nw.Float64).alias(feature.name)
