"""From one select of a source to one working table of the contract's types."""

from __future__ import annotations

import os

import duckdb
import pyarrow as pa
import sqlalchemy

from features.errors import ContractError, SourceError, did_you_mean
from features.tables import DUCKDB_TYPES, TABLES, Column, Table


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


def store_table(
    con: duckdb.DuckDBPyConnection, table: Table, raw: duckdb.DuckDBPyRelation, where: str
) -> tuple[str, ...]:
    """Cast to the contract's types into the working table; return the columns not brought."""
    given = list(raw.columns)
    known = [column.name for column in table.columns]
    unknown = [name for name in given if name not in known]
    if unknown:
        raise ContractError(
            f"{where}: the contract has no column '{unknown[0]}'; {did_you_mean(unknown[0], known)}"
        )
    lacking = tuple(name for name in known if name not in given)
    for name in lacking:
        if table.column(name).required:
            raise ContractError(
                f"{where}: required column '{name}' is missing; the select gives "
                f"{', '.join(given)}: add it there"
            )
    staged = f"{table.name}__raw"
    floats = {name for name, kind in zip(given, raw.types, strict=True) if str(kind) in _FLOATS}
    # files written by pandas hold NaN where a float is missing
    cells = ", ".join(
        f'nullif("{name}", \'nan\') as "{name}"' if name in floats else f'"{name}"'
        for name in given
    )
    try:
        raw.project(cells).create(staged)
    except duckdb.Error as error:
        raise SourceError(f"{where} cannot be read: {error}") from None
    _check_types(con, table, [table.column(name) for name in given], where)
    cells = ", ".join(_cell(column, column.name in given) for column in table.columns)
    con.execute(f'create table "{table.name}" as select {cells} from "{staged}"')  # noqa: S608
    con.execute(f'drop table "{staged}"')
    return lacking


_FLOATS = ("DOUBLE", "FLOAT")


def _check_types(
    con: duckdb.DuckDBPyConnection, table: Table, given: list[Column], where: str
) -> None:
    staged = con.table(f"{table.name}__raw")
    counts = ", ".join(f"count(*) filter (where {_of_wrong_type(column)})" for column in given)
    for column, count in zip(given, staged.aggregate(counts).fetchall()[0], strict=True):
        if count:
            rows = staged.filter(_of_wrong_type(column)).limit(3)
            examples = [dict(zip(rows.columns, row, strict=True)) for row in rows.fetchall()]
            raise ContractError(
                f"{where}, column '{column.name}': {count} values are not of type {column.dtype} "
                f"({DUCKDB_TYPES[column.dtype]}); for example "
                + "; ".join(str(example) for example in examples)
            )


def _of_wrong_type(column: Column) -> str:
    value = f'"{column.name}"'
    wrong = f"try_cast({value} as {DUCKDB_TYPES[column.dtype]}) is null"
    if column.dtype == "integer":
        # a cast rounds, and 3.7 days overdue are not 4
        wrong += f" or try_cast({value} as double) <> try_cast({value} as bigint)"
    return f"{value} is not null and ({wrong})"


def _cell(column: Column, given: bool) -> str:
    kind = DUCKDB_TYPES[column.dtype]
    value = f'cast("{column.name}" as {kind})' if given else f"cast(null as {kind})"
    if not given and column.name == "kind":
        value = "'touch'"  # a set that tells no kinds has touches only
    if column.dtype == "time":
        value = f"epoch_us({value})"
    if column.dtype == "date":
        value = f"cast({value} - date '1970-01-01' as bigint)"
    return f'{value} as "{column.name}"'


def apply_identities(con: duckdb.DuckDBPyConnection, tables: list[str]) -> None:
    """Rewrite phone numbers, openids and devices to the customer they belong to."""
    for name in tables:
        if name == "identities" or "customer_id" not in [c.name for c in TABLES[name].columns]:
            continue
        con.execute(
            f'update "{name}" set customer_id = identities.customer_id from identities '  # noqa: S608
            f'where "{name}".customer_id = identities.identity'
        )
