"""A source: the YAML that maps a bank's files or database onto the data contract.

Reading leaves one working DuckDB with a table per contract table. There every time is a BIGINT of
microseconds and every date a BIGINT of days since 1970-01-01 UTC: integers mean the same on every
engine, so a window is a subtraction and no session time zone can shift it.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError, available_timezones

import duckdb
import narwhals.stable.v2 as nw
import pyarrow as pa
from pydantic import Field, model_validator

from features.catalog import Catalog, load_catalog
from features.checks import check_table
from features.config import StrictConfig, load_yaml
from features.errors import ConfigError, SourceError, did_you_mean
from features.reading import apply_identities, read_select, store_table
from features.tables import TABLES

CONFIGS = Path(__file__).resolve().parent.parent / "configs"


class Horizon(StrictConfig):
    """What counts as *next*: the `days` after `as_of`, or the customer's next purchase event."""

    days: int = Field(default=30, ge=1, le=366)


class SourceConfig(StrictConfig):
    """A bank's data, in its own words.

    ``tables`` gives one SQL select per table of the contract; `{data}` in it stands for the folder
    given as ``--data``. With ``database_env`` the selects run in the database whose SQLAlchemy URL
    that environment variable holds. ``every`` is the rhythm of training rows: each month's start,
    or each purchase event.
    """

    name: str
    catalog: str
    time_zone: str = "Asia/Shanghai"
    horizon: Horizon | Literal["next_event"] = Horizon()
    every: Literal["month", "event"] = "month"
    database_env: str | None = None
    tables: dict[str, str]

    @model_validator(mode="after")
    def _tables_are_of_the_contract(self) -> SourceConfig:
        for name in self.tables:
            if name not in TABLES:
                raise ValueError(f"unknown table '{name}'; {did_you_mean(name, TABLES)}")
        try:
            ZoneInfo(self.time_zone)
        except (ZoneInfoNotFoundError, ValueError):
            near = did_you_mean(self.time_zone, available_timezones())
            raise ValueError(f"unknown time_zone '{self.time_zone}'; {near}") from None
        if "customers" not in self.tables:
            raise ValueError("table 'customers' is required; give its select")
        if not {"interactions", "holdings"} & set(self.tables):
            raise ValueError(
                "give a select for 'interactions' or 'holdings'; one of them is needed"
            )
        if (self.every == "event") != (self.horizon == "next_event"):
            raise ValueError("every: event goes with horizon: next_event, and month with days")
        return self


def lazy(relation: duckdb.DuckDBPyRelation) -> nw.LazyFrame[Any]:
    """See a DuckDB relation as a lazy narwhals frame."""
    frame: nw.LazyFrame[Any] = nw.from_native(relation)
    return frame


@dataclass
class Source:
    """An opened source: checked tables in a DuckDB connection, and what the bank does not bring."""

    config: SourceConfig
    catalog: Catalog
    con: duckdb.DuckDBPyConnection
    rows: dict[str, int]
    missing_columns: dict[str, tuple[str, ...]] = field(default_factory=dict)
    spine_numbers: Iterator[int] = field(default_factory=itertools.count)

    def has(self, name: str) -> bool:
        """Whether the bank brings `table` or `table.column`."""
        table, _, column = name.partition(".")
        present = table in self.rows
        return present and (not column or column not in self.missing_columns[table])

    def frame(self, table: str) -> nw.LazyFrame[Any]:
        """Give the table as a lazy frame; columns the bank lacks are there, and null."""
        return lazy(self.con.table(table))

    def store(self, name: str, frame: nw.LazyFrame[Any]) -> nw.LazyFrame[Any]:
        """Compute a lazy frame once and keep it under a name, until `drop`."""
        frame.to_native().create(name)
        return lazy(self.con.table(name))

    def drop(self, name: str) -> None:
        """Forget what `store` kept; nothing where it kept nothing."""
        self.con.execute(f'drop table if exists "{name}"')

    def arrow(self, frame: nw.LazyFrame[Any]) -> pa.Table:
        """Compute a lazy frame as an Arrow table."""
        return frame.to_native().to_arrow_table()

    @property
    def missing_tables(self) -> tuple[str, ...]:
        """Tables of the contract that the bank does not bring, in contract order."""
        return tuple(name for name in TABLES if name not in self.rows)

    @property
    def gaps(self) -> tuple[int, int]:
        """How many tables, and columns of the tables there are, the bank does not bring."""
        return len(self.missing_tables), sum(map(len, self.missing_columns.values()))

    def losses(self) -> list[tuple[str, str]]:
        """Name what is missing (`table` or `table.column`) and what is lost with it."""
        tables = [(name, TABLES[name].lost) for name in self.missing_tables]
        columns = [
            (f"{name}.{column}", TABLES[name].column(column).lost)
            for name, lacking in self.missing_columns.items()
            for column in lacking
        ]
        return [*tables, *columns]

    def fingerprint(self) -> dict[str, dict[str, int | str]]:
        """Rows and an order-free hash of each table: equal data, equal fingerprint."""
        prints: dict[str, dict[str, int | str]] = {}
        for table, rows in self.rows.items():
            columns = ", ".join(f'"{column.name}"' for column in TABLES[table].columns)
            digest = self.con.sql(
                f'select bit_xor(md5_number(row({columns})::varchar)) from "{table}"'  # noqa: S608
            ).fetchall()[0][0]
            prints[table] = {"rows": rows, "hash": f"{digest or 0:032x}"}
        return prints


def load_source_config(path: Path) -> SourceConfig:
    """Parse a source YAML; `ConfigError` names what is wrong with it."""
    return load_yaml(path, SourceConfig)


def open_source(path: Path, data: Path | None, clock: datetime, threads: int = 2) -> Source:
    """Read a bank's tables through its source YAML and hold them to the contract.

    Parameters
    ----------
    path
        The source YAML.
    data
        What `{data}` stands for; may be None where no select names it.
    clock
        Now, with a time zone: nothing may have happened later.
    threads
        Threads of DuckDB.

    Raises
    ------
    ConfigError
        The YAML or the catalog it names is wrong.
    SourceError
        A file, a database or a select cannot be read.
    ContractError
        A table breaks the contract: table, column, count and three example rows are named.
    """
    config = load_source_config(path)
    catalog_folder = CONFIGS / "catalog" / config.catalog
    if not catalog_folder.is_dir():
        known = [folder.name for folder in catalog_folder.parent.iterdir() if folder.is_dir()]
        raise ConfigError(
            f"{path}: catalog '{config.catalog}'; {did_you_mean(config.catalog, known)}"
        )
    catalog = load_catalog(catalog_folder)
    if data is not None and not data.is_dir():
        raise SourceError(f"{data}: no such folder; --data names the folder of the bank's files")
    con = duckdb.connect(config={"threads": threads})
    con.execute("set TimeZone = 'UTC'")
    con.execute("set enable_progress_bar = false")
    source = Source(config, catalog, con, rows={})
    for name, select in config.tables.items():
        if "{data}" in select and data is None:
            raise SourceError(f"{path}: table '{name}' reads {{data}}; give the folder with --data")
        where = f"{path}: table '{name}'"
        raw = read_select(con, select.replace("{data}", str(data)), config.database_env, where)
        source.missing_columns[name] = store_table(con, TABLES[name], raw, where)
        source.rows[name] = con.table(name).aggregate("count(*)").fetchall()[0][0]
    if "identities" in source.rows:
        apply_identities(con, list(source.rows))
    clock_us = (clock - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)
    for name in source.rows:
        check_table(source.frame(name), TABLES[name], catalog, clock_us)
    return source
