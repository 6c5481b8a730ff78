"""Groups are compared within those for whom it is suitable; small ones are told, not compared."""

import numpy as np
import pytest

from serving.groups import SMALL, parity, read_attributes


def test_rates_are_of_those_it_suits_and_the_ratio_is_of_the_lowest_to_the_highest():
    names = ["a"] * 100 + ["b"] * 100
    suitable = np.array([True] * 100 + [True] * 50 + [False] * 50)
    offered = np.array([True] * 40 + [False] * 60 + [True] * 10 + [False] * 40 + [True] * 50)
    found = parity(suitable, offered, names)
    told = [(one.name, one.customers, one.rate) for one in found.groups]
    assert told == [("a", 100, 0.4), ("b", 50, 0.2)]
    assert found.ratio == pytest.approx(0.5)
    a, b = found.groups
    assert (a.low, a.high) == pytest.approx((0.3094, 0.4980), abs=1e-4)
    assert b.high - b.low > a.high - a.low


def test_a_small_group_is_told_and_left_out_of_the_ratio():
    names = ["a"] * 50 + ["b"] * 50 + ["c"] * (SMALL - 1)
    suitable = np.ones(len(names), dtype=bool)
    offered = np.array([True, False] * 50 + [False] * (SMALL - 1))
    found = parity(suitable, offered, names)
    assert [one.small for one in found.groups] == [False, False, True]
    assert found.ratio == 1.0


def test_without_anybody_to_compare_there_is_no_ratio():
    nobody, names = np.zeros(60, dtype=bool), ["a"] * 30 + ["b"] * 30
    assert parity(nobody, nobody, names).groups == ()
    assert parity(nobody, nobody, names).ratio is None
    assert parity(~nobody, nobody, names).ratio is None
    assert parity(~nobody, ~nobody, ["a"] * 60).ratio is None


def test_attributes_are_those_known_then(example_yaml, example_folder, clock):
    found = read_attributes(example_yaml, example_folder, clock, ["old_branch", "young_app"])
    assert found["gender"] == {"old_branch": "F", "young_app": "M"}
    assert found["region"]["old_branch"] == "east"


def test_an_attribute_the_source_lacks_is_left_out(example_yaml, example_folder, clock, tmp_path):
    lacks = example_yaml.read_text("utf-8").replace(
        'customers: "select *', 'customers: "select * exclude (gender)'
    )
    source = tmp_path / "source.yaml"
    source.write_text(lacks, "utf-8")
    assert set(read_attributes(source, example_folder, clock, ["old_branch"])) == {"region"}
