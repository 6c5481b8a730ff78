"""From one select of a source to one working table of the contract's types.

The SQL that types a table is the same on every engine but for the words in `Dialect`.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import duckdb
import pyarrow as pa
import sqlalchemy

from features.errors import ContractError, SourceError, did_you_mean
from features.tables import Column, Dtype, Table

Row = tuple[Any, ...]
Query = Callable[[str], list[Row]]
"""Runs SQL and gives its rows."""


@dataclass(frozen=True)
class Dialect:
    """How an engine spells the contract's types; ``time`` and ``date`` make integers of them."""

    types: dict[Dtype, str]
    time: str
    date: str
    floats: tuple[str, ...]


DUCKDB = Dialect(
    types={
        "id": "VARCHAR", "text": "VARCHAR", "time": "TIMESTAMP", "date": "DATE",
        "money": "DECIMAL(18,2)", "number": "DOUBLE", "integer": "BIGINT", "flag": "BOOLEAN",
    },
    time="epoch_us({})",
    date="cast({} - date '1970-01-01' as bigint)",
    floats=("DOUBLE", "FLOAT"),
)  # fmt: skip


def read_select(
    con: duckdb.DuckDBPyConnection, select: str, database_env: str | None, where: str
) -> duckdb.DuckDBPyRelation:
    """Run a select over files, or in the database whose URL `database_env` holds.

    ``where`` opens each message of a `SourceError`.
    """
    if database_env is not None:
        return con.from_arrow(_read_database(select, database_env, where))
    try:
        statements = con.extract_statements(select)
        if [statement.type for statement in statements] != [duckdb.StatementType.SELECT]:
            raise SourceError(f"{where} is not one select; a source reads, and does nothing else")
        return con.sql(select)
    except duckdb.Error as error:
        raise SourceError(f"{where} cannot be read: {error}") from None


def _read_database(select: str, database_env: str, where: str) -> pa.Table:
    url = os.environ.get(database_env)
    if not url:
        raise SourceError(f"{where}: set {database_env} to the database's SQLAlchemy URL")
    try:
        # no pool: a connection kept would be left open when the engine goes
        engine = sqlalchemy.create_engine(url, poolclass=sqlalchemy.NullPool)
        with engine.connect() as database:
            result = database.execute(sqlalchemy.text(select))
            names, rows = list(result.keys()), result.fetchall()
        columns = list(zip(*rows, strict=True)) or [() for _ in names]
        return pa.table(
            {column: pa.array(cells) for column, cells in zip(names, columns, strict=True)}
        )
    except (sqlalchemy.exc.SQLAlchemyError, pa.ArrowException) as error:
        # the URL may hold a password: only the driver's own words are shown
        reason = str(getattr(error, "orig", None) or error)
        raise SourceError(f"{where} cannot be read from {database_env}: {reason}") from None


def typed_select(
    table: Table,
    raw: str,
    given: Sequence[tuple[str, str]],
    where: str,
    query: Query,
    dialect: Dialect = DUCKDB,
    identified: bool = False,
) -> tuple[str, tuple[str, ...], int]:
    """Write the select that gives a table the contract's columns and types.

    Parameters
    ----------
    table
        The contract.
    raw
        Name of the table or view that holds what the bank's select gave.
    given
        Its columns: name and the engine's type.
    where
        Opens each message of an error.
    query
        Runs SQL on the engine.
    dialect
        The engine's words.
    identified
        Whether a table `identities` is there: rows under a phone number, openid or device are then
        given to the customer they belong to.

    Returns
    -------
    tuple
        The SQL, the columns of the contract that were not brought, and the rows there are.

    Raises
    ------
    ContractError
        A column is unknown, a required one is missing, or a value is not of its type.
    """
    names = [name for name, _ in given]
    known = [column.name for column in table.columns]
    unknown = [name for name in names if name not in known]
    if unknown:
        raise ContractError(
            f"{where}: the contract has no column '{unknown[0]}'; {did_you_mean(unknown[0], known)}"
        )
    lacking = tuple(name for name in known if name not in names)
    for name in lacking:
        if table.column(name).required:
            raise ContractError(
                f"{where}: required column '{name}' is missing; the select gives "
                f"{', '.join(names)}: add it there"
            )
    # files written by pandas hold NaN where a float is missing
    cells = ", ".join(
        f'nullif("{name}", \'NaN\') as "{name}"' if kind.upper() in dialect.floats else f'"{name}"'
        for name, kind in given
    )
    rows = f'(select {cells} from "{raw}")'  # noqa: S608
    count = _check_types(table, rows, names, where, query, dialect)
    joined = f"{rows} as raw_"
    customer = '"customer_id"'
    if identified and table.name != "identities" and "customer_id" in known:
        joined += ' left join identities on identities."identity" = raw_."customer_id"'
        customer = 'coalesce(identities."customer_id", raw_."customer_id")'
    cells = ", ".join(
        _cell(column, column.name in names, customer, dialect) for column in table.columns
    )
    return f"select {cells} from {joined}", lacking, count  # noqa: S608


def _check_types(
    table: Table, rows: str, names: list[str], where: str, query: Query, dialect: Dialect
) -> int:
    """Raise at the first value that is not of its column's type; else count the rows."""
    columns = [table.column(name) for name in names]
    wrong = [_of_wrong_type(column, dialect) for column in columns]
    counts = ", ".join(f"count(case when {one} then 1 end)" for one in wrong)
    every, *found = query(f"select count(*), {counts} from {rows} as raw_")[0]  # noqa: S608
    for column, condition, count in zip(columns, wrong, found, strict=True):
        if count:
            cells = ", ".join(f'"{name}"' for name in names)
            examples = query(f"select {cells} from {rows} as raw_ where {condition} limit 3")  # noqa: S608
            raise ContractError(
                f"{where}, column '{column.name}': {count} values are not of type {column.dtype} "
                f"({dialect.types[column.dtype]}); for example "
                + "; ".join(str(dict(zip(names, row, strict=True))) for row in examples)
            )
    return int(every)


def _of_wrong_type(column: Column, dialect: Dialect) -> str:
    value = f'"{column.name}"'
    wrong = f"try_cast({value} as {dialect.types[column.dtype]}) is null"
    if column.dtype == "integer":
        # a cast rounds, and 3.7 days overdue are not 4
        wrong += f" or try_cast({value} as double) <> try_cast({value} as bigint)"
    return f"{value} is not null and ({wrong})"


def _cell(column: Column, given: bool, customer: str, dialect: Dialect) -> str:
    kind = dialect.types[column.dtype]
    value = customer if column.name == "customer_id" else f'raw_."{column.name}"'
    value = f"cast({value} as {kind})" if given else f"cast(null as {kind})"
    if not given and column.name == "kind":
        value = "'touch'"  # a set that tells no kinds has touches only
    if column.dtype == "time":
        value = dialect.time.format(value)
    if column.dtype == "date":
        value = dialect.date.format(value)
    return f'{value} as "{column.name}"'


def store_table(
    con: duckdb.DuckDBPyConnection,
    table: Table,
    raw: duckdb.DuckDBPyRelation,
    where: str,
    identified: bool,
) -> tuple[tuple[str, ...], int]:
    """Cast into the working table; return the columns not brought, and the rows."""
    staged = f"{table.name}__raw"
    try:
        raw.create(staged)
    except duckdb.Error as error:
        raise SourceError(f"{where} cannot be read: {error}") from None
    given = [(name, str(kind)) for name, kind in zip(raw.columns, raw.types, strict=True)]
    sql, lacking, rows = typed_select(
        table, staged, given, where, lambda sql: con.sql(sql).fetchall(), identified=identified
    )
    con.execute(f'create table "{table.name}" as {sql}')
    con.execute(f'drop table "{staged}"')
    return lacking, rows
