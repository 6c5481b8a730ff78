"""Tuning: blind to the test, the same for a seed, resumable, and honest about a loss."""

import uuid
from dataclasses import dataclass

import pytest
import sqlalchemy
from sqlalchemy import text

from features.sources import Source
from training import tuning
from training.errors import TrainingError
from training.tuning import SPACE, HeadStudy, TrialResult, tune

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
    _, (study,) = tune(preference_only, tiny_source, database(tmp_path), 7, test_from=CUT)
    assert [trial.losses for trial in study.trials[5:]] == [(9.0,), (0.5, 0.5)]
    assert study.trials[5].loss is None
    assert study.best.number == 6
    assert study.gain == pytest.approx(0.5)
    assert "6 beside the default, 1 of them pruned; trial 6" in study.verdict


@pytest.mark.usefixtures("quick")
def test_no_time_left_still_tries_the_default(preference_only, tiny_source, tmp_path):
    best, (study,) = tune(
        preference_only, tiny_source, database(tmp_path), 9, timeout=0, test_from=CUT
    )
    assert len(study.trials) == 1
    assert best == preference_only


@pytest.mark.usefixtures("quick")
def test_a_shipped_value_outside_the_range_is_tried_as_it_is(
    preference_only, tiny_source, tmp_path
):
    odd = {"num_leaves": 2, "bagging_fraction": 0.3}
    section = preference_only.channel_preference.model_copy(update=odd)
    config = preference_only.model_copy(update={"channel_preference": section})
    _, (study,) = tune(config, tiny_source, database(tmp_path), 1, test_from=CUT)
    assert study.default.parameters["num_leaves"] == 2
    assert study.default.parameters["bagging_fraction"] == 0.3


def trial(number: int, loss: float | None) -> TrialResult:
    return TrialResult(number, {}, (), loss, None, None)


def test_a_loss_is_said_plainly():
    study = HeadStudy("s", "next_product", (trial(0, 0.2), trial(1, 0.3), trial(2, None)))
    assert study.best.number == 0
    assert study.gain == 0
    assert study.verdict.endswith("none was better (log-loss 0.20000): it is kept")


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
