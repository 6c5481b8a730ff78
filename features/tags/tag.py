"""A tag: a named label over features and facts, declared once for both engines."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import narwhals.stable.v2 as nw

from features.feature import Feature
from features.tags.book import TagSettings

ENDS = "ends_in_days"
"""Part that tells how many days after `as_of` an event tag ends."""


def part_column(code: str, part: str) -> str:
    """Name the column of a tag's part; a dot would mean a field of a struct to Spark."""
    return f"{code}__{part}"


@dataclass(frozen=True)
class Tag:
    """One tag, row by row over the features and facts in ``inputs``.

    ``value`` is a number (flag: 1 or 0; band: index into the words; number: in the unit) or a text,
    and missing where nothing can be said. ``parts`` are further values under names of their own: by
    channel or product id (``completion_by_channel``), or details of an event (``product``,
    ``stage``, ``error_code``); a tag may have parts only. Parts in ``texts`` are texts. ``ends`` is
    the days from `as_of` until an event tag ends (missing or not positive = it has ended).
    """

    code: str
    inputs: tuple[str, ...]
    value: nw.Expr | None = None
    parts: Mapping[str, nw.Expr] = field(default_factory=dict)
    texts: tuple[str, ...] = ()
    ends: nw.Expr | None = None

    def columns(self, settings: TagSettings) -> list[Feature]:
        """Give the tag's columns as row-by-row features: `code`, `code__part`."""
        exprs = {} if self.value is None else {self.code: (self.value, settings.shape == "text")}
        for part, expr in self.parts.items():
            text = part in self.texts or (self.value is None and settings.shape == "text")
            exprs[part_column(self.code, part)] = (expr, text)
        if self.ends is not None:
            exprs[part_column(self.code, ENDS)] = (self.ends, False)
        return [
            Feature(
                name, "experience", settings.unit or settings.shape, settings.names.zh,
                settings.names.en, expr, inputs=self.inputs, low=None, category=text,
            )
            for name, (expr, text) in exprs.items()
        ]  # fmt: skip


def flag(condition: nw.Expr) -> nw.Expr:
    """Turn a condition into 1 where it holds, else 0; a missing input is a no."""
    return nw.when(condition).then(nw.lit(1)).otherwise(nw.lit(0))


def band(value: nw.Expr, edges: Sequence[float]) -> nw.Expr:
    """Give the number of edges at or below the value: 0 = under the first; missing stays missing.

    Edges are ascending; a value on an edge belongs to the band above it.
    """
    index: nw.Expr = nw.when(~value.is_null()).then(nw.lit(0))
    for number, edge in enumerate(edges, start=1):
        index = nw.when(value >= edge).then(nw.lit(number)).otherwise(index)
    return index


def positive(value: nw.Expr) -> nw.Expr:
    """Keep what is above zero; a zero says nothing worth a tag and becomes missing."""
    return nw.when(value > 0).then(value)
