"""Building tags, and reading them as a manager would."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import pyarrow as pa

from features.build import Progress, building
from features.history import Frame
from features.spine import Spine, moment
from features.tags.registry import Tags, available_tags
from features.tags.tag import ENDS, Tag, part_column

Value = float | str


@contextmanager
def building_tags(
    spine: Spine, tags: Tags | None = None, progress: Progress = lambda _: None
) -> Iterator[Frame]:
    """Give tags of every spine row as a lazy frame of the source's engine; all it can have.

    Columns: `row_id`, `customer_id`, `as_of`, then `code`, `code__part` and `code__ends_in_days`.
    """
    tags = available_tags(spine.source) if tags is None else tags
    columns = [one for tag in tags.tags for one in tag.columns(tags.book[tag.code])]
    with building(spine, [*tags.reads, *columns], progress) as frame:
        yield frame.select("row_id", "customer_id", "as_of", *(one.name for one in columns))


def build_tags(
    spine: Spine, tags: Tags | None = None, progress: Progress = lambda _: None
) -> pa.Table:
    """Tags of every spine row as an Arrow table, in order of `row_id`."""
    with building_tags(spine, tags, progress) as frame:
        return spine.source.arrow(frame)


@dataclass(frozen=True)
class HeldTag:
    """A tag a customer has: its value, its parts, and until when (UTC) it may be used."""

    tag: Tag
    value: Value | None
    parts: dict[str, Value]
    expires_at: datetime


def held_tags(row: dict[str, Any], tags: Tags) -> list[HeldTag]:
    """Tags that a row of `build_tags` says the customer has, in the order of the book.

    A flag is had where it is 1, another tag where its value, or one of its parts, is not missing;
    an event tag only until it ends.
    """
    held = []
    as_of = moment(row["as_of"])
    for tag in tags.tags:
        value = row.get(tag.code)
        names = [part_column(tag.code, part) for part in tag.parts]
        parts = {
            part: row[name]
            for part, name in zip(tag.parts, names, strict=True)
            if row[name] is not None
        }
        settings = tags.book[tag.code]
        if tag.value is None:
            has = bool(parts)
        else:
            has = bool(value) if settings.shape == "flag" else value is not None
        days = settings.validity_days
        if tag.ends is not None:
            left = row[part_column(tag.code, ENDS)]
            has = has and left is not None and left > 0
            days = min(days, left) if has else 0.0
        if has:
            held.append(HeldTag(tag, value, parts, as_of + timedelta(days=days)))
    return held
