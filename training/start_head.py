"""The next-product head: its rows, its fitting, and its test beside naive rules."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from features.customer.demand import RECENT, USUAL
from features.feature_set import FeatureSet
from features.sources import Source
from features.spine import MICROSECONDS_A_DAY, Spine
from training import baselines, metrics, targets
from training.config import RunConfig
from training.models.next_product import NextProductModel, StartRows
from training.report import HeadReport, group_rows, sample_rows

Matrix = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]
Rows = npt.NDArray[np.int64]
Progress = Callable[[str], None]


@dataclass
class StartHead:
    """Rows, fitting and evaluation of the start models."""

    config: RunConfig
    source: Source
    spine: Spine
    x: Matrix
    split: dict[str, Rows]
    use_from: int
    feature_set: FeatureSet

    def __post_init__(self) -> None:
        self.products = self.source.catalog.product_ids
        self.starts = targets.starts(self.spine, self.products)
        self.eligible = targets.eligible(self.spine, self.products)

    def fit(self, progress: Progress) -> NextProductModel:
        """Train on the rows before the test."""
        assert self.config.next_product is not None  # noqa: S101 (the caller looked)
        age_us = self.use_from - self.spine.arrow()["as_of"].to_numpy()
        rows = StartRows(
            self.x, self._about(), self.starts, self.eligible, age_us / MICROSECONDS_A_DAY,
            self.split["train"], self.split["stop"], self.split["calibrate"],
        )  # fmt: skip
        return NextProductModel.fit(
            self.config.next_product, self.products, rows, self.config.seed, self.config.threads,
            progress,
        )  # fmt: skip

    def popularity(self) -> dict[str, float]:
        """Start rate per eligible customer in the newest time before the test."""
        recent = self.split["calibrate"]
        started = (self.starts & self.eligible)[recent].sum(axis=0)
        could = self.eligible[recent].sum(axis=0)
        return {
            product: float(started[k] / max(could[k], 1)) for k, product in enumerate(self.products)
        }

    def evaluate(self, model: NextProductModel) -> HeadReport:
        """Compare with the naive rules on the test rows."""
        test = self.split["test"]
        p = model.predict(self.x[test], self.config.threads)
        starts, eligible = self.starts[test], self.eligible[test]
        report = HeadReport(metrics=metrics.ranking(p, starts, eligible))
        for name, scores in self._baselines().items():
            for metric, value in metrics.ranking(scores, starts, eligible).items():
                report.metrics[f"{name}_{metric}"] = value
        report.metrics["test_rows_with_a_start"] = int((starts & eligible).any(axis=1).sum())
        report.tables["products"] = metrics.per_product(self.products, p, starts, eligible)
        report.tables["age_bands"] = self._by_age(p, starts, eligible, test)
        report.curves = {
            product: metrics.reliability(p[own, k], starts[own, k].astype(np.float64))
            for k, product in enumerate(self.products)
            if (own := eligible[:, k]).any() and starts[own, k].sum() >= 50
        }
        report.sample = self.x[sample_rows(test, self.config.seed)]
        return report

    def _baselines(self) -> dict[str, Matrix]:
        known = np.concatenate([self.split[name] for name in ("train", "stop", "calibrate")])
        test, recent = self.split["test"], self.split["calibrate"]
        possible = self.starts & self.eligible
        days = self._columns("days_since_{}_purchase")
        return {
            "popular": baselines.popular(possible[known], self.eligible[known], test),
            "recent_popular": baselines.popular(possible[recent], self.eligible[recent], test),
            "last_product": baselines.last_product(
                days[test], possible[known], self.eligible[known]
            ),
            "co_holding": baselines.co_holding(
                ~np.isnan(days[known]), possible[known], self.eligible[known], ~np.isnan(days[test])
            ),
        }

    def _about(self) -> Rows:
        """Product whose demand a column tells, −1 for all other columns, shape (F,)."""
        told = {
            pattern.format(product): k
            for k, product in enumerate(self.products)
            for pattern in (RECENT, USUAL)
        }
        return np.array([told.get(name, -1) for name in self.feature_set.names])

    def _columns(self, pattern: str) -> Matrix:
        places = [self.feature_set.names.index(pattern.format(one)) for one in self.products]
        return self.x[:, places]

    def _by_age(self, p: Matrix, starts: Mask, eligible: Mask, test: Rows) -> list[dict[str, Any]]:
        if "age_years" not in self.feature_set.names:
            return []
        ages = self.x[test, self.feature_set.names.index("age_years")]
        started = (starts & eligible).any(axis=1)
        hit = metrics.hit_rate(metrics.hits(p[started], starts[started], eligible[started], 3))
        return group_rows("hit_rate_at_3", hit, metrics.age_bands(ages[started]))
