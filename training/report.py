"""What an evaluation leaves for the reviewer, and what both heads need to make it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import isnan
from typing import Any

import numpy as np
import numpy.typing as npt

from features.config import StrictConfig
from features.sources import Source
from training import breakdown
from training.breakdown import MODEL, Names, ScoredTest
from training.calibration_report import Forecasts
from training.errors import TrainingError
from training.window_drift import SCORE

Matrix = npt.NDArray[np.float64]
Rows = npt.NDArray[np.int64]
Vector = npt.NDArray[np.float64]
SAMPLE_ROWS = 500
REPORT = "report.json"
"""The evaluation that a release carries, written by training and read by a comparison."""


@dataclass
class HeadReport:
    """What one head's evaluation leaves for the reviewer.

    ``metrics`` are single numbers with the baselines beside them; ``tables`` and ``curves`` hold
    rows for pages and plots; ``sample`` (m, F) are test rows for SHAP plots; ``forecasts`` is what
    was predicted for every test row beside what happened, where the head gives probabilities.
    """

    metrics: dict[str, float] = field(default_factory=dict)
    tables: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    curves: dict[str, list[dict[str, float]]] = field(default_factory=dict)
    sample: Matrix = field(default_factory=lambda: np.empty((0, 0)))
    sample_offers: list[str | None] = field(default_factory=list)
    sample_stages: list[str | None] = field(default_factory=list)
    sample_amounts: Vector = field(default_factory=lambda: np.empty(0))
    forecasts: Forecasts | None = None

    def break_down(
        self, tested: ScoredTest, names: dict[str, Names], zone: str | None, depth: int, metric: str
    ) -> None:
        """Add the tables of the test by depth, score, segment and period.

        ``metric`` is what being right within ``depth`` places is called; ``names`` are the
        segments of the test rows, ``zone`` the bank's time zone (None: there is no calendar).
        """
        self.tables["gains"] = breakdown.gains(tested)
        self.tables["segments"] = breakdown.segments(tested, names, depth, metric)
        self.tables["periods"] = breakdown.periods(tested, zone, depth, metric)
        self.tables["lift"] = breakdown.lift(tested)

    def add_drift(self, head: str, table: list[dict[str, Any]]) -> None:
        """Add the drift of a head's rows between training and test; names tell the head."""
        self.tables["drift"] = table
        scores = [row["psi"] or 0.0 for row in table if row["group"] == SCORE]
        alarms = sum(row["level"] == "alarm" for row in table if row["group"] != SCORE)
        self.metrics[f"drift_{head}_features_beyond_bounds"] = alarms
        self.metrics[f"drift_{head}_largest_psi_of_a_score"] = max(scores, default=0.0)


RULES = (
    "popular", "recent_popular", "recent_demand", "usual_demand", "last_product", "co_holding",
    "majority", "last_channel", "most_used", "tier_median", "overall_rate", "handle_rate",
)  # fmt: skip


def rules_table(
    metrics_: dict[str, float],
) -> tuple[list[str], list[tuple[str, list[float | None]]]]:
    """Metrics by rule: names of the metrics, then the model's values and each naive rule's.

    >>> rules_table({"accuracy": 0.8, "test_choices": 9, "majority_accuracy": 0.7})
    (['accuracy'], [('model', [0.8]), ('majority', [0.7])])
    """
    prefixes = ("test_", "drift_", "explanation_", *(f"{rule}_" for rule in RULES))
    names = [name for name in metrics_ if not name.startswith(prefixes)]
    rows: list[tuple[str, list[float | None]]] = [(MODEL, [metrics_[name] for name in names])]
    for rule in RULES:
        values = [metrics_.get(f"{rule}_{name}") for name in names]
        if any(value is not None for value in values):
            rows.append((rule, values))
    return names, rows


class Figures(StrictConfig):
    """What of a `HeadReport` stays with the release: aggregates, no customer's row."""

    metrics: dict[str, float | None]
    tables: dict[str, list[dict[str, Any]]]
    curves: dict[str, list[dict[str, float]]]


class Figured(StrictConfig):
    """`report.json` of a release: the evaluation by head, and the rows of each split."""

    rows: dict[str, int]
    heads: dict[str, Figures]


def figured(reports: Mapping[str, HeadReport], rows: dict[str, int]) -> Figured:
    """Keep what a release says of its test; a number that does not exist becomes None."""
    return Figured.model_validate(
        {
            "rows": rows,
            "heads": {
                head: {
                    "metrics": {n: None if isnan(v) else v for n, v in report.metrics.items()},
                    "tables": report.tables,
                    "curves": report.curves,
                }
                for head, report in reports.items()
            },
        }
    )


def calendar(source: Source) -> str | None:
    """Time zone of a source's months; None where its rows are events without a calendar."""
    return source.config.time_zone if source.config.every == "month" else None


def need_rows(split: dict[str, Rows]) -> None:
    """Raise `TrainingError` where a split has no rows."""
    empty = [name for name, rows in split.items() if not len(rows)]
    if empty:
        raise TrainingError(
            f"no rows to {', '.join(empty)} on; bring more data or change the splits"
        )


def sample_rows(rows: Rows, seed: int, most: int = SAMPLE_ROWS) -> Rows:
    """Up to `most` of these row numbers, in order: enough to draw, few enough to explain."""
    random = np.random.default_rng(seed)
    return np.sort(random.choice(rows, min(most, len(rows)), replace=False))
