"""The online store: what is published is what is read, whole or not at all."""

import sqlite3
from datetime import UTC, datetime

import numpy as np
import pytest

from features.feature_set import FeatureSet
from features.online import OnlineStore, OnlineStoreError, publish
from features.registry import available_features
from features.states import customer_states


@pytest.fixture(scope="module")
def learned(example_source, example_features) -> FeatureSet:
    return FeatureSet.learn(example_features, available_features(example_source))


@pytest.fixture
def records(learned, example_features, example_spine):
    ids = example_features["customer_id"].to_pylist()
    states = customer_states(example_spine)
    return list(zip(ids, learned.encode(example_features), states, strict=True))


@pytest.fixture
def path(tmp_path, learned, records, clock):
    path = tmp_path / "online" / "features.sqlite"
    assert publish(path, learned, clock, records) == 8
    return path


def test_what_is_published_is_read(path, learned, records, clock):
    with OnlineStore(path) as store:
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


def test_an_unknown_customer_is_none(path):
    with OnlineStore(path) as store:
        assert store.read("nobody") is None
        assert store.read("old_branch' or '1'='1") is None


def test_a_customer_without_features_has_a_state(tmp_path, learned, records, clock):
    customer, _, state = records[0]
    path = tmp_path / "store.sqlite"
    publish(path, learned, clock, [(customer, None, state)])
    with OnlineStore(path) as store:
        assert store.read(customer).vector is None
        assert store.read(customer).state == state


def test_a_missing_store_says_how_to_make_it(tmp_path):
    with pytest.raises(OnlineStoreError, match="no online store; make it with python -m features"):
        OnlineStore(tmp_path / "features.sqlite")


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
def test_a_damaged_store_is_told(path, damage):
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(OnlineStoreError, match=r"features\.sqlite: .*publish it again"):
        OnlineStore(path)


def test_a_store_cut_short_later_never_gives_half_an_answer(path, records):
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    with pytest.raises(OnlineStoreError):
        read_all(path, records)


def read_all(path, records):
    with OnlineStore(path) as store:
        for customer, _, _ in records:
            assert store.read(customer) is not None


@pytest.mark.parametrize(
    "cell", ["vector = x'0102'", "vector = zeroblob(8)", "state = '{\"customer_id\": 1}'"]
)
def test_a_damaged_record_is_told(path, cell):
    with sqlite3.connect(path) as con:
        con.execute(f"update customers set {cell} where customer_id = 'managed'")  # noqa: S608
    con.close()
    with OnlineStore(path) as store:
        assert store.read("overdue") is not None
        with pytest.raises(OnlineStoreError, match="record of managed is damaged"):
            store.read("managed")


def test_an_interrupted_publish_leaves_the_old_store(path, learned, records, clock):
    before = path.read_bytes()

    def interrupted():
        yield from records[:3]
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        publish(path, learned, datetime(2026, 8, 1, tzinfo=UTC), interrupted())
    assert path.read_bytes() == before
    assert [file.name for file in path.parent.iterdir()] == [path.name]


def test_a_new_store_takes_the_place_of_the_old(path, learned, records):
    later = datetime(2026, 8, 1, tzinfo=UTC)
    publish(path, learned, later, records[:2])
    with OnlineStore(path) as store:
        assert store.as_of == later
        assert len(store.customer_ids()) == 2
