"""Who asks: one secret key per audience, compared without telling how much of it was right."""

from __future__ import annotations

import hashlib
import hmac
import os
import secrets
from pathlib import Path
from typing import get_args

from features.errors import did_you_mean
from serving.contract import Audience
from serving.errors import StartError

KEYS_VARIABLE = "ONEPOINT_API_KEYS"
SHORTEST_KEY = 16
AUDIENCES: tuple[Audience, ...] = get_args(Audience)
_FORM = "customer=KEY,staff=KEY,reviewer=KEY"


class KeyRing:
    """Digests of the keys by audience; the keys themselves are not kept."""

    def __init__(self, keys: dict[Audience, str]) -> None:
        self._digests = {audience: _digest(key) for audience, key in keys.items()}

    def audience_of(self, key: str) -> Audience | None:
        """Say whose key it is; every digest is compared, so that time tells nothing."""
        given = _digest(key)
        found: Audience | None = None
        for audience, digest in self._digests.items():
            if hmac.compare_digest(given, digest):
                found = audience
        return found


def parse_keys(text: str) -> dict[Audience, str]:
    """Read ``customer=KEY,staff=KEY,reviewer=KEY``; every message leaves the keys out.

    >>> sorted(parse_keys("staff=0123456789abcdef"))
    ['staff']
    """
    keys: dict[Audience, str] = {}
    for number, part in enumerate(text.split(","), start=1):
        name, equals, key = (piece.strip() for piece in part.partition("="))
        place = f"{KEYS_VARIABLE}, entry {number}"
        if not equals:
            raise StartError(f"{place}: has no '='; write {_FORM}")
        audience = next((one for one in AUDIENCES if one == name), None)
        if audience is None:
            raise StartError(f"{place}: unknown scope; {did_you_mean(name, AUDIENCES)}")
        if audience in keys:
            raise StartError(f"{place}: scope '{audience}' stands twice; keep one")
        if len(key) < SHORTEST_KEY or not key.isascii():
            raise StartError(
                f"{place}: the key of '{audience}' must be at least {SHORTEST_KEY} ASCII characters"
            )
        keys[audience] = key
    if len(set(keys.values())) < len(keys):
        raise StartError(f"{KEYS_VARIABLE}: two scopes share a key; give each its own")
    return keys


def read_keys(file: Path) -> dict[Audience, str]:
    """Keys from the environment, else from ``file``; without keys the service does not start."""
    text = os.environ.get(KEYS_VARIABLE)
    if text is None and file.is_file():
        line = file.read_text("utf-8").strip()
        name, _, text = line.partition("=")
        if name != KEYS_VARIABLE or not text or "\n" in line:
            raise StartError(f"{file}: must be one line {KEYS_VARIABLE}={_FORM}")
    if not text:
        raise StartError(
            f"no API keys: set {KEYS_VARIABLE}={_FORM}, or write that line into {file}"
        )
    return parse_keys(text)


def write_new_keys(file: Path) -> dict[Audience, str]:
    """Draw a key for each audience and write them to ``file``, for its owner's eyes only."""
    keys = {audience: secrets.token_urlsafe(32) for audience in AUDIENCES}
    line = f"{KEYS_VARIABLE}=" + ",".join(f"{name}={key}" for name, key in keys.items()) + "\n"
    file.unlink(missing_ok=True)
    with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as handle:
        handle.write(line)
    return keys


def _digest(key: str) -> bytes:
    return hashlib.sha256(key.encode("utf-8", "surrogateescape")).digest()
