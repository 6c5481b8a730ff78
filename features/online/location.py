"""Where an online store is: a SQLite file, or a Redis."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from features.online.record import OnlineStoreError

DEFAULT_PREFIX = "onepoint:online"
FORM = "redis://[user:password@]host[:port][/database][#prefix]"
ENV = "env:"


@dataclass(frozen=True)
class RedisAddress:
    """A Redis and the prefix of the store's keys there; shown without user and password."""

    url: str = field(repr=False)
    prefix: str = DEFAULT_PREFIX

    def __str__(self) -> str:
        parts = urlsplit(self.url)
        port = f":{parts.port}" if parts.port else ""
        return f"{parts.scheme}://{parts.hostname}{port}{parts.path}#{self.prefix}"


def location(text: str | Path) -> Path | RedisAddress:
    """Read where a store is from a command line or a setting.

    Parameters
    ----------
    text
        A file, a URL `redis://host:6379/0#prefix` (`rediss://` with TLS; without a prefix it is
        `onepoint:online`), or `env:NAME` where the environment variable NAME holds either: a
        password belongs there, not on a command line that others can list.

    Raises
    ------
    OnlineStoreError
        The variable is not set, or the URL is not of that form. No part of a URL is shown then:
        a password with an unescaped `/` or `#` may have landed anywhere in it.

    >>> str(location("redis://reader:secret@cache:6380/2#bank"))
    'redis://cache:6380/2#bank'
    """
    name = ""
    if isinstance(text, str) and text.startswith(ENV):
        name = text.removeprefix(ENV)
        text = os.environ.get(name, "")
        if not text:
            raise OnlineStoreError(f"{ENV}{name}: set {name} to a file or to {FORM}")
    if not str(text):
        raise OnlineStoreError(f"the online store has no place: name a file or {FORM}")
    if isinstance(text, Path) or "://" not in text:
        return Path(text)
    try:
        return _redis_address(text)
    except ValueError as error:
        said = f" in {name}" if name else ""
        raise OnlineStoreError(
            f"the URL of the online store{said} cannot be used: {error}; write it as {FORM}, "
            "special characters of a password as %23 and the like"
        ) from None


def _redis_address(url: str) -> RedisAddress:
    parts = urlsplit(url)
    if parts.scheme not in ("redis", "rediss"):
        raise ValueError("it does not begin with redis:// or rediss://")
    try:
        host, _ = parts.hostname, parts.port
    except ValueError:
        raise ValueError("its port is not a number") from None
    if not host:
        raise ValueError("it names no host")
    if not re.fullmatch(r"(/\d*)?", parts.path):
        raise ValueError("its database is not a number")
    if parts.query:
        raise ValueError("it has a query (?…)")
    if not re.fullmatch(r"[\w.:-]*", parts.fragment):
        raise ValueError("its prefix has other characters than letters, digits, _ . : -")
    return RedisAddress(parts._replace(fragment="").geturl(), parts.fragment or DEFAULT_PREFIX)
