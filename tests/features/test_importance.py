"""The importance of features in a release, as the catalogue tells it."""

import hashlib
import json
import re

import lightgbm
import numpy as np
import pytest

from features.catalogue.importance import importance
from features.errors import ConfigError
from features.feature_set import FeatureSet
from features.registry import available_features


@pytest.fixture(scope="module")
def feature_set(example_features, example_source) -> FeatureSet:
    return FeatureSet.learn(example_features, available_features(example_source))


@pytest.fixture
def release(tmp_path, feature_set):
    """Two boosters: one over the features, one over the features and two context columns."""
    folder = tmp_path / "release"
    folder.mkdir()
    random = np.random.default_rng(0)
    wide = len(feature_set.names)
    for name, extra in (("next_product", 0), ("channel_preference", 2)):
        x = random.normal(size=(400, wide + extra))
        y = x[:, 3] + 2 * x[:, -1] + random.normal(size=400)
        options = {"num_leaves": 4, "verbosity": -1, "num_threads": 1, "seed": 1}
        booster = lightgbm.train(options, lightgbm.Dataset(x, y), 5)
        (folder / f"{name}.txt").write_text(booster.model_to_string(), "utf-8")
    (folder / "features.json").write_text(feature_set.model_dump_json(), "utf-8")
    seal(folder)
    return folder


def seal(folder) -> None:
    files = [file for file in folder.iterdir() if file.name != "manifest.json"]
    hashes = {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in files}
    manifest = {"id": "abc123", "files": hashes}
    (folder / "manifest.json").write_text(json.dumps(manifest), "utf-8")


def gains_by_hand(folder, wide: int) -> tuple[np.ndarray, float]:
    """Sum split_gain by split_feature over the lines of the text models."""
    gains, total = np.zeros(wide), 0.0
    for file in folder.glob("*.txt"):
        text = file.read_text("utf-8")
        features = re.findall(r"^split_feature=(.*)$", text, re.M)
        for places, worths in zip(
            features, re.findall(r"^split_gain=(.*)$", text, re.M), strict=True
        ):
            for place, worth in zip(places.split(), worths.split(), strict=True):
                total += float(worth)
                if int(place) < wide:
                    gains[int(place)] += float(worth)
    return gains, total


def test_importance_is_the_share_of_the_split_gain(release, feature_set):
    release_id, shares = importance(release)
    gains, total = gains_by_hand(release, len(feature_set.names))
    assert release_id == "abc123"
    assert list(shares) == list(feature_set.names)
    # the text keeps six digits of a gain
    assert list(shares.values()) == pytest.approx((gains / total).tolist(), abs=1e-5)
    # the last column of the wide booster is context, and gained much
    assert 0.3 < sum(shares.values()) < 0.9
    assert shares[feature_set.names[3]] == sorted(shares.values())[-2]
    assert shares[feature_set.names[-1]] == max(shares.values())


def spoilt(folder, name: str) -> None:
    (folder / name).write_text("tree\nversion=v4\n", "utf-8")


RELEASES = {
    "altered": (lambda folder: spoilt(folder, "next_product.txt"), "next_product.txt: its sha256"),
    "missing": (lambda folder: (folder / "channel_preference.txt").unlink(), "missing from"),
    "no manifest": (lambda folder: (folder / "manifest.json").unlink(), "names a folder that"),
    "no JSON": (lambda folder: spoilt(folder, "manifest.json"), "not a manifest"),
    "no features": (
        lambda folder: ((folder / "features.json").unlink(), seal(folder)), "names no features",
    ),
    "elsewhere": (
        lambda folder: (folder / "manifest.json").write_text(
            json.dumps({"id": "x", "files": {"../outside.txt": "", "features.json": ""}})
        ),
        "is no file of the release",
    ),
    "narrow": (
        lambda folder: (
            (folder / "features.json").write_text(
                (folder / "features.json").read_text().replace('"names":[', '"names":["a","b","c",')
            ),
            seal(folder),
        ),
        "fewer than",
    ),
}  # fmt: skip


@pytest.mark.parametrize("what", RELEASES)
def test_a_release_that_cannot_be_trusted_is_not_read(release, what):
    spoil, words = RELEASES[what]
    spoil(release)
    with pytest.raises(ConfigError, match=words):
        importance(release)
