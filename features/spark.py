"""A source on Spark: the same tables, definitions and checks, when one machine is outgrown.

Spark reads the bank's Parquet files itself. A select of the source YAML runs as it stands, but for
`read_parquet('PATH')`, which Spark spells differently and which is rewritten. What is computed once
and kept goes to Parquet in a work folder, which every executor must see.
"""

from __future__ import annotations

import re
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import narwhals.stable.v2 as nw
import pyarrow as pa

from features.bank import Bank, Cell, Frame, gathering
from features.checks import check_table
from features.errors import OnePointError, SourceError
from features.reading import Dialect, typed_select
from features.source_config import load_source_catalog, load_source_config
from features.sources import clock_us, in_reading_order
from features.tables import TABLES

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

SPARK = Dialect(
    types={
        "id": "STRING", "text": "STRING", "time": "TIMESTAMP", "date": "DATE",
        "money": "DECIMAL(18,2)", "number": "DOUBLE", "integer": "BIGINT", "flag": "BOOLEAN",
    },
    time="unix_micros({})",
    date="cast(unix_date({}) as bigint)",
    floats=("DOUBLE", "FLOAT"),
)  # fmt: skip

SETTINGS = {
    "spark.sql.session.timeZone": "UTC",
    "spark.sql.ansi.enabled": "true",
    # the selects that type a table quote names as the SQL standard does
    "spark.sql.ansi.doubleQuotedIdentifiers": "true",
    "spark.sql.execution.arrow.pyspark.enabled": "true",
    # a vector is gathered from some fifty tables by one key: sorted they join in one pass, while
    # broadcast each would crowd the memory of driver and executors
    "spark.sql.autoBroadcastJoinThreshold": "-1",
    # else every call asks the JVM for its place in the code
    "spark.python.sql.dataFrameDebugging.enabled": "false",
    "spark.ui.enabled": "false",
    "spark.ui.showConsoleProgress": "false",
}


@contextmanager
def spark_session(
    threads: int = 2, memory_gb: int = 2, settings: Mapping[str, str] = SETTINGS
) -> Iterator[SparkSession]:
    """Start a session on this machine, or take the one `spark-submit` started; stop what it began.

    Raises
    ------
    OnePointError
        PySpark or Java is not installed.
    """
    try:
        from pyspark.errors import PySparkException
        from pyspark.sql import SparkSession
    except ImportError:
        raise OnePointError(
            "the engine spark needs PySpark: install this package with its extra `spark`"
        ) from None
    if shutil.which("java") is None:
        raise OnePointError(
            "the engine spark needs Java 17: install Debian's openjdk-17-jre-headless"
        )
    running = SparkSession.getActiveSession()
    if running is not None:
        yield running
        return
    builder = SparkSession.builder.appName("onepoint").config(
        "spark.driver.memory", f"{memory_gb}g"
    )
    builder = builder.master(f"local[{threads}]").config("spark.sql.shuffle.partitions", threads)
    for name, value in settings.items():
        builder = builder.config(name, value)
    try:
        session = builder.getOrCreate()
    except PySparkException as error:
        raise OnePointError(f"Spark does not start: {error}") from None
    session.sparkContext.setLogLevel("ERROR")
    try:
        yield session
    finally:
        session.stop()


@dataclass(kw_only=True)
class SparkSource(Bank):
    """An opened source in a Spark session; ``folder`` holds what is kept."""

    # beside others, Spark copies every row once for each column whose values it counts
    distinct_apart: ClassVar[bool] = True

    session: SparkSession = field(repr=False)
    folder: Path

    def frame(self, table: str) -> Frame:
        """Give a table, or what is kept under its name, as a lazy frame."""
        return _lazy(self.session.table(f"`{table}`"))

    def keep(self, name: str, frame: Frame) -> Frame:
        """Compute a lazy frame once and keep it as Parquet under a name, until `drop`."""
        path, native = str(self.folder / name), frame.to_native()
        native.write.mode("overwrite").parquet(path)
        # the schema is known: without it Spark would run a job to read it back
        self.session.read.schema(native.schema).parquet(path).createOrReplaceTempView(name)
        return self.frame(name)

    def keep_spine(self, name: str, rows: Frame, order: tuple[str, ...]) -> None:
        """Keep rows `(customer_id, as_of, context…)` as a spine, numbered in `order`."""
        zone = self.config.time_zone.replace("'", "")
        local = f"from_utc_timestamp(timestamp_micros(as_of), '{zone}')"
        native: DataFrame = rows.to_native()
        # sorted by range, the partitions follow one another: their ids ascend, with gaps, and no
        # executor ever holds all rows
        numbered = native.orderBy(*order).selectExpr(
            "monotonically_increasing_id() as row_id",
            "*",
            f"cast(unix_date(cast({local} as date)) as bigint) as as_of_day",
            f"cast(month({local}) as bigint) as as_of_month",
            f"cast(unix_date(cast(trunc({local}, 'MM') as date)) as bigint) as month_start_day",
            f"unix_micros({local}) - as_of as utc_offset_us",
        )
        self.keep(name, _lazy(numbered))

    def gather(self, spine: str, cells: Sequence[Cell]) -> Frame:
        """Put beside the rows of a spine what is kept about them, by `row_id`."""
        return _lazy(self.session.sql(gathering(spine, cells)))

    def drop(self, name: str) -> None:
        """Forget what is kept under a name; nothing where nothing is."""
        self.session.catalog.dropTempView(name)
        shutil.rmtree(self.folder / name, ignore_errors=True)

    def bring(self, table: pa.Table) -> Frame:
        """See a small Arrow table as a lazy frame."""
        return _lazy(self.session.createDataFrame(table))

    def arrow(self, frame: Frame) -> pa.Table:
        """Compute a lazy frame as an Arrow table, on the driver."""
        return frame.to_native().toArrow()

    def write(self, frame: Frame, path: Path) -> None:
        """Compute a lazy frame into a folder of Parquet files, on the executors."""
        frame.to_native().write.mode("overwrite").parquet(str(path))


@contextmanager
def open_spark_source(
    path: Path, data: Path | None, clock: datetime, session: SparkSession
) -> Iterator[SparkSource]:
    """Read a bank's tables with Spark and hold them to the contract.

    Parameters and errors are those of `features.sources.open_source`; what is kept in the meantime
    goes when the block ends.
    """
    config = load_source_config(path)
    catalog = load_source_catalog(path, config)
    if config.database_env is not None:
        raise SourceError(
            f"{path}: a database is read on the engine duckdb; Spark reads Parquet files"
        )
    folder = Path(tempfile.mkdtemp(prefix="onepoint-spark-"))
    try:
        source = SparkSource(config, catalog, session=session, folder=folder)
        for name, select in in_reading_order(config.selects(path, data)).items():
            _read(source, name, select, f"{path}: table '{name}'")
        for name in source.rows:
            check_table(source.frame(name), TABLES[name], catalog, clock_us(clock))
        yield source
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _read(source: SparkSource, name: str, select: str, where: str) -> None:
    """Read one table and keep it typed."""
    from pyspark.errors import PySparkException

    if re.search(r"\bread_csv\s*\(", select):
        raise SourceError(
            f"{where}: Spark reads Parquet files; write the CSV file as Parquet first"
        )
    session, staged = source.session, f"{name}__raw"
    try:
        raw = session.sql(spark_select(select))
        raw.createOrReplaceTempView(staged)
        given = [(one.name, one.dataType.simpleString()) for one in raw.schema.fields]
        sql, source.missing_columns[name], source.rows[name] = typed_select(
            TABLES[name],
            staged,
            given,
            where,
            lambda sql: [tuple(row) for row in session.sql(sql).collect()],
            SPARK,
            identified="identities" in source.rows,
        )
        source.keep(name, _lazy(session.sql(sql)))
    except PySparkException as error:
        raise SourceError(f"{where} cannot be read: {error}") from None
    session.catalog.dropTempView(staged)


def spark_select(select: str) -> str:
    """Spell a select over Parquet files as Spark does.

    >>> spark_select("select * from read_parquet('/bank/holdings.parquet')")
    'select * from parquet.`/bank/holdings.parquet`'
    """
    return re.sub(r"read_parquet\s*\(\s*'([^']*)'\s*\)", r"parquet.`\1`", select)


def _lazy(frame: DataFrame) -> Frame:
    lazy: Frame = nw.from_native(frame)
    return lazy
