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
Rows = npt.NDArray[np.int64]
Progress = Callable[[str], None]

RARE_POSITIVES = 200


class NextProductConfig(BoosterConfig):
    """How the start models are trained.

    A product keeps all its positives, and of its negatives ``minimum_negatives`` or
    ``negatives_per_positive`` times the positives, whichever is more.
    """

    negatives_per_positive: int = Field(default=4, ge=1)
    minimum_negatives: int = Field(default=25_000, ge=1)


@dataclass(frozen=True)
class StartRows:
    """Rows to learn from: `x` (n, F), `starts` and `eligible` (n, K) booleans, and time splits.

    ``train``, ``stop`` and ``calibrate`` are row numbers, each later in time than the one before.
    """

    x: Matrix
    starts: Mask
    eligible: Mask
    train: Rows
    stop: Rows
    calibrate: Rows


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
        """Train, stop early on the next time, refit on both, calibrate on time not seen."""
        learner = _Learner(config, rows, seed)
        fitting = np.concatenate([rows.train, rows.stop])
        positives = (rows.starts & rows.eligible)[fitting].sum(axis=0)
        merged = [k for k in range(len(products)) if positives[k] >= RARE_POSITIVES]
        pooled = [k for k in range(len(products)) if positives[k] < RARE_POSITIVES]
        texts, rates, rounds = [], {}, {}
        with ThreadPoolExecutor(max_workers=threads) as pool:
            for k, (text, rate, best) in zip(
                merged, pool.map(learner.one_product, merged), strict=True
            ):
                progress(products[k])
                texts.append(text)
                rates[products[k]], rounds[products[k]] = rate, best
        pooled_text = None
        if pooled:
            progress("rare products")
            pooled_text, rate, best = learner.pooled(pooled)
            for k in pooled:
                rates[products[k]], rounds[products[k]] = rate, best
        learned = _Learned(
            products=products,
            merged=tuple(products[k] for k in merged),
            pooled=tuple(products[k] for k in pooled),
            log_sampling_rate=rates,
            calibrators={product: PlattCalibrator() for product in products},
            rounds=rounds,
        )
        model = cls(learned, merge(texts) if texts else None, pooled_text)
        return model._calibrated(rows, threads)

    def _calibrated(self, rows: StartRows, threads: int) -> NextProductModel:
        """Slopes from time not seen, levels from all time known."""
        known = np.concatenate([rows.train, rows.stop, rows.calibrate])
        unseen = np.arange(len(known)) >= len(known) - len(rows.calibrate)
        scores = self.log_odds(rows.x[known], threads)
        starts, eligible = rows.starts[known], rows.eligible[known]
        calibrators = {}
        for k, product in enumerate(self.products):
            own = eligible[:, k]
            labels = starts[:, k].astype(np.float64)
            sloped = PlattCalibrator.fit(scores[own & unseen, k], labels[own & unseen])
            rate = float(labels[own].mean()) if own.any() else 0.0
            calibrators[product] = sloped.levelled(scores[own, k], rate)
        learned = self.learned_.model_copy(update={"calibrators": calibrators})
        return NextProductModel(learned, self.merged_text_, self.pooled_text_)

    def log_odds(self, x: Matrix, threads: int = 1) -> Matrix:
        """Log-odds of a start, calibrated, shape (n, K)."""
        raw = np.empty((len(x), len(self.products)))
        learned = self.learned_
        if self._merged is not None:
            columns = [self._position[product] for product in learned.merged]
            raw[:, columns] = raw_scores(self._merged, x, len(learned.merged), threads)
        if self._pooled is not None:
            for code, product in enumerate(learned.pooled):
                stacked = np.column_stack([x, np.full(len(x), float(code))])
                raw[:, self._position[product]] = raw_scores(self._pooled, stacked, 1, threads)[
                    :, 0
                ]
        for k, product in enumerate(learned.products):
            calibrator = learned.calibrators[product]
            corrected = raw[:, k] + learned.log_sampling_rate[product]
            raw[:, k] = calibrator.slope * corrected + calibrator.bias
        return raw

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
        code = float(self.learned_.pooled.index(product))
        values = contributions(self._pooled, np.column_stack([x, np.full(len(x), code)]), threads)
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


@dataclass
class _Learner:
    """Trains the boosters of one `fit`; bins are made once and shared by all products."""

    config: NextProductConfig
    rows: StartRows
    seed: int

    def __post_init__(self) -> None:
        # one thread a booster, several boosters at a time: threads that share a booster on two
        # shared cores spend four fifths of their time waiting for each other
        self._parameters = self.config.parameters(self.seed, 1, objective="binary")
        names = [f"f{column}" for column in range(self.rows.x.shape[1])]
        fitting = np.concatenate([self.rows.train, self.rows.stop])
        self._fitting = fitting
        self._dataset = lgb.Dataset(
            self.rows.x[fitting],
            feature_name=names,
            params={**self._parameters, "bin_construct_sample_cnt": 100_000},
            free_raw_data=False,
        ).construct()
        self._train_rows = len(self.rows.train)

    def one_product(self, k: int) -> tuple[str, float, int]:
        """Text booster, log of the share of negatives kept, and rounds of one product."""
        chosen, rate = self._drawn(k, self.seed)
        fit, stop = chosen[chosen < self._train_rows], chosen[chosen >= self._train_rows]
        early = self._booster(fit, k, self.config.max_rounds, stop)
        best = max(early.best_iteration, 1)
        text = self._booster(chosen, k, best).model_to_string()
        return text, float(np.log(rate)), best

    def at_rounds(self, k: int, rounds: int, seed: int) -> lgb.Booster:
        """Grow a product's booster with another seed: other negatives, other rows and columns."""
        chosen, _ = self._drawn(k, seed)
        parameters = self.config.parameters(seed, 1, objective="binary")
        text = lgb.train(parameters, self._labelled(chosen, k), rounds).model_to_string()
        return lgb.Booster(model_str=text)

    def _drawn(self, k: int, seed: int) -> tuple[Rows, float]:
        """Rows of a product, all its positives among them, and the share of negatives kept."""
        random = np.random.default_rng([seed, k])
        labels = self.rows.starts[self._fitting, k]
        eligible = np.flatnonzero(self.rows.eligible[self._fitting, k])
        positives, negatives = eligible[labels[eligible]], eligible[~labels[eligible]]
        wanted = max(
            self.config.minimum_negatives, self.config.negatives_per_positive * len(positives)
        )
        rate = min(1.0, wanted / max(len(negatives), 1))
        kept = negatives[random.random(len(negatives)) < rate]
        return np.sort(np.concatenate([positives, kept])), rate

    def _booster(self, chosen: Rows, k: int, rounds: int, stop: Rows | None = None) -> lgb.Booster:
        train = self._labelled(chosen, k)
        if stop is None:
            return lgb.train(self._parameters, train, rounds)
        return lgb.train(
            self._parameters,
            train,
            rounds,
            valid_sets=[self._labelled(stop, k)],
            callbacks=[lgb.early_stopping(self.config.early_stopping_rounds, verbose=False)],
        )

    def _labelled(self, chosen: Rows, k: int) -> lgb.Dataset:
        labels = self.rows.starts[self._fitting[chosen], k]
        # constructing a subset gives it its parent's label: its own is set only after that
        subset = self._dataset.subset(chosen.tolist()).construct()
        subset.set_label(labels.astype(np.float64))
        return subset

    def pooled(self, products: list[int]) -> tuple[str, float, int]:
        """One booster over (customer, rare product) pairs; the product is its last column."""
        random = np.random.default_rng([self.seed, 10_000])
        parts_x, parts_y, parts_stop = [], [], []
        rate = self._pooled_rate(products)
        for code, k in enumerate(products):
            labels = self.rows.starts[self._fitting, k]
            eligible = self.rows.eligible[self._fitting, k]
            kept = eligible & (labels | (random.random(len(labels)) < rate))
            chosen = np.flatnonzero(kept)
            x = self.rows.x[self._fitting[chosen]]
            parts_x.append(np.column_stack([x, np.full(len(chosen), float(code))]))
            parts_y.append(labels[chosen].astype(np.float64))
            parts_stop.append(chosen >= self._train_rows)
        x, y, late = np.concatenate(parts_x), np.concatenate(parts_y), np.concatenate(parts_stop)
        options = self._parameters
        product = [x.shape[1] - 1]
        best = self.config.max_rounds // 4
        if y[late].sum() > 0 and y[~late].sum() > 0:
            train = lgb.Dataset(x[~late], y[~late], categorical_feature=product, params=options)
            valid = lgb.Dataset(x[late], y[late], reference=train, params=options)
            stopping = lgb.early_stopping(self.config.early_stopping_rounds, verbose=False)
            early = lgb.train(
                options, train, self.config.max_rounds, valid_sets=[valid], callbacks=[stopping]
            )
            best = max(early.best_iteration, 1)
        dataset = lgb.Dataset(x, y, categorical_feature=product, params=options)
        booster = lgb.train(options, dataset, best)
        return booster.model_to_string(), float(np.log(rate)), best

    def _pooled_rate(self, products: list[int]) -> float:
        negatives = (~self.rows.starts & self.rows.eligible)[self._fitting][:, products].sum()
        return float(min(1.0, 2 * self.config.minimum_negatives / max(negatives, 1)))
