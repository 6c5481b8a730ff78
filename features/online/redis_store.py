"""An online store in Redis: a key per customer and generation, and a pointer that moves last.

Keys, under the prefix of the address:

- ``current``: JSON of the generation that is read, the one before it, and what a `StoreMeta` says;
- ``<generation>:<customer_id>``: a customer's vector and state;
- ``tags:<generation>:<customer_id>``: his tags, where they were published;
- ``ids:<generation>``: a list of lists of its customers, in JSON: what `customer_ids` reads, and
  what a generation is removed by, without a scan of a Redis that others use too;
- ``generations``: those that have keys; ``writing``: the one being written; ``counter``.

The generation before the current one is kept for readers that have not looked at the pointer yet.
A writer that was killed leaves the pointer where it was, and the next removes what it left. The
Redis must not evict keys (`maxmemory-policy noeviction`, its default): an evicted customer would
be unknown.
"""

from __future__ import annotations

import contextlib
import itertools
import json
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, cast

import redis
from pydantic import ValidationError
from redis.backoff import NoBackoff
from redis.exceptions import RedisError, WatchError
from redis.retry import Retry

from features.config import StrictConfig
from features.online.location import RedisAddress
from features.online.record import (
    OnlineStoreError,
    OnlineStoreUnreachable,
    Row,
    StoreMeta,
    Written,
    batches,
)

BATCH = 500
"""Customers written at once, some 2 MB: Redis answers others in between."""

READ_TIMEOUT_S = 1.0
WRITE_TIMEOUT_S = 30.0
WITHOUT_VECTOR = -1


class Pointer(StrictConfig):
    """What `current` holds."""

    generation: int
    previous: int | None
    meta: StoreMeta


def pack(vector: bytes | memoryview | None, state: str) -> bytes:
    """Join vector and state to one value: count of numbers (8 bytes, −1 = none), vector, JSON.

    >>> unpack(pack(b"12345678", "{}"))
    (b'12345678', b'{}')
    """
    count = WITHOUT_VECTOR if vector is None else len(vector) // 8
    return b"".join((count.to_bytes(8, "little", signed=True), vector or b"", state.encode()))


def unpack(value: bytes) -> tuple[bytes | None, bytes]:
    """Take apart what `pack` joined; of a damaged value one part is no vector or no JSON."""
    count = int.from_bytes(value[:8], "little", signed=True)
    end = 8 + 8 * max(count, 0)
    return (None if count == WITHOUT_VECTOR else value[8:end]), value[end:]


def write_redis(address: RedisAddress, meta: StoreMeta, rows: Iterable[Row]) -> int:
    """Write a generation, move the pointer to it, remove those before the last; return customers.

    Of two that publish at once the one that began later wins; the other is told so.
    """
    with _telling(address), contextlib.closing(_client(address, WRITE_TIMEOUT_S)) as client:
        writer = _Writer(client, address)
        try:
            written = sum(writer.write(batch) for batch in batches(rows, BATCH))
            writer.finish(meta)
        except BaseException:
            # where Redis itself is the trouble the next publish removes it
            with contextlib.suppress(RedisError):
                writer.remove(writer.generation)
            raise
    return written


class _Writer:
    """One generation on its way; others that were left unfinished are removed when it begins."""

    def __init__(self, client: redis.Redis, address: RedisAddress) -> None:
        self._client = client
        self._address = address
        self.generation = int(client.incr(self._key("counter")))
        with client.pipeline() as begin:
            begin.sadd(self._key("generations"), self.generation)
            begin.set(self._key("writing"), self.generation)
            begin.execute()
        pointer = self._pointer()
        self._remove_but(*((pointer.generation, pointer.previous) if pointer else ()))

    def write(self, batch: list[Row]) -> int:
        """Write some customers at once, and first of all who they are."""
        values = {
            self._key(self.generation, customer): pack(vector, state)
            for customer, vector, state, _ in batch
        }
        values |= {
            self._key("tags", self.generation, customer): tags.encode()
            for customer, _, _, tags in batch
            if tags is not None
        }
        with self._as_the_newest() as pipe:
            pipe.rpush(self._key("ids", self.generation), json.dumps([row[0] for row in batch]))
            pipe.mset(values)
        return len(batch)

    def finish(self, meta: StoreMeta) -> None:
        """Move the pointer; from now on this generation is read."""
        before = self._pointer()
        previous = before.generation if before else None
        pointer = Pointer(generation=self.generation, previous=previous, meta=meta)
        with self._as_the_newest() as pipe:
            pipe.set(self._key("current"), pointer.model_dump_json())
            pipe.delete(self._key("writing"))
        self._remove_but(previous)

    def remove(self, generation: int) -> None:
        """Remove all keys of a generation; what is cut off half-way can be done again."""
        ids = self._key("ids", generation)
        while batch := self._client.lindex(ids, 0):
            whose = json.loads(batch)
            self._client.unlink(*(self._key(generation, one) for one in whose))
            self._client.unlink(*(self._key("tags", generation, one) for one in whose))
            self._client.lpop(ids)
        self._client.srem(self._key("generations"), generation)

    def _remove_but(self, *kept: int | None) -> None:
        for generation in map(int, self._client.smembers(self._key("generations"))):
            if generation not in (self.generation, *kept):
                self.remove(generation)

    @contextlib.contextmanager
    def _as_the_newest(self) -> Iterator[Any]:
        """Run a transaction that is done only while no later writer has begun."""
        writing = self._key("writing")
        with self._client.pipeline() as pipe:
            pipe.watch(writing)  # type: ignore[no-untyped-call]
            if pipe.get(writing) != str(self.generation).encode():
                raise self._overtaken()
            pipe.multi()
            yield pipe
            try:
                pipe.execute()
            except WatchError:
                raise self._overtaken() from None

    def _pointer(self) -> Pointer | None:
        return _pointer(self._client.get(self._key("current")), self._address)

    def _overtaken(self) -> OnlineStoreError:
        return OnlineStoreError(
            f"{self._address}: another publish began after this one and took its place; "
            "nothing of this one is read"
        )

    def _key(self, *parts: str | int) -> str:
        return _key(self._address, *parts)


class RedisStore:
    """Reads the generation that was current when it was opened."""

    def __init__(self, address: RedisAddress) -> None:
        """Connect and look up the pointer; `OnlineStoreError` where that cannot be done."""
        self.where = str(address)
        self._address = address
        self._client = _client(address, READ_TIMEOUT_S)
        try:
            pointer = self._current()
        except OnlineStoreError:
            self.close()
            raise
        if pointer is None:
            self.close()
            raise OnlineStoreError(
                f"{address}: no online store; make it with python -m features publish"
            )
        self._generation = pointer.generation
        self.meta = pointer.meta

    def get(self, customer_id: str) -> Written | None:
        """Give a customer's vector and state as written; None for who is not there."""
        key = _key(self._address, self._generation, customer_id)
        with _telling(self._address):
            value = self._client.get(key)
        return self._unpacked([value])[0]

    def get_many(self, customer_ids: Sequence[str]) -> list[Written | None]:
        """Give what `get` gives of each of some hundreds of customers, in their order."""
        keys = [_key(self._address, self._generation, customer) for customer in customer_ids]
        with _telling(self._address):
            values = self._client.mget(keys)
        return self._unpacked(values)

    def _unpacked(self, values: Any) -> list[Written | None]:
        # nobody may seem unknown because the whole generation has gone
        if None in values and not self._is_kept():
            raise OnlineStoreError(
                f"{self.where}: generation {self._generation} was replaced and removed; open the "
                "store again"
            )
        return [None if value is None else unpack(value) for value in values]

    def tags(self, customer_id: str) -> str | bytes | None:
        """Give a customer's tags as written; None for who has none there."""
        with _telling(self._address):
            key = _key(self._address, "tags", self._generation, customer_id)
            return cast("bytes | None", self._client.get(key))

    def customer_ids(self) -> list[str]:
        """Give all customers, in order of id."""
        with _telling(self._address):
            batches = self._client.lrange(_key(self._address, "ids", self._generation), 0, -1)
        return sorted(itertools.chain.from_iterable(map(json.loads, batches)))

    def is_current(self) -> bool:
        """Whether the pointer is still at the generation that was opened."""
        pointer = self._current()
        return pointer is not None and pointer.generation == self._generation

    def close(self) -> None:
        """Close the connection."""
        self._client.close()

    def _is_kept(self) -> bool:
        pointer = self._current()
        return pointer is not None and self._generation in (pointer.generation, pointer.previous)

    def _current(self) -> Pointer | None:
        with _telling(self._address):
            return _pointer(self._client.get(_key(self._address, "current")), self._address)


def _key(address: RedisAddress, *parts: str | int) -> str:
    return ":".join((address.prefix, *map(str, parts)))


def _pointer(value: bytes | str | None, address: RedisAddress) -> Pointer | None:
    try:
        return None if value is None else Pointer.model_validate_json(value)
    except ValidationError:
        raise OnlineStoreError(
            f"{address}: not a readable online store ({_key(address, 'current')} is damaged); "
            "delete that key and publish again"
        ) from None


def _client(address: RedisAddress, timeout_s: float) -> redis.Redis:
    # one retry: a connection that lay idle may have been closed by the other side
    return redis.Redis.from_url(
        address.url,
        socket_timeout=timeout_s,
        socket_connect_timeout=READ_TIMEOUT_S,
        retry=Retry(NoBackoff(), 1),
    )


@contextlib.contextmanager
def _telling(address: RedisAddress) -> Iterator[None]:
    try:
        yield
    except RedisError as error:
        raise OnlineStoreUnreachable(
            f"{address}: Redis cannot be used ({error}); is it running, and may this user read "
            "and write there?"
        ) from None
