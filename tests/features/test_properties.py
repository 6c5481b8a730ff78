"""What holds for every feature: row order, repetition, ranges, batch = one customer alone."""

import math
import random
from datetime import UTC, datetime

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from features.build import build
from features.feature_set import FeatureSet
from features.registry import available_features
from features.spine import customers_at
from features.states import customer_states
from features.tables import BROUGHT

WORDS = st.sampled_from(["teller", "video", "", "柜员", "unseen"])


def test_row_order_does_not_matter(bank, example_spine, example_features, clock):
    luck = random.Random(20260701)
    for name in BROUGHT:
        bank.rewrite(name, lambda rows: [rows[0], *luck.sample(rows[1:], len(rows) - 1)])
    shuffled = customers_at(bank.open(), [clock])
    assert build(shuffled).equals(example_features)
    assert list(customer_states(shuffled)) == list(customer_states(example_spine))


def test_building_twice_gives_the_same(example_source, example_features, clock):
    assert build(customers_at(example_source, [clock])).equals(example_features)


def test_a_failed_build_leaves_nothing_behind(example_source, example_spine, example_features):
    def stop(history: str) -> None:
        if history == "balances":
            raise KeyboardInterrupt

    def tables():
        return sorted(example_source.con.sql("show tables").fetchall())

    before = tables()
    with pytest.raises(KeyboardInterrupt):
        build(example_spine, progress=stop)
    assert tables() == before


def test_features_made_from_others_need_them(example_spine, example_source):
    share = [f for f in available_features(example_source) if f.name == "online_share_90d"]
    with pytest.raises(ValueError, match=r"online_share_90d.*online_interactions_90d"):
        build(example_spine, share)


def test_batch_of_many_is_one_customer_alone(example_source, example_features, clock):
    learned = FeatureSet.learn(example_features, available_features(example_source))
    batch = learned.encode(example_features)
    alone = build(customers_at(example_source, [clock], ["young_app"]))
    assert alone["customer_id"].to_pylist() == ["young_app"]
    assert example_features["customer_id"].to_pylist()[7] == "young_app"
    assert learned.encode(alone).tobytes() == batch[7].tobytes()


def test_one_moment_among_many_is_that_moment_alone(simulated_source, simulated_features):
    moments = sorted(set(simulated_features["as_of"].to_pylist()))
    at = moments[-2]
    alone = build(customers_at(simulated_source, [datetime.fromtimestamp(at / 1_000_000, tz=UTC)]))
    among = simulated_features.filter(pa.compute.equal(simulated_features["as_of"], at))
    assert among.num_rows == alone.num_rows > 250
    assert (
        among.drop_columns("row_id")
        .combine_chunks()
        .equals(alone.drop_columns("row_id").combine_chunks())
    )


@pytest.mark.parametrize("bank_name", ["example", "simulated"])
def test_declared_ranges_hold(request, bank_name):
    source = request.getfixturevalue(f"{bank_name}_source")
    table = request.getfixturevalue(f"{bank_name}_features")
    broken = []
    for feature in available_features(source):
        if feature.category:
            continue
        values = [value for value in table[feature.name].to_pylist() if value is not None]
        low = -math.inf if feature.low is None else feature.low
        high = math.inf if feature.high is None else feature.high
        outside = [value for value in values if not low <= value <= high]
        if outside:
            broken.append(f"{feature.name}: {outside[0]} is not in {low} … {high}")
        if feature.empty is not None and len(values) < table.num_rows:
            broken.append(f"{feature.name} is missing, though declared {feature.empty} where empty")
    assert broken == []


@given(st.lists(st.none() | WORDS, min_size=1, max_size=20), st.sets(WORDS))
def test_unknown_words_and_missing_values_are_nan(cells, vocabulary):
    words = tuple(sorted(vocabulary))
    learned = FeatureSet(
        names=("number", "word"),
        groups={"number": "activity", "word": "life_stage"},
        vocabularies={"word": words},
    )
    numbers = [None if cell is None else 1.5 for cell in cells]
    table = pa.table(
        {"word": pa.array(cells, pa.string()), "number": pa.array(numbers, pa.float64())}
    )
    matrix = learned.encode(table)
    assert matrix.dtype == np.float64
    for cell, (number, code) in zip(cells, matrix, strict=True):
        assert np.isnan(number) if cell is None else number == 1.5
        assert words[int(code)] == cell if cell in words else np.isnan(code)


def test_a_feature_set_learns_words_and_knows_its_version(example_source, example_features):
    features = available_features(example_source)
    learned = FeatureSet.learn(example_features, features)
    assert learned.vocabularies["gender"] == ("F", "M")
    assert "" not in learned.vocabularies["occupation"]
    assert learned.encode(example_features).shape == (8, len(features))
    other = FeatureSet.learn(example_features.slice(0, 2), features)
    assert FeatureSet.learn(example_features, features).version == learned.version
    assert other.version != learned.version
    with pytest.raises(KeyError):
        learned.encode(example_features.drop_columns("gender"))
