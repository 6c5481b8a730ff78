"""How a feature or tag spreads over customers, and whom it can be counted over."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from features.config import StrictConfig
from features.sources import Source

Numbers = npt.NDArray[np.float64]
BARS = 12
CROWDED = 0.6
MOST_WORDS = 8
MOST_CUSTOMERS = 20_000
"""Customers a spread is counted over: shares of so many are sure to a third of a per cent."""


class Spread(StrictConfig):
    """Distribution over customers: ``counts`` by bar or word, and shares of the missing.

    Numbers have ``edges`` (one more than bars; the first and last bar also hold what lies beyond),
    and, in the unit of the feature, ``quantiles``: the smallest, 5 %, 50 %, 95 % and largest value.
    Where ``log``, bars are in steps of equal ratio and the ``zeros`` stand apart. Words are the
    commonest, with ``other`` for the rest.
    """

    rows: int
    missing: int
    counts: tuple[int, ...] = ()
    words: tuple[str, ...] = ()
    other: int = 0
    edges: tuple[float, ...] = ()
    log: bool = False
    zeros: int = 0
    quantiles: tuple[float, float, float, float, float] | None = None

    @property
    def missing_share(self) -> float:
        """Share of customers without a value, 0–1."""
        return self.missing / self.rows if self.rows else 0.0


def spread_of(column: pa.ChunkedArray[Any]) -> Spread:
    """Count a built column of numbers or texts."""
    rows, missing = len(column), column.null_count
    if pa.types.is_string(column.type) or pa.types.is_large_string(column.type):
        return _words(column, rows, missing)
    values = pc.drop_null(column).to_numpy().astype(np.float64)
    if not len(values):
        return Spread(rows=rows, missing=missing)
    quantiles = np.quantile(values, [0, 0.05, 0.5, 0.95, 1], method="inverted_cdf")
    edges, log = _even_edges(values, 0.01), False
    if _crowded(_counts(values, edges)):
        tail = _log_edges(values)
        edges, log = (tail, True) if tail is not None else (_even_edges(values, 0.05), False)
    barred = values[values != 0] if log else values
    return Spread(
        rows=rows, missing=missing, counts=tuple(_counts(barred, edges).tolist()),
        edges=tuple(edges.tolist()), log=log, zeros=len(values) - len(barred),
        quantiles=tuple(quantiles.tolist()),
    )  # fmt: skip


def _counts(values: Numbers, edges: Numbers) -> npt.NDArray[np.int64]:
    """Count values in bars; what lies beyond the outer edges stands in the outer bars."""
    return np.histogram(np.clip(values, edges[0], edges[-1]), bins=edges)[0]


def _crowded(counts: npt.NDArray[np.int64]) -> bool:
    """Whether one bar of many holds nearly all, so that nothing can be seen."""
    return len(counts) == BARS and bool(counts.max() > CROWDED * counts.sum())


def _even_edges(values: Numbers, beyond: float) -> Numbers:
    """Edges of bars of equal width; whole numbers of a small range have a bar each.

    A few values far out would press all others into one bar: that share of the values may lie
    beyond either end of the axis.
    """
    low, high = np.quantile(values, [beyond, 1 - beyond], method="inverted_cdf")
    if high - low < BARS and not np.any(values % 1):
        return np.arange(low, high + 2)
    if high <= low:
        return np.array([low, np.nextafter(low, np.inf)])
    return np.linspace(low, high, BARS + 1)


def _log_edges(values: Numbers) -> Numbers | None:
    """Edges of bars of equal ratio for a long tail above zero; None where it is no such tail."""
    if values.min() < 0:
        return None
    low, high = np.quantile(values[values > 0], [0.01, 0.99], method="inverted_cdf")
    return np.geomspace(low, high, BARS + 1) if low < high else None


def _words(column: pa.ChunkedArray[Any], rows: int, missing: int) -> Spread:
    counted = pc.value_counts(pc.drop_null(column)).to_pylist()
    ordered = sorted(counted, key=lambda one: (-one["counts"], one["values"]))
    shown = ordered[:MOST_WORDS]
    return Spread(
        rows=rows, missing=missing,
        words=tuple(one["values"] for one in shown),
        counts=tuple(one["counts"] for one in shown),
        other=sum(one["counts"] for one in ordered[MOST_WORDS:]),
    )  # fmt: skip


def some_customers(source: Source) -> list[str]:
    """Take up to `MOST_CUSTOMERS` customers by a hash of their id, the same ones every time."""
    taken = source.con.execute(
        """select customer_id from (select distinct customer_id from customers)
           order by md5(customer_id), customer_id limit $1""",
        [MOST_CUSTOMERS],
    ).fetchall()
    return [customer for (customer,) in taken]
