"""Promotion in a real MLflow: who passes moves the alias; who is refused moves nothing."""

import json
import shutil
from copy import copy
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException
from typer.testing import CliRunner

from training import promotion, review_folder, tracking
from training.__main__ import app
from training.errors import PromotionError
from training.models.calibration import SoftmaxCalibrator
from training.models.release import Release
from training.promotion import Approval, promote, rollback
from training.run import TrainingRun, train
from training.tracking import TRAINED_BY, Registry

ROOT = Path(__file__).resolve().parents[2]
SOURCE = ROOT / "configs" / "sources" / "simulated_bank.yaml"
CUT = "2026-04-01"
LI = Approval(by="li", at=datetime(2026, 8, 1, tzinfo=UTC), reason="beats what we have")
MODEL = "onepoint-simulated_bank"


@pytest.fixture(scope="module")
def source(small_source):
    return small_source


@pytest.fixture(scope="module")
def config(short_config):
    section = short_config.channel_preference.model_copy(update={"max_rounds": 60})
    return short_config.model_copy(update={"next_product": None, "channel_preference": section})


@pytest.fixture(scope="module")
def strong(config, source, tmp_path_factory) -> TrainingRun:
    return train(config, source, tmp_path_factory.mktemp("strong") / "release", CUT)


@pytest.fixture(scope="module")
def other(config, source, tmp_path_factory) -> TrainingRun:
    """As good as the strong one: grown a little slower, from the same draws."""
    section = config.channel_preference.model_copy(update={"learning_rate": 0.11})
    changed = config.model_copy(update={"channel_preference": section})
    return train(changed, source, tmp_path_factory.mktemp("other") / "release", CUT)


@pytest.fixture(scope="module")
def weak(config, source, tmp_path_factory) -> TrainingRun:
    least = {"max_rounds": 1, "num_leaves": 2, "learning_rate": 0.01}
    section = config.channel_preference.model_copy(update=least)
    changed = config.model_copy(update={"channel_preference": section})
    return train(changed, source, tmp_path_factory.mktemp("weak") / "release", CUT)


@pytest.fixture(scope="module")
def overconfident(config, source, tmp_path_factory) -> TrainingRun:
    """Ranks as the strong one does, and is four times too sure of it."""
    honest = SoftmaxCalibrator.fit.__func__

    def too_sure(cls, scores, classes):
        found = honest(cls, scores, classes)
        return cls(scale=4 * found.scale, bias=found.bias)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(SoftmaxCalibrator, "fit", classmethod(too_sure))
        return train(config, source, tmp_path_factory.mktemp("sure") / "release", CUT)


@pytest.fixture(scope="module")
def work(make_work) -> Path:
    return make_work("promotion")


@pytest.fixture(scope="module")
def logged(work, strong, other, weak, overconfident) -> dict[str, str]:
    """Run ids by release id; wang trained them all."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(review_folder, "pictures", lambda *_: iter(()))
        return {
            run.release.id: tracking.log_run(run, work, tags={TRAINED_BY: "wang"})
            for run in (strong, other, weak, overconfident)
        }


@pytest.fixture
def registry(work, logged) -> Registry:
    yield Registry("simulated_bank", work)
    client = MlflowClient(tracking.database_url(work))
    for model in client.search_registered_models():
        client.delete_registered_model(model.name)


@pytest.fixture
def remembered(monkeypatch, strong, other, weak, overconfident):
    """Training again gives what it gave: test_run.py shows that it does."""
    runs = {run.config.model_dump_json(): run for run in (strong, other, weak)}

    def again(config, *_):
        return runs[config.model_dump_json()]

    monkeypatch.setattr(promotion, "train", again)
    return runs


@pytest.fixture
def refused(registry, source, work):
    """Ask for a promotion that must be refused; gives what refusing gates say. Nothing moves."""

    def ask(run: TrainingRun, approval: Approval = LI, **options) -> dict[str, str]:
        client = MlflowClient(tracking.database_url(work))
        before = [dict(one) for one in client.search_model_versions(f"name='{MODEL}'")]
        champion = registry.champion()
        report = promote(registry, source, run.release.id, approval, **options)
        assert not report.accepted
        assert registry.champion() == champion
        after = [dict(one) for one in client.search_model_versions(f"name='{MODEL}'")]
        assert after == before
        says = {one.name: one.says for one in report.gates if not one.passed}
        assert all(sentence in report.markdown() for sentence in says.values())
        return says

    return ask


def crown(registry: Registry, run: TrainingRun) -> None:
    registry.crown(registry.find(run.release.id), None, {"approved_by": "zhao"})


def test_the_first_champion_beats_the_naive_rules_and_is_reproduced(
    registry, source, strong, work, logged, tmp_path
):
    out = tmp_path / "served" / "release"
    report = promote(registry, source, strong.release.id, LI, out=out)
    assert report.accepted, report.markdown()
    assert [gate.name for gate in report.gates] == [
        "two people", "reproducible", "channel_preference not worse",
        "channel_preference calibrated", "channel_preference fair to segments",
        "channel_preference without a leak",
    ]  # fmt: skip
    assert "of the naive rule '" in report.gates[2].says
    client = MlflowClient(tracking.database_url(work))
    version = client.get_model_version_by_alias(MODEL, "champion")
    assert version.run_id == logged[strong.release.id]
    assert version.tags["approved_by"] == "li"
    assert version.tags["trained_by"] == "wang"
    assert version.tags["approved_at"] == "2026-08-01T00:00:00+00:00"
    assert version.tags["reason"] == "beats what we have"
    kept = client.download_artifacts(version.run_id, version.tags["report"], str(tmp_path))
    assert json.loads(Path(kept).read_text("utf-8")) == report.told()
    assert Release.load(out).id == strong.release.id
    assert (Path(version.source.removeprefix("file://")) / "manifest.json").is_file()


@pytest.mark.usefixtures("remembered")
def test_a_challenger_as_good_takes_the_place_and_rollback_gives_it_back(
    registry, source, strong, other, work, tmp_path
):
    crown(registry, strong)
    report = promote(registry, source, other.release.id, LI, margin=0.03)
    assert report.accepted, report.markdown()
    assert report.champion == strong.release.id
    assert registry.champion().release == other.release.id
    out = tmp_path / "release"
    why = Approval(by="zhao", at=LI.at, reason="complaints from branches")
    left, restored = rollback(registry, why, out)
    assert (left.release, restored.release) == (other.release.id, strong.release.id)
    assert registry.champion().release == strong.release.id
    assert Release.load(out).id == strong.release.id
    tags = MlflowClient(tracking.database_url(work)).get_model_version(MODEL, left.version).tags
    assert tags["rolled_back_by"] == "zhao"
    assert tags["rolled_back_because"] == "complaints from branches"
    with pytest.raises(PromotionError, match="was the first champion: there is none to go back"):
        rollback(registry, why)


def test_without_a_champion_there_is_nothing_to_roll_back(registry):
    with pytest.raises(PromotionError, match="has no champion: nothing to roll back"):
        rollback(registry, LI)


@pytest.mark.usefixtures("remembered")
def test_who_trained_may_not_approve(refused, strong):
    says = refused(strong, Approval(by="Wang ", at=LI.at, reason="mine"))
    assert list(says) == ["two people"]


@pytest.mark.usefixtures("remembered")
def test_a_champion_that_learnt_from_the_test_is_no_opponent(
    registry, refused, strong, other, monkeypatch
):
    crown(registry, strong)
    windows = strong.release.manifest.windows
    learnt = {**windows, "calibrate": (windows["calibrate"][0], windows["test"][1])}
    fetched = promotion._fetch

    def later(registry, run_id, into):
        release = fetched(registry, run_id, into)
        if into.name == "champion":
            release.manifest = release.manifest.model_copy(update={"windows": learnt})
        return release

    monkeypatch.setattr(promotion, "_fetch", later)
    assert list(refused(other)) == ["comparable"]


def test_what_cannot_be_made_again_is_refused(registry, refused, strong, other, monkeypatch):
    monkeypatch.setattr(promotion, "train", lambda *_: other)
    says = refused(strong)
    assert list(says) == ["reproducible"]
    assert "channel_preference.txt" in says["reproducible"]


@pytest.mark.usefixtures("remembered")
def test_a_weaker_challenger_is_refused(registry, refused, strong, weak):
    crown(registry, strong)
    says = refused(weak)
    assert f"of champion {strong.release.id}" in says["channel_preference not worse"]


def test_a_challenger_too_sure_of_itself_is_refused(refused, overconfident, monkeypatch):
    monkeypatch.setattr(promotion, "train", lambda *_: overconfident)
    assert list(refused(overconfident, margin=1)) == ["channel_preference calibrated"]


@pytest.mark.usefixtures("remembered")
def test_a_challenger_that_fails_some_customers_is_refused(
    registry, refused, strong, other, monkeypatch
):
    """A champion that is always right about women: overall a margin lets it pass, not here."""
    crown(registry, strong)
    opponent = promotion._opponent

    def right_about_women(rows, held, head, champion):
        against, values = opponent(rows, held, head, champion)
        segments = promotion.segments_of(rows.x[rows.split["test"]], rows.feature_set)
        return against, np.where(segments["gender"] == "F", 1.0, values)

    monkeypatch.setattr(promotion, "_opponent", right_about_women)
    says = refused(other, margin=1)
    assert list(says) == ["channel_preference fair to segments"]
    assert "gender 'F' loses" in says["channel_preference fair to segments"]


def test_a_feature_that_knows_the_outcome_is_stopped(refused, strong, monkeypatch):
    rows = strong.heads["channel_preference"]
    unused = min(set(range(rows.x.shape[1])) - split_features(strong))
    leaking = copy(rows)
    leaking.x = rows.x.copy()
    leaking.x[:, unused] = rows.channel
    told = replace(strong, heads={"channel_preference": leaking})
    monkeypatch.setattr(promotion, "train", lambda *_: told)
    says = refused(strong)
    assert list(says) == ["channel_preference without a leak"]
    leak = f"'{rows.feature_set.names[unused]}' sets "
    assert leak in says["channel_preference without a leak"]


def split_features(run: TrainingRun) -> set[int]:
    """Columns that the model's trees split on: another one may be spoiled and nothing changes."""
    lines = run.release.channel_preference.text_.splitlines()
    found = [
        one.removeprefix("split_feature=") for one in lines if one.startswith("split_feature=")
    ]
    return {int(column) for line in found for column in line.split()}


def test_what_is_the_champion_already_or_not_there_at_all_is_an_error(registry, source, strong):
    crown(registry, strong)
    with pytest.raises(
        PromotionError, match="is the champion of 'onepoint-simulated_bank' already"
    ):
        promote(registry, source, str(strong.release.folder), LI)
    with pytest.raises(PromotionError, match="'nobody' is no finished training run of source"):
        promote(registry, source, "nobody", LI)


def test_a_name_and_a_reason_are_needed():
    for by, reason in (("", "good"), ("li", "  ")):
        with pytest.raises(PromotionError, match="say who approves and why"):
            Approval.given(by, LI.at, reason)


@pytest.mark.usefixtures("remembered")
def test_the_command_lines(registry, strong, other, work, small_folder, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", tracking.database_url(work))
    common = ["--source", str(SOURCE), "--reason", "tried", "--work", str(work), "--json"]

    def call(*words: str) -> tuple[int, str, dict]:
        done = CliRunner().invoke(app, [*words, *common], catch_exceptions=False)
        return done.exit_code, done.stdout, json.loads(done.stdout.splitlines()[-1])

    data = ("--data", str(small_folder), "--clock", "2027-01-01T00:00Z", "--margin", "0.03")
    code, out, told = call("promote", strong.release.id, "--approved-by", "wang", *data)
    assert (code, told["accepted"]) == (1, False)
    assert "| two people | REFUSED | 'wang' trained this release" in out
    assert "nothing was moved" in out
    for run in (strong, other):
        code, out, told = call("promote", run.release.id, "--approved-by", "li", *data)
        assert (code, told["accepted"]) == (0, True), out
    code, out, told = call("rollback", "--approved-by", "zhao")
    assert code == 0
    assert told["champion"] == strong.release.id
    assert f"the champion {strong.release.id} again, after {other.release.id}: tried (zhao)" in out


def test_a_champion_that_came_meanwhile_is_not_overwritten(registry, strong, other):
    crown(registry, strong)
    with pytest.raises(PromotionError, match="has another champion meanwhile; promote again"):
        crown(registry, other)
    assert registry.champion().release == strong.release.id


@pytest.mark.usefixtures("remembered")
def test_a_move_that_fails_leaves_the_served_folder(
    registry, source, strong, other, tmp_path, monkeypatch
):
    crown(registry, strong)
    out = tmp_path / "release"
    shutil.copytree(strong.release.folder, out)

    def down(*_):
        raise MlflowException("no connection")

    monkeypatch.setattr(registry._client, "set_registered_model_alias", down)
    with pytest.raises(MlflowException, match="no connection"):
        promote(registry, source, other.release.id, LI, margin=0.03, out=out)
    assert Release.load(out).id == strong.release.id
    assert registry.champion().release == strong.release.id
    assert [path.name for path in tmp_path.iterdir()] == ["release"]


def test_a_registry_that_fails_is_not_taken_for_an_empty_one(registry, monkeypatch):
    def down(*_):
        raise MlflowException("no connection")

    monkeypatch.setattr(registry._client, "get_model_version_by_alias", down)
    with pytest.raises(MlflowException, match="no connection"):
        registry.champion()
