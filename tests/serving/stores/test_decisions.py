"""Decisions and outcomes: on disk before the answer, added and never changed, told apart."""

import asyncio
import sqlite3
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from serving.contract import Outcome
from serving.errors import RequestRefused, StoreError
from serving.stores.decisions import DecisionStore, Place, StoredDecision

AT = datetime(2026, 7, 1, 2, 0, tzinfo=UTC)
TELLER = Place("teller", "O0001", 12.0)


def decision(number: int = 1, request_id: str | None = None) -> StoredDecision:
    return StoredDecision(
        decision_id=f"D{number}",
        customer_id="C0000001",
        request_id=request_id,
        request_sha256="0" * 64,
        audience="staff",
        as_of=AT,
        record=b'{"bytes": "\xe4\xb8\xad"}',
        answer=f'{{"number": {number}}}'.encode(),
    )


def outcome(**changes) -> Outcome:
    given = {
        "outcome_id": "X1",
        "decision_id": "D1",
        "rank": 1,
        "kind": "started",
        "occurred_at": AT + timedelta(minutes=5),
    }
    return Outcome(**{**given, **changes})


def test_a_decision_comes_back_byte_for_byte(store: DecisionStore):
    asyncio.run(store.add(decision()))
    assert store.by_id("D1") == decision()
    assert store.by_id("D2") is None


def test_a_time_comes_back_as_the_same_moment_whatever_its_zone(store: DecisionStore):
    local = replace(decision(), as_of=AT.astimezone(timezone(timedelta(hours=8))))
    asyncio.run(store.add(local))
    found = store.by_id("D1")
    assert found.as_of == AT
    assert found.as_of.utcoffset() == timedelta(0)


def test_the_second_decision_on_a_request_gives_way_to_the_first(store: DecisionStore):
    async def race():
        return await asyncio.gather(
            *(store.add(decision(number, "R1")) for number in range(20)),
        )

    winners = {found.decision_id for found in asyncio.run(race())}
    assert len(winners) == 1
    assert store.by_request("C0000001", "R1").decision_id in winners


def test_equal_request_ids_of_two_customers_are_two_requests(store: DecisionStore):
    other = replace(decision(2, "R1"), customer_id="C0000002")
    asyncio.run(store.add(decision(1, "R1")))
    assert asyncio.run(store.add(other)).decision_id == "D2"


def test_requests_without_an_id_are_never_taken_for_each_other(store: DecisionStore):
    asyncio.run(store.add(decision(1)))
    assert asyncio.run(store.add(decision(2))).decision_id == "D2"


@pytest.mark.parametrize(
    "statement", ["update decisions set audience='x'", "delete from decisions"]
)
def test_nobody_changes_or_deletes_a_decision(store: DecisionStore, statement: str):
    asyncio.run(store.add(decision()))
    with pytest.raises(DBAPIError, match="append-only"), store.engine.begin() as connection:
        connection.execute(text(statement))
    assert store.by_id("D1") == decision()


def test_the_same_outcome_twice_is_stored_once(store: DecisionStore):
    asyncio.run(store.add(decision()))
    assert asyncio.run(store.add_outcome(outcome(), TELLER)) is True
    assert asyncio.run(store.add_outcome(outcome(), TELLER)) is False


@pytest.mark.parametrize(
    "change", [{"kind": "refused"}, {"rank": 2}, {"occurred_at": AT + timedelta(minutes=6)}]
)
def test_another_outcome_under_the_same_id_is_a_conflict(store: DecisionStore, change):
    asyncio.run(store.add(decision()))
    asyncio.run(store.add_outcome(outcome(), TELLER))
    with pytest.raises(RequestRefused, match=next(iter(change))) as refused:
        asyncio.run(store.add_outcome(outcome(**change), TELLER))
    assert refused.value.status == 409


def test_a_bad_job_costs_its_neighbours_nothing(store: DecisionStore):
    async def together():
        orphan = store.add_outcome(outcome(decision_id="nowhere"), TELLER)
        return await asyncio.gather(
            store.add(decision(1)), orphan, store.add(decision(2)), return_exceptions=True
        )

    first, orphan, second = asyncio.run(together())
    assert (first.decision_id, second.decision_id) == ("D1", "D2")
    assert isinstance(orphan, StoreError)
    assert store.by_id("D1")
    assert store.by_id("D2")


def test_staff_minutes_count_a_place_once_by_day_and_outlet(store: DecisionStore):
    day = AT - timedelta(hours=2)

    async def fill():
        await store.add(decision())
        later = {"occurred_at": AT + timedelta(minutes=30), "outcome_id": "X2"}
        elsewhere = Place("teller", "O0002", 12.0)
        await store.add_outcome(outcome(), TELLER)
        await store.add_outcome(outcome(kind="completed", **later), TELLER)
        await store.add_outcome(outcome(outcome_id="X3", rank=2), Place("video", "", 20.0))
        await store.add_outcome(outcome(outcome_id="X4", rank=3), elsewhere)
        await store.add_outcome(outcome(outcome_id="X5", rank=4, kind="shown"), TELLER)
        tomorrow = AT + timedelta(days=1)
        await store.add_outcome(outcome(outcome_id="X6", rank=5, occurred_at=tomorrow), TELLER)

    asyncio.run(fill())
    used = store.minutes_used(day, day + timedelta(days=1), "O0001")
    assert used == {"teller": 12.0, "video": 20.0}


def test_opening_again_finds_what_was_stored(tmp_path):
    path = tmp_path / "decisions.sqlite"
    first = DecisionStore.open(path)
    asyncio.run(first.add(decision()))
    first.close()
    second = DecisionStore.open(path)
    assert second.by_id("D1") == decision()
    second.close()


def test_every_commit_is_synced_to_disk(tmp_path):
    store = DecisionStore.open(tmp_path / "decisions.sqlite")
    with store.engine.connect() as connection:
        assert connection.exec_driver_sql("pragma journal_mode").scalar() == "wal"
        assert connection.exec_driver_sql("pragma synchronous").scalar() == 2
    store.close()


def test_a_store_that_was_deleted_is_not_written_into_thin_air(tmp_path):
    path = tmp_path / "decisions.sqlite"
    store = DecisionStore.open(path)
    path.unlink()
    with pytest.raises(StoreError, match="removed or replaced"):
        asyncio.run(store.add(decision()))
    store.close()


def test_a_locked_store_is_an_error_and_then_well_again(tmp_path):
    path = tmp_path / "decisions.sqlite"
    store = DecisionStore.open(path)
    with sqlite3.connect(path, isolation_level=None) as other:
        other.execute("begin exclusive")
        with pytest.raises(StoreError, match="locked"):
            asyncio.run(store.prove_writable())
        other.execute("rollback")
    other.close()
    asyncio.run(store.prove_writable())
    assert asyncio.run(store.add(decision())).decision_id == "D1"
    store.close()


@pytest.mark.parametrize("content", [b"not a database, and long enough to be looked at" * 40])
def test_a_file_that_is_no_store_is_named(tmp_path, content):
    path = tmp_path / "decisions.sqlite"
    path.write_bytes(content)
    with pytest.raises(StoreError, match=r"decisions\.sqlite: cannot be opened"):
        DecisionStore.open(path)
    assert path.read_bytes() == content


def test_a_store_of_another_schema_is_refused(tmp_path):
    path = tmp_path / "decisions.sqlite"
    store = DecisionStore.open(path)
    with store.engine.begin() as connection:
        connection.execute(text("update store_facts set value='99' where name='schema_version'"))
    store.close()
    with pytest.raises(StoreError, match="has schema 99"):
        DecisionStore.open(path)


@pytest.mark.parametrize("address", ["mysql://localhost/x", "no address"])
def test_an_address_that_is_not_postgres_is_refused_without_showing_it(address):
    with pytest.raises(StoreError, match="ONEPOINT_POSTGRES_URL"):
        DecisionStore.open(address)
