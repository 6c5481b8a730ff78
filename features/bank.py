"""A bank's tables as features see them, whatever engine holds them."""

from __future__ import annotations

import itertools
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import narwhals.stable.v2 as nw
import pyarrow as pa

from features.catalog import Catalog
from features.source_config import SourceConfig
from features.tables import BROUGHT

Frame = nw.LazyFrame[Any]


@dataclass(frozen=True)
class Cell:
    """A column kept under the name of a table; ``empty`` is its value for rows not in there."""

    name: str
    table: str
    empty: float | None = None


@dataclass
class Bank(ABC):
    """Checked tables of the contract, and what the bank does not bring.

    An engine says how a table is read, how a frame is computed once and kept, and how the rows of
    a spine are numbered; all else about customers is narwhals, the same on every engine.
    """

    distinct_apart: ClassVar[bool] = False
    """Whether counts of different values need a pass over the events of their own."""

    config: SourceConfig
    catalog: Catalog
    rows: dict[str, int] = field(default_factory=dict)
    missing_columns: dict[str, tuple[str, ...]] = field(default_factory=dict)
    spine_numbers: Iterator[int] = field(default_factory=itertools.count)

    def has(self, name: str) -> bool:
        """Whether the bank brings `table` or `table.column`."""
        table, _, column = name.partition(".")
        present = table in self.rows
        return present and (not column or column not in self.missing_columns[table])

    @abstractmethod
    def frame(self, table: str) -> Frame:
        """Give a table, or what is kept under its name, as a lazy frame.

        Columns of the contract that the bank lacks are there, and null.
        """

    @abstractmethod
    def keep(self, name: str, frame: Frame) -> Frame:
        """Compute a lazy frame once and keep it under a name, until `drop`."""

    @abstractmethod
    def keep_spine(self, name: str, rows: Frame, order: tuple[str, ...]) -> None:
        """Keep rows `(customer_id, as_of, context…)` as a spine.

        Adds `row_id`, ascending in `order`, and the bank's calendar (see `features.spine`).
        """

    @abstractmethod
    def gather(self, spine: str, cells: Sequence[Cell]) -> Frame:
        """Put beside the rows of a spine what is kept about them, by `row_id`.

        Gives all columns of the spine, then one per cell, in one join: a chain of joins in narwhals
        names all columns again for each, which costs more than the join.
        """

    @abstractmethod
    def drop(self, name: str) -> None:
        """Forget what is kept under a name; nothing where nothing is."""

    @abstractmethod
    def bring(self, table: pa.Table) -> Frame:
        """See a small Arrow table as a lazy frame of this engine."""

    @abstractmethod
    def arrow(self, frame: Frame) -> pa.Table:
        """Compute a lazy frame as an Arrow table."""

    @property
    def missing_tables(self) -> tuple[str, ...]:
        """Tables of the contract that the bank does not bring, in contract order."""
        return tuple(name for name in BROUGHT if name not in self.rows)

    @property
    def gaps(self) -> tuple[int, int]:
        """How many tables, and columns of the tables there are, the bank does not bring."""
        columns = [lacking for name, lacking in self.missing_columns.items() if name in BROUGHT]
        return len(self.missing_tables), sum(map(len, columns))

    def losses(self) -> list[tuple[str, str]]:
        """Name what is missing (`table` or `table.column`) and what is lost with it."""
        tables = [(name, BROUGHT[name].lost) for name in self.missing_tables]
        columns = [
            (f"{name}.{column}", BROUGHT[name].column(column).lost)
            for name, lacking in self.missing_columns.items()
            for column in lacking
            if name in BROUGHT
        ]
        return [*tables, *columns]


def gathering(spine: str, cells: Sequence[Cell]) -> str:
    """Write `Bank.gather` in SQL, as any engine reads it."""
    tables = list(dict.fromkeys(cell.table for cell in cells))
    alias = {table: f"p{number}" for number, table in enumerate(tables)}
    told = ["s.*"]
    for cell in cells:
        value = f'{alias[cell.table]}."{cell.name}"'
        if cell.empty is not None:
            value = f"coalesce({value}, cast({cell.empty!r} as double))"
        told.append(f'{value} as "{cell.name}"')
    joins = " ".join(
        f'left join "{table}" as {alias[table]} on s.row_id = {alias[table]}.row_id'
        for table in tables
    )
    return f'select {", ".join(told)} from "{spine}" as s {joins}'  # noqa: S608
