"""The online store in a file and in Redis: what is published is read, whole or not at all."""

import signal
import sqlite3
import subprocess
import sys
import threading
import uuid
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
import redis

from features.feature_set import FeatureSet
from features.online import (
    OnlineStore,
    OnlineStoreError,
    RedisAddress,
    publish,
    publish_customers,
)
from features.registry import available_features
from features.spine import customers_at
from features.state import CustomerState
from features.states import customer_states
from features.tags.registry import available_tags

ROOT = Path(__file__).resolve().parents[2]
SMALL = FeatureSet(names=("a", "b"), groups={"a": "g", "b": "g"}, vocabularies={})


@pytest.fixture(params=["file", pytest.param("redis", marks=pytest.mark.needs("redis"))])
def where(request, tmp_path):
    """A place of the test's own that has no store yet."""
    if request.param == "file":
        yield tmp_path / "online" / "features.sqlite"
        return
    url = request.getfixturevalue("redis_url")
    address = RedisAddress(url, f"onepoint-test-{uuid.uuid4().hex}")
    yield address
    with redis.Redis.from_url(url) as client:
        for key in client.scan_iter(f"{address.prefix}:*", count=10_000):
            client.delete(key)


def left_behind(where) -> int:
    """Files, or keys of customers in Redis, that no reader of the current store needs."""
    if isinstance(where, Path):
        return sum(file != where for file in where.parent.iterdir())
    with redis.Redis.from_url(where.url) as client, OnlineStore(where) as store:
        keys = {key.decode() for key in client.scan_iter(f"{where.prefix}:*", count=10_000)}
        number = store._published._generation
    kept = {f"{where.prefix}:{number}", f"{where.prefix}:ids:{number}"}
    heads = {key if ":ids:" in key else key.rsplit(":", 1)[0] for key in keys}
    return len(heads - kept - {where.prefix})


@pytest.fixture(scope="module")
def learned(example_source, example_features) -> FeatureSet:
    return FeatureSet.learn(example_features, available_features(example_source))


@pytest.fixture(scope="module")
def records(learned, example_features, example_spine):
    ids = example_features["customer_id"].to_pylist()
    states = customer_states(example_spine)
    return list(zip(ids, learned.encode(example_features), states, strict=True))


@pytest.fixture
def published(where, learned, records, clock):
    assert publish(where, learned, clock, records) == 8
    return where


def small(customers: int, value: float = 0.0, clock: datetime = datetime(2026, 7, 1, tzinfo=UTC)):
    """Customers whose whole vector is one value."""
    for number in range(customers):
        customer = f"C{number:07d}"
        yield customer, np.full(2, value), CustomerState(customer_id=customer, as_of=clock)


def test_what_is_published_is_read(published, learned, records, clock):
    with OnlineStore(published) as store:
        assert store.version == learned.version
        assert store.as_of == clock
        assert store.feature_names == learned.names
        assert store.customer_ids() == [customer for customer, _, _ in records]
        for customer, vector, state in records:
            record = store.read(customer)
            assert record is not None
            assert record.vector.tobytes() == vector.tobytes()
            assert record.vector.dtype == np.float64
            assert record.state == state
            assert (record.customer_id, record.as_of) == (customer, clock)


def test_a_spine_is_published_as_its_records_are(where, learned, records, example_source, clock):
    spine = customers_at(example_source, [clock])
    said = []
    assert publish_customers(where, learned, spine, clock, progress=said.append) == 8
    assert said[-1] == "states"
    with OnlineStore(where) as store:
        for customer, vector, state in records:
            record = store.read(customer)
            assert record.vector.tobytes() == vector.tobytes()
            assert record.state == state


def test_a_spine_in_parts_is_the_same(where, learned, records, example_source, clock, monkeypatch):
    def tables():
        return set(example_source.con.sql("show tables").fetchall())

    monkeypatch.setattr("features.online.publishing.AT_ONCE", 5)
    spine, tags = customers_at(example_source, [clock]), available_tags(example_source, ["org"])
    before = tables()
    said = []
    assert publish_customers(where, learned, spine, clock, tags, said.append) == 8
    assert said.count("states") == 2
    assert tables() == before
    with OnlineStore(where) as store:
        assert store.customer_ids() == [customer for customer, _, _ in records]
        for customer, vector, state in records:
            assert store.read(customer).vector.tobytes() == vector.tobytes()
            assert store.read(customer).state == state
            managers = [one.value for one in store.tags(customer) if one.code == "managed_by"]
            assert managers == ([state.owner.staff_id] if state.owner else [])
        assert any(state.owner for _, _, state in records)
    publish(where, learned, clock, records[:1])
    publish(where, learned, clock, records[:1])
    assert left_behind(where) == isinstance(where, RedisAddress) * 2  # the generation before
    with OnlineStore(where) as store:
        assert store.tags(records[0][0]) is None


def test_every_bit_of_a_vector_stays(where, clock):
    odd = np.frombuffer(
        np.array([0x7FF8000000000001, 0x8000000000000000, 1, 0xFFF0000000000000], dtype="<u8")
    ).astype(np.float64)
    rows = [
        (f"C{place}", odd[[place, -1]], CustomerState(customer_id=f"C{place}", as_of=clock))
        for place in range(4)
    ]
    publish(where, SMALL, clock, rows)
    with OnlineStore(where) as store:
        for customer, vector, _ in rows:
            assert store.read(customer).vector.tobytes() == vector.tobytes()


@pytest.mark.parametrize("customer", ["", "客户:1", "a b\n\"'", "ids:1", "current"])
def test_any_text_may_be_an_id(where, clock, customer):
    state = CustomerState(customer_id=customer, as_of=clock)
    publish(where, SMALL, clock, [(customer, np.zeros(2), state), *small(1, 1.0)])
    with OnlineStore(where) as store:
        assert store.read(customer).state == state
        assert store.read("C0000000").vector[0] == 1.0
        assert store.customer_ids() == sorted([customer, "C0000000"])


def test_an_unknown_customer_is_none(published):
    with OnlineStore(published) as store:
        assert store.read("nobody") is None
        assert store.read("old_branch' or '1'='1") is None


def test_a_customer_without_features_has_a_state(where, learned, records, clock):
    customer, _, state = records[0]
    publish(where, learned, clock, [(customer, None, state)])
    with OnlineStore(where) as store:
        assert store.read(customer).vector is None
        assert store.read(customer).state == state


def test_a_store_without_customers(where, clock):
    assert publish(where, SMALL, clock, []) == 0
    with OnlineStore(where) as store:
        assert store.customer_ids() == []
        assert store.read("nobody") is None
    assert publish(where, SMALL, clock, small(3)) == 3


def test_a_missing_store_says_how_to_make_it(where):
    with pytest.raises(OnlineStoreError, match="no online store; make it with python -m features"):
        OnlineStore(where)


def test_another_feature_set_is_another_version(where, clock):
    other = FeatureSet(names=("b", "a"), groups=SMALL.groups, vocabularies={})
    publish(where, SMALL, clock, small(2))
    with OnlineStore(where) as old:
        publish(where, other, clock, small(2))
        with OnlineStore(where) as new:
            assert (old.version, old.feature_names) == (SMALL.version, SMALL.names)
            assert (new.version, new.feature_names) == (other.version, other.names)


def test_a_new_store_takes_the_place_of_the_old(where, clock):
    later = clock + timedelta(days=1)
    publish(where, SMALL, clock, small(3, 1.0))
    with OnlineStore(where) as old:
        assert old.is_current()
        publish(where, SMALL, later, small(2, 2.0))
        assert not old.is_current()
        # who has the old one open goes on with it
        assert (old.as_of, len(old.customer_ids())) == (clock, 3)
        assert old.read("C0000002").vector[0] == 1.0
    with OnlineStore(where) as new:
        assert new.is_current()
        assert (new.as_of, len(new.customer_ids())) == (later, 2)
        assert new.read("C0000002") is None


def test_a_reader_never_sees_a_mixture(where, clock):
    """A thread reads all along; each store it opens is of one version from end to end."""
    customers, versions = 1_200, 8
    publish(where, SMALL, clock, small(customers, 0.0))
    seen: list[set[float]] = []
    stop = threading.Event()

    def read_all_along():
        luck = np.random.default_rng(1)
        while not stop.is_set():
            with OnlineStore(where) as store:
                values = set()
                for _ in range(100):
                    record = store.read(f"C{luck.integers(customers):07d}")
                    values.update(record.vector)
                    if not store.is_current():
                        break
                seen.append(values)

    reader = threading.Thread(target=read_all_along)
    reader.start()
    try:
        for version in range(1, versions + 1):
            publish(where, SMALL, clock, small(customers, float(version)))
            begun = len(seen)
            while len(seen) < begun + 2 and reader.is_alive():
                stop.wait(0.001)
    finally:
        stop.set()
        reader.join()
    assert {len(values) for values in seen} == {1}
    assert set().union(*seen) >= {float(version) for version in range(1, versions + 1)}


def test_an_interrupted_publish_leaves_the_old_store(where, clock):
    publish(where, SMALL, clock, small(3, 1.0))

    def interrupted():
        yield from small(1_200, 2.0)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        publish(where, SMALL, clock + timedelta(days=1), interrupted())
    assert left_behind(where) == 0
    with OnlineStore(where) as store:
        assert store.as_of == clock
        assert [store.read(one).vector[0] for one in store.customer_ids()] == [1.0, 1.0, 1.0]


KILLED = """
import sys, time
from datetime import UTC, datetime
import numpy as np
from features.feature_set import FeatureSet
from features.online import publish
from features.state import CustomerState

def rows():
    at = datetime(2026, 7, 2, tzinfo=UTC)
    for number in range(1_200):
        customer = f"C{number:07d}"
        yield customer, np.full(2, 2.0), CustomerState(customer_id=customer, as_of=at)
    print("midway", flush=True)
    time.sleep(600)

names = FeatureSet(names=("a", "b"), groups={"a": "g", "b": "g"}, vocabularies={})
publish(sys.argv[1], names, datetime(2026, 7, 2, tzinfo=UTC), rows())
"""


def test_a_killed_publish_leaves_the_old_store_and_the_next_cleans_up(where, clock):
    publish(where, SMALL, clock, small(3, 1.0))
    text = str(where) if isinstance(where, Path) else f"{where.url}#{where.prefix}"
    with subprocess.Popen(
        [sys.executable, "-c", KILLED, text], cwd=ROOT, stdout=subprocess.PIPE, text=True
    ) as writer:
        assert writer.stdout.readline() == "midway\n"
        writer.send_signal(signal.SIGKILL)
    assert left_behind(where) > 0
    with OnlineStore(where) as store:
        assert store.customer_ids() == ["C0000000", "C0000001", "C0000002"]
        assert store.read("C0000001").vector[0] == 1.0
        assert store.read("C0000003") is None
    publish(where, SMALL, clock, small(2, 3.0))
    publish(where, SMALL, clock, small(2, 4.0))
    assert left_behind(where) == isinstance(where, RedisAddress) * 2  # the generation before
    with OnlineStore(where) as store:
        assert store.read("C0000001").vector[0] == 4.0


def test_a_vector_of_another_length_is_told(where, clock):
    long = CustomerState(customer_id="long", as_of=clock)
    publish(where, SMALL, clock, [*small(1), ("long", np.zeros(3), long)])
    with OnlineStore(where) as store:
        assert store.read("C0000000") is not None
        with pytest.raises(OnlineStoreError, match=r"damaged \(3 values for 2 features\)"):
            store.read("long")


def test_another_customers_record_is_told_without_telling_whose(where, clock):
    ((customer, vector, state),) = small(1)
    publish(where, SMALL, clock, [("mine", vector, state)])
    with (
        OnlineStore(where) as store,
        pytest.raises(OnlineStoreError, match="record is damaged") as told,
    ):
        store.read("mine")
    assert customer not in str(told.value)


# of a file only


@pytest.fixture
def path(tmp_path, learned, records, clock):
    path = tmp_path / "a #1? folder" / "features.sqlite"
    publish(path, learned, clock, records)
    return path


@pytest.mark.parametrize(
    "damage",
    [
        lambda content: b"",
        lambda content: b"not a database at all" * 100,
        lambda content: b"\xff" * 4096 + content[4096:],
        lambda content: content[:100],
    ],
    ids=["empty", "another file", "overwritten", "cut short"],
)
def test_a_damaged_file_is_told(path, damage):
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(OnlineStoreError, match=r"features\.sqlite: .*publish it again"):
        OnlineStore(path)


@pytest.mark.parametrize(
    "change",
    ["delete from meta where key = 'version'", "update meta set value = 'x' where key = 'as_of'",
     "update meta set value = '{' where key = 'names'", "drop table meta"],
)  # fmt: skip
def test_a_damaged_meta_table_is_told(path, change):
    with sqlite3.connect(path) as con:
        con.execute(change)
    con.close()
    with pytest.raises(OnlineStoreError, match=r"features\.sqlite: not a readable online store"):
        OnlineStore(path)


def test_a_file_cut_short_later_never_gives_half_an_answer(path, records):
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    with pytest.raises(OnlineStoreError):
        read_all(path, records)


def read_all(path, records):
    with OnlineStore(path) as store:
        for customer, _, _ in records:
            assert store.read(customer) is not None


@pytest.mark.parametrize(
    "cell",
    ["vector = x'0102'", "vector = zeroblob(8)", "vector = 'text'", "state = x'ff'",
     "state = '{\"customer_id\": 1}'"],
)  # fmt: skip
def test_a_damaged_row_is_told(path, cell):
    with sqlite3.connect(path) as con:
        con.execute(f"update customers set {cell} where customer_id = 'managed'")  # noqa: S608
    con.close()
    with OnlineStore(path) as store:
        assert store.read("overdue") is not None
        with pytest.raises(OnlineStoreError, match="a customer's record is damaged"):
            store.read("managed")
        there, damaged, nobody = store.read_many(["overdue", "managed", "nobody"])
    assert there.customer_id == "overdue"
    assert "a customer's record is damaged" in str(damaged)
    assert nobody is None


def test_many_are_read_as_each_is_alone(published, records):
    ids = [customer for customer, *_ in records]
    with OnlineStore(published) as store:
        many = store.read_many([ids[3], "nobody", *ids])
        for customer, found in zip([ids[3], "nobody", *ids], many, strict=True):
            alone = store.read(customer)
            if alone is None:
                assert found is None
                continue
            assert (found.customer_id, found.as_of, found.state) == (
                customer, alone.as_of, alone.state,
            )  # fmt: skip
            np.testing.assert_array_equal(found.vector, alone.vector)


def test_of_two_that_write_one_file_the_second_is_told(path, clock):
    before = path.read_bytes()

    def with_another():
        yield from small(2)
        with pytest.raises(OnlineStoreError, match="another publish is writing it; wait"):
            publish(path, SMALL, clock, small(5))

    assert publish(path, SMALL, clock, with_another()) == 2
    assert path.read_bytes() != before
    assert left_behind(path) == 0
    assert publish(path, SMALL, clock, small(5)) == 5


def test_a_customer_given_twice_is_told(tmp_path, clock):
    with pytest.raises(OnlineStoreError, match=r"store\.sqlite: cannot be written .*customer_id"):
        publish(tmp_path / "store.sqlite", SMALL, clock, [*small(2), *small(1)])
    assert list(tmp_path.iterdir()) == []
