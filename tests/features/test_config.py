"""A YAML file is read once, strictly; each mistake is told with file, place and remedy."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from features.config import StrictConfig, load_yaml, read_yaml
from features.errors import ConfigError, OnePointError, did_you_mean


class Inner(StrictConfig):
    minutes: int


class Outer(StrictConfig):
    name: str
    inner: Inner
    many: tuple[Inner, ...] = ()


@pytest.fixture
def written(tmp_path):
    def write(text: str):
        path = tmp_path / "room.yaml"
        path.write_text(text, "utf-8")
        return path

    return write


def test_good_file_becomes_a_frozen_model(written):
    config = load_yaml(written("name: 大厅\ninner: {minutes: 3}\n"), Outer)
    assert (config.name, config.inner.minutes) == ("大厅", 3)
    with pytest.raises(ValidationError):
        config.name = "other"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("nam: x\ninner: {minutes: 3}", r"unknown key 'nam'; did you mean 'name'\?"),
        ("name: x\ninner: {minute: 3}", r"unknown key 'inner\.minute'; did you mean 'minutes'\?"),
        ("name: x\ninner: {minutes: 3}\nmany: [{minuts: 1, minutes: 2}]",
         r"unknown key 'many\.0\.minuts'; did you mean 'minutes'\?"),
        ("inner: {minutes: 3}", r"key 'name' is missing; add it"),
        ("name: x\ninner: {minutes: soon}", r"'inner\.minutes': .*\(got 'soon'\)"),
        ("name: x\nname: y\ninner: {minutes: 3}", r"key 'name' stands twice.*keep one of them"),
        ("name: [x\ninner: 3", r"not valid YAML"),
        ("", r"\(top\)"),
    ],
)  # fmt: skip
def test_mistake_is_named_with_file_and_place(written, text, message):
    path = written(text)
    with pytest.raises(ConfigError, match=message) as error:
        load_yaml(path, Outer)
    assert str(error.value).startswith(str(path))


def test_every_mistake_is_told_at_once(written):
    with pytest.raises(ConfigError) as error:
        load_yaml(written("nam: x\ninner: {minutes: soon}"), Outer)
    assert len(str(error.value).splitlines()) == 3


def test_missing_file_names_its_neighbours(written):
    path = written("name: x")
    with pytest.raises(ConfigError, match=r"rom\.yaml: no such file; did you mean 'room\.yaml'"):
        read_yaml(path.with_name("rom.yaml"))


def test_bytes_that_are_no_text_are_refused(tmp_path):
    path = tmp_path / "room.yaml"
    path.write_bytes(b"name: \xff\xfe")
    with pytest.raises(ConfigError, match="not valid YAML"):
        read_yaml(path)


def test_nothing_but_plain_data_is_built(written):
    with pytest.raises(ConfigError, match="not valid YAML"):
        read_yaml(written("name: !!python/object/apply:os.getcwd []"))


def test_config_errors_are_for_people():
    assert issubclass(ConfigError, OnePointError)
    assert did_you_mean("telller", ["teller", "video"]).startswith("did you mean 'teller'?")
    assert did_you_mean("zzz", ["teller"]) == "allowed: teller"
