"""A decision store on each database it may live in."""

import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import create_engine, make_url, text

from serving.stores.decisions import DecisionStore


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.needs("postgres"))])
def address(request, tmp_path) -> Iterator[Path | str]:
    if request.param == "sqlite":
        yield tmp_path / "decisions.sqlite"
        return
    # A schema of its own, so that tests neither see each other nor anybody's real log.
    base = make_url(request.getfixturevalue("postgres_url")).set(drivername="postgresql+psycopg")
    schema = f"onepoint_test_{uuid.uuid4().hex[:12]}"
    admin = create_engine(base, isolation_level="AUTOCOMMIT")
    with admin.connect() as connection:
        connection.execute(text(f"create schema {schema}"))
    own = base.update_query_dict({"options": f"-c search_path={schema}"})
    yield own.render_as_string(hide_password=False)
    with admin.connect() as connection:
        connection.execute(text(f"drop schema {schema} cascade"))
    admin.dispose()


@pytest.fixture
def store(address) -> Iterator[DecisionStore]:
    opened = DecisionStore.open(address)
    yield opened
    opened.close()
