"""Where an online store is: a file, a Redis, or what a variable holds; passwords stay unseen."""

from pathlib import Path

import pytest

from features.feature_set import FeatureSet
from features.online import OnlineStoreError, RedisAddress, location, publish

SMALL = FeatureSet(names=("a",), groups={"a": "g"}, vocabularies={})


def test_a_location_is_a_file_or_a_redis(monkeypatch):
    assert location("work/online.sqlite") == Path("work/online.sqlite")
    assert location("redis://cache") == RedisAddress("redis://cache", "onepoint:online")
    assert location("rediss://u:p@cache:1/2#bank:a") == RedisAddress(
        "rediss://u:p@cache:1/2", "bank:a"
    )
    monkeypatch.setenv("MY_STORE", "redis://cache/3")
    assert location("env:MY_STORE") == RedisAddress("redis://cache/3", "onepoint:online")
    monkeypatch.setenv("MY_STORE", "store.sqlite")
    assert location("env:MY_STORE") == Path("store.sqlite")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "name a file or redis://"),
        ("env:NO_SUCH_VARIABLE", "set NO_SUCH_VARIABLE to a file or to redis://"),
        ("http://cache:80/hushhush", "does not begin with redis://"),
        ("redis://user:hushhush/1@cache/0", "its port is not a number"),
        ("redis://user:12/hushhush@cache/0", "its database is not a number"),
        ("redis://user:12#hushhush@cache/0", "its prefix has other characters"),
        ("redis://:hushhush@", "names no host"),
        ("redis://cache/0?password=hushhush", "has a query"),
        ("redis://cache/hushhush", "its database is not a number"),
    ],
)
def test_a_wrong_location_is_told_without_a_password(text, says):
    with pytest.raises(OnlineStoreError, match=says) as told:
        location(text)
    assert "hushhush" not in str(told.value)
    assert told.value.__cause__ is None


def test_an_address_never_shows_its_password():
    address = location("redis://user:hushhush@cache:6380/2#bank")
    assert str(address) == "redis://cache:6380/2#bank"
    assert "hushhush" not in repr(address) + f"{address!s}"


def test_a_file_that_cannot_be_written_is_told(tmp_path, clock):
    with pytest.raises(OnlineStoreError, match="is a folder; name a file in it"):
        publish(tmp_path, SMALL, clock, [])
    (tmp_path / "file").write_text("no folder")
    with pytest.raises(OnlineStoreError, match="cannot be written"):
        publish(tmp_path / "file" / "store.sqlite", SMALL, clock, [])
