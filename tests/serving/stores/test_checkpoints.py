"""SQLite's log is moved into its file beside the writer, and does not grow for ever."""

import asyncio
import time
from datetime import UTC, datetime

from serving.stores import checkpoints
from serving.stores.decisions import DecisionStore, StoredDecision
from serving.stores.engine import LOG_PAGES


def decision(number: int, size: int) -> StoredDecision:
    return StoredDecision(
        decision_id=f"D{number}",
        customer_id="C0000001",
        request_id=None,
        request_sha256="0" * 64,
        audience="staff",
        channel="teller",
        as_of=datetime(2026, 7, 1, 2, tzinfo=UTC),
        record=b"r" * size,
        answer=b"{}",
    )


def test_what_is_written_moves_from_the_log_into_the_file_beside_the_writer(tmp_path):
    """No commit does it, which would wait ten times as long; and the log does not grow for ever."""
    path = tmp_path / "decisions.sqlite"
    store = DecisionStore.open(path)
    with store.engine.connect() as connection:
        assert connection.exec_driver_sql("pragma wal_autocheckpoint").scalar() == LOG_PAGES
    log = path.with_name(path.name + "-wal")
    for number in (1, 2):
        before = path.stat().st_size
        asyncio.run(store.add(decision(number, 100_000)))
        for _ in range(100):
            if path.stat().st_size > before:
                break
            time.sleep(0.05)
        assert path.stat().st_size > before
        # the file grows before the log counts as moved: wait for the one who moves it
        store.journal._checkpoints._open.use(lambda _: None)
    assert log.stat().st_size < 200_000, "it begins again where it was emptied"
    store.close()


def test_a_log_that_is_written_to_without_a_pause_begins_again(tmp_path, monkeypatch):
    monkeypatch.setattr(checkpoints, "LONG", 100)
    monkeypatch.setattr(checkpoints, "EVERY_S", 0.01)
    path = tmp_path / "decisions.sqlite"
    store = DecisionStore.open(path)

    async def write() -> None:
        for number in range(300):
            await store.add(decision(number, 40_000))

    asyncio.run(write())
    assert path.with_name(path.name + "-wal").stat().st_size < 6_000_000, "of 12 MB written"
    store.close()
    assert not path.with_name(path.name + "-wal").exists()
