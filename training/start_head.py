"""The next-product head: its rows, its fitting, and its test beside naive rules."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import numpy.typing as npt

from features.customer.demand import RECENT, USUAL
from features.feature_set import FeatureSet
from features.sources import Source
from features.spine import (
    MICROSECONDS_A_DAY,
    Spine,
    customers_at,
    microseconds,
    moment,
    month_starts,
    subset,
)
from training import baselines, metrics, targets
from training.breakdown import ScoredTest, segments_of
from training.calibration_report import LEAST_POSITIVES, Forecasts, calibrations
from training.config import RunConfig
from training.explanations import Asked, measure
from training.held_out import HeldOutStarts
from training.models.next_product import NextProductModel
from training.models.season import MONTHS, Counts
from training.models.start_learner import NextProductConfig, StartRows
from training.report import HeadReport, calendar, sample_rows
from training.window_drift import SAMPLED_ROWS, Window, window_drift

Matrix = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]
Rows = npt.NDArray[np.int64]
Vector = npt.NDArray[np.float64]
Progress = Callable[[str], None]
DAY = timedelta(days=1)
YEAR = timedelta(days=366)
MONTH = "month_of_year"
"""Feature that tells the calendar month of a row; sources without a calendar have none."""


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
        rows = self.spine.arrow()
        self.as_of = rows["as_of"].to_numpy()
        self.customers = np.unique(rows["customer_id"].to_numpy(), return_inverse=True)[1]
        self.starts = targets.starts(self.spine, self.products)
        self.eligible = targets.eligible(self.spine, self.products)

    def fit(self, progress: Progress = lambda _: None) -> NextProductModel:
        """Train on the rows before the test."""
        return NextProductModel.fit(
            self._head, self.products, self._rows, self.config.seed, self.config.threads, progress
        )

    @property
    def _head(self) -> NextProductConfig:
        assert self.config.next_product is not None  # noqa: S101 (the caller looked)
        return self.config.next_product

    @property
    def _rows(self) -> StartRows:
        age_us = self.use_from - self.as_of
        return StartRows(
            self.x, self._about(), self.starts, self.eligible, age_us / MICROSECONDS_A_DAY,
            self.split["train"], self.split["stop"], self.split["calibrate"], month=self._month(),
            earlier=self._earlier(),
        )  # fmt: skip

    def _earlier(self) -> tuple[Counts, ...]:
        """Starts by month of the year before the train rows, as far as the bank tells of it.

        Its features would lack what was before it; how many start in which month needs none.
        """
        if self._month() < 0:
            return ()
        train = moment(int(self.as_of[self.split["train"]].min()))
        zone = self.source.config.time_zone
        # a log that begins in the first hours of a month tells of the whole of it
        told = targets.log_begins(self.source) - DAY
        months = month_starts(max(told, train - YEAR), train - DAY, zone)
        if not months:
            return ()
        spine = customers_at(self.source, months)
        starts = targets.starts(spine, self.products)
        eligible = targets.eligible(spine, self.products)
        as_of = spine.arrow()["as_of"].to_numpy()
        started = np.zeros((MONTHS, len(self.products)))
        could = np.zeros((MONTHS, len(self.products)))
        for month in months:
            rows = as_of == microseconds(month)
            place = month.astimezone(ZoneInfo(zone)).month - 1
            started[place] += (starts & eligible)[rows].sum(axis=0)
            could[place] += eligible[rows].sum(axis=0)
        return tuple(Counts(*one) for one in zip(started.T, could.T, strict=True))

    def popularity(self) -> dict[str, float]:
        """Start rate per eligible customer in the newest time before the test."""
        recent = self.split["calibrate"]
        started = (self.starts & self.eligible)[recent].sum(axis=0)
        could = self.eligible[recent].sum(axis=0)
        return {
            product: float(started[k] / max(could[k], 1)) for k, product in enumerate(self.products)
        }

    def held_out(self, *splits: str) -> HeldOutStarts:
        """The rows of these splits, on which any model can be judged."""
        rows = np.concatenate([self.split[name] for name in splits])
        spine = subset(self.spine, self.spine.arrow()["row_id"].to_numpy()[rows])
        return HeldOutStarts(spine, self.products, self.starts[rows], self.eligible[rows])

    def naive_values(self) -> dict[str, Vector]:
        """The naive rules on the test rows, in the metric of `held_out`."""
        held = self.held_out("test")
        return {name: held.values(scores) for name, scores in self._baselines().items()}

    def evaluate(self, model: NextProductModel) -> HeadReport:
        """Compare with the naive rules on the test rows."""
        test = self.split["test"]
        p = model.predict(self.x[test], self.config.threads)
        starts, eligible = self.starts[test], self.eligible[test]
        report = HeadReport(metrics=metrics.ranking(p, starts, eligible))
        naive = self._baselines()
        for name, scores in naive.items():
            for metric, value in metrics.ranking(scores, starts, eligible).items():
                report.metrics[f"{name}_{metric}"] = value
        report.metrics["test_rows_with_a_start"] = int((starts & eligible).any(axis=1).sum())
        report.tables["products"] = metrics.per_product(self.products, p, starts, eligible)
        tested = ScoredTest(
            self.products, p, starts, eligible, naive, self.customers[test], self.as_of[test]
        )
        names = segments_of(self.x[test], self.feature_set)
        report.break_down(tested, names, calendar(self.source), 3, "hit_rate_at_3")
        report.add_drift("next_product", self._drift(model))
        report.curves = {
            product: metrics.reliability(p[own, k], starts[own, k].astype(np.float64))
            for k, product in enumerate(self.products)
            if (own := eligible[:, k]).any() and starts[own, k].sum() >= 50
        }
        report.sample = self.x[sample_rows(test, self.config.seed)]
        row, product = np.nonzero(eligible)
        report.forecasts = Forecasts(
            self.products, product, p[row, product], starts[row, product].astype(np.float64),
            self.customers[test[row]],
        )  # fmt: skip
        report.tables["calibration"] = [
            one.row() for one in calibrations(report.forecasts, least_positives=LEAST_POSITIVES)
        ]
        return report

    def measure_explanations(self, model: NextProductModel, report: HeadReport) -> None:
        """Add how stable and how faithful the explanations of test rows are."""
        sample = sample_rows(self.split["test"], self.config.seed, self.config.explained_rows)
        asked = Asked(self.x[sample], self.eligible[sample], self.customers[sample])
        groups = [self.feature_set.groups[name] for name in self.feature_set.names]
        measured = measure(
            model, self._head, self._rows, groups, asked, self.config.seed, self.config.threads
        )
        report.tables.update(measured)
        for row in measured["explanations"]:
            report.metrics[f"explanation_{row['measure']}"] = row["value"]
            report.metrics[f"explanation_{row['measure']}_at_random"] = row["reference"]

    def _drift(self, model: NextProductModel) -> list[dict[str, Any]]:
        def window(split: str) -> Window:
            rows = sample_rows(self.split[split], self.config.seed, SAMPLED_ROWS)
            scores = model.log_odds(self.x[rows], self.config.threads)
            return Window(self.x[rows], scores, len(np.unique(self.customers[rows])))

        return window_drift(window("train"), window("test"), self.feature_set, self.products)

    def _baselines(self) -> dict[str, Matrix]:
        known = np.concatenate([self.split[name] for name in ("train", "stop", "calibrate")])
        test, recent = self.split["test"], self.split["calibrate"]
        possible = self.starts & self.eligible
        days = self._columns("days_since_{}_purchase")
        reported = {
            f"{name}_demand": self._columns(pattern)[test]
            for name, pattern in (("recent", RECENT), ("usual", USUAL))
            if self._has(pattern)
        }
        return {
            "popular": baselines.popular(possible[known], self.eligible[known], test),
            "recent_popular": baselines.popular(possible[recent], self.eligible[recent], test),
            "last_product": baselines.last_product(
                days[test], possible[known], self.eligible[known]
            ),
            "co_holding": baselines.co_holding(
                ~np.isnan(days[known]), possible[known], self.eligible[known], ~np.isnan(days[test])
            ),
            **reported,
        }

    def _about(self) -> Rows:
        """Product whose demand a column tells, −1 for all other columns, shape (F,)."""
        told = {
            pattern.format(product): k
            for k, product in enumerate(self.products)
            for pattern in (RECENT, USUAL)
        }
        return np.array([told.get(name, -1) for name in self.feature_set.names])

    def _has(self, pattern: str) -> bool:
        return pattern.format(self.products[0]) in self.feature_set.names

    def _month(self) -> int:
        names = self.feature_set.names
        return names.index(MONTH) if MONTH in names else -1

    def _columns(self, pattern: str) -> Matrix:
        places = [self.feature_set.names.index(pattern.format(one)) for one in self.products]
        return self.x[:, places]
