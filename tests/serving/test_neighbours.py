"""Workers see how busy the others are, and connections go where there is less to do."""

import asyncio

import psutil
import pytest

from experiments.http_connection import Connection, request_bytes
from serving.neighbours import Neighbours

ASK = {"customer_id": "C_PLAIN", "channel": "teller"}


@pytest.fixture
def three(tmp_path):
    """Two of the three workers of a service that have started."""
    file = tmp_path / "workers" / "inside"
    return Neighbours(file, 1, 3), Neighbours(file, 3, 3)


def test_who_has_twice_as_much_as_another_would_have_with_one_more_is_told_so(three):
    first, last = three
    for own, other, less_busy in [
        (0, 0, False), (1, 0, False), (2, 0, True), (9, 0, True),
        (3, 1, False), (4, 1, True), (17, 8, False), (18, 8, True), (18, 18, False),
    ]:  # fmt: skip
        first.show(own)
        last.show(other)
        assert first.less_busy() is less_busy, (own, other)
        assert not last.less_busy()


def test_more_than_a_byte_holds_is_as_much_as_it_holds(three):
    first, last = three
    first.show(10_000)
    last.show(9_000)
    assert not first.less_busy()
    last.show(100)
    assert first.less_busy()


def test_nothing_is_left_to_who_is_not_there(three):
    """The second worker never started, the third leaves: closing would help nobody."""
    first, last = three
    first.show(9)
    last.leave()
    assert not first.less_busy()


def test_a_worker_that_starts_again_has_nothing_inside(three, tmp_path):
    first, last = three
    last.show(9)
    first.show(9)
    assert not first.less_busy()
    Neighbours(tmp_path / "workers" / "inside", 3, 3)
    assert first.less_busy()


def test_connections_that_one_worker_has_are_shared_by_all(service):
    """Kept as they were opened, they would leave half of the service idle."""
    pids = service.loaded(2)
    port = int(service.url.rpartition(":")[2])
    probe = request_bytes("GET", "/livez")
    request = request_bytes("POST", "/v1/recommend", service.bank.keys["staff"], ASK)

    def held() -> list[int]:
        """Connections of each worker."""
        return [
            sum(one.laddr.port == port and one.status == "ESTABLISHED" for one in found)
            for found in (psutil.Process(pid).net_connections("tcp") for pid in pids)
        ]

    async def ask(caller: Connection, times: int) -> None:
        for _ in range(times):
            reply = await caller.ask(request)
            assert reply.status in (200, 429), reply

    async def hold_and_share() -> list[list[int]]:
        callers = [Connection(port) for _ in range(12)]
        asleep = psutil.Process(pids[1])
        asleep.suspend()
        try:
            for one in callers:
                assert (await one.ask(probe)).status == 200
        finally:
            asleep.resume()
        seen = [held()]
        asking = asyncio.gather(*(ask(one, 40) for one in callers))
        while not asking.done():
            seen.append(held())
            await asyncio.sleep(0.05)
        await asking
        for one in callers:
            one.close()
        return seen

    before, *while_asking = asyncio.run(hold_and_share())
    assert before == [12, 0]
    by_worker = [sum(one) for one in zip(*while_asking, strict=True)]
    assert min(by_worker) >= sum(by_worker) / 5, while_asking
