"""A lean HTTP/1.1 client, so that what is measured is the service and not who asks."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass
from typing import Any

BROKEN = OSError
"""What a connection raises that was refused, or broke before the answer was whole."""


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer; ``closing`` says that the next request needs another connection."""

    status: int
    body: bytes
    closing: bool


def request_bytes(
    method: str, path: str, key: str | None = None, body: dict[str, Any] | None = None
) -> bytes:
    r"""Write a request, once, to be sent as often as wished.

    >>> request_bytes("GET", "/readyz")
    b'GET /readyz HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 0\r\n\r\n'
    """
    content = b"" if body is None else json.dumps(body).encode("utf-8")
    lines = [f"{method} {path} HTTP/1.1", "Host: 127.0.0.1", f"Content-Length: {len(content)}"]
    lines += ["Content-Type: application/json"] if content else []
    lines += [f"Authorization: Bearer {key}"] if key else []
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1") + content


class _Wire(asyncio.Protocol):
    """A connection that is open: one request at a time, its answer as soon as that is whole.

    asyncio's streams take a tenth more, of cores that the service under load is asked to fill.
    """

    def __init__(self) -> None:
        self.gone = False
        self._came = bytearray()
        self._head: tuple[int, int, bool] | None = None
        self._answer: asyncio.Future[Reply] | None = None
        self._transport: asyncio.Transport

    def ask(self, request: bytes) -> asyncio.Future[Reply]:
        """Send a request; its answer is to come."""
        self._answer = asyncio.get_running_loop().create_future()
        self._transport.write(request)
        return self._answer

    def close(self) -> None:
        """Let go."""
        self.gone = True
        self._transport.close()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)  # noqa: S101 (of a stream)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._came += data
        if self._head is None:
            end = self._came.find(b"\r\n\r\n")
            if end < 0:
                return
            try:
                status, length, closing = _read_head(bytes(self._came[:end]))
            except (OSError, ValueError) as error:
                self.connection_lost(OSError(str(error)))
                self._transport.close()
                return
            del self._came[: end + 4]
            self._head = status, length, closing
        status, length, closing = self._head
        if len(self._came) >= length:
            body = bytes(self._came[:length])
            self._came.clear()
            self._head = None
            if self._answer is not None and not self._answer.done():
                self._answer.set_result(Reply(status, body, closing))

    def eof_received(self) -> None:
        self.gone = True  # already now: it is told to be lost a turn of the loop later

    def connection_lost(self, error: Exception | None) -> None:
        self.gone = True
        if self._answer is not None and not self._answer.done():
            why = error if isinstance(error, OSError) else OSError("closed before the answer")
            self._answer.set_exception(why)


class Connection:
    """One keep-alive connection to a port of 127.0.0.1; one request at a time."""

    def __init__(self, port: int) -> None:
        self.port = port
        self._wire: _Wire | None = None

    async def open(self) -> None:
        """Connect where there is no connection; `OSError` where it is refused."""
        if self._wire is None or self._wire.gone:  # the service may close it while nobody asks
            loop = asyncio.get_running_loop()
            _, self._wire = await loop.create_connection(_Wire, "127.0.0.1", self.port)

    async def ask(self, request: bytes) -> Reply:
        """Send a request and read the answer; `BROKEN` where there is none."""
        await self.open()
        assert self._wire is not None  # noqa: S101 (opened above)
        whole = False
        try:
            reply = await self._wire.ask(request)
            whole = True
        finally:
            # Also where the asking was given up: a late answer must not meet the next request.
            if not whole:
                self.close()
        if reply.closing:
            self.close()
        return reply

    def close(self) -> None:
        """Let go of the connection."""
        if self._wire is not None:
            self._wire.close()
            self._wire = None


def _read_head(head: bytes) -> tuple[int, int, bool]:
    r"""Read status, length of the body, and whether the connection closes after it.

    >>> _read_head(b"HTTP/1.1 200 OK\r\nContent-Length: 12\r\nConnection: close")
    (200, 12, True)
    """
    first, *lines = head.lower().split(b"\r\n")
    headers = {name: value.strip() for name, _, value in (line.partition(b":") for line in lines)}
    if b"content-length" not in headers:
        raise OSError(f"an answer without a length: {first.decode('latin-1')}")
    closing = headers.get(b"connection") == b"close"
    return int(first.split()[1]), int(headers[b"content-length"]), closing
