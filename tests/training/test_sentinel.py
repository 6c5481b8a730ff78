"""The leakage sentinel stops what knows the answer and lets an honest strong feature pass."""

from dataclasses import dataclass

import lightgbm as lgb
import numpy as np
import pytest

from training.errors import TrainingError
from training.models.boosters import BoosterConfig
from training.sentinel import check_leakage

ROWS, MONTHS = 6000, 12
NAMES = ("season", "income", "age", "noise")


@dataclass
class Fitted:
    booster: lgb.Booster

    @property
    def gain(self):
        return self.booster.feature_importance("gain")

    def score(self, x):
        return self.booster.predict(x, raw_score=True, num_threads=1)


def fit(x, labels, names):
    options = BoosterConfig(learning_rate=0.1).parameters(1, 1, objective="binary")
    return Fitted(lgb.train(options, lgb.Dataset(x, labels, params=options), 60))


@pytest.fixture(scope="module")
def bank():
    """Honest features: the month's season and the income drive the answer strongly."""
    random = np.random.default_rng(3)
    month = np.repeat(np.arange(MONTHS), ROWS // MONTHS)
    season = np.array([0.0, 3.0] * (MONTHS // 2))[month]
    income, age, noise = random.normal(size=(3, ROWS))
    log_odds = season - 2.5 + income + 0.5 * age
    labels = (random.random(ROWS) < 1 / (1 + np.exp(-log_odds))).astype(float)
    x = np.column_stack([season, income, age, noise])
    return x, labels, month


def check(bank, *columns, names=(), **options):
    x, labels, month = bank
    rows = np.arange(ROWS)
    return check_leakage(
        np.column_stack([x, *columns]), labels, (*NAMES, *names), fit,
        rows[month < 8], rows[month >= 8], month, **options,
    )  # fmt: skip


def after_the_outcome(labels, seed=5):
    """Like a call's duration: longer where the answer was yes."""
    return labels * 2 + np.random.default_rng(seed).normal(size=len(labels))


def test_honest_features_pass_even_the_season_that_moves_the_rate_most(bank):
    found = check(bank)
    assert not found.stopped
    assert found.reason.startswith("passed: no feature does more than 'income' sets")
    season = next(one for one in found.peeled if one.feature == "season")
    assert season.worth < 0.1  # it orders the months, not the rows of one


def test_a_feature_that_follows_from_the_outcome_is_stopped_by_name(bank):
    found = check(bank, after_the_outcome(bank[1]), names=("duration",))
    assert found.stopped
    assert found.suspect.feature == "duration"
    assert found.reason.startswith("stopped: 'duration' sets")


def test_a_leak_cannot_hide_behind_its_double(bank):
    seconds = after_the_outcome(bank[1])
    minutes = np.round(seconds, 1)
    found = check(bank, seconds, minutes, names=("seconds", "minutes"))
    assert found.peeled[0].worth < 0.3  # the other column still knew
    assert found.stopped
    assert found.suspect.feature in {"seconds", "minutes"}


def test_knowing_half_of_the_answers_is_stopped_and_a_twentieth_is_not(bank):
    random = np.random.default_rng(7)
    for share, stopped in ((0.5, True), (0.05, False)):
        told = np.where(random.random(ROWS) < share, bank[1], np.nan)
        assert check(bank, told, names=("told",)).stopped is stopped


def test_a_leak_that_is_gone_on_later_time_is_not_counted(bank):
    month = bank[2]
    random = np.random.default_rng(9)
    early = np.where(month < 8, after_the_outcome(bank[1]), random.normal(size=ROWS))
    found = check(bank, early, names=("backfilled",))
    assert found.auc < check(bank).auc  # it only harms
    assert not found.stopped


def test_the_cheat_is_worth_about_the_pairs_it_knows(bank):
    # a pair is right where either answer is known: 1 − (1 − share)²
    for share in (0.2, 0.5):
        found = check(bank, known_share=share)
        assert found.cheat_worth == pytest.approx(1 - (1 - share) ** 2, abs=0.05)


def test_equal_seeds_give_equal_figures(bank):
    assert check(bank, depth=2) == check(bank, depth=2)
    assert check(bank, depth=1).cheat_auc != check(bank, depth=1, seed=2).cheat_auc


def test_rows_without_both_labels_in_a_block_are_refused(bank):
    x, _, month = bank
    rows = np.arange(ROWS)
    with pytest.raises(TrainingError, match="no time block of the later rows holds both labels"):
        check_leakage(x, (month % 2).astype(float), NAMES, fit, rows[:4000], rows[4000:], month)
    with pytest.raises(TrainingError, match="needs two or more"):
        check_leakage(x[:, :1], month * 0.0, ("one",), fit, rows[:4000], rows[4000:], month)
