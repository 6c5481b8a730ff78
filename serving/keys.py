"""Who may ask what: API keys, kept as digests, each bound to an audience, doors and verbs."""

from __future__ import annotations

import hashlib
import logging
import os
import secrets
import time
from collections.abc import Collection, Iterable
from pathlib import Path
from typing import Annotated, Literal, get_args

import yaml
from pydantic import Field, model_validator

from features.config import StrictConfig, load_yaml, parse_config
from features.errors import ConfigError, OnePointError, did_you_mean
from serving.contract import Audience
from serving.errors import RequestRefused, StartError

logger = logging.getLogger("onepoint.serving")
Verb = Literal["recommend", "outcomes", "interactions", "read", "metrics", "docs"]
"""What a key may do: POST /v1/<verb>; `read` is every GET below /v1; /metrics; /openapi.json."""
VERBS: tuple[Verb, ...] = get_args(Verb)
READING: frozenset[Verb] = frozenset({"read", "metrics", "docs"})
AUDIENCES: tuple[Audience, ...] = get_args(Audience)
EVERY_CHANNEL = "*"
LOOK_S = 1.0
"""How often the keys' file is looked at."""
NAME = r"^[A-Za-z0-9_\-]{1,64}$"


class Key(StrictConfig):
    """One caller: what is kept of his key, and what it opens.

    ``sha256`` is the digest of the key; the key itself is 256 random bits, so that a plain digest
    cannot be guessed back. ``channels`` are the doors he speaks for, `*` is every door. A reviewer
    reads everything and writes nothing.
    """

    name: str = Field(pattern=NAME)
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    audience: Audience
    channels: Annotated[tuple[str, ...], Field(min_length=1)]
    verbs: Annotated[tuple[Verb, ...], Field(min_length=1)]

    @model_validator(mode="after")
    def _reviewers_only_read(self) -> Key:
        writes = [verb for verb in self.verbs if verb not in READING]
        if self.audience == "reviewer" and writes:
            raise ValueError(f"a reviewer writes nothing; take away {', '.join(writes)}")
        if self.audience == "reviewer" and self.channels != (EVERY_CHANNEL,):
            raise ValueError("a reviewer reads every channel; write channels: ['*']")
        return self

    def opens(self, channel: str) -> bool:
        """Say whether this caller speaks for a door.

        >>> key = Key(name="app", sha256="0" * 64, audience="customer",
        ...           channels=("mobile_bank",), verbs=("recommend",))
        >>> key.opens("mobile_bank"), key.opens("teller")
        (True, False)
        """
        return opened(self.channels, channel)


class Keys(StrictConfig):
    """The keys' file, `keys.yaml`: names and digests are each given once."""

    keys: tuple[Key, ...]

    @model_validator(mode="after")
    def _each_once(self) -> Keys:
        for what in ("name", "sha256"):
            given = [getattr(one, what) for one in self.keys]
            twice = sorted({one for one in given if given.count(one) > 1})
            if twice:
                raise ValueError(f"{what} {twice[0]} stands twice; keep one")
        return self


class KeyRing:
    """The keys of a file, taken up again within a second of a change, without a restart.

    A new file that cannot be read leaves the old keys in force and says so in the log.
    """

    def __init__(self, file: Path) -> None:
        self.file = file
        self._seen = _stamp(file)
        self._keys = _by_digest(read_keys(file))
        self._looked_at = time.monotonic()

    def find(self, key: str) -> Key | None:
        """Say whose key it is; None for a stranger's.

        A lookup by digest tells nothing by its time: who could choose digests could choose keys.
        """
        now = time.monotonic()
        if now >= self._looked_at + LOOK_S:
            self._looked_at = now
            self._look_again()
        return self._keys.get(_digest(key))

    def _look_again(self) -> None:
        stamp = _stamp(self.file)
        if stamp == self._seen:
            return
        self._seen = stamp
        try:
            self._keys = _by_digest(read_keys(self.file))
        except OnePointError as error:
            logger.error("the old API keys stay in force: %s", error)
        else:
            logger.info("API keys read again: %d", len(self._keys))


def opened(doors: Collection[str], channel: str) -> bool:
    """Say whether ``channel`` is among the doors, `*` being every door."""
    return EVERY_CHANNEL in doors or channel in doors


def not_your_door(
    doors: Collection[str], channel: str, place: str = "header Authorization"
) -> RequestRefused:
    """Refuse a caller of ``doors`` who speaks, at a ``place`` of his request, of another."""
    return RequestRefused.at(
        403,
        place,
        f"this key does not speak for channel '{channel}'",
        f"its channels: {', '.join(doors)}",
    )


def read_keys(file: Path) -> Keys:
    """Read a keys' file; it may hold no key any more, but it must be there."""
    if not file.is_file():
        raise StartError(f"{file}: no API keys; make one with `python -m serving keys add`")
    return load_yaml(file, Keys)


def add_key(
    file: Path, name: str, audience: Audience, channels: Iterable[str], verbs: Iterable[Verb]
) -> str:
    """Draw a key, keep its digest in the file and give the key, which is nowhere else."""
    drawn = secrets.token_urlsafe(32)
    known = load_yaml(file, Keys).keys if file.is_file() else ()
    if any(one.name == name for one in known):
        raise ConfigError(f"{file}: '{name}' has a key; revoke it first, or take another name")
    given = {
        "name": name,
        "sha256": _digest(drawn),
        "audience": audience,
        "channels": tuple(channels),
        "verbs": tuple(verbs),
    }
    new = parse_config(given, Key, f"key '{name}'")
    _write(file, Keys(keys=(*known, new)))
    return drawn


def revoke_key(file: Path, name: str) -> None:
    """Take a key out of the file; a running service refuses it within a second."""
    known = load_yaml(file, Keys).keys
    left = tuple(one for one in known if one.name != name)
    if len(left) == len(known):
        raise ConfigError(f"{file}: no key '{name}'; {did_you_mean(name, [k.name for k in known])}")
    _write(file, Keys(keys=left))


def _write(file: Path, keys: Keys) -> None:
    temporary = file.with_name(f"{file.name}.{os.getpid()}")
    temporary.unlink(missing_ok=True)
    text = yaml.safe_dump(keys.model_dump(mode="json"), sort_keys=False)
    with os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as handle:
        handle.write(text)
    temporary.replace(file)


def _stamp(file: Path) -> tuple[int, int, int] | None:
    try:
        found = file.stat()
    except OSError:
        return None
    return found.st_ino, found.st_size, found.st_mtime_ns


def _by_digest(keys: Keys) -> dict[str, Key]:
    return {one.sha256: one for one in keys.keys}


def _digest(key: str) -> str:
    return hashlib.sha256(key.encode("utf-8", "surrogateescape")).hexdigest()
