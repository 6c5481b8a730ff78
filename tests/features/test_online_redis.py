"""The online store in Redis: its keys, its pointer, and what goes wrong with a server."""

import contextlib
import json
import socket
import threading
import uuid
from datetime import UTC, datetime
from urllib.parse import urlsplit

import numpy as np
import pytest
import redis

from features.__main__ import app
from features.feature_set import FeatureSet
from features.online import (
    OnlineStore,
    OnlineStoreError,
    OnlineStoreUnreachable,
    RedisAddress,
    publish,
)
from features.registry import available_features
from features.state import CustomerState

pytestmark = pytest.mark.needs("redis")

CLOCK = datetime(2026, 7, 1, 2, tzinfo=UTC)
NAMES = FeatureSet(names=("a", "b"), groups={"a": "g", "b": "g"}, vocabularies={})


@pytest.fixture
def address(redis_url):
    address = RedisAddress(redis_url, f"onepoint-test-{uuid.uuid4().hex}")
    yield address
    with redis.Redis.from_url(redis_url) as client:
        for key in client.scan_iter(f"{address.prefix}*", count=10_000):
            client.delete(key)


@pytest.fixture
def client(redis_url):
    with redis.Redis.from_url(redis_url, decode_responses=True) as client:
        yield client


def customers(number: int, value: float):
    for place in range(number):
        customer = f"C{place:04d}"
        yield customer, np.full(2, value), CustomerState(customer_id=customer, as_of=CLOCK)


def keys(client, address) -> set[str]:
    """The keys of a store without its prefix."""
    found = client.scan_iter(f"{address.prefix}:*", count=10_000)
    return {key.removeprefix(f"{address.prefix}:") for key in found}


def put(address, number: int, value: float) -> int:
    return publish(address, NAMES, CLOCK, customers(number, value))


def test_a_customer_is_one_key_and_a_read_one_command(client, address):
    put(address, 2, 1.0)
    assert keys(client, address) == {
        "1:C0000", "1:C0001", "ids:1", "current", "generations", "counter",
    }  # fmt: skip
    with OnlineStore(address) as store, client.monitor() as monitor:
        store.read("C0001")
        client.echo(f"{address.prefix} done")
        commands = []
        for command in monitor.listen():
            if address.prefix in command["command"]:
                commands.append(command["command"])
            if "ECHO" in command["command"].upper() and commands[-1] == command["command"]:
                break
    assert commands[:-1] == [f"GET {address.prefix}:1:C0001"]


def test_the_last_two_generations_are_kept(client, address):
    put(address, 2, 1.0)
    with OnlineStore(address) as first:
        put(address, 3, 2.0)
        assert first.read("C0001").vector[0] == 1.0
        put(address, 1, 3.0)
        kept = {key for key in keys(client, address) if key[0].isdigit()}
        assert kept == {"2:C0000", "2:C0001", "2:C0002", "3:C0000"}
        assert client.smembers(f"{address.prefix}:generations") == {"2", "3"}
        # nobody is unknown because his generation went
        with pytest.raises(OnlineStoreError, match="generation 1 was replaced and removed"):
            first.read("C0001")


def test_what_a_killed_writer_left_is_removed_and_nothing_else(client, address):
    put(address, 2, 1.0)
    neighbour = RedisAddress(address.url, f"{address.prefix}-too")
    put(neighbour, 2, 5.0)
    # as a writer leaves it that dies between two batches
    client.incr(f"{address.prefix}:counter")
    client.sadd(f"{address.prefix}:generations", 2)
    client.set(f"{address.prefix}:writing", 2)
    client.rpush(f"{address.prefix}:ids:2", json.dumps(["C0000", "C0001"]))
    client.set(f"{address.prefix}:2:C0000", b"half")
    put(address, 2, 3.0)
    assert keys(client, address) == {
        "1:C0000", "1:C0001", "ids:1", "3:C0000", "3:C0001", "ids:3",
        "current", "generations", "counter",
    }  # fmt: skip
    with OnlineStore(neighbour) as store:
        assert store.read("C0001").vector[0] == 5.0


def test_of_two_that_publish_at_once_the_later_wins(client, address):
    put(address, 1, 1.0)

    def overtaken():
        yield from customers(600, 2.0)
        put(address, 700, 3.0)
        yield from customers(1, 2.0)

    with pytest.raises(OnlineStoreError, match="another publish began after this one"):
        publish(address, NAMES, CLOCK, overtaken())
    with OnlineStore(address) as store:
        assert len(store.customer_ids()) == 700
        assert {store.read(one).vector[0] for one in store.customer_ids()} == {3.0}
    assert not [key for key in keys(client, address) if key.startswith("2:")]


def test_the_pointer_moves_in_one_step_and_last(address):
    """Before the last customer is written a reader finds the old version, and whole."""
    put(address, 2, 1.0)

    def looked_at():
        for record in customers(1_001, 2.0):
            if record[0] in ("C0000", "C0500", "C1000"):
                with OnlineStore(address) as store:
                    assert store.customer_ids() == ["C0000", "C0001"]
                    assert store.read("C0001").vector[0] == 1.0
            yield record

    assert publish(address, NAMES, CLOCK, looked_at()) == 1_001
    with OnlineStore(address) as store:
        assert store.read("C1000").vector[0] == 2.0


@pytest.mark.parametrize(
    "pointer", ["", "{", "[]", '{"generation": 1}', '{"generation": "one", "previous": null}']
)
def test_a_damaged_pointer_is_told(client, address, pointer):
    put(address, 2, 1.0)
    client.set(f"{address.prefix}:current", pointer)
    with pytest.raises(OnlineStoreError, match=r"not a readable online store \(.*:current is dama"):
        OnlineStore(address)
    # nothing is overwritten that cannot be understood; the message says the way out
    with pytest.raises(OnlineStoreError, match="delete that key and publish again"):
        put(address, 2, 2.0)
    client.delete(f"{address.prefix}:current")
    put(address, 2, 3.0)
    with OnlineStore(address) as store:
        assert store.read("C0000").vector[0] == 3.0


def test_a_pointer_that_went_is_no_unknown_customer(client, address):
    put(address, 2, 1.0)
    with OnlineStore(address) as store:
        client.delete(f"{address.prefix}:current")
        assert not store.is_current()
        assert store.read("C0000") is not None
        with pytest.raises(
            OnlineStoreError, match="was replaced and removed; open the store again"
        ):
            store.read("nobody")
    with pytest.raises(OnlineStoreError, match="no online store; make it with"):
        OnlineStore(address)


@pytest.mark.parametrize(
    "damage",
    [
        lambda value: b"",
        lambda value: value[:7],
        lambda value: value[:20],
        lambda value: value[:-1],
        lambda value: (-2).to_bytes(8, "little", signed=True) + value[8:],
        lambda value: (1).to_bytes(8, "little", signed=True) + value[8:],
        lambda value: (2**62).to_bytes(8, "little", signed=True) + value[8:],
    ],
    ids=["empty", "no count", "half a vector", "half a state", "count -2", "count 1", "huge count"],
)
def test_a_damaged_value_is_told(redis_url, address, damage):
    put(address, 2, 1.0)
    key = f"{address.prefix}:1:C0001"
    with redis.Redis.from_url(redis_url) as raw:
        raw.set(key, damage(raw.get(key)))
    with OnlineStore(address) as store:
        assert store.read("C0000") is not None
        with pytest.raises(OnlineStoreError, match="a customer's record is damaged") as told:
            store.read("C0001")
        there, damaged = store.read_many(["C0000", "C0001"])
    assert "C0001" not in str(told.value)
    assert there.customer_id == "C0000"
    assert str(damaged) == str(told.value)


def test_a_key_of_another_kind_is_told(client, address):
    put(address, 2, 1.0)
    client.delete(f"{address.prefix}:1:C0001")
    client.rpush(f"{address.prefix}:1:C0001", "x")
    with (
        OnlineStore(address) as store,
        pytest.raises(OnlineStoreError, match=r"Redis cannot be used .*WRONGTYPE"),
    ):
        store.read("C0001")


def test_a_dropped_connection_is_made_again(client, address):
    put(address, 2, 1.0)
    with OnlineStore(address) as store:
        store.read("C0000")
        client.client_kill_filter(_id=store._published._client.client_id())
        assert store.read("C0001").vector[0] == 1.0


def closed_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


def test_a_redis_that_is_down_is_told():
    down = RedisAddress(f"redis://user:hushhush@127.0.0.1:{closed_port()}/0")
    for attempt in (lambda: OnlineStore(down), lambda: put(down, 1, 1.0)):
        with pytest.raises(OnlineStoreUnreachable, match=r"Redis cannot be used.*is it") as told:
            attempt()
        assert "hushhush" not in str(told.value)


class Wire:
    """A port that leads to the real Redis until it is cut."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._server = (parts.hostname, parts.port or 6379)
        self._listening = socket.create_server(("127.0.0.1", 0))
        self._open = [self._listening]
        port = self._listening.getsockname()[1]
        login = f"{parts.username or ''}:{parts.password}@" if parts.password else ""
        self.url = f"redis://{login}127.0.0.1:{port}{parts.path}"
        self._threads = [threading.Thread(target=self._lead)]
        self._threads[0].start()

    def _lead(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                near, _ = self._listening.accept()
                far = socket.create_connection(self._server)
                self._open += [near, far]
                for ends in ((near, far), (far, near)):
                    self._threads.append(threading.Thread(target=self._copy, args=ends))
                    self._threads[-1].start()

    def _copy(self, source: socket.socket, target: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65_536):
                target.sendall(data)
            target.shutdown(socket.SHUT_WR)

    def cut(self) -> None:
        for end in self._open:
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join()
        for end in self._open:
            end.close()


@pytest.fixture
def wire(redis_url):
    wire = Wire(redis_url)
    yield wire
    wire.cut()


def test_a_redis_that_goes_down_while_it_is_read_is_told(wire, address):
    put(address, 2, 1.0)
    with OnlineStore(RedisAddress(wire.url, address.prefix)) as store:
        assert store.read("C0000") is not None
        wire.cut()
        for attempt in (lambda: store.read("C0000"), store.is_current, store.customer_ids):
            with pytest.raises(OnlineStoreUnreachable, match="Redis cannot be used"):
                attempt()


def test_a_redis_that_goes_down_while_publishing_keeps_the_old_store(wire, client, address):
    put(address, 1, 1.0)

    def until_it_goes():
        yield from customers(600, 2.0)
        wire.cut()
        yield from customers(600, 2.0)

    with pytest.raises(OnlineStoreUnreachable, match="Redis cannot be used"):
        publish(RedisAddress(wire.url, address.prefix), NAMES, CLOCK, until_it_goes())
    assert [key for key in keys(client, address) if key.startswith("2:")]
    with OnlineStore(address) as store:
        assert store.customer_ids() == ["C0000"]
    put(address, 2, 3.0)
    assert not [key for key in keys(client, address) if key.startswith("2:")]


@pytest.fixture
def command(typed, bank, tmp_path, example_source, example_features):
    """Run `python -m features publish` of the eight customers; gives code, stdout, stderr."""
    release = tmp_path / "release"
    release.mkdir()
    learned = FeatureSet.learn(example_features, available_features(example_source))
    (release / "features.json").write_text(learned.model_dump_json(), "utf-8")

    def call(out: str) -> tuple[int, str, str]:
        words = [
            "publish", "--source", bank.yaml, "--data", bank.folder, "--clock", CLOCK.isoformat(),
            "--as-of", CLOCK.isoformat(), "--release", release, "--out", out, "--json",
        ]  # fmt: skip
        return typed(app, "features", *words)

    return call


def test_the_command_publishes_to_the_redis_of_a_variable(command, address, monkeypatch):
    monkeypatch.setenv("MY_STORE", f"{address.url}#{address.prefix}")
    code, out, _ = command("env:MY_STORE")
    assert code == 0
    said = json.loads(out.splitlines()[-1])
    assert (said["out"], said["customers"]) == (str(address), 8)
    with OnlineStore("env:MY_STORE") as store:
        assert store.version == said["version"]
        assert store.as_of == CLOCK
        assert store.read("old_branch").state.holdings[1].offer == "deposit_1y"


def test_the_command_never_prints_a_password(command, address):
    parts = urlsplit(address.url)
    wrong = f"redis://nobody:hushhush@{parts.hostname}:{parts.port or 6379}#{address.prefix}"
    code, out, err = command(wrong)
    assert code == 2
    assert "error: redis://" in err
    assert "Redis cannot be used" in err
    assert "hushhush" not in out + err
    assert "Traceback" not in err
