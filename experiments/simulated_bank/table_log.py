"""The tables while they grow, month by month, and how they get to disk byte for byte alike."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import ArrayLike, NDArray

from experiments.simulated_bank.luck import Bools, Ints
from experiments.simulated_bank.timeline import NEVER
from features.tables import BROUGHT, TABLES, Column, Table

MISSING = -1
"""The null of text columns, which hold codes of their vocabulary, and of flags."""

_PHYSICAL: Mapping[str, type[np.generic]] = {
    "id": np.int32, "text": np.int32, "time": np.int64, "date": np.int32, "money": np.int64,
    "number": np.float64, "integer": np.int64, "flag": np.int8,
}  # fmt: skip
_ROW_GROUP = 250_000

UNWRITTEN = ("identities", "demand")
"""Tables of the contract that the simulated bank does not bring."""


class TableLog:
    """Columns of numbers for every table; words are codes of ``vocabularies[(table, column)]``.

    ``id_forms`` names the id columns that are numbered (`C%07d`); money is in fen (1/100 CNY).
    """

    def __init__(
        self,
        vocabularies: Mapping[tuple[str, str], tuple[str, ...]],
        id_forms: Mapping[str, str],
        end: int,
    ) -> None:
        self._vocabularies = vocabularies
        self._id_forms = id_forms
        self._end = end
        self._parts: dict[str, list[dict[str, NDArray[np.generic]]]] = {}

    def add(self, table: str, **columns: ArrayLike) -> None:
        """Append rows; a single word or number stands for all rows, a column left out is null."""
        form = TABLES[table]
        named = {name.rstrip("_"): value for name, value in columns.items()}
        unknown = set(named) - {column.name for column in form.columns}
        if unknown:
            raise KeyError(f"table {table} has no column {sorted(unknown)}")
        coded = {name: self._code(table, name, value) for name, value in named.items()}
        rows = max(np.size(value) for value in coded.values())
        if rows == 0:
            return
        part = {}
        for column in form.columns:
            kind = _PHYSICAL[column.dtype]
            value = coded.get(column.name, _null(column))
            part[column.name] = np.ascontiguousarray(
                np.broadcast_to(np.asarray(value).astype(kind), (rows,))
            )
        self._parts.setdefault(table, []).append(part)

    def _code(self, table: str, name: str, value: ArrayLike) -> ArrayLike:
        if isinstance(value, str):
            return self._vocabularies[(table, name)].index(value)
        return value

    def columns(self, table: str) -> dict[str, NDArray[np.generic]]:
        """All rows of a table as they go to disk: known before the end, sorted, each key once."""
        form = TABLES[table]
        parts = self._parts.get(table, [])
        whole = {
            column.name: np.concatenate([part[column.name] for part in parts])
            if parts
            else np.empty(0, dtype=_PHYSICAL[column.dtype])
            for column in form.columns
        }
        whole = _take(whole, self._known(form, whole))
        self._empty_later_cells(form, whole)
        order = np.lexsort([whole[name] for name in reversed(form.key)])
        whole = {name: values[order] for name, values in whole.items()}
        return _take(whole, _first_of_key(form, whole))

    def _known(self, form: Table, whole: Mapping[str, NDArray[np.generic]]) -> Bools:
        """Tell which rows the bank could know before the end; the rest is not in its tables."""
        rows = len(next(iter(whole.values())))
        known = np.ones(rows, dtype=bool)
        for column in form.columns:
            if column.dtype == "time" and not column.future and not column.filled_at:
                known &= np.asarray(whole[column.name], dtype=np.int64) < self._end
        return known

    def _empty_later_cells(self, form: Table, whole: dict[str, NDArray[np.generic]]) -> None:
        for column in form.columns:
            if column.filled_at:
                moment = np.asarray(whole[column.filled_at])
                later = moment >= self._end
                whole[column.name] = np.where(later, _null(column), whole[column.name])

    def write(self, folder: Path) -> dict[str, int]:
        """Write one Parquet file a table; returns the number of rows by table."""
        counts = {}
        for name, form in BROUGHT.items():
            if name in UNWRITTEN:
                continue
            whole = self.columns(name)
            arrays = [self._arrow(name, column, whole[column.name]) for column in form.columns]
            table = pa.Table.from_arrays(arrays, names=[column.name for column in form.columns])
            write_parquet(table, folder / f"{name}.parquet")
            counts[name] = table.num_rows
        return counts

    def _arrow(self, table: str, column: Column, values: NDArray[np.generic]) -> pa.Array:
        if column.dtype in ("id", "text"):
            return self._words(table, column, np.asarray(values, dtype=np.int64))
        if column.dtype == "time":
            return pa.array(values, type=pa.timestamp("us"), mask=values == NEVER)
        if column.dtype == "money":
            return decimals(np.asarray(values, dtype=np.int64))
        if column.dtype == "flag":
            return pa.array(values == 1, type=pa.bool_(), mask=values == MISSING)
        if column.dtype == "number":
            return pa.array(values, type=pa.float64(), from_pandas=True)
        return pa.array(values, type=pa.int64() if column.dtype == "integer" else pa.date32())

    def _words(self, table: str, column: Column, codes: Ints) -> pa.Array:
        form = self._id_forms.get(column.name)
        if (table, column.name) in self._vocabularies:
            words = list(self._vocabularies[(table, column.name)])
            index = pa.array(codes, mask=codes == MISSING)
        else:
            if form is None:
                raise KeyError(f"no vocabulary for {table}.{column.name}")
            used, inverse = np.unique(codes[codes != MISSING], return_inverse=True)
            words = [form % number for number in used]
            places = np.zeros(len(codes), dtype=np.int64)
            places[codes != MISSING] = inverse
            index = pa.array(places, mask=codes == MISSING)
        return pa.array(words, type=pa.string()).take(index)


def _null(column: Column) -> float | int:
    if column.dtype == "number":
        return float("nan")
    return NEVER if column.dtype in ("time", "money") else MISSING


def _take(whole: Mapping[str, NDArray[np.generic]], keep: Bools) -> dict[str, NDArray[np.generic]]:
    return {name: values[keep] for name, values in whole.items()}


def _first_of_key(form: Table, whole: Mapping[str, NDArray[np.generic]]) -> Bools:
    rows = len(next(iter(whole.values())))
    new = np.zeros(rows, dtype=bool)
    new[:1] = True
    for name in form.key:
        values = whole[name]
        new[1:] |= np.asarray(values[1:] != values[:-1])
    return new


def decimals(fen: Ints) -> pa.Array:
    """Whole fen as DECIMAL(18,2) without a detour through floats; `NEVER` is null."""
    words = np.empty((len(fen), 2), dtype="<i8")
    words[:, 0] = fen
    words[:, 1] = fen >> 63
    known = fen != NEVER
    bits = np.packbits(known, bitorder="little")
    buffers = [pa.py_buffer(bits.tobytes()), pa.py_buffer(words.tobytes())]
    return pa.Array.from_buffers(
        pa.decimal128(18, 2), len(fen), buffers, null_count=int((~known).sum())
    )


def write_parquet(table: pa.Table, path: Path) -> None:
    """Write with every setting pinned, so that equal rows are equal bytes."""
    pq.write_table(
        table, path, row_group_size=_ROW_GROUP, compression="zstd", compression_level=1,
        version="2.6", data_page_version="1.0", use_dictionary=True, write_statistics=True,
        store_schema=False,
    )  # fmt: skip


def fen(cny: ArrayLike) -> Ints:
    """CNY to whole fen; NaN becomes null.

    >>> fen([1.005, 2.5]).tolist()
    [100, 250]
    """
    values = np.asarray(cny, dtype=np.float64)
    known = np.isfinite(values)
    return np.where(known, np.rint(np.where(known, values, 0.0) * 100).astype(np.int64), NEVER)
