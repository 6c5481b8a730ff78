"""Tables of a source on disk, split by a hash of the customer: a bank larger than memory.

Staging reads each select once, types its rows and writes them as Parquet, one folder a bucket. All
rows of a customer are in one bucket, so a bucket is a small bank of its own: it is opened like any
other source, checked and built, one after the other.
"""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import duckdb

from features.checks import check_table
from features.config import StrictConfig, load_yaml
from features.errors import SourceError
from features.reading import read_select, typed_select
from features.source_config import load_source_catalog, load_source_config
from features.sources import Source, clock_us, connect, in_reading_order
from features.spine import moment
from features.tables import TABLES

Progress = Callable[[str], None]

MARK = "staged.json"
BUCKET = "bucket_"
FLUSH_ROWS = 40_000
"""Rows a thread holds back for each bucket before it writes them: memory is this times buckets."""


class Staged(StrictConfig):
    """What a staging folder holds: of which source, in how many buckets, and how many rows."""

    source: str
    buckets: int
    rows: dict[str, int]
    missing_columns: dict[str, tuple[str, ...]]


def source_key(path: Path, data: Path | None) -> str:
    """Hash of a source YAML and its data folder: two builds with one key read the same selects."""
    told = f"{path.read_text('utf-8')}\n{data.resolve() if data else ''}"
    return hashlib.sha256(told.encode()).hexdigest()[:16]


def staged(folder: Path, path: Path, data: Path | None, buckets: int) -> Staged | None:
    """Tell what is staged in a folder, where it is whole and of this source; else None."""
    if not (folder / MARK).is_file():
        return None
    found = load_yaml(folder / MARK, Staged)  # JSON is YAML
    same = found.source == source_key(path, data) and found.buckets == buckets
    return found if same else None


def stage(
    path: Path,
    data: Path | None,
    clock: datetime,
    folder: Path,
    buckets: int,
    memory_gb: float,
    progress: Progress = lambda _: None,
) -> Staged:
    """Read a source into buckets on disk and hold every bucket to the contract.

    Parameters
    ----------
    path, data, clock
        As for `features.sources.open_source`; so are the errors.
    folder
        Where to write; what is there is replaced. Whole only once `staged` says so.
    buckets
        How many, at least 1.
    memory_gb
        What DuckDB may use (GB); beyond that it spills into the folder.
    progress
        Called with the name of each step.
    """
    config = load_source_config(path)
    selects = in_reading_order(config.selects(path, data))
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    con = connect(threads=2, memory_gb=memory_gb)
    con.execute(f"set temp_directory = '{_quoted(folder / 'spill')}'")
    con.execute("set preserve_insertion_order = false")
    con.execute(f"set partitioned_write_flush_threshold = {FLUSH_ROWS}")
    rows, missing = {}, {}
    for name, select in selects.items():
        progress(f"reading {name}")
        where = f"{path}: table '{name}'"
        raw = read_select(con, select, config.database_env, where)
        raw.create_view("raw__")
        given = [(column, str(kind)) for column, kind in zip(raw.columns, raw.types, strict=True)]
        try:
            sql, missing[name], rows[name] = typed_select(
                TABLES[name],
                "raw__",
                given,
                where,
                lambda sql: con.sql(sql).fetchall(),
                identified="identities" in rows,
            )
            _write(con, name, sql, folder / name, buckets)
        except duckdb.Error as error:
            raise SourceError(f"{where} cannot be read: {error}") from None
        con.execute("drop view raw__")
    con.close()
    mark = Staged(
        source=source_key(path, data), buckets=buckets, rows=rows, missing_columns=missing
    )
    for bucket in range(buckets):
        progress(f"checking bucket {bucket + 1} of {buckets}")
        opened = open_bucket(folder, mark, path, bucket, memory_gb)
        for name in opened.rows:
            check_table(opened.frame(name), TABLES[name], opened.catalog, clock_us(clock))
        opened.con.close()
    temporary = folder / f"{MARK}.writing"
    temporary.write_text(mark.model_dump_json(), "utf-8")
    temporary.replace(folder / MARK)
    return mark


def newest_event(path: Path, data: Path | None) -> datetime:
    """Tell the moment after the last interaction or purchase, reading nothing but their times."""
    config = load_source_config(path)
    con = connect(threads=2)
    newest = []
    for name, select in config.selects(path, data).items():
        if name in ("interactions", "holdings"):
            where = f"{path}: table '{name}'"
            raw = read_select(con, select, config.database_env, where)
            try:
                newest += raw.aggregate(
                    "max(epoch_us(try_cast(event_time as timestamp)))"
                ).fetchall()
            except duckdb.Error as error:
                raise SourceError(f"{where} cannot be read: {error}") from None
    known = [row[0] for row in newest if row[0] is not None]
    if not known:
        raise SourceError("the source has no interactions and no holdings: nothing to describe")
    return moment(max(known) + 1)


def _write(con: duckdb.DuckDBPyConnection, name: str, sql: str, folder: Path, buckets: int) -> None:
    """Write a typed table, in buckets where it speaks of customers."""
    folder.mkdir()
    target = _quoted(folder)
    if _by_customer(name):
        # a row without a customer is kept for the contract's check to find
        bucket = f"md5_number_lower(coalesce(customer_id, '')) % {buckets}"
        rows = f"select *, {bucket} as {BUCKET} from ({sql})"  # noqa: S608
        con.execute(f"copy ({rows}) to '{target}' (format parquet, partition_by ({BUCKET}))")
    else:
        con.execute(f"copy ({sql}) to '{target}/all.parquet' (format parquet)")
    # an empty file keeps the types of buckets that get no rows
    none = f"select * from ({sql}) limit 0"  # noqa: S608
    con.execute(f"copy ({none}) to '{target}/none.parquet' (format parquet)")
    if name == "identities":
        con.execute(f"create table identities as from '{target}/all.parquet'")


def _by_customer(table: str) -> bool:
    if table == "identities":
        return False  # needed whole: any row of another table may come under any identity
    return any(column.name == "customer_id" for column in TABLES[table].columns)


def open_bucket(folder: Path, mark: Staged, path: Path, bucket: int, memory_gb: float) -> Source:
    """Open one staged bucket as a source; ``path`` is the source YAML it was staged from."""
    config = load_source_config(path)
    con = connect(threads=2, memory_gb=memory_gb)
    rows = {}
    for name in mark.rows:
        part = folder / name / f"{BUCKET}={bucket}" if _by_customer(name) else folder / name
        files = [folder / name / "none.parquet", *sorted(part.glob("*.parquet"))]
        listed = ", ".join(f"'{_quoted(file)}'" for file in dict.fromkeys(files))
        columns = ", ".join(f'"{column.name}"' for column in TABLES[name].columns)
        con.execute(
            f'create table "{name}" as select {columns} from '  # noqa: S608
            f"read_parquet([{listed}], hive_partitioning = false)"
        )
        rows[name] = con.table(name).aggregate("count(*)").fetchall()[0][0]
    return Source(
        config,
        load_source_catalog(path, config),
        rows,
        dict(mark.missing_columns),
        con=con,
    )


def _quoted(path: Path) -> str:
    return str(path).replace("'", "''")
