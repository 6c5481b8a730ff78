"""A source on DuckDB: the bank's tables, read and held to the data contract.

Reading leaves one working DuckDB with a table per contract table. There every time is a BIGINT of
microseconds and every date a BIGINT of days since 1970-01-01 UTC: integers mean the same on every
engine, so a window is a subtraction and no session time zone can shift it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import duckdb
import narwhals.stable.v2 as nw
import pyarrow as pa

from features.bank import Bank, Cell, Frame, gathering
from features.checks import check_table
from features.errors import SourceError
from features.reading import read_select, store_table
from features.source_config import (
    CONFIGS,
    Horizon,
    SourceConfig,
    load_source_catalog,
    load_source_config,
)
from features.tables import TABLES

__all__ = [
    "CONFIGS", "Horizon", "Source", "SourceConfig", "connect", "lazy", "load_source_config",
    "local_time", "open_source",
]  # fmt: skip


def lazy(relation: duckdb.DuckDBPyRelation) -> Frame:
    """See a DuckDB relation as a lazy narwhals frame."""
    frame: Frame = nw.from_native(relation)
    return frame


def connect(threads: int, memory_gb: float | None = None) -> duckdb.DuckDBPyConnection:
    """Open a working DuckDB in memory; with ``memory_gb`` it spills to disk beyond that."""
    con = duckdb.connect(config={"threads": threads})
    con.execute("set TimeZone = 'UTC'")
    con.execute("set enable_progress_bar = false")
    if memory_gb is not None:
        con.execute(f"set memory_limit = '{memory_gb}GB'")
    return con


def local_time(column: str, zone: str) -> str:
    """Write SQL for the bank's clock at a time in microseconds."""
    quoted = zone.replace("'", "")
    return f"((make_timestamp({column}) at time zone 'UTC') at time zone '{quoted}')"


@dataclass(kw_only=True)
class Source(Bank):
    """An opened source in a DuckDB connection."""

    con: duckdb.DuckDBPyConnection = field(repr=False)

    def frame(self, table: str) -> Frame:
        """Give a table, or what is kept under its name, as a lazy frame."""
        return lazy(self.con.table(table))

    def keep(self, name: str, frame: Frame) -> Frame:
        """Compute a lazy frame once and keep it under a name, until `drop`."""
        frame.to_native().create(name)
        return self.frame(name)

    def keep_spine(self, name: str, rows: Frame, order: tuple[str, ...]) -> None:
        """Keep rows `(customer_id, as_of, context…)` as a spine, numbered in `order`."""
        local = local_time("as_of", self.config.time_zone)
        ordered = ", ".join(order)
        rows.to_native().create_view("spine_rows_")
        self.con.execute(
            f"""create table "{name}" as
                select row_number() over (order by {ordered}) as row_id, *,
                       cast({local} as date) - date '1970-01-01' as as_of_day,
                       month({local}) as as_of_month,
                       date_trunc('month', {local})::date - date '1970-01-01' as month_start_day,
                       epoch_us({local}) - as_of as utc_offset_us
                from spine_rows_ order by {ordered}"""  # noqa: S608
        )
        self.con.execute("drop view spine_rows_")

    def gather(self, spine: str, cells: Sequence[Cell]) -> Frame:
        """Put beside the rows of a spine what is kept about them, by `row_id`."""
        return lazy(self.con.sql(gathering(spine, cells)))

    def drop(self, name: str) -> None:
        """Forget what is kept under a name; nothing where nothing is."""
        self.con.execute(f'drop table if exists "{name}"')

    def bring(self, table: pa.Table) -> Frame:
        """See a small Arrow table as a lazy frame."""
        return lazy(self.con.from_arrow(table))

    def arrow(self, frame: Frame) -> pa.Table:
        """Compute a lazy frame as an Arrow table."""
        return frame.to_native().to_arrow_table()

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


Pick = Callable[[Source, str, duckdb.DuckDBPyRelation], duckdb.DuckDBPyRelation]
"""Takes rows of a table's select: what is read already, the table's name, its rows."""


def open_source(
    path: Path,
    data: Path | None,
    clock: datetime,
    threads: int = 2,
    scores: Path | None = None,
    pick: Pick = lambda source, name, rows: rows,
) -> Source:
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
    scores
        A Parquet file that `python -m training score` wrote; it becomes the table `scores`.
    pick
        Takes the rows wanted of each table, after those read before it; by default all.

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
    catalog = load_source_catalog(path, config)
    selects = config.selects(path, data)
    if scores is not None and "scores" in selects:
        raise SourceError(f"{path} has a table 'scores' already; leave {scores} out")
    source = Source(config, catalog, con=connect(threads))

    def read(name: str, select: str, database_env: str | None, where: str) -> None:
        raw = pick(source, name, read_select(source.con, select, database_env, where))
        identified = "identities" in source.rows
        lacking, rows = store_table(source.con, TABLES[name], raw, where, identified)
        source.missing_columns[name], source.rows[name] = lacking, rows

    for name, select in in_reading_order(selects).items():
        read(name, select, config.database_env, f"{path}: table '{name}'")
    if scores is not None:
        file = str(scores).replace("'", "''")
        read("scores", f"from read_parquet('{file}')", None, f"{scores}: table 'scores'")
    for name in source.rows:
        check_table(source.frame(name), TABLES[name], catalog, clock_us(clock))
    return source


def in_reading_order(selects: dict[str, str]) -> dict[str, str]:
    """Put identities first: the other tables are read through them."""
    return dict(sorted(selects.items(), key=lambda item: item[0] != "identities"))


def clock_us(clock: datetime) -> int:
    """Now in microseconds since 1970 UTC."""
    return (clock - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)
