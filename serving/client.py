"""Asking a running service over HTTP, as a channel app would."""

from __future__ import annotations

import http.client
import json
import time
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from features.errors import OnePointError


class CallError(OnePointError):
    """The service did not answer as asked; says what it said."""


@dataclass(frozen=True)
class ServiceClient:
    """Speaks to the service at ``url`` with one key."""

    url: str
    key: str
    timeout_s: float = 30.0

    def recommend(self, request: dict[str, Any]) -> dict[str, Any]:
        """`POST /v1/recommend`."""
        return self.call("POST", "/v1/recommend", request)

    def call(self, method: str, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        """Send one request; `CallError` carries the problem the service named."""
        headers = {"Authorization": f"Bearer {self.key}", "Content-Type": "application/json"}
        content = None if body is None else json.dumps(body).encode("utf-8")
        status, answer = self._send(method, path, content, headers)
        try:
            value = json.loads(answer)
        except ValueError:
            raise CallError(f"{self.url}{path}: {status} {answer[:200]!r}") from None
        if status != 200:
            detail = value.get("detail", value) if isinstance(value, dict) else value
            raise CallError(f"{self.url}{path}: {status} {detail}")
        if not isinstance(value, dict):
            raise CallError(f"{self.url}{path}: answered with something else than an object")
        return value

    def wait_until_ready(self, patience_s: float) -> bool:
        """Ask `/readyz` until it says yes; False where patience ends first."""
        until = time.monotonic() + patience_s
        while time.monotonic() < until:
            try:
                if self._send("GET", "/readyz", None, {})[0] == 200:
                    return True
            except CallError:
                pass  # not listening yet
            time.sleep(0.1)
        return False

    def _send(
        self, method: str, path: str, body: bytes | None, headers: dict[str, str]
    ) -> tuple[int, bytes]:
        parts = urlsplit(self.url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise CallError(f"'{self.url}' is not an address; write http://127.0.0.1:3000")
        kind = (
            http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
        )
        connection = kind(parts.hostname, parts.port, timeout=self.timeout_s)
        try:
            connection.request(method, path, body, headers)
            response = connection.getresponse()
            return response.status, response.read()
        except (OSError, http.client.HTTPException) as error:
            raise CallError(
                f"{self.url}: no answer ({error}); start the service with `make serve` "
                "(or `python -m serving serve --work DIR`)"
            ) from None
        finally:
            connection.close()
