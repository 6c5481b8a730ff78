"""The same tables from PostgreSQL as from files."""

import uuid

import pytest
import sqlalchemy
import yaml

from features.errors import SourceError
from features.sources import open_source
from features.tables import BROUGHT

POSTGRES_TYPES = {
    "id": "text", "text": "text", "time": "timestamptz", "date": "date",
    "money": "numeric(18, 2)", "number": "double precision", "integer": "int", "flag": "boolean",
}  # fmt: skip


@pytest.fixture
def database_yaml(bank, postgres_url, monkeypatch):
    """The eight customers in a PostgreSQL schema of the test's own, and a YAML that reads it."""
    schema = f"onepoint_test_{uuid.uuid4().hex[:12]}"
    engine = sqlalchemy.create_engine(
        postgres_url, poolclass=sqlalchemy.NullPool, isolation_level="AUTOCOMMIT"
    )
    selects = {}
    with engine.connect() as con:
        con.execute(sqlalchemy.text(f"create schema {schema}"))
        con.execute(sqlalchemy.text("set time zone 'UTC'"))
        for name, table in BROUGHT.items():
            columns = ", ".join(f'"{c.name}" {POSTGRES_TYPES[c.dtype]}' for c in table.columns)
            con.execute(sqlalchemy.text(f"create table {schema}.{name} ({columns})"))
            header, *rows = [
                line.split(",") for line in bank.file(name).read_text("utf-8").splitlines()
            ]
            into = ", ".join(f'"{column}"' for column in header)
            values = ", ".join(
                f"cast(:v{i} as {POSTGRES_TYPES[table.column(column).dtype]})"
                for i, column in enumerate(header)
            )
            con.execute(
                sqlalchemy.text(f"insert into {schema}.{name} ({into}) values ({values})"),  # noqa: S608
                [{f"v{i}": cell or None for i, cell in enumerate(row)} for row in rows],
            )
            selects[name] = f"table {schema}.{name}"
    config = yaml.safe_load(bank.yaml.read_text("utf-8"))
    config |= {"database_env": "ONEPOINT_TEST_BANK", "tables": selects}
    bank.yaml.write_text(yaml.safe_dump(config), "utf-8")
    monkeypatch.setenv("ONEPOINT_TEST_BANK", postgres_url)
    yield bank.yaml
    with engine.connect() as con:
        con.execute(sqlalchemy.text(f"drop schema {schema} cascade"))


@pytest.mark.needs("postgres")
def test_postgres_gives_the_same_tables_as_files(database_yaml, example_source, clock):
    opened = open_source(database_yaml, None, clock)
    assert opened.fingerprint() == example_source.fingerprint()
    assert opened.missing_columns == example_source.missing_columns


@pytest.mark.needs("postgres")
def test_a_wrong_select_is_named_without_the_address(database_yaml, clock):
    text = database_yaml.read_text("utf-8").replace(".ratings", ".ratngs")
    database_yaml.write_text(text, "utf-8")
    with pytest.raises(SourceError) as caught:
        open_source(database_yaml, None, clock)
    message = str(caught.value)
    assert "table 'ratings' cannot be read from ONEPOINT_TEST_BANK" in message
    assert "ratngs" in message
    assert "postgresql" not in message


def test_a_database_whose_address_is_not_set(bank, monkeypatch):
    monkeypatch.delenv("ONEPOINT_TEST_BANK", raising=False)
    bank.replace("source", "every: month", "every: month\ndatabase_env: ONEPOINT_TEST_BANK")
    with pytest.raises(SourceError, match=r"table '.*': set ONEPOINT_TEST_BANK to"):
        open_source(bank.yaml, bank.folder, bank.clock)
