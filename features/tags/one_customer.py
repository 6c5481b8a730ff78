"""The rows of one customer, read from a whole bank: a manager asks for one and does not wait."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import duckdb

from features.errors import SourceError
from features.sources import Source, open_source


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
    everybody: list[duckdb.DuckDBPyRelation] = []

    def own(source: Source, name: str, rows: duckdb.DuckDBPyRelation) -> duckdb.DuckDBPyRelation:
        if name == "customers":
            everybody.append(rows)
        if "customer_id" not in rows.columns:
            return rows
        ids = [customer]
        if "identities" in source.rows:
            ids += [one for (one,) in source.con.table("identities").project("identity").fetchall()]
        return rows.filter(_is_one_of(ids))

    source = open_source(path, data, clock, scores=scores, pick=own)
    if not source.rows["customers"]:
        where = f"{path}: table 'customers'"
        raise SourceError(f"{where} has no customer '{customer}'; {_example(everybody[0])}")
    return source


def _is_one_of(ids: list[str]) -> duckdb.Expression:
    # ids may be numbers in the bank's own tables, and they are text in the contract
    column = duckdb.ColumnExpression("customer_id").cast(duckdb.sqltypes.VARCHAR)
    return column.isin(*(duckdb.ConstantExpression(one) for one in ids))


def _example(customers: duckdb.DuckDBPyRelation) -> str:
    (found,) = customers.aggregate("min(customer_id)").fetchall()
    return f"ids look like {found[0]}" if found[0] is not None else "the table is empty"
