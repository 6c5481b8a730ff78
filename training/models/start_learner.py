"""Growing the boosters of the next product: which rows each one sees, when it stops, its slope.

Bins are made once and shared by all products. Every product keeps its starts and a share of the
rest; an early booster on the train rows finds the number of rounds and the calibrator's slope, and
the booster that is kept is grown on all time known.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import NamedTuple

import lightgbm as lgb
import numpy as np
import numpy.typing as npt
from pydantic import Field

from training.models.boosters import BoosterConfig
from training.models.calibration import PlattCalibrator
from training.models.season import Counts

Matrix = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]
Rows = npt.NDArray[np.int64]
Vector = npt.NDArray[np.float64]

YEAR_DAYS = 365.25
SAME_MONTH_DAYS = 30.0
"""A row is of the same month last year if it lies within so many days of a year before."""


class NextProductConfig(BoosterConfig):
    """How the start models are trained.

    A product keeps all its positives, and of its negatives ``minimum_negatives`` or
    ``negatives_per_positive`` times the positives, whichever is more. Rows lose half their weight
    every ``recency_half_life_days``; those of the month that begins when training ends, a year
    before, weigh ``same_month_last_year_weight`` times as much.
    """

    negatives_per_positive: int = Field(default=4, ge=1)
    minimum_negatives: int = Field(default=25_000, ge=1)
    recency_half_life_days: float | None = Field(default=None, gt=0)
    same_month_last_year_weight: float = Field(default=1.0, gt=0)

    @property
    def weighted(self) -> bool:
        """Whether any row weighs more than another."""
        return self.recency_half_life_days is not None or self.same_month_last_year_weight != 1

    def weights(self, age_days: Vector) -> Vector:
        """Weight of each row in training, of mean 1; ``age_days`` (n,) as in `StartRows`."""
        weights = np.ones(len(age_days))
        if self.recency_half_life_days is not None:
            weights = np.exp2(-age_days / self.recency_half_life_days)
        a_year_ago = np.abs(age_days - YEAR_DAYS) < SAME_MONTH_DAYS
        weights = np.where(a_year_ago, self.same_month_last_year_weight * weights, weights)
        return np.asarray(weights / weights.mean())


@dataclass(frozen=True)
class StartRows:
    """Rows to learn from: `x` (n, F), `starts` and `eligible` (n, K) booleans, and time splits.

    ``about`` (F,) is the product that a column tells of and that alone may read it, −1 where all
    may: the demand for other products is noise that a tree would follow.
    ``train``, ``stop`` and ``calibrate`` are row numbers, each later in time than the one before;
    ``age_days`` (n,) is how long before the first day of use each row's `as_of` was. ``month`` is
    the column that tells the calendar month (1–12), −1 where the source has no calendar;
    ``earlier`` what is counted of the year before the train rows, one a product, where anything is.
    """

    x: Matrix
    about: Rows
    starts: Mask
    eligible: Mask
    age_days: Vector
    train: Rows
    stop: Rows
    calibrate: Rows
    month: int = field(default=-1, kw_only=True)
    earlier: tuple[Counts, ...] = field(default=(), kw_only=True)

    @property
    def known(self) -> Rows:
        """All rows to learn from, in the order of the splits."""
        return np.concatenate([self.train, self.stop, self.calibrate])


def reseeded(
    config: NextProductConfig,
    rows: StartRows,
    rounds: dict[int, int],
    seeds: Sequence[int],
    threads: int = 1,
) -> list[dict[int, lgb.Booster]]:
    """Train products again, by column, at the rounds given: one booster of each for every seed.

    With the seed of `NextProductModel.fit` they are its own trees.
    """
    learner = StartLearner(config, rows, seeds[0])
    wanted = [(k, rounds[k], seed) for seed in seeds for k in rounds]
    with ThreadPoolExecutor(max_workers=threads) as pool:
        trained = dict(
            zip(wanted, pool.map(lambda one: learner.at_rounds(*one), wanted), strict=True)
        )
    return [{k: trained[k, rounds[k], seed] for k in rounds} for seed in seeds]


def with_code(x: Matrix, code: int) -> Matrix:
    """Append the code of a rare product to the features."""
    return np.column_stack([x, np.full(len(x), float(code))])


class Fitted(NamedTuple):
    """What is learned of a product besides its trees."""

    log_rate: float
    rounds: int
    sloped: PlattCalibrator


class _Examples(NamedTuple):
    """Examples of one booster: bins of all, which of them, their labels and their rows."""

    bins: lgb.Dataset
    chosen: Rows
    labels: Mask
    rows: Rows


@dataclass
class StartLearner:
    """Trains the boosters of one `fit`; bins are made once and shared by all products.

    A row is a place in `StartRows.known`: train first, then stop, then calibrate.
    """

    config: NextProductConfig
    rows: StartRows
    seed: int

    def __post_init__(self) -> None:
        # one thread a booster, several boosters at a time: threads that share a booster on two
        # shared cores spend four fifths of their time waiting for each other
        self._parameters = self.config.parameters(self.seed, 1, objective="binary")
        known = self.rows.known
        self._x, self._starts = self.rows.x[known], self.rows.starts[known]
        self._eligible = self.rows.eligible[known]
        self._weights = self.config.weights(self.rows.age_days[known])
        names = [f"f{column}" for column in range(self._x.shape[1])]
        self._bins = self._binned(self._x, feature_name=names)
        self._stop_from = len(self.rows.train)
        self._calibrate_from = self._stop_from + len(self.rows.stop)

    def _binned(self, x: Matrix, **options: object) -> lgb.Dataset:
        sample = {"bin_construct_sample_cnt": 100_000}
        params = {**self._parameters, **sample}
        return lgb.Dataset(x, params=params, free_raw_data=False, **options).construct()

    def one_product(self, k: int) -> tuple[str, Fitted]:
        """Text booster of one product, and what is learned besides."""
        examples, rate = self._drawn(k, self.seed)
        first, text, rounds = self._grown(examples, self._reading(k))
        return text, Fitted(rate, rounds, self._sloped(first, k, rate, rounds))

    def at_rounds(self, k: int, rounds: int, seed: int) -> lgb.Booster:
        """Grow a product's booster with another seed: other negatives, other rows and columns."""
        examples, _ = self._drawn(k, seed)
        everything = self._part(examples, np.ones(len(examples.chosen), dtype=bool))
        parameters = {**self._reading(k), "seed": seed}
        return lgb.Booster(model_str=lgb.train(parameters, everything, rounds).model_to_string())

    def _drawn(self, k: int, seed: int) -> tuple[_Examples, float]:
        """Examples of a product, all its positives among them; log of the negatives' share."""
        random = np.random.default_rng([seed, k])
        started = self._starts[:, k]
        positives = int((started & self._eligible[:, k]).sum())
        wanted = max(self.config.minimum_negatives, self.config.negatives_per_positive * positives)
        rate = self._rate(wanted, [k])
        chosen = self._sampled(k, rate, random)
        return _Examples(self._bins, chosen, started[chosen], chosen), rate

    def pooled(self, products: list[int]) -> tuple[str, dict[int, Fitted]]:
        """One booster over (customer, rare product) pairs; the product is its last column."""
        random = np.random.default_rng([self.seed, 10_000])
        rate = self._rate(2 * self.config.minimum_negatives, products)
        sampled = [self._sampled(k, rate, random) for k in products]
        x = np.concatenate(
            [with_code(self._x[chosen], code) for code, chosen in enumerate(sampled)]
        )
        labels = [self._starts[chosen, k] for k, chosen in zip(products, sampled, strict=True)]
        first, text, rounds = self._grown(
            _Examples(
                self._binned(x, categorical_feature=[x.shape[1] - 1]),
                np.arange(len(x)),
                np.concatenate(labels),
                np.concatenate(sampled),
            ),
            self._reading(further=1),
        )
        fitted = {
            k: Fitted(rate, rounds, self._sloped(first, k, rate, rounds, code))
            for code, k in enumerate(products)
        }
        return text, fitted

    def _rate(self, wanted: int, products: list[int]) -> float:
        """Log of the share of negatives to keep so that as many remain as wanted."""
        negatives = (~self._starts & self._eligible)[:, products].sum()
        return float(np.log(min(1.0, wanted / max(negatives, 1))))

    def _sampled(self, k: int, log_rate: float, random: np.random.Generator) -> Rows:
        """Rows that start the product, and of those that could and do not, a share."""
        started = self._starts[:, k]
        kept = started | (random.random(len(started)) < np.exp(log_rate))
        return np.flatnonzero(self._eligible[:, k] & kept)

    def _reading(self, k: int | None = None, further: int = 0) -> dict[str, object]:
        """Parameters of a booster that reads what all may read and what product k alone may.

        The month is the season's to tell (`Season`): a tree that had learned a part of it by heart
        would leave the season too small. ``further`` columns after the features may be read.
        """
        may = (self.rows.about < 0) | (self.rows.about == k)
        if self.rows.month >= 0:
            may[self.rows.month] = False
        told = [*may.astype(np.float64).tolist(), *[1.0] * further]
        # LightGBM multiplies the gain of a split by it: with 0 there is none
        return {**self._parameters, "feature_contri": told}

    def _grown(
        self, examples: _Examples, parameters: dict[str, object]
    ) -> tuple[lgb.Booster, str, int]:
        """Give the booster that saw train rows only, the text of one that saw all, and its rounds.

        The first is stopped where the rows of ``stop`` gain no more; where they hold no start to
        tell, a quarter of the most rounds allowed is taken.
        """
        early = examples.rows < self._stop_from
        stop = ~early & (examples.rows < self._calibrate_from)
        train, rounds = self._part(examples, early), self.config.max_rounds
        told = {}
        if examples.labels[early].any() and examples.labels[stop].any():
            stopping = lgb.early_stopping(self.config.early_stopping_rounds, verbose=False)
            told = {"valid_sets": [self._part(examples, stop)], "callbacks": [stopping]}
        else:
            rounds = max(rounds // 4, 1)
        first = lgb.train(parameters, train, rounds, **told)
        # a booster that was not stopped has 0 as its best iteration
        best = first.best_iteration if first.best_iteration > 0 else first.current_iteration()
        everything = self._part(examples, np.ones(len(early), dtype=bool))
        return first, lgb.train(parameters, everything, best).model_to_string(), best

    def _part(self, examples: _Examples, wanted: Mask) -> lgb.Dataset:
        # constructing a subset gives it its parent's label: its own is set only after that
        part = examples.bins.subset(examples.chosen[wanted].tolist()).construct()
        part.set_label(examples.labels[wanted].astype(np.float64))
        if self.config.weighted:
            part.set_weight(self._weights[examples.rows[wanted]])
        return part

    def _sloped(
        self, first: lgb.Booster, k: int, log_rate: float, rounds: int, code: int | None = None
    ) -> PlattCalibrator:
        """How far scores can be trusted, from rows that no tree of ``first`` has seen."""
        rows = np.arange(self._calibrate_from, len(self._x))
        rows = rows[self._eligible[rows, k]]
        if not len(rows):
            return PlattCalibrator()
        x = self._x[rows] if code is None else with_code(self._x[rows], code)
        scores = first.predict(x, raw_score=True, num_iteration=rounds, num_threads=1)
        labels = self._starts[rows, k].astype(np.float64)
        return PlattCalibrator.fit(np.asarray(scores) + log_rate, labels)
