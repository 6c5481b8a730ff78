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

from features.config import StrictConfig
from training.models.boosters import (
    contributions,
    merge,
    one_output,
    raw_scores,
)
from training.models.calibration import PlattCalibrator
from training.models.packed import PackedBooster
from training.models.season import MONTHS, Season
from training.models.start_learner import (
    Fitted,
    NextProductConfig,
    StartLearner,
    StartRows,
    with_code,
)

Matrix = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]
Vector = npt.NDArray[np.float64]
Rows = npt.NDArray[np.int64]
Progress = Callable[[str], None]

RARE_POSITIVES = 200

TOGETHER = 1_000
"""Customers whose rare products are scored in one call: a row of memory a customer and product."""


class StartExplanation(NamedTuple):
    """Why this start probability: log-odds that add up.

    ``bias`` + Σ ``values`` = ``raw_score`` = log-odds of the calibrated `p_start`; ``values`` are
    the contributions of the features ``names``, shape (F,), ``groups`` the same summed into feature
    groups.
    """

    raw_score: float
    bias: float
    names: tuple[str, ...]
    values: Vector
    groups: dict[str, float]

    @property
    def by_feature(self) -> dict[str, float]:
        """The contribution of every feature by name, in column order."""
        return dict(zip(self.names, self.values.tolist(), strict=True))

    def strongest(self, most: int) -> tuple[tuple[str, float], ...]:
        """Name the features that move the score most, largest first (ties in column order)."""
        # a few dozen of hundreds; methods, for three times as long goes into numpy's functions
        (moved,) = self.values.nonzero()
        values = self.values[moved]
        order = (-abs(values)).argsort(kind="stable")[:most]
        named = zip(moved[order].tolist(), values[order].tolist(), strict=True)
        return tuple((self.names[place], value) for place, value in named)


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
    """What is learned besides trees: order of outputs, corrections, calibrators and seasons.

    ``month`` is the column of the features that tells the calendar month (1–12); −1 where none
    does, and there are no seasons.
    """

    products: tuple[str, ...]
    merged: tuple[str, ...]
    pooled: tuple[str, ...]
    log_sampling_rate: dict[str, float]
    calibrators: dict[str, PlattCalibrator]
    rounds: dict[str, int]
    month: int
    seasons: dict[str, Season] = {}


@dataclass(frozen=True)
class _Grouping:
    """Features in column order, their groups, and the place of each feature's group, (F,)."""

    names: tuple[str, ...]
    groups: tuple[str, ...]
    place: Rows

    @classmethod
    def of(cls, groups: dict[str, str]) -> _Grouping:
        place = {group: at for at, group in enumerate(dict.fromkeys(groups.values()))}
        return cls(tuple(groups), tuple(place), np.array([place[one] for one in groups.values()]))


class NextProductModel:
    """Start probabilities of all products from one feature matrix."""

    def __init__(self, learned: _Learned, merged_text: str | None, pooled_text: str | None) -> None:
        self.learned_ = learned
        self.merged_text_ = merged_text
        self.pooled_text_ = pooled_text
        self._merged = lgb.Booster(model_str=merged_text) if merged_text else None
        self._pooled = lgb.Booster(model_str=pooled_text) if pooled_text else None
        self._by_product = PackedBooster(pooled_text, 1) if pooled_text else None
        self._apart: dict[str, lgb.Booster] = {}
        self._position = {product: place for place, product in enumerate(learned.products)}
        self._own_columns = np.array([self._position[one] for one in learned.merged], np.int64)
        self._pooled_columns = np.array([self._position[one] for one in learned.pooled], np.int64)
        self._grouping: tuple[dict[str, str], _Grouping] | None = None
        calibrators = [learned.calibrators[product] for product in learned.products]
        self._slopes = np.array([one.slope for one in calibrators])
        self._biases = np.array([one.bias for one in calibrators])
        self._log_rates = np.array([learned.log_sampling_rate[one] for one in learned.products])
        # row 0 is for a month that is not told
        self._seasons = np.zeros((MONTHS + 1, len(learned.products)))
        for product, season in learned.seasons.items():
            self._seasons[1:, self._position[product]] = season.log_odds

    @property
    def boosters(self) -> list[lgb.Booster]:
        """What scores a customer."""
        return [one for one in (self._merged, self._pooled) if one is not None]

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
        learner = StartLearner(config, rows, seed)
        positives = (rows.starts & rows.eligible)[rows.known].sum(axis=0)
        merged = [k for k in range(len(products)) if positives[k] >= RARE_POSITIVES]
        pooled = [k for k in range(len(products)) if positives[k] < RARE_POSITIVES]
        texts: list[str] = []
        fitted: dict[int, Fitted] = {}
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
            month=rows.month,
        )
        model = cls(learned, merge(texts) if texts else None, pooled_text)
        return model._levelled(rows, threads)

    def _levelled(self, rows: StartRows, threads: int) -> NextProductModel:
        """Levels at which the mean probability over all time known is the start rate; seasons."""
        learned = self.learned_
        x = rows.x[rows.known]
        raw = self._raw_scores(x, threads)
        starts, eligible = rows.starts[rows.known], rows.eligible[rows.known]
        calibrators, seasons = {}, {}
        for k, product in enumerate(self.products):
            own = eligible[:, k]
            rate = float(starts[own, k].mean()) if own.any() else 0.0
            calibrator = learned.calibrators[product].levelled(raw[own, k], rate)
            calibrators[product] = calibrator
            if rows.month >= 0:
                scores = calibrator.slope * raw[own, k] + calibrator.bias
                earlier = rows.earlier[k] if rows.earlier else None
                seasons[product] = Season.fit(scores, starts[own, k], x[own, rows.month], earlier)
        learned = learned.model_copy(update={"calibrators": calibrators, "seasons": seasons})
        return NextProductModel(learned, self.merged_text_, self.pooled_text_)

    def log_odds(self, x: Matrix, threads: int = 1) -> Matrix:
        """Log-odds of a start, calibrated, the month's season in it, shape (n, K)."""
        scores = self._slopes * self._raw_scores(x, threads) + self._biases
        return np.asarray(scores + self._seasonal(x) if self.learned_.month >= 0 else scores)

    def _seasonal(self, x: Matrix) -> Matrix:
        """What the month of each row adds, shape (n, K)."""
        month = x[:, self.learned_.month]
        return np.asarray(self._seasons[np.where(np.isnan(month), 0.0, month).astype(np.int64)])

    def _raw_scores(self, x: Matrix, threads: int) -> Matrix:
        """Log-odds before calibration, corrected for the sampling of negatives, shape (n, K)."""
        raw = np.empty((len(x), len(self.products)))
        learned = self.learned_
        if self._merged is not None:
            raw[:, self._own_columns] = raw_scores(self._merged, x, len(learned.merged), threads)
        if self._by_product is not None:
            codes = np.arange(float(len(learned.pooled)))[:, None]
            for first in range(0, len(x), TOGETHER):
                scores = self._by_product.raw_scores(x[first : first + TOGETHER], codes)
                raw[first : first + TOGETHER, self._pooled_columns] = scores[:, :, 0]
        return np.asarray(raw + self._log_rates)

    def predict(self, x: Matrix, threads: int = 1) -> Matrix:
        """Probabilities of a start within the horizon, shape (n, K), in 0–1."""
        return np.asarray(1.0 / (1.0 + np.exp(-self.log_odds(x, threads))))

    def explain(self, x_row: Matrix, product: str, groups: dict[str, str]) -> StartExplanation:
        """Exact TreeSHAP of one product's log-odds for one row of shape (F,).

        ``groups`` maps each feature, in column order, to its group.
        """
        return self.explain_many(x_row.reshape(1, -1), [product], groups)[0]

    def explain_many(
        self, x: Matrix, products: Sequence[str], groups: dict[str, str], threads: int = 1
    ) -> list[StartExplanation]:
        """Explain ``products[i]`` for row i, shape (n, F): one booster call a product.

        The numbers are those of one row at a time.
        """
        grouping = self._grouped(groups)
        position = np.array([self._position[product] for product in products])
        contributed = np.empty((len(x), x.shape[1] + 1))
        for k in dict.fromkeys(position.tolist()):
            rows = np.flatnonzero(position == k)
            contributed[rows] = self.contributions(x[rows], self.products[k], threads)
        slopes = self._slopes[position]
        contributed *= slopes[:, None]
        if self.learned_.month >= 0:
            # the season is the month's doing, so its feature answers for it
            season = self._seasonal(x)[np.arange(len(x)), position]
            contributed[:, self.learned_.month] += season
        values = np.ascontiguousarray(contributed[:, :-1])
        biases = contributed[:, -1] + slopes * self._log_rates[position] + self._biases[position]
        # a cell a row and group, one feature after the other: the same bits for any number of rows
        width = len(grouping.groups)
        cell = grouping.place + width * np.arange(len(x))[:, None]
        summed = np.bincount(cell.ravel(), values.ravel(), width * len(x))
        return [
            StartExplanation(
                raw_score=bias + total,
                bias=bias,
                names=grouping.names,
                values=own,
                groups=dict(zip(grouping.groups, sums, strict=True)),
            )
            for bias, total, own, sums in zip(
                biases.tolist(),
                values.sum(axis=1).tolist(),
                values,
                summed.reshape(len(x), -1).tolist(),
                strict=True,
            )
        ]

    def _grouped(self, groups: dict[str, str]) -> _Grouping:
        # hundreds of names, and of a release always the same ones
        if self._grouping is None or self._grouping[0] is not groups:
            self._grouping = groups, _Grouping.of(groups)
        return self._grouping[1]

    def contrast(
        self, x_row: Matrix, product: str, other: str, groups: dict[str, str]
    ) -> StartContrast:
        """Why `product` rather than `other` for one row of shape (F,): the two explanations' gap.

        ``groups`` maps each feature, in column order, to its group.
        """
        one, two = self.explain(x_row, product, groups), self.explain(x_row, other, groups)
        first, second = one.by_feature, two.by_feature
        return StartContrast(
            product=product,
            other=other,
            lead=one.raw_score - two.raw_score,
            bias=one.bias - two.bias,
            by_feature={name: first[name] - second[name] for name in groups},
            groups={name: one.groups[name] - two.groups[name] for name in one.groups},
        )

    def contributions(self, x: Matrix, product: str, threads: int = 1) -> Matrix:
        """TreeSHAP of the product's own trees, uncalibrated, no season, (n, F + 1), bias last."""
        if product not in self.learned_.pooled:
            if product not in self._apart:
                output = self.learned_.merged.index(product)
                text = one_output(self.merged_text_ or "", output)
                self._apart[product] = lgb.Booster(model_str=text)
            return contributions(self._apart[product], x, threads)
        if self._pooled is None:
            raise KeyError(product)
        code = self.learned_.pooled.index(product)
        values = contributions(self._pooled, with_code(x, code), threads)
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
