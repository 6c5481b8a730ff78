"""Holding a table to its contract: one narwhals query for its columns, one for its key."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import narwhals.stable.v2 as nw

from features.catalog import Catalog
from features.errors import ContractError, did_you_mean
from features.tables import Column, Table

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def check_table(frame: nw.LazyFrame[Any], table: Table, catalog: Catalog, clock_us: int) -> None:
    """Raise `ContractError` at the first breach: nulls, ranges, vocabularies, future, doubles.

    ``clock_us`` is now in microseconds since 1970 UTC; no time may lie after it, but for columns
    that speak of the future (a maturity, an expiry).
    """
    breaches = {
        f"{column.name}:{kind}": (column, kind, broken)
        for column in table.columns
        for kind, broken in _rules(column, catalog, clock_us)
    }
    counts = _first_row(
        frame.select(
            *(
                nw.when(broken).then(1).otherwise(0).sum().alias(name)
                for name, (_, _, broken) in breaches.items()
            )
        )
    )
    for name, (column, kind, broken) in breaches.items():
        if counts[name]:
            examples = _rows(frame.filter(broken).head(3))
            raise ContractError(_message(table, column, kind, int(counts[name]), examples, catalog))
    _check_key(frame, table)


def _rules(column: Column, catalog: Catalog, clock_us: int) -> list[tuple[str, nw.Expr]]:
    value = nw.col(column.name)
    rules = []
    if column.required:
        rules.append(("null", value.is_null()))
    if column.low is not None:
        rules.append(("low", value < column.low))
    if column.high is not None:
        rules.append(("high", value > column.high))
    words = allowed_words(column, catalog)
    if words:
        rules.append(("unknown", ~value.is_in(words) & ~value.is_null()))
    if column.dtype == "time" and not column.future:
        rules.append(("future", value > clock_us))
    return rules


def allowed_words(column: Column, catalog: Catalog) -> list[str]:
    """Every value a cell of the column may have; empty = anything."""
    words = list(column.allowed)
    if "channels" in column.vocabulary:
        words += catalog.channel_ids
    if "offers" in column.vocabulary:
        words += catalog.offer_ids
    return words


def _message(
    table: Table,
    column: Column,
    kind: str,
    count: int,
    examples: list[dict[str, Any]],
    catalog: Catalog,
) -> str:
    what = {
        "null": "are null and may not be",
        "low": f"are below {column.low:g}" if column.low is not None else "",
        "high": f"are above {column.high:g}" if column.high is not None else "",
        "future": "lie in the future (is --clock right, and are the times UTC?)",
        "unknown": "",
    }[kind]
    if kind == "unknown":
        word = str(examples[0][column.name])
        what = f"are unknown; '{word}': {did_you_mean(word, allowed_words(column, catalog))}"
    return (
        f"table '{table.name}', column '{column.name}': {count} values {what}; for example "
        + "; ".join(_readable(example, table) for example in examples)
    )


def _readable(row: dict[str, Any], table: Table) -> str:
    """Write an example row without its empty cells, times and dates as a person writes them."""
    cells = []
    for name, value in row.items():
        dtype = table.column(name).dtype if name in {c.name for c in table.columns} else ""
        if value is not None and dtype == "time":
            value = (EPOCH + timedelta(microseconds=value)).isoformat(sep=" ")
        if value is not None and dtype == "date":
            value = (EPOCH + timedelta(days=value)).date().isoformat()
        if value is not None:
            cells.append(f"{name}={value}")
    return "(" + ", ".join(cells) + ")"


def _check_key(frame: nw.LazyFrame[Any], table: Table) -> None:
    doubled = frame.group_by(*table.key).agg(nw.len().alias("rows")).filter(nw.col("rows") > 1)
    examples = _rows(doubled.sort(*table.key, nulls_last=True).head(3))
    if examples:
        count = _first_row(doubled.select(nw.len().alias("n")))["n"]
        raise ContractError(
            f"table '{table.name}': {count} keys ({', '.join(table.key)}) stand more than once; "
            "keep one row of each, or bring the column that tells them apart; for example "
            + "; ".join(_readable(example, table) for example in examples)
        )


def _rows(frame: nw.LazyFrame[Any]) -> list[dict[str, Any]]:
    return frame.collect("pyarrow").rows(named=True)


def _first_row(frame: nw.LazyFrame[Any]) -> dict[str, Any]:
    return _rows(frame)[0]
