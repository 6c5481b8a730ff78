"""What an evaluation leaves for the reviewer, and what both heads need to make it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from features.spine import Spine
from training import metrics
from training.calibration_report import Forecasts
from training.errors import TrainingError

Matrix = npt.NDArray[np.float64]
Rows = npt.NDArray[np.int64]
Vector = npt.NDArray[np.float64]
SAMPLE_ROWS = 500


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


MODEL = "model"
RULES = (
    "popular", "recent_popular", "last_product", "co_holding",
    "majority", "last_channel", "most_used", "tier_median", "overall_rate", "handle_rate",
)  # fmt: skip


def rules_table(
    metrics_: dict[str, float],
) -> tuple[list[str], list[tuple[str, list[float | None]]]]:
    """Metrics by rule: names of the metrics, then the model's values and each naive rule's.

    >>> rules_table({"accuracy": 0.8, "test_choices": 9, "majority_accuracy": 0.7})
    (['accuracy'], [('model', [0.8]), ('majority', [0.7])])
    """
    prefixes = ("test_", *(f"{rule}_" for rule in RULES))
    names = [name for name in metrics_ if not name.startswith(prefixes)]
    rows: list[tuple[str, list[float | None]]] = [(MODEL, [metrics_[name] for name in names])]
    for rule in RULES:
        values = [metrics_.get(f"{rule}_{name}") for name in names]
        if any(value is not None for value in values):
            rows.append((rule, values))
    return names, rows


def customer_numbers(spine: Spine) -> Rows:
    """A number for each row's customer, equal for equal customers, shape (n,)."""
    customers = spine.arrow()["customer_id"].combine_chunks().dictionary_encode()
    return np.asarray(customers.indices.to_numpy(), dtype=np.int64)


def need_rows(split: dict[str, Rows]) -> None:
    """Raise `TrainingError` where a split has no rows."""
    empty = [name for name, rows in split.items() if not len(rows)]
    if empty:
        raise TrainingError(
            f"no rows to {', '.join(empty)} on; bring more data or change the splits"
        )


def group_rows(
    metric: str, values: npt.NDArray[np.float64], groups: npt.NDArray[np.str_]
) -> list[dict[str, Any]]:
    """Rows of a by-group table: group, mean of the metric, rows."""
    return [
        {"group": group, metric: row["mean"], "rows": row["rows"]}
        for group, row in metrics.by_group(values, groups).items()
    ]


def sample_rows(rows: Rows, seed: int) -> Rows:
    """Up to 500 of these row numbers, in order: enough to draw, few enough to explain."""
    random = np.random.default_rng(seed)
    return np.sort(random.choice(rows, min(SAMPLE_ROWS, len(rows)), replace=False))
