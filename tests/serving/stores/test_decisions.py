"""Decisions and outcomes: on disk before the answer, added and never changed, told apart."""

import asyncio
import sqlite3
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import asdict, replace
from datetime import UTC, datetime, timedelta, timezone

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from serving.contract import Outcome, OutcomeReceipt
from serving.errors import RequestRefused, StoreError
from serving.events import LiveConsent, LiveInteraction
from serving.facts import Place
from serving.stores.decisions import DecisionStore, StoredDecision
from serving.stores.log import DecisionLog
from serving.stores.schema import DECISIONS, OUTCOMES, PLACES

AT = datetime(2026, 7, 1, 2, 0, tzinfo=UTC)


def place(rank: int = 1, handle: str = "teller", org_id: str = "O0001", minutes: float = 12.0):
    return Place(rank, "fund_r2", "application", "teller", handle, org_id, minutes)


TELLER = place()


def decision(number: int = 1, request_id: str | None = None) -> StoredDecision:
    return StoredDecision(
        decision_id=f"D{number}",
        customer_id="C0000001",
        request_id=request_id,
        request_sha256="0" * 64,
        audience="staff",
        channel="teller",
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
    assert store.known("C0000001", "R1", AT, AT)[0].decision_id in winners


def test_equal_request_ids_of_two_customers_are_two_requests(store: DecisionStore):
    other = replace(decision(2, "R1"), customer_id="C0000002")
    asyncio.run(store.add(decision(1, "R1")))
    assert asyncio.run(store.add(other)).decision_id == "D2"


def test_requests_without_an_id_are_never_taken_for_each_other(store: DecisionStore):
    asyncio.run(store.add(decision(1)))
    assert asyncio.run(store.add(decision(2))).decision_id == "D2"


@pytest.mark.parametrize(
    "statement",
    [
        "update decisions set audience='x'",
        "delete from decisions",
        "delete from places",
        "update live_facts set customer_id='x'",
    ],
)
def test_nobody_changes_or_deletes_a_decision(store: DecisionStore, statement: str):
    asyncio.run(store.add(decision(), [TELLER]))
    store_outcomes(store, outcome())
    with pytest.raises(DBAPIError, match="append-only"), store.engine.begin() as connection:
        connection.execute(text(statement))
    assert store.by_id("D1") == decision()


def store_outcomes(
    store: DecisionStore, *outcomes: Outcome, doors: tuple[str, ...] = ("*",)
) -> list[OutcomeReceipt]:
    return asyncio.run(store.add_outcomes([("", one) for one in outcomes], doors, 60.0))


def facts(store: DecisionStore) -> list[tuple[str, dict]]:
    _, found = store.known("C0000001", None, AT - timedelta(days=1), AT + timedelta(days=1))
    return [(one.kind, dict(one.body)) for one in found]


def test_the_same_outcome_twice_is_stored_once(store: DecisionStore):
    asyncio.run(store.add(decision(), [TELLER]))
    stored, again = (store_outcomes(store, outcome())[0].stored for _ in range(2))
    assert (stored, again) == (True, False)


@pytest.mark.parametrize(
    "change", [{"kind": "refused"}, {"rank": 2}, {"occurred_at": AT + timedelta(minutes=6)}]
)
def test_another_outcome_under_the_same_id_is_a_conflict(store: DecisionStore, change):
    asyncio.run(store.add(decision(), [TELLER, place(2)]))
    store_outcomes(store, outcome())
    with pytest.raises(RequestRefused, match=next(iter(change))) as refused:
        store_outcomes(store, outcome(**change))
    assert refused.value.status == 409


@pytest.mark.parametrize(
    ("change", "said"),
    [({"rank": 3}, "rank: 3 is not a place"), ({"occurred_at": AT - timedelta(hours=1)}, "before")],
)
def test_of_a_batch_with_a_wrong_outcome_none_is_stored(store: DecisionStore, change, said):
    asyncio.run(store.add(decision(), [TELLER]))
    with pytest.raises(RequestRefused, match=said):
        store_outcomes(store, outcome(), outcome(outcome_id="X2", **change))
    assert facts(store) == []
    assert store_outcomes(store, outcome())[0].stored


def test_an_orphaned_outcome_is_kept_and_joined_when_its_decision_appears(store: DecisionStore):
    refused = outcome(kind="refused")
    (receipt,) = store_outcomes(store, refused)
    assert (receipt.stored, receipt.orphaned) == (True, True)
    assert facts(store) == []
    asyncio.run(store.add(decision(), [TELLER]))
    assert facts(store) == [("refusal", {"offer": "fund_r2", "channel": "teller"})]
    (again,) = store_outcomes(store, refused)
    assert (again.stored, again.orphaned) == (False, False)
    assert len(facts(store)) == 1


@pytest.mark.parametrize("doors", [("teller",), ("*",), ("mobile_bank", "teller")])
def test_who_speaks_for_the_door_may_tell_what_became_of_its_decision(store: DecisionStore, doors):
    asyncio.run(store.add(decision(), [TELLER]))
    assert store_outcomes(store, outcome(), doors=doors)[0].stored


def test_of_another_doors_decision_nothing_is_told_before_or_after_it(store: DecisionStore):
    day = AT - timedelta(hours=2), AT + timedelta(hours=22)
    mine = outcome(outcome_id="X2", kind="completed", rank=2)
    store_outcomes(store, outcome(), doors=("mobile_bank",))
    store_outcomes(store, mine, doors=("teller",))
    asyncio.run(store.add(decision(), [TELLER, place(2, minutes=20.0)]))
    assert [kind for kind, _ in facts(store)] == ["interaction"]
    assert store.minutes_used(*day).of("O0001") == {"teller": 20.0}
    assert DecisionLog(store.engine).outcomes_of([decision()]) == {"D1": [mine]}
    for again in (outcome(), outcome(outcome_id="X3")):
        with pytest.raises(RequestRefused, match=r"decision_id.*'teller'.*: mobile_bank") as no:
            store_outcomes(store, again, doors=("mobile_bank",))
        assert no.value.status == 403
    assert len(facts(store)) == 1


def test_an_outcome_and_its_decision_stored_at_one_instant_find_each_other(store: DecisionStore):
    """Another host's transaction is open, unseen, while this one stores the other of the two."""
    told = outcome(kind="refused")
    row = {**told.model_dump(), "doors": '["*"]', "stored_at": AT}
    with ThreadPoolExecutor(1) as here:
        with store.journal.engine.begin() as elsewhere:
            elsewhere.execute(OUTCOMES.insert(), row)
            adding = here.submit(asyncio.run, store.add(decision(), [TELLER]))
            assert not wait([adding], timeout=0.3).done
        adding.result()
        assert facts(store) == [("refusal", {"offer": "fund_r2", "channel": "teller"})]
        with store.journal.engine.begin() as elsewhere:
            given = {**decision(2).__dict__, "stored_at": AT}
            elsewhere.execute(DECISIONS.insert(), given)
            elsewhere.execute(PLACES.insert(), {**asdict(TELLER), "decision_id": "D2"})
            second = outcome(outcome_id="X2", decision_id="D2", kind="refused")
            telling = here.submit(store_outcomes, store, second)
            assert not wait([telling], timeout=0.3).done
        assert telling.result()[0].orphaned is False
    assert len(facts(store)) == 2


@pytest.mark.parametrize(
    ("kind", "purpose", "expected"),
    [
        ("refused", "inbound", ("refusal", {"offer": "fund_r2", "channel": "teller"})),
        ("opted_out", "inbound", ("consent", {"channel": "teller", "allowed": False})),
        (
            "started",
            "inbound",
            (
                "interaction",
                {"channel": "video", "kind": "apply", "product": "fund_r2", "stage": "application"},
            ),
        ),
        (
            "shown",
            "service",
            ("contact", {"channel": "teller", "offer": "fund_r2", "purpose": "service"}),
        ),
        ("shown", "inbound", None),
        ("clicked", "inbound", None),
    ],
)
def test_an_outcome_is_a_fact_for_the_next_request(store: DecisionStore, kind, purpose, expected):
    shown = replace(place(handle="video"), purpose=purpose)
    asyncio.run(store.add(decision(), [shown]))
    store_outcomes(store, outcome(kind=kind))
    assert facts(store) == ([] if expected is None else [expected])


def test_live_events_are_stored_once_in_order_and_all_or_nothing(store: DecisionStore):
    def login(name: str, minutes: int, **changes) -> LiveInteraction:
        at = AT + timedelta(minutes=minutes)
        given = {"event_id": name, "customer_id": "C0000001", "event_time": at, "kind": "login"}
        return LiveInteraction(**{**given, "channel": "mobile_bank", **changes})

    def add(*events: LiveInteraction) -> int:
        placed = [(f"interactions.{n}", "interaction", one) for n, one in enumerate(events)]
        return asyncio.run(store.add_events(placed))

    assert add(login("E2", 2), login("E1", 1)) == 2
    assert add(login("E2", 2), login("E3", 3)) == 1
    with pytest.raises(
        RequestRefused, match=r"interactions\.1\.event_id: 'E2' .* another body"
    ) as no:
        add(login("E4", 4), login("E2", 2, kind="browse"))
    assert no.value.status == 409
    times = [body["event_time"] for _, body in facts(store)]
    assert times == [f"2026-07-01T02:0{minute}:00Z" for minute in (1, 2, 3)]
    assert {kind for kind, _ in facts(store)} == {"interaction"}


def test_facts_are_those_of_the_customer_in_the_time_asked_for(store: DecisionStore):
    consent = LiveConsent(
        event_id="E1", customer_id="C2", event_time=AT, channel="sms", allowed=False
    )
    asyncio.run(store.add_events([("", "consent", consent)]))
    assert facts(store) == []
    for since, until, found in ((-1, 1, 1), (0, 0, 1), (1, 2, 0), (-2, -1, 0)):
        window = AT + timedelta(seconds=since), AT + timedelta(seconds=until)
        assert len(store.known("C2", None, *window)[1]) == found


def test_a_bad_job_costs_its_neighbours_nothing(store: DecisionStore):
    async def together():
        await store.add(decision(3), [TELLER])
        wrong = store.add_outcomes([("", outcome(decision_id="D3", rank=9))], ["*"], 60.0)
        return await asyncio.gather(
            store.add(decision(1)), wrong, store.add(decision(2)), return_exceptions=True
        )

    first, wrong, second = asyncio.run(together())
    assert (first.decision_id, second.decision_id) == ("D1", "D2")
    assert isinstance(wrong, RequestRefused)
    assert store.by_id("D1")
    assert store.by_id("D2")


def test_staff_minutes_count_a_place_once_by_day_and_outlet(store: DecisionStore):
    day = AT - timedelta(hours=2)
    places = [place(), place(2, "video", "", 20.0), place(3, org_id="O0002"), place(4), place(5)]
    asyncio.run(store.add(decision(), places))
    store_outcomes(
        store,
        outcome(),
        outcome(outcome_id="X2", kind="completed", occurred_at=AT + timedelta(minutes=30)),
        outcome(outcome_id="X3", rank=2),
        outcome(outcome_id="X4", rank=3),
        outcome(outcome_id="X5", rank=4, kind="shown"),
        outcome(outcome_id="X6", rank=5, occurred_at=AT + timedelta(days=1)),
        outcome(outcome_id="X7", decision_id="nowhere"),
    )
    used = store.minutes_used(day, day + timedelta(days=1))
    assert used.of("O0001") == {"teller": 12.0, "video": 20.0}
    assert used.of("") == {"video": 20.0}


def test_a_workers_own_outcomes_count_at_once(store: DecisionStore):
    asyncio.run(store.add(decision(), [TELLER]))
    day = AT - timedelta(hours=2), AT + timedelta(hours=22)
    assert store.minutes_used(*day).of("O0001") == {}
    store_outcomes(store, outcome())
    assert store.minutes_used(*day).of("O0001") == {"teller": 12.0}


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


def test_a_full_disk_costs_what_is_not_acknowledged_and_nothing_else(tmp_path):
    store = DecisionStore.open(tmp_path / "decisions.sqlite")

    def pages(most: int) -> None:
        with store.engine.connect() as connection:
            assert connection.exec_driver_sql(f"pragma max_page_count = {most}").scalar() == most

    def add(number: int) -> StoredDecision:
        bulky = replace(decision(number), record=b"x" * 50_000)
        return asyncio.run(store.add(bulky, [TELLER]))

    stored = []

    def fill() -> None:
        while True:
            stored.append(add(len(stored) + 1).decision_id)

    pages(100)
    with pytest.raises(StoreError, match=r"cannot be written: .*full"):
        fill()
    assert len(stored) >= 2
    failed = f"D{len(stored) + 1}"
    assert all(store.by_id(one) for one in stored)
    assert store.by_id(failed) is None
    pages(10_000)
    assert add(len(stored) + 1).decision_id == failed
    assert store_outcomes(store, outcome(decision_id=failed))[0].orphaned is False
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
