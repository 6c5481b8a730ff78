"""Tuning: blind to the test, the same for a seed, resumable, and honest about a loss."""

import json
import uuid
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import sqlalchemy
from mlflow import MlflowClient
from sqlalchemy import text
from typer.testing import CliRunner

from features.sources import Source
from training import tracking, tuning
from training.__main__ import app
from training.errors import TrainingError
from training.tuning import SPACE, HeadStudy, TrialResult, tune

SOURCE = Path(__file__).resolve().parents[2] / "configs" / "sources" / "simulated_bank.yaml"
CUT = "2026-04-01"
CUT_US = 1_774_972_800_000_000
"""The same moment in the bank's zone: 31 March 2026, 16:00 UTC."""


@pytest.fixture(scope="module")
def preference_only(short_config):
    return short_config.model_copy(update={"next_product": None})


@pytest.fixture(scope="module")
def tiny_source(simulated_folder, open_simulated) -> Source:
    return open_simulated(simulated_folder)


def database(folder) -> str:
    return f"sqlite:///{folder / 'optuna.db'}"


def told(studies: list[HeadStudy]) -> list[list[tuple]]:
    return [[(t.number, t.parameters, t.losses, t.loss) for t in one.trials] for one in studies]


@pytest.fixture(scope="module")
def tuned(short_config, tiny_source, tmp_path_factory):
    """Both heads, three trials each."""
    storage = database(tmp_path_factory.mktemp("tuned"))
    return tune(short_config, tiny_source, storage, 3, test_from=CUT)


def test_both_heads_are_tuned_and_the_default_is_the_first_trial(tuned, short_config):
    best, studies = tuned
    assert [one.head for one in studies] == ["next_product", "channel_preference"]
    for one in studies:
        shipped, chosen = getattr(short_config, one.head), getattr(best, one.head)
        assert [trial.number for trial in one.trials] == [0, 1, 2]
        assert one.default.parameters == {name: getattr(shipped, name) for name in SPACE}
        assert len({tuple(trial.parameters.values()) for trial in one.trials}) == 3
        assert all(len(trial.losses) == 2 for trial in one.trials)
        assert one.best.loss == min(trial.loss for trial in one.trials)
        assert {name: getattr(chosen, name) for name in SPACE} == one.best.parameters
        assert chosen.max_rounds == shipped.max_rounds


def test_another_test_gives_the_same_trials(
    tuned, short_config, simulated_folder, open_simulated, tmp_path
):
    """All that happens from the test on is poisoned: nothing that tuning says may change."""
    source = open_simulated(simulated_folder)
    poison(source, CUT_US)
    best, studies = tune(short_config, source, database(tmp_path), 3, test_from=CUT)
    assert told(studies) == told(tuned[1])
    assert best == tuned[0]


def test_the_poison_is_seen_where_it_reaches_the_folds(
    tuned, short_config, simulated_folder, open_simulated, tmp_path
):
    source = open_simulated(simulated_folder)
    poison(source, CUT_US - 40 * 86_400_000_000)
    _, studies = tune(short_config, source, database(tmp_path), 1, test_from=CUT)
    for poisoned, clean in zip(studies, tuned[1], strict=True):
        assert poisoned.default.losses[1] != clean.default.losses[1]


def poison(source: Source, us: int) -> None:
    """From a moment on everybody applies for a mortgage by video, and holds gold."""
    source.con.execute(
        f"""update interactions set channel = 'video', product = 'mortgage', kind = 'apply',
            stage = 'application' where event_time >= {us}"""  # noqa: S608
    )
    source.con.execute(
        f"update holdings set product = 'gold_saving' where event_time >= {us}"  # noqa: S608
    )


class KilledError(Exception):
    """Stands for a process that ends in the middle of a trial."""


def kill_after(monkeypatch, folds: int) -> None:
    """The process dies when it begins to train on one more fold."""
    whole, begun = Bowl.loss, []

    def loss(fold, config):
        begun.append(config)
        if len(begun) > folds:
            raise KilledError
        return whole(fold, config)

    monkeypatch.setattr(Bowl, "loss", loss)


@dataclass
class Bowl:
    """A fold that costs nothing: its loss is known, least at 20 leaves."""

    tilt: float

    def loss(self, config) -> float:
        section = config.channel_preference
        return (section.num_leaves / 20 - 1) ** 2 + section.learning_rate + self.tilt


@pytest.fixture
def quick(monkeypatch):
    """Studies themselves, without training."""
    folds = {"channel_preference": [Bowl(0.1), Bowl(0.2)]}
    monkeypatch.setattr(tuning, "_folds", lambda *_: folds)


@pytest.mark.usefixtures("quick")
def test_a_study_killed_in_a_trial_goes_on_as_if_it_had_not_been(
    preference_only, tiny_source, tmp_path, monkeypatch
):
    (tmp_path / "whole").mkdir()
    _, whole = tune(preference_only, tiny_source, database(tmp_path / "whole"), 4, test_from=CUT)
    kept: list[HeadStudy] = []
    with monkeypatch.context() as patch:
        kill_after(patch, 5)
        with pytest.raises(KilledError):
            tune(
                preference_only, tiny_source, database(tmp_path), 4, test_from=CUT,
                keep=kept.append,
            )  # fmt: skip
    assert [len(one.trials) for one in kept] == [1, 2]
    with monkeypatch.context() as patch:
        kill_after(patch, 4)  # two trials are left to try: the finished ones are not repeated
        _, resumed = tune(preference_only, tiny_source, database(tmp_path), 4, test_from=CUT)
    assert told(resumed) == told(whole)
    with monkeypatch.context() as patch:
        kill_after(patch, 0)
        _, again = tune(preference_only, tiny_source, database(tmp_path), 4, test_from=CUT)
    assert told(again) == told(whole)


@pytest.mark.usefixtures("quick")
def test_another_seed_or_other_data_is_another_study(
    preference_only, tiny_source, simulated_folder, open_simulated, tmp_path
):
    storage = database(tmp_path)
    other_data = open_simulated(simulated_folder)
    other_data.con.execute("delete from ratings where hash(customer_id) % 2 = 0")
    other_seed = preference_only.model_copy(update={"seed": 2})
    names = {
        tune(config, source, storage, 1, test_from=CUT)[1][0].name
        for config, source in (
            (preference_only, tiny_source), (other_seed, tiny_source),
            (preference_only, other_data),
        )
    }  # fmt: skip
    assert len(names) == 3


@pytest.mark.usefixtures("quick")
def test_a_bad_trial_is_pruned_after_the_older_fold(
    preference_only, tiny_source, tmp_path, monkeypatch
):
    losses = iter([1.0, 1.0] * 5 + [9.0] + [0.5, 0.5])
    monkeypatch.setattr(Bowl, "loss", lambda *_: next(losses))
    _, (found,) = tune(preference_only, tiny_source, database(tmp_path), 7, test_from=CUT)
    assert [trial.losses for trial in found.trials[5:]] == [(9.0,), (0.5, 0.5)]
    assert found.trials[5].loss is None
    assert found.best.number == 6
    assert found.gain == pytest.approx(0.5)
    assert "6 beside the default, 1 of them pruned; trial 6" in found.verdict


@pytest.mark.usefixtures("quick")
def test_no_time_left_still_tries_the_default(preference_only, tiny_source, tmp_path):
    best, (found,) = tune(
        preference_only, tiny_source, database(tmp_path), 9, timeout=0, test_from=CUT
    )
    assert len(found.trials) == 1
    assert best == preference_only


@pytest.mark.usefixtures("quick")
def test_a_shipped_value_outside_the_range_is_tried_as_it_is(
    preference_only, tiny_source, tmp_path
):
    odd = {"num_leaves": 2, "bagging_fraction": 0.3}
    section = preference_only.channel_preference.model_copy(update=odd)
    config = preference_only.model_copy(update={"channel_preference": section})
    _, (found,) = tune(config, tiny_source, database(tmp_path), 1, test_from=CUT)
    assert found.default.parameters["num_leaves"] == 2
    assert found.default.parameters["bagging_fraction"] == 0.3


def test_a_loss_is_said_plainly():
    lost = study([0.2, 0.3, None, 0.2])
    assert lost.best.number == 0
    assert lost.gain == 0
    assert "3 beside the default, 1 of them pruned" in lost.verdict
    assert lost.verdict.endswith("none was better (log-loss 0.20000): it is kept")


def study(losses: list[float | None]) -> HeadStudy:
    begun = datetime(2026, 7, 1, tzinfo=UTC)
    trials = tuple(
        TrialResult(
            number, {"num_leaves": 7 + number}, (0.5, 0.7)[: 1 if loss is None else 2], loss,
            begun + timedelta(minutes=number), begun + timedelta(minutes=number + 1),
        )
        for number, loss in enumerate(losses)
    )  # fmt: skip
    return HeadStudy(f"study {uuid.uuid4().hex}", "next_product", trials)


def test_mlflow_keeps_a_study_with_its_trials_in_order_and_each_once(small_work):
    client = MlflowClient(tracking.database_url(small_work))
    whole = study([0.6, None, 0.5])
    first = replace(whole, trials=whole.trials[:1])
    run_id = tracking.log_study(first, "simulated_bank", small_work)
    assert tracking.log_study(whole, "simulated_bank", small_work) == run_id
    assert tracking.log_study(whole, "simulated_bank", small_work) == run_id
    parent = client.get_run(run_id)
    assert parent.info.run_name == "tune next_product"
    assert parent.info.status == "FINISHED"
    assert parent.data.tags["best_trial"] == "2"
    assert parent.data.tags["mlflow.note.content"] == whole.verdict
    assert parent.data.metrics["gain"] == pytest.approx(1 / 6)
    children = client.search_runs(
        [parent.info.experiment_id], f"tags.mlflow.parentRunId = '{run_id}'",
        order_by=["attributes.start_time"],
    )  # fmt: skip
    assert [one.info.run_name for one in children] == [
        "next_product trial 0 (default)", "next_product trial 1", "next_product trial 2",
    ]  # fmt: skip
    assert [one.data.params["num_leaves"] for one in children] == ["7", "8", "9"]
    assert [one.data.metrics.get("log_loss") for one in children] == [0.6, None, 0.5]
    assert [one.data.tags["outcome"] for one in children] == ["complete", "pruned", "complete"]


@pytest.mark.usefixtures("quick")
def test_the_command_line_tunes_trains_with_the_best_and_logs_it_once(
    simulated_folder, small_work, tmp_path
):
    path = tmp_path / "quick.yaml"
    path.write_text(
        "name: quick\npurpose: a test\nthreads: 1\nsplits: {warm_up_months: 20}\n"
        "channel_preference: {max_rounds: 2, num_leaves: 3}\n",
        "utf-8",
    )
    words = [
        "tune", path, "--source", SOURCE, "--data", simulated_folder, "--test-from", CUT,
        "--trials", 4, "--storage", database(tmp_path), "--work", small_work,
        "--clock", "2027-01-01T00:00Z", "--trained-by", "wang", "--json",
    ]  # fmt: skip
    done = CliRunner().invoke(app, [str(word) for word in words], catch_exceptions=False)
    assert done.exit_code == 0
    told = json.loads(done.stdout.splitlines()[-1])
    (tuned,) = told["studies"]
    assert tuned["trials"] == 4
    assert tuned["best_log_loss"] <= tuned["default_log_loss"]
    assert tuned["verdict"] in done.stdout
    manifest = json.loads(Path(told["folder"], "manifest.json").read_text("utf-8"))
    section = manifest["config"]["channel_preference"]
    assert {name: section[name] for name in SPACE} == tuned["best_parameters"]
    client = MlflowClient(tracking.database_url(small_work))
    run = client.get_run(told["mlflow_run"])
    assert run.data.tags["trained_by"] == "wang"
    parent = client.get_run(run.data.tags["tuned_channel_preference"])
    assert parent.data.tags["study"] == tuned["study"]
    # the children of a run, one a head, name their release too
    releases = f"tags.release = '{told['release']}' and tags.source != ''"
    assert len(client.search_runs([run.info.experiment_id], releases)) == 1


@pytest.mark.needs("postgres")
@pytest.mark.usefixtures("quick")
def test_a_study_is_kept_in_postgresql(preference_only, tiny_source, postgres_url, tuned, tmp_path):
    schema = f"tuning_{uuid.uuid4().hex}"
    engine = sqlalchemy.create_engine(postgres_url, poolclass=sqlalchemy.NullPool)
    with engine.begin() as connection:
        connection.execute(text(f'create schema "{schema}"'))
    own = sqlalchemy.make_url(postgres_url).update_query_dict(
        {"options": f"-csearch_path={schema}"}
    )
    storage = own.render_as_string(hide_password=False)
    try:
        _, first = tune(preference_only, tiny_source, storage, 2, test_from=CUT)
        _, resumed = tune(preference_only, tiny_source, storage, 3, test_from=CUT)
        assert told(resumed)[0][:2] == told(first)[0]
        _, embedded = tune(preference_only, tiny_source, database(tmp_path), 3, test_from=CUT)
        assert told(resumed) == told(embedded)
    finally:
        with engine.begin() as connection:
            connection.execute(text(f'drop schema "{schema}" cascade'))


def test_a_storage_that_is_no_database_says_so_and_keeps_the_password(preference_only, tiny_source):
    for url in (
        "postgresql+psycopg://me:secret@127.0.0.1:1/none", "nonsense", "mysql://me:secret@h/d",
    ):  # fmt: skip
        with pytest.raises(TrainingError, match="--storage cannot be opened") as caught:
            tune(preference_only, tiny_source, url, 1, test_from=CUT)
        assert "secret" not in str(caught.value)
