"""The load generator hears answers however they come, and no connection holds an arrival back."""

import asyncio
import itertools

import pytest

from experiments.http_connection import BROKEN, Connection, request_bytes
from experiments.load import at_rate

ASKED = request_bytes("GET", "/")
ANSWER = b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello"


def asked_of(serve, ask):
    served = []

    async def serve_and_close(reader, writer):
        served.append(asyncio.current_task())
        await serve(reader, writer)
        writer.close()
        await writer.wait_closed()

    async def both():
        server = await asyncio.start_server(serve_and_close, "127.0.0.1", 0)
        async with server:
            try:
                return await ask(server.sockets[0].getsockname()[1])
            finally:
                await asyncio.gather(*served)

    return asyncio.run(both())


def test_an_answer_in_pieces_is_one_answer():
    async def serve(reader, writer):
        for _ in range(2):
            await reader.readuntil(b"\r\n\r\n")
            for piece in (ANSWER[:20], ANSWER[20:40], ANSWER[40:]):
                writer.write(piece)
                await asyncio.sleep(0.01)

    async def ask(port):
        connection = Connection(port)
        replies = [await connection.ask(ASKED), await connection.ask(ASKED)]
        connection.close()
        return replies

    assert [(one.status, one.body, one.closing) for one in asked_of(serve, ask)] == [
        (200, b"hello", False)
    ] * 2


@pytest.mark.parametrize(
    ("sent", "said"),
    [
        (b"", "closed before the answer"),
        (ANSWER[:-1], "closed before the answer"),
        (b"HTTP/1.1 200 OK\r\n\r\n", "without a length"),
    ],
)
def test_an_answer_that_is_not_whole_breaks_the_connection(sent, said):
    async def serve(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        writer.write(sent)

    async def ask(port):
        await Connection(port).ask(ASKED)

    with pytest.raises(BROKEN, match=said):
        asked_of(serve, ask)


def test_a_connection_closed_while_nobody_asks_is_opened_again():
    opened = []

    async def serve(reader, writer):
        opened.append(writer)
        await reader.readuntil(b"\r\n\r\n")
        writer.write(ANSWER)

    async def ask(port):
        connection = Connection(port)
        for _ in range(3):
            assert (await connection.ask(ASKED)).body == b"hello"
            await asyncio.sleep(0.02)

    asked_of(serve, ask)
    assert len(opened) == 3


def test_arrivals_do_not_wait_for_a_connection():
    """All are inside before any is answered: with a pool of fewer they would wait in vain."""
    inside, all_there = [], asyncio.Event()

    async def serve(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        inside.append(writer)
        if len(inside) == 400:
            all_there.set()
        await asyncio.wait_for(all_there.wait(), 30)
        writer.write(ANSWER)

    async def ask(port):
        return await at_rate(port, itertools.repeat(ASKED), 2_000, 0.2, 1)

    assert asked_of(serve, ask).tally() == {200: 400}
