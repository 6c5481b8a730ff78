"""A challenger in the shadow: live requests are scored again, and nothing else happens."""

import asyncio
import json
import shutil
import sqlite3
import time
from pathlib import Path

import numpy as np
import pytest
import yaml
from typer.testing import CliRunner

from serving.__main__ import app
from serving.config import WorkFolder
from serving.contract import RecommendRequest
from serving.following import Follower
from serving.passage import PASSAGE, Passage
from serving.releases import load_release, open_scorer
from serving.shadow import WAITING, Shadow, read_differences


@pytest.fixture
def work(recommender) -> WorkFolder:
    return WorkFolder(Path(recommender.customers.path).parent)


def passage_of(recommender, *customers) -> Passage:
    """What the service would tell of requests of these customers."""

    async def ask() -> Passage:
        passage = Passage()
        PASSAGE.set(passage)
        for one in customers:
            request = RecommendRequest(customer_id=one, channel="teller")
            await recommender.recommend(request, "staff")
        return passage

    return asyncio.run(ask())


@pytest.fixture
def shadow_of(recommender, work):
    """Open the shadow of a release; it ends with the test."""
    opened = []

    def make(folder) -> Shadow:
        scorer = open_scorer(folder, recommender.rules, recommender.config)
        opened.append(Shadow(scorer, work.shadows))
        return opened[-1]

    yield make
    for one in opened:
        one.stop()


def wait_for(done, patience_s=20.0) -> None:
    until = time.monotonic() + patience_s
    while not done():
        assert time.monotonic() < until
        time.sleep(0.02)


def test_the_served_release_in_its_own_shadow_says_the_same(recommender, work, shadow_of):
    shadow = shadow_of(work.release)
    shadow.watch(passage_of(recommender, "C_PLAIN", "C_MATURES"))
    wait_for(lambda: shadow.differences.compared == 2)
    found = shadow.differences
    assert (found.same_offer, found.same_handle, found.p_start_gap) == (2, 2, 0.0)


def test_another_release_says_otherwise(recommender, challenger, shadow_of):
    shadow = shadow_of(challenger)
    passage = passage_of(recommender, "C_PLAIN")
    shadow.compare(passage.records[0])
    release = load_release(challenger)
    ours = recommender.scorer.release
    x = np.array([passage.records[0].inputs.features.values])
    gap = abs(release.p_start(x) - ours.p_start(x)).mean()
    assert shadow.differences.p_start_gap == pytest.approx(gap, abs=1e-12)
    assert gap > 0


def test_who_has_no_features_is_told_as_unreadable(recommender, work, shadow_of):
    shadow = shadow_of(work.release)
    shadow.compare(passage_of(recommender, "C_NO_FEATURES").records[0])
    assert (shadow.differences.compared, shadow.differences.unreadable) == (0, 1)


def test_what_comes_too_fast_is_left_out_and_nobody_waits(recommender, work, shadow_of):
    shadow = shadow_of(work.release)
    passage = passage_of(recommender, "C_PLAIN")
    passage.records *= 3 * WAITING
    shadow.watch(passage)
    assert shadow.differences.left_out >= WAITING


def test_a_challenger_that_fails_harms_nobody(recommender, work, shadow_of, monkeypatch, caplog):
    shadow = shadow_of(work.release)

    def fail(*_) -> None:
        raise ValueError("C_SECRET")

    monkeypatch.setattr(shadow.challenger, "by_models", fail)
    shadow.watch(passage_of(recommender, "C_PLAIN"))
    wait_for(lambda: shadow.differences.unreadable == 1)
    assert "the shadow failed: ValueError" in caplog.text
    assert "SECRET" not in caplog.text


def test_a_shadow_begins_and_ends_with_the_settings_and_leaves_only_sums(
    recommender, work, challenger
):
    shutil.copytree(challenger, work.path / "challenger")
    settings = yaml.safe_load(work.settings.read_text())
    follower = Follower(recommender, work)
    follower._look_for_a_shadow()
    follower.watch(passage_of(recommender, "C_PLAIN"))
    work.settings.write_text(yaml.safe_dump({**settings, "shadow": "challenger"}))
    follower._look_for_a_shadow()
    for _ in range(5):
        follower.watch(passage_of(recommender, "C_PLAIN", "C_MATURES"))
    wait_for(lambda: follower._shadow.differences.compared == 10)
    work.settings.write_text(yaml.safe_dump(settings))
    follower._look_for_a_shadow()
    assert follower._shadow is None
    (found,) = read_differences(work.shadows)
    assert (found.release, found.compared) == (load_release(challenger).id, 10)
    with sqlite3.connect(work.path / "decisions.sqlite") as log:
        assert log.execute("select count(*) from decisions").fetchone() == (11,)
    log.close()
    shown = CliRunner().invoke(app, ["shadow-report", "--work", str(work.path), "--json"])
    (told,) = json.loads(shown.stdout)["challengers"]
    assert told["compared"] == 10
    assert 0 <= told["same_handle_share"] <= told["same_offer_share"] <= 1
    assert told["p_start_mean_gap"] > 0


def test_a_corrupt_challenger_is_told_and_the_service_goes_on(
    recommender, work, challenger, caplog
):
    shutil.copytree(challenger, work.path / "challenger")
    (work.path / "challenger" / "popularity.json").unlink()
    work.settings.write_text("shadow: challenger\n")
    follower = Follower(recommender, work)
    follower._look_for_a_shadow()
    follower.watch(passage_of(recommender, "C_PLAIN"))
    assert "no other shadow" in caplog.text
    assert "popularity.json" in caplog.text


def test_without_anything_compared_the_report_says_how_to_begin(bank):
    shown = CliRunner().invoke(app, ["shadow-report", "--work", str(bank.folder)])
    assert "write `shadow: FOLDER`" in str(shown.exception)
