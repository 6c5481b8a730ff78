"""Next product: which product will this customer start within the horizon?

One binary LightGBM per product on the customers who may start it, its negatives sampled and the
score corrected for it; the trees of all products merged into one multi-output booster. Products
with few starts share one pooled model that knows the product as a category.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import lightgbm as lgb
import numpy as np
import numpy.typing as npt
from pydantic import Field

from features.config import StrictConfig
from training.models.boosters import (
    BoosterConfig,
    contributions,
    merge,
    one_output,
    raw_scores,
)
from training.models.calibration import PlattCalibrator

Matrix = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]
Vector = npt.NDArray[np.float64]
Rows = npt.NDArray[np.int64]
Progress = Callable[[str], None]

RARE_POSITIVES = 200
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
    ``age_days`` (n,) is how long before the first day of use each row's `as_of` was.
    """

    x: Matrix
    about: Rows
    starts: Mask
    eligible: Mask
    age_days: Vector
    train: Rows
    stop: Rows
    calibrate: Rows

    @property
    def known(self) -> Rows:
        """All rows to learn from, in the order of the splits."""
        return np.concatenate([self.train, self.stop, self.calibrate])


@dataclass(frozen=True)
class StartExplanation:
    """Why this start probability: log-odds that add up.

    ``bias`` + Σ ``by_feature`` = ``raw_score`` = log-odds of the calibrated `p_start`; ``groups``
    are the same contributions summed into feature groups.
    """

    raw_score: float
    bias: float
    by_feature: dict[str, float]
    groups: dict[str, float]


@dataclass(frozen=True)
class StartContrast:
    """Why one product rather than another: what each part adds to the first's lead, in log-odds.

    ``bias`` + Σ ``by_feature`` = ``bias`` + Σ ``groups`` = ``lead`` = log-odds of `product` less
    those of `other`; positive parts speak for `product`.
    """

    product: str
    other: str
    lead: float
    bias: float
    by_feature: dict[str, float]
    groups: dict[str, float]


class _Learned(StrictConfig):
    """What is learned besides trees: order of outputs, corrections and calibrators."""

    products: tuple[str, ...]
    merged: tuple[str, ...]
    pooled: tuple[str, ...]
    log_sampling_rate: dict[str, float]
    calibrators: dict[str, PlattCalibrator]
    rounds: dict[str, int]


class NextProductModel:
    """Start probabilities of all products from one feature matrix."""

    def __init__(self, learned: _Learned, merged_text: str | None, pooled_text: str | None) -> None:
        self.learned_ = learned
        self.merged_text_ = merged_text
        self.pooled_text_ = pooled_text
        self._merged = lgb.Booster(model_str=merged_text) if merged_text else None
        self._pooled = lgb.Booster(model_str=pooled_text) if pooled_text else None
        self._apart: dict[str, lgb.Booster] = {}
        self._position = {product: place for place, product in enumerate(learned.products)}

    @property
    def products(self) -> tuple[str, ...]:
        """Product ids, in the order of the columns of `predict`."""
        return self.learned_.products

    @classmethod
    def fit(
        cls,
        config: NextProductConfig,
        products: tuple[str, ...],
        rows: StartRows,
        seed: int,
        threads: int,
        progress: Progress = lambda _: None,
    ) -> NextProductModel:
        """Train, stop early on the next time, take slopes from time not seen, refit on all time.

        The boosters that are kept have seen all rows; how far their scores can be trusted is
        learned from those that had seen the rows of ``train`` only.
        """
        learner = _Learner(config, rows, seed)
        positives = (rows.starts & rows.eligible)[rows.known].sum(axis=0)
        merged = [k for k in range(len(products)) if positives[k] >= RARE_POSITIVES]
        pooled = [k for k in range(len(products)) if positives[k] < RARE_POSITIVES]
        texts: list[str] = []
        fitted: dict[int, _Fitted] = {}
        with ThreadPoolExecutor(max_workers=threads) as pool:
            for k, (text, found) in zip(merged, pool.map(learner.one_product, merged), strict=True):
                progress(products[k])
                texts.append(text)
                fitted[k] = found
        pooled_text = None
        if pooled:
            progress("rare products")
            pooled_text, found_pooled = learner.pooled(pooled)
            fitted.update(found_pooled)
        learned = _Learned(
            products=products,
            merged=tuple(products[k] for k in merged),
            pooled=tuple(products[k] for k in pooled),
            log_sampling_rate={products[k]: fitted[k].log_rate for k in sorted(fitted)},
            calibrators={products[k]: fitted[k].sloped for k in sorted(fitted)},
            rounds={products[k]: fitted[k].rounds for k in sorted(fitted)},
        )
        model = cls(learned, merge(texts) if texts else None, pooled_text)
        return model._levelled(rows, threads)

    def _levelled(self, rows: StartRows, threads: int) -> NextProductModel:
        """Levels at which the mean probability over all time known is the start rate."""
        learned = self.learned_
        raw = self._raw_scores(rows.x[rows.known], threads)
        starts, eligible = rows.starts[rows.known], rows.eligible[rows.known]
        calibrators = {}
        for k, product in enumerate(self.products):
            own = eligible[:, k]
            rate = float(starts[own, k].mean()) if own.any() else 0.0
            calibrators[product] = learned.calibrators[product].levelled(raw[own, k], rate)
        learned = learned.model_copy(update={"calibrators": calibrators})
        return NextProductModel(learned, self.merged_text_, self.pooled_text_)

    def log_odds(self, x: Matrix, threads: int = 1) -> Matrix:
        """Log-odds of a start, calibrated, shape (n, K)."""
        raw = self._raw_scores(x, threads)
        for k, product in enumerate(self.products):
            calibrator = self.learned_.calibrators[product]
            raw[:, k] = calibrator.slope * raw[:, k] + calibrator.bias
        return raw

    def _raw_scores(self, x: Matrix, threads: int) -> Matrix:
        """Log-odds before calibration, corrected for the sampling of negatives, shape (n, K)."""
        raw = np.empty((len(x), len(self.products)))
        learned = self.learned_
        if self._merged is not None:
            columns = [self._position[product] for product in learned.merged]
            raw[:, columns] = raw_scores(self._merged, x, len(learned.merged), threads)
        if self._pooled is not None:
            for code, product in enumerate(learned.pooled):
                stacked = _with_code(x, code)
                scores = raw_scores(self._pooled, stacked, 1, threads)
                raw[:, self._position[product]] = scores[:, 0]
        rates = [learned.log_sampling_rate[one] for one in learned.products]
        return np.asarray(raw + np.array(rates))

    def predict(self, x: Matrix, threads: int = 1) -> Matrix:
        """Probabilities of a start within the horizon, shape (n, K), in 0–1."""
        return np.asarray(1.0 / (1.0 + np.exp(-self.log_odds(x, threads))))

    def explain(self, x_row: Matrix, product: str, groups: dict[str, str]) -> StartExplanation:
        """Exact TreeSHAP of one product's log-odds for one row of shape (F,).

        ``groups`` maps each feature, in column order, to its group.
        """
        calibrator = self.learned_.calibrators[product]
        values = self.contributions(x_row.reshape(1, -1), product)[0] * calibrator.slope
        bias = (
            values[-1]
            + calibrator.slope * self.learned_.log_sampling_rate[product]
            + calibrator.bias
        )
        by_feature = dict(zip(groups, values[:-1].tolist(), strict=True))
        summed = dict.fromkeys(groups.values(), 0.0)
        for name, value in by_feature.items():
            summed[groups[name]] += value
        return StartExplanation(
            raw_score=float(bias + values[:-1].sum()),
            bias=float(bias),
            by_feature=by_feature,
            groups=summed,
        )

    def contrast(
        self, x_row: Matrix, product: str, other: str, groups: dict[str, str]
    ) -> StartContrast:
        """Why `product` rather than `other` for one row of shape (F,): the two explanations' gap.

        ``groups`` maps each feature, in column order, to its group.
        """
        one, two = self.explain(x_row, product, groups), self.explain(x_row, other, groups)
        return StartContrast(
            product=product,
            other=other,
            lead=one.raw_score - two.raw_score,
            bias=one.bias - two.bias,
            by_feature={name: one.by_feature[name] - two.by_feature[name] for name in groups},
            groups={name: one.groups[name] - two.groups[name] for name in one.groups},
        )

    def contributions(self, x: Matrix, product: str, threads: int = 1) -> Matrix:
        """TreeSHAP of the product's own trees, uncalibrated, shape (n, F + 1), bias last."""
        if product not in self.learned_.pooled:
            if product not in self._apart:
                output = self.learned_.merged.index(product)
                text = one_output(self.merged_text_ or "", output)
                self._apart[product] = lgb.Booster(model_str=text)
            return contributions(self._apart[product], x, threads)
        if self._pooled is None:
            raise KeyError(product)
        code = self.learned_.pooled.index(product)
        values = contributions(self._pooled, _with_code(x, code), threads)
        # which product it is does not vary within a product: its part belongs to the bias
        return np.column_stack([values[:, :-2], values[:, -1] + values[:, -2]])

    def save(self, folder: Path) -> None:
        """Write text boosters and coefficients into `folder`."""
        (folder / "next_product.json").write_text(self.learned_.model_dump_json(indent=1), "utf-8")
        for name, text in (
            ("next_product", self.merged_text_),
            ("rare_products", self.pooled_text_),
        ):
            if text:
                (folder / f"{name}.txt").write_text(text, "utf-8")

    @classmethod
    def load(cls, folder: Path) -> NextProductModel:
        """Read what `save` wrote; the caller has checked the hashes."""
        learned = _Learned.model_validate_json((folder / "next_product.json").read_text("utf-8"))
        texts = [
            (folder / f"{name}.txt").read_text("utf-8") if used else None
            for name, used in (("next_product", learned.merged), ("rare_products", learned.pooled))
        ]
        return cls(learned, *texts)


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
    learner = _Learner(config, rows, seeds[0])
    wanted = [(k, rounds[k], seed) for seed in seeds for k in rounds]
    with ThreadPoolExecutor(max_workers=threads) as pool:
        trained = dict(
            zip(wanted, pool.map(lambda one: learner.at_rounds(*one), wanted), strict=True)
        )
    return [{k: trained[k, rounds[k], seed] for k in rounds} for seed in seeds]


def _with_code(x: Matrix, code: int) -> Matrix:
    """Append the code of a rare product to the features."""
    return np.column_stack([x, np.full(len(x), float(code))])


class _Fitted(NamedTuple):
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
class _Learner:
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

    def one_product(self, k: int) -> tuple[str, _Fitted]:
        """Text booster of one product, and what is learned besides."""
        examples, rate = self._drawn(k, self.seed)
        first, text, rounds = self._grown(examples, self._reading(k))
        return text, _Fitted(rate, rounds, self._sloped(first, k, rate, rounds))

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

    def pooled(self, products: list[int]) -> tuple[str, dict[int, _Fitted]]:
        """One booster over (customer, rare product) pairs; the product is its last column."""
        random = np.random.default_rng([self.seed, 10_000])
        rate = self._rate(2 * self.config.minimum_negatives, products)
        sampled = [self._sampled(k, rate, random) for k in products]
        x = np.concatenate(
            [_with_code(self._x[chosen], code) for code, chosen in enumerate(sampled)]
        )
        labels = [self._starts[chosen, k] for k, chosen in zip(products, sampled, strict=True)]
        first, text, rounds = self._grown(
            _Examples(
                self._binned(x, categorical_feature=[x.shape[1] - 1]),
                np.arange(len(x)),
                np.concatenate(labels),
                np.concatenate(sampled),
            ),
            {**self._parameters},
        )
        fitted = {
            k: _Fitted(rate, rounds, self._sloped(first, k, rate, rounds, code))
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

    def _reading(self, k: int | None = None) -> dict[str, object]:
        """Parameters of a booster that reads what all may read and what product k alone may."""
        may = (self.rows.about < 0) | (self.rows.about == k)
        # LightGBM multiplies the gain of a split by it: with 0 there is none
        return {**self._parameters, "feature_contri": may.astype(np.float64).tolist()}

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
        x = self._x[rows] if code is None else _with_code(self._x[rows], code)
        scores = first.predict(x, raw_score=True, num_iteration=rounds, num_threads=1)
        labels = self._starts[rows, k].astype(np.float64)
        return PlattCalibrator.fit(np.asarray(scores) + log_rate, labels)
