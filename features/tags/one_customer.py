"""The rows of one customer, read from a whole bank: a manager asks for one and does not wait."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import duckdb

from features.checks import check_table
from features.errors import SourceError
from features.reading import read_select, store_table
from features.source_config import load_source_catalog, load_source_config
from features.sources import Source, clock_us, connect, in_reading_order
from features.tables import TABLES


def open_customer(
    path: Path, data: Path | None, clock: datetime, customer: str, scores: Path | None = None
) -> Source:
    """Read one customer's rows of a bank, and all rows of tables that speak of no customer.

    Parameters
    ----------
    path, data, clock, scores
        As for `features.sources.open_source`; so are the errors. Only the rows that are read are
        held to the contract.
    customer
        Id of the customer; rows under a phone number, openid or device of his are his too.

    Raises
    ------
    SourceError
        The bank's table of customers has nobody of that id.
    """
    config = load_source_config(path)
    selects = in_reading_order(config.selects(path, data))
    if scores is not None and "scores" in selects:
        raise SourceError(f"{path} has a table 'scores' already; leave {scores} out")
    source = Source(config, load_source_catalog(path, config), con=connect(threads=2))
    ids = [customer]
    for name, select in selects.items():
        where = f"{path}: table '{name}'"
        whole = read_select(source.con, select, config.database_env, where)
        _keep(source, name, whole, ids, where)
        if name == "identities":
            ids += [one for (one,) in source.con.table(name).project("identity").fetchall()]
        if name == "customers" and not source.rows[name]:
            raise SourceError(f"{where} has no customer '{customer}'; {_example(whole)}")
    if scores is not None:
        where = f"{scores}: table 'scores'"
        file = str(scores).replace("'", "''")
        whole = read_select(source.con, f"from read_parquet('{file}')", None, where)
        _keep(source, "scores", whole, ids, where)
    for name in source.rows:
        check_table(source.frame(name), TABLES[name], source.catalog, clock_us(clock))
    return source


def _keep(
    source: Source, name: str, whole: duckdb.DuckDBPyRelation, ids: list[str], where: str
) -> None:
    raw = whole.filter(_is_one_of(ids)) if "customer_id" in whole.columns else whole
    identified = "identities" in source.rows
    lacking, rows = store_table(source.con, TABLES[name], raw, where, identified)
    source.missing_columns[name], source.rows[name] = lacking, rows


def _is_one_of(ids: list[str]) -> duckdb.Expression:
    # ids may be numbers in the bank's own tables, and they are text in the contract
    column = duckdb.ColumnExpression("customer_id").cast(duckdb.sqltypes.VARCHAR)
    return column.isin(*(duckdb.ConstantExpression(one) for one in ids))


def _example(customers: duckdb.DuckDBPyRelation) -> str:
    (found,) = customers.aggregate("min(customer_id)").fetchall()
    return f"ids look like {found[0]}" if found[0] is not None else "the table is empty"
