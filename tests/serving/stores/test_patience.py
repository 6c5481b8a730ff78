"""Stores are waited for as long as an answer can afford: each read, not the crowd of them."""

import asyncio
import gc
import threading
import time

import pytest

from serving.stores.patience import Patience, TooSlowError


@pytest.fixture
def patience():
    opened = Patience("a store", budget_s=0.1, rest_s=0.3)
    yield opened
    opened.close()


@pytest.fixture
def hanging():
    """A read that does not come back before the test ends; how often it was begun."""
    ended, begun = threading.Event(), []

    def read() -> None:
        begun.append(time.monotonic())
        ended.wait()

    yield read, begun, ended
    ended.set()


def test_a_crowd_of_quick_reads_is_waited_for_however_long_it_takes_together(patience):
    async def crowd() -> list[int]:
        reads = [patience.begin(lambda n=n: time.sleep(0.02) or n) for n in range(20)]
        return await asyncio.gather(*(wait() for wait in reads))

    assert asyncio.run(crowd()) == list(range(20))


def test_all_that_wait_behind_a_slow_read_do_without_and_are_never_run(patience, hanging):
    slow, begun, ended = hanging
    ran: list[int] = []

    async def crowd() -> list[object]:
        reads = [patience.begin(slow)] + [patience.begin(lambda: ran.append(1)) for _ in range(5)]
        told = await asyncio.gather(*(wait() for wait in reads), return_exceptions=True)
        # after its rest the store is still left alone while that read has not come back
        await asyncio.sleep(0.4)
        with pytest.raises(TooSlowError, match="left alone"):
            await patience.read(lambda: ran.append(2))
        ended.set()
        await asyncio.sleep(0.05)
        assert await patience.read(lambda: "well again") == "well again"
        return told

    started = time.monotonic()
    told = asyncio.run(crowd())
    assert all(isinstance(one, TooSlowError) for one in told), told
    assert "no answer within 100 ms" in str(told[-1])
    assert time.monotonic() - started < 5
    assert (len(begun), ran) == (1, [])


def test_a_read_that_fails_is_told_to_who_waits_and_to_no_log(patience, caplog):
    def fails() -> None:
        time.sleep(0.03)
        raise ValueError("C0000042")

    async def ask() -> None:
        with pytest.raises(ValueError, match="C0000042"):
            await patience.read(fails)

    asyncio.run(ask())
    gc.collect()
    assert caplog.text == ""


def test_a_read_that_nobody_waits_for_any_more_is_not_run(patience):
    ran: list[int] = []

    async def leave() -> None:
        first = patience.begin(lambda: time.sleep(0.05))
        second = patience.begin(lambda: ran.append(1))
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(second(), 0.01)
        await first()
        await patience.read(lambda: None)

    asyncio.run(leave())
    assert ran == []


def test_what_is_read_from_is_let_go_of_by_who_reads_it_after_the_present_read(hanging):
    slow, begun, ended = hanging
    patience, order = Patience("a store", budget_s=5.0), []

    def read() -> None:
        slow()
        order.append("read")

    patience.begin(read)
    waiting = patience.begin(lambda: order.append("never"))
    while not begun:
        time.sleep(0.001)
    for _ in range(2):  # who is closed may be closed again
        patience.close(lambda: order.append(threading.current_thread().name))
    assert order == []  # nobody waited for the read
    ended.set()
    patience._thread.shutdown(wait=True)
    assert order == ["read", "onepoint-a store_0"]
    with pytest.raises(TooSlowError, match="closed"):
        asyncio.run(waiting())
