"""Tuning: boosters' parameters by Optuna, judged on time before the test.

A trial trains a head on two folds in time order, each of which ends where the next split of the
usual training begins, and is pruned after the first where that is worse than the median of the
trials before it. The rows of the test are not even built. The first trial is the configuration as
it ships, so that every gain is told against it on the same rows. The only module that imports
optuna.

A study is kept in a database and goes on where it was killed: what a trial proposes depends on the
seed and on the finished trials before it, and on nothing else (one process a study).
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from copy import copy
from dataclasses import dataclass
from datetime import datetime
from itertools import product
from typing import Any

import numpy as np
import optuna
import sqlalchemy
from optuna.distributions import FloatDistribution, IntDistribution
from optuna.trial import FrozenTrial, TrialState

from features.build import build
from features.feature_set import FeatureSet
from features.registry import available_features
from features.sources import Source
from training import targets
from training.amount_head import AmountHead
from training.choice_head import ChoiceHead
from training.config import Head, RunConfig
from training.errors import TrainingError
from training.held_out import HeldOut
from training.models.boosters import BoosterConfig
from training.report import need_rows
from training.run import spine_and_cuts
from training.splits import Cuts, parse_test_from
from training.start_head import StartHead

Progress = Callable[[str], None]
Value = int | float
Space = IntDistribution | FloatDistribution

FINISHED = (TrialState.COMPLETE, TrialState.PRUNED)


SPACE: dict[str, Space] = {
    "num_leaves": IntDistribution(3, 63, log=True),
    "learning_rate": FloatDistribution(0.02, 0.3, log=True),
    "min_data_in_leaf": IntDistribution(10, 400, log=True),
    "feature_fraction": FloatDistribution(0.1, 1.0),
    "bagging_fraction": FloatDistribution(0.5, 1.0),
    "lambda_l2": FloatDistribution(0.0, 50.0),
}
"""Fields of `BoosterConfig` that are tuned; rounds are found by early stopping in every trial."""


@dataclass(frozen=True)
class TrialResult:
    """A finished trial: its place in the study, what it tried, and its loss.

    ``losses`` are the log-losses of the folds it got to, in nats, older fold first; ``loss`` is
    their mean, None where the trial was pruned.
    """

    number: int
    parameters: dict[str, Value]
    losses: tuple[float, ...]
    loss: float | None
    begun: datetime
    ended: datetime


@dataclass(frozen=True)
class HeadStudy:
    """What was tried for one head, in order; the first trial is the shipped default."""

    name: str
    head: Head
    trials: tuple[TrialResult, ...]

    @property
    def default(self) -> TrialResult:
        """The configuration as it ships."""
        return self.trials[0]

    @property
    def best(self) -> TrialResult:
        """The trial with the least loss; of equal ones the first, so the default where none won."""
        return min(self.trials, key=lambda one: np.inf if one.loss is None else one.loss)

    @property
    def gain(self) -> float:
        """By what share the best loss is under the default's, 0–1; 0: the default is kept."""
        assert self.default.loss is not None  # noqa: S101 (it is never pruned)
        assert self.best.loss is not None  # noqa: S101
        return 1.0 - self.best.loss / self.default.loss

    @property
    def verdict(self) -> str:
        """One sentence: was anything better than the shipped default?"""
        tried = len(self.trials) - 1
        pruned = sum(one.loss is None for one in self.trials)
        told = f"{self.head}: {tried} beside the default, {pruned} of them pruned"
        if self.best is self.default:
            return f"{told}; none was better (log-loss {self.default.loss:.5f}): it is kept"
        return (
            f"{told}; trial {self.best.number} has log-loss {self.best.loss:.5f} against "
            f"{self.default.loss:.5f} of the default, {self.gain:.2%} less"
        )


@dataclass(frozen=True)
class Fold:
    """A head's rows in one fold: it learns before the fold's last window, on which it is judged."""

    head: StartHead | ChoiceHead
    held: HeldOut[Any]

    def loss(self, config: RunConfig) -> float:
        """Log-loss of a configuration on the fold."""
        head = copy(self.head)  # shares the rows; only the configuration is another
        head.config = config
        test = head.split["test"]
        model = head.fit()
        return self.held.loss(self.held.predict(model, head.x[test], config.threads))


def tune(
    config: RunConfig,
    source: Source,
    storage: str,
    trials: int,
    timeout: float | None = None,
    test_from: str | None = None,
    progress: Progress = lambda _: None,
    keep: Callable[[HeadStudy], None] = lambda _: None,
) -> tuple[RunConfig, list[HeadStudy]]:
    """Tune the heads of a configuration, each in a study of its own.

    Parameters
    ----------
    config
        What ships: the first trial, and the answer where nothing is better.
    source
        The bank.
    storage
        SQLAlchemy URL of the database of studies; its tables are made where they are not there.
    trials
        Finished trials of each head, the default's and those of earlier calls included.
    timeout
        Seconds after which no further trial begins; the default of each head is always tried.
    test_from
        Start of the test, as for training.
    progress
        Called with the name of each step.
    keep
        Called with the study so far after each trial, and at the end.

    Returns
    -------
    tuple[RunConfig, list[HeadStudy]]
        The configuration with the best parameters of each head, and what was tried.

    Raises
    ------
    TrainingError
        The source has too little time before the test for two folds, or the storage is no database.
    """
    until = np.inf if timeout is None else time.monotonic() + timeout
    cuts = _fold_cuts(config, source, test_from)
    name = f"{source.config.name} {config.name} {_identity(config, source, cuts)}"
    with _opened(storage) as database:
        folds = _folds(config, source, cuts, progress)
        tuners = [
            _Tuner(_study(database, f"{name} {head}"), config, head, folds[head])
            for head in config.heads
        ]
        for tuner in tuners:
            tuner.close_left_open()
        # the heads take turns: none waits for another's last trial
        for place, tuner in product(range(trials), tuners):
            if tuner.done <= place and (place == 0 or time.monotonic() < until):
                progress(f"{tuner.head}: trial {place + 1} of {trials}")
                tuner.step()
                keep(tuner.result())
        studies = [tuner.result() for tuner in tuners]
    for study in studies:
        keep(study)
        config = _with(config, study.head, study.best.parameters)
    return config, studies


def _study(database: optuna.storages.RDBStorage, name: str) -> optuna.Study:
    return optuna.create_study(
        storage=database,
        study_name=name,
        direction="minimize",
        load_if_exists=True,
        pruner=optuna.pruners.MedianPruner(),
    )


@dataclass(frozen=True)
class _Tuner:
    """One head's study, trial by trial."""

    study: optuna.Study
    config: RunConfig
    head: Head
    folds: list[Fold]

    @property
    def done(self) -> int:
        """Finished trials."""
        return len(self.study.get_trials(deepcopy=False, states=FINISHED))

    def close_left_open(self) -> None:
        """Fail the trial that a killed process left open: its place is tried again."""
        for one in self.study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
            self.study.tell(one.number, state=TrialState.FAIL)

    def step(self) -> None:
        """Try one more set of parameters."""
        done = self.done
        shipped = _parameters(self.config, self.head)
        # a sampler for each place in the study: one that was killed goes on as if it had not been
        self.study.sampler = optuna.samplers.TPESampler(seed=self.config.seed * 10_000 + done)
        if not done and not self.study.get_trials(states=(TrialState.WAITING,)):
            self.study.enqueue_trial(shipped)
        trial = self.study.ask({one: _around(SPACE[one], shipped[one]) for one in SPACE})
        config = _with(self.config, self.head, trial.params)
        losses: list[float] = []
        for number, fold in enumerate(self.folds):
            losses.append(fold.loss(config))
            trial.report(losses[-1], number)
            # after the last fold there is nothing left to save
            if number + 1 < len(self.folds) and trial.should_prune():
                self.study.tell(trial, state=TrialState.PRUNED)
                return
        self.study.tell(trial, float(np.mean(losses)))

    def result(self) -> HeadStudy:
        """What was tried so far."""
        trials = self.study.get_trials(deepcopy=False, states=FINISHED)
        results = tuple(_result(number, one) for number, one in enumerate(trials))
        return HeadStudy(self.study.study_name, self.head, results)


def _result(number: int, trial: FrozenTrial) -> TrialResult:
    assert trial.datetime_start is not None  # noqa: S101 (it was asked for and told)
    assert trial.datetime_complete is not None  # noqa: S101
    return TrialResult(
        number,
        dict(trial.params),
        tuple(trial.intermediate_values[step] for step in sorted(trial.intermediate_values)),
        trial.value if trial.state == TrialState.COMPLETE else None,
        trial.datetime_start,
        trial.datetime_complete,
    )


def _parameters(config: RunConfig, head: Head) -> dict[str, Value]:
    return {name: getattr(getattr(config, head), name) for name in SPACE}


def _with(config: RunConfig, head: Head, parameters: dict[str, Value]) -> RunConfig:
    section: BoosterConfig = getattr(config, head)
    return config.model_copy(update={head: section.model_copy(update=parameters)})


def _around(space: Space, shipped: Value) -> Space:
    """The range, widened where the shipped value lies outside it."""
    low, high = min(space.low, shipped), max(space.high, shipped)
    log = space.log and low > 0
    if isinstance(space, IntDistribution):
        return IntDistribution(int(low), int(high), log=log)
    return FloatDistribution(low, high, log=log)


def _fold_cuts(config: RunConfig, source: Source, test_from: str | None) -> list[Cuts]:
    """Two folds, older first, judged on what the usual training stops and calibrates on."""
    zone = source.config.time_zone
    cut = None if test_from is None else parse_test_from(test_from, zone)
    _, usual = spine_and_cuts(config, source, cut)
    return [
        spine_and_cuts(config, source, start, end)[1]
        for start, end in ((usual.stop, usual.calibrate), (usual.calibrate, usual.test))
    ]


def _identity(config: RunConfig, source: Source, cuts: list[Cuts]) -> str:
    """A hash of all that a loss depends on: only equal ones are trials of one study."""
    told = {
        "config": config.model_dump(mode="json", exclude={"owner", "purpose", "purpose_zh"}),
        "data": source.fingerprint(),
        "folds": [one.windows() for one in cuts],
    }
    return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()[:12]


def _folds(
    config: RunConfig, source: Source, cuts: list[Cuts], progress: Progress
) -> dict[Head, list[Fold]]:
    """Rows of each head in each fold; words of categories are those of the older fold."""
    newest = cuts[-1]
    spine, _ = spine_and_cuts(config, source, newest.test, newest.end)
    features = available_features(source)
    progress("features")
    table = build(spine, features)
    splits = [one.rows(table["as_of"].to_numpy(), targets.horizon_us(source)) for one in cuts]
    for split in splits:
        need_rows(split)
    known = np.concatenate([splits[0]["train"], splits[0]["stop"]])
    feature_set = FeatureSet.learn(table.take(known), features)
    x = feature_set.encode(table)
    folds: dict[Head, list[Fold]] = {}
    if config.next_product is not None:
        starts = [
            StartHead(config, source, spine, x, split, one.test, feature_set)
            for split, one in zip(splits, cuts, strict=True)
        ]
        folds["next_product"] = [Fold(one, one.held_out("test")) for one in starts]
    if config.channel_preference is not None:
        progress("choices")
        amounts = [AmountHead(config, spine, x, one, feature_set).fit() for one in cuts]
        chosen = [
            ChoiceHead(config, source, one, feature_set, features, fitted)
            for one, fitted in zip(cuts, amounts, strict=True)
        ]
        folds["channel_preference"] = [Fold(one, one.held_out("test")) for one in chosen]
    return folds


@contextmanager
def _opened(url: str) -> Iterator[optuna.storages.RDBStorage]:
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        database = optuna.storages.RDBStorage(url)
    except (ImportError, RuntimeError, sqlalchemy.exc.SQLAlchemyError) as error:
        # the driver's words only: the URL may hold a password
        reason = str(getattr(error, "orig", None) or type(error).__name__).splitlines()[0]
        raise TrainingError(
            f"--storage cannot be opened ({reason}); give a database as in sqlite:///tune.db or "
            "postgresql+psycopg://user@host/database"
        ) from None
    try:
        yield database
    finally:
        database.remove_session()
        database.engine.dispose()
