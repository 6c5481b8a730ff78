"""Reading the log: every decision once, newest first, and no way to change it."""

import asyncio
import sqlite3
from datetime import UTC, datetime

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from serving.errors import StoreError
from serving.stores import log as decision_log
from serving.stores.decisions import DecisionStore, StoredDecision, open_decision_store
from serving.stores.engine import open_to_read
from serving.stores.log import DecisionLog

AT = datetime(2026, 7, 1, 2, 0, tzinfo=UTC)


def decision(number: int) -> StoredDecision:
    return StoredDecision(
        decision_id=f"D{number:03d}",
        customer_id="C0000001",
        request_id=None,
        request_sha256="0" * 64,
        audience="staff",
        channel="teller",
        as_of=AT,
        record=b'{"bytes": "\xe4\xb8\xad"}',
        answer=f'{{"number": {number}}}'.encode(),
    )


@pytest.fixture
def log(address, store: DecisionStore):
    opened = DecisionLog(open_to_read(address))
    yield opened
    opened.close()


def test_every_decision_comes_once_newest_first_whatever_the_page(store, log, monkeypatch):
    written = [decision(number) for number in range(7)]

    async def add_all():
        for one in (*written[4:], *written[:4]):
            await store.add(one)

    asyncio.run(add_all())
    for page in (1, 3, 7, 100):
        monkeypatch.setattr(decision_log, "PAGE", page)
        assert list(log.newest_first()) == written[::-1]
        assert list(log.newest_first(5)) == written[:1:-1]
    assert log.count() == 7
    assert log.find("D003") == written[3]
    with pytest.raises(StoreError, match=r"no decision 'D900' in .*take the id from an answer"):
        log.find("D900")


def test_the_log_cannot_write(store, log):
    asyncio.run(store.add(decision(1)))
    for statement in ("delete from decisions", "create table more (x int)"):
        refused = pytest.raises(DBAPIError, match=r"readonly|read-only")
        with refused, log._engine.begin() as connection:
            connection.execute(text(statement))
    assert log.count() == 1


def test_where_nothing_was_stored_a_reader_makes_no_store(address, tmp_path, monkeypatch):
    monkeypatch.delenv("ONEPOINT_POSTGRES_URL", raising=False)
    if isinstance(address, str):
        monkeypatch.setenv("ONEPOINT_POSTGRES_URL", address)
    for _ in range(2):  # the first look left none for the second to find
        assert DecisionStore.open_if_there(tmp_path) is None
    assert list(tmp_path.iterdir()) == []
    made = open_decision_store(tmp_path)
    asyncio.run(made.add(decision(1)))
    there = DecisionStore.open_if_there(tmp_path)
    assert there.by_id("D001") == decision(1)
    with pytest.raises(StoreError, match="cannot be written"):
        asyncio.run(there.prove_writable())
    there.close()
    made.close()


def test_a_database_out_of_reach_is_not_taken_for_none(tmp_path, monkeypatch):
    monkeypatch.setenv("ONEPOINT_POSTGRES_URL", "postgresql://nobody@127.0.0.1:1/none")
    with pytest.raises(StoreError, match=r"cannot be read .* unset ONEPOINT_POSTGRES_URL"):
        DecisionStore.open_if_there(tmp_path)


def test_opening_a_log_makes_nothing(tmp_path):
    with pytest.raises(StoreError, match="no such file; serve from this work folder first"):
        open_to_read(tmp_path / "decisions.sqlite")
    with sqlite3.connect(tmp_path / "other.sqlite") as other:
        other.execute("create table t (x int)")
    other.close()
    before = (tmp_path / "other.sqlite").read_bytes()
    with pytest.raises(StoreError, match="cannot be read"):
        open_to_read(tmp_path / "other.sqlite")
    assert (tmp_path / "other.sqlite").read_bytes() == before
    assert [one.name for one in tmp_path.iterdir()] == ["other.sqlite"]
