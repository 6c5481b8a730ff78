"""The service follows what is published, in a file or in Redis, without a restart."""

import uuid
from datetime import UTC, datetime

import numpy as np
import pytest
import redis

import serving.stores.online
from features.feature_set import FeatureSet
from features.online import OnlineStoreError, RedisAddress, publish
from features.state import CustomerState
from serving.config import WorkFolder
from serving.stores.online import PublishedCustomers

CLOCK = datetime(2026, 7, 1, 2, tzinfo=UTC)
NAMES = FeatureSet(names=("a",), groups={"a": "g"}, vocabularies={})


@pytest.fixture(params=["file", pytest.param("redis", marks=pytest.mark.needs("redis"))])
def where(request, tmp_path):
    if request.param == "file":
        yield tmp_path / "online.sqlite"
        return
    url = request.getfixturevalue("redis_url")
    address = RedisAddress(url, f"onepoint-test-{uuid.uuid4().hex}")
    yield address
    with redis.Redis.from_url(url) as client:
        for key in client.scan_iter(f"{address.prefix}:*", count=10_000):
            client.delete(key)


@pytest.fixture
def customers(where):
    customers = PublishedCustomers(where)
    yield customers
    customers.close()


def put(where, value: float) -> None:
    state = CustomerState(customer_id="C1", as_of=CLOCK)
    publish(where, NAMES, CLOCK, [("C1", np.array([value]), state)])


def test_a_new_publication_is_taken_up(where, customers, monkeypatch):
    monkeypatch.setattr(serving.stores.online, "LOOK_S", 0.0)
    for value in (1.0, 2.0, 3.0, 4.0):
        put(where, value)
        assert customers.read("C1").vector[0] == value


def test_the_store_of_a_record_stays_until_the_next_read(where, customers, monkeypatch):
    monkeypatch.setattr(serving.stores.online, "LOOK_S", 0.0)
    put(where, 1.0)
    customers.read("C1")
    read = customers.current()
    other = FeatureSet(names=("b",), groups={"b": "g"}, vocabularies={})
    publish(where, other, CLOCK, [])
    assert customers.current() is read
    assert customers.current().feature_names == ("a",)
    assert customers.read("C1") is None
    assert customers.current().feature_names == ("b",)


@pytest.mark.needs("redis")
@pytest.mark.parametrize("where", ["redis"], indirect=True)
def test_redis_is_not_asked_at_every_read(where, customers, monkeypatch):
    put(where, 1.0)
    monkeypatch.setattr(serving.stores.online, "LOOK_S", 60.0)
    customers.read("C1")
    put(where, 2.0)
    assert customers.read("C1").vector[0] == 1.0
    monkeypatch.setattr(serving.stores.online, "LOOK_S", 0.0)
    assert customers.read("C1").vector[0] == 2.0


def test_a_store_that_cannot_be_opened_is_left_alone_a_while(where, customers, monkeypatch):
    with pytest.raises(OnlineStoreError, match="no online store"):
        customers.read("C1")
    put(where, 1.0)
    monkeypatch.setattr(serving.stores.online, "RETRY_S", 60.0)
    with pytest.raises(OnlineStoreError, match="no online store"):
        customers.read("C1")
    monkeypatch.setattr(serving.stores.online, "RETRY_S", 0.0)
    assert customers.read("C1").vector[0] == 1.0


def test_a_work_folder_may_name_another_store(tmp_path, where, monkeypatch):
    folder = WorkFolder(tmp_path)
    assert folder.online_store() == tmp_path / "online.sqlite"
    folder.settings.write_text("online: env:MY_STORE\n", "utf-8")
    with pytest.raises(OnlineStoreError, match="set MY_STORE"):
        folder.online_store()
    text = f"{where.url}#{where.prefix}" if isinstance(where, RedisAddress) else str(where)
    monkeypatch.setenv("MY_STORE", text)
    assert folder.online_store() == where
