"""A lean HTTP/1.1 client, so that what is measured is the service and not who asks."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass
from typing import Any

BROKEN = (OSError, asyncio.IncompleteReadError)
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


class Connection:
    """One keep-alive connection to a port of 127.0.0.1; one request at a time."""

    def __init__(self, port: int) -> None:
        self.port = port
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def open(self) -> None:
        """Connect where there is no connection; `OSError` where it is refused."""
        if self._streams is not None and self._streams[0].at_eof():
            self.close()  # the service closed it while nobody asked
        if self._streams is None:
            self._streams = await asyncio.open_connection("127.0.0.1", self.port, limit=2**22)

    async def ask(self, request: bytes) -> Reply:
        """Send a request and read the answer; one of `BROKEN` where there is none."""
        await self.open()
        assert self._streams is not None  # noqa: S101 (opened above)
        reader, writer = self._streams
        whole = False
        try:
            writer.write(request)
            reply = await _read(reader)
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
        if self._streams is not None:
            self._streams[1].close()
            self._streams = None


async def _read(reader: asyncio.StreamReader) -> Reply:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    status, *lines = head.split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (x.partition(":") for x in lines)}
    if "content-length" not in headers:
        raise OSError(f"an answer without a length: {status}")
    body = await reader.readexactly(int(headers["content-length"]))
    return Reply(int(status.split()[1]), body, headers.get("connection", "").lower() == "close")
