"""Batch = online: what the store of a service gives scores as the matrix of a batch does."""

from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from features.__main__ import app
from features.build import build
from features.online import OnlineStore
from features.spine import customers_at
from training.models.release import Release

CLOCK = "2027-01-01T00:00Z"


@pytest.fixture(scope="module")
def store(small_run, small_folder, tmp_path_factory):
    """The store that `python -m features publish` writes for the small release."""
    source = Path(__file__).resolve().parents[2] / "configs" / "sources" / "simulated_bank.yaml"
    out = tmp_path_factory.mktemp("online") / "online.sqlite"
    words = ["publish", "--source", source, "--data", small_folder, "--clock", CLOCK,
             "--release", small_run.release.folder, "--out", out]  # fmt: skip
    result = CliRunner().invoke(app, list(map(str, words)), catch_exceptions=False)
    assert result.exit_code == 0
    with OnlineStore(out) as opened:
        yield opened


@pytest.fixture(scope="module")
def release(small_run):
    """The release as a service has it: loaded from disk."""
    return Release.load(small_run.release.folder)


@pytest.fixture(scope="module")
def batch(store, release, small_source):
    """Fifty customers and their rows of the batch matrix, built at the store's moment."""
    table = build(customers_at(small_source, [store.as_of]))
    ids = table["customer_id"].to_pylist()
    chosen = np.linspace(0, len(ids) - 1, 50).astype(int)
    return [ids[row] for row in chosen], release.feature_set.encode(table)[chosen]


def test_the_store_is_of_the_releases_feature_set(store, release):
    assert store.version == release.feature_set_version
    assert store.feature_names == release.feature_names


def test_vectors_online_are_the_rows_of_the_batch(store, batch):
    ids, x = batch
    online = np.vstack([store.read(one).vector for one in ids])
    np.testing.assert_allclose(online, x, rtol=1e-12, atol=1e-9)
    assert np.isnan(x).any()


def test_start_probabilities_online_are_those_of_the_batch(store, release, batch):
    ids, x = batch
    online = np.vstack([release.p_start(store.read(one).vector.reshape(1, -1)) for one in ids])
    np.testing.assert_allclose(online, release.p_start(x), rtol=0, atol=1e-9)
    assert len({tuple(row) for row in online.round(6)}) > 40


def test_preferences_online_are_those_of_the_batch(store, release, batch):
    ids, x = batch
    for offer, stage in (("fund_r2", "application"), ("mortgage", "signing")):
        online = np.vstack(
            [
                release.preference(store.read(one).vector.reshape(1, -1), [offer], [stage])
                for one in ids
            ]
        )
        whole = release.preference(x, [offer] * len(ids), [stage] * len(ids))
        np.testing.assert_allclose(online, whole, rtol=0, atol=1e-9)


def test_amounts_online_are_those_of_the_batch(store, release, batch):
    ids, x = batch
    offers = [offer for offer in release.offer_ids if release.usual_amount_cny(offer)]
    assert len(offers) > 5
    for offer in offers:
        online = [
            release.expected_amounts(store.read(one).vector.reshape(1, -1), [offer])[0]
            for one in ids
        ]
        whole = release.expected_amounts(x, [offer] * len(ids))
        np.testing.assert_allclose(online, whole, rtol=1e-12)
        assert (whole > 0).all()


def test_a_preference_is_that_of_the_amount_expected_until_one_is_told(release, batch):
    _, x = batch
    offers, stages = ["deposit_1y"] * len(x), ["application"] * len(x)
    expected = release.expected_amounts(x, offers)
    plain = release.preference(x, offers, stages)
    assert np.array_equal(plain, release.preference(x, offers, stages, expected))
    told = np.where(np.arange(len(x)) % 2, np.nan, 5e6)
    moved = (release.preference(x, offers, stages, told) != plain).any(axis=1)
    assert moved[::2].any()
    assert not moved[1::2].any()


def test_all_offers_at_once_are_each_offer_alone(release, batch):
    _, x = batch
    offers = (*release.offer_ids, "nobody_sells_it")
    stages = [
        tuple("signing" if row % 3 else "application" for _ in offers) for row in range(len(x))
    ]
    amounts = release.expected_by_offer(x, offers)
    amounts[::2, 3] = 5e6
    chosen = release.preference_by_offer(x, offers, stages, amounts)
    for place, offer in enumerate(offers):
        alone = release.expected_amounts(x, [offer] * len(x))
        alone[::2] = amounts[::2, place] if place == 3 else alone[::2]
        np.testing.assert_allclose(amounts[:, place], alone, rtol=1e-12)
        at = [one[place] for one in stages]
        p = release.preference(x, [offer] * len(x), at, alone)
        np.testing.assert_allclose(chosen[:, place], p, rtol=1e-12)
    assert np.isnan(amounts).any()


def test_explanations_of_many_products_are_those_of_one_row_at_a_time(release, batch):
    _, x = batch
    products = [release.products[row % len(release.products)] for row in range(len(x))]
    for row, told in enumerate(release.explain_starts(x, products)):
        alone = release.explain_start(x[row], products[row])
        assert (told.raw_score, told.bias, told.groups) == (
            alone.raw_score, alone.bias, alone.groups,
        )  # fmt: skip
        assert np.array_equal(told.values, alone.values)
