"""Pieces that tags of several groups are made of."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import reduce
from operator import add
from typing import TypeVar

import narwhals.stable.v2 as nw

from features.catalog import Catalog
from features.errors import ConfigError, did_you_mean
from features.tags.book import TagSettings


def channels_named(catalog: Catalog, settings: TagSettings, name: str) -> tuple[str, ...]:
    """Give the channels that a threshold lists; `ConfigError` where the catalog lacks one."""
    listed = settings.strings(name)
    for channel in listed:
        if channel not in catalog.channel_by_id:
            raise ConfigError(
                f"catalog {catalog.name}: tag '{settings.names.zh}', threshold '{name}' names "
                f"channel '{channel}'; {did_you_mean(channel, catalog.channel_ids)}"
            )
    return listed


Key = TypeVar("Key", str, int)


def leader(columns: Mapping[Key, str]) -> nw.Expr:
    """Give the key of the column with the largest value, of equals the first.

    ``columns`` maps keys (ids, or positions) to the names of columns; the answer is missing where
    no column is above zero.
    """
    most = largest(columns.values())
    found: nw.Expr = nw.lit(None)
    for key, column in reversed(list(columns.items())):
        value = nw.col(column)
        found = nw.when((value == most) & (value > 0)).then(nw.lit(key)).otherwise(found)
    return found


def largest(columns: Iterable[str]) -> nw.Expr:
    """Give the largest of some columns; missing ones do not count."""
    names = list(columns)
    # Spark wants two or more to choose from
    return nw.max_horizontal(*names) if len(names) > 1 else nw.col(names[0])


def together(columns: Iterable[str]) -> nw.Expr:
    """Sum some columns of a row, none of them missing."""
    return reduce(add, (nw.col(name) for name in columns))


def where(condition: nw.Expr, **parts: nw.Expr) -> dict[str, nw.Expr]:
    """Keep parts where the tag is had; elsewhere they are missing."""
    return {name: nw.when(condition).then(value) for name, value in parts.items()}
