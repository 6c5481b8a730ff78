"""Tags as they are published: those a customer has, in one short text, read without any table."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import pyarrow as pa

from features.tags.tag import ENDS, Tag, part_column

if TYPE_CHECKING:  # who only reads what was published needs none of the declarations
    from features.history import Frame
    from features.tags.book import TagSettings
    from features.tags.registry import Tags

Value = float | str


@dataclass(frozen=True)
class PublishedTag:
    """A tag a customer had when he was published: value, parts, and until when it may be used."""

    code: str
    value: Value | None
    parts: Mapping[str, Value]
    expires_at: datetime


def tag_texts(frame: Frame, tags: Tags) -> pa.LargeStringArray:
    """Write the tags of each row of a frame of `building_tags` as JSON, in order of `row_id`.

    ``{code: [value or null, {part: value}, days it may be used]}``, by the rule of
    `features.tags.build.held_tags`; the rows stand in DuckDB, which writes the texts itself.
    """
    each = [_text(tag, tags.book[tag.code]) for tag in tags.tags]
    whole = f"'{{' || concat_ws(',', {', '.join(each)}) || '}}'" if each else "'{}'"
    rows = frame.to_native().project(f"row_id, {whole} as text").order("row_id")
    return rows.to_arrow_table()["text"].cast(pa.large_string()).combine_chunks()


def read_tags(text: str | bytes, as_of: datetime) -> list[PublishedTag]:
    """Read what `tag_texts` wrote of a customer published at ``as_of``.

    Raises
    ------
    ValueError
        It is no such text.

    >>> from datetime import UTC
    >>> read_tags('{"payroll": [1.0, {"months": 3.0}, 7.0]}', datetime(2026, 7, 1, tzinfo=UTC))
    [PublishedTag(code='payroll', value=1.0, parts={'months': 3.0}, \
expires_at=datetime.datetime(2026, 7, 8, 0, 0, tzinfo=datetime.timezone.utc))]
    """
    try:
        return [
            PublishedTag(code, value, parts, as_of + timedelta(days=days))
            for code, (value, parts, days) in json.loads(text).items()
        ]
    except (AttributeError, TypeError, OverflowError) as error:
        raise ValueError(f"no tags ({type(error).__name__})") from None


def _text(tag: Tag, settings: TagSettings) -> str:
    """SQL for what one tag adds to a customer's text; null where he does not have it."""
    value = "null" if tag.value is None else f'"{tag.code}"'
    parts = {part: f'"{part_column(tag.code, part)}"' for part in tag.parts}
    if tag.value is None:
        has = f"({' or '.join(f'{one} is not null' for one in parts.values())})"
    else:
        has = f"{value} <> 0" if settings.shape == "flag" else f"{value} is not null"
    days = repr(settings.validity_days)
    if tag.ends is not None:
        ends = f'"{part_column(tag.code, ENDS)}"'
        has, days = f"{has} and {ends} > 0", f"least({days}, {ends})"
    told = ", ".join(
        f"""case when {one} is not null then '"{part}":' || {_json(one)} end"""
        for part, one in parts.items()
    )
    written = f"'{{' || concat_ws(',', {told}) || '}}'" if parts else "'{}'"
    said = f"coalesce({_json(value)}, 'null')"
    return (
        f"""case when {has} then '"{tag.code}":[' || {said} || ',' || {written} || ',' """
        f"""|| {_json(days)} || ']' end"""
    )


def _json(value: str) -> str:
    return f"cast(to_json({value}) as varchar)"
