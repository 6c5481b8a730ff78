"""Metrics of ranking, choice and calibration, overall and by group."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from fairlearn.metrics import MetricFrame
from sklearn.metrics import log_loss, roc_auc_score

from features.age_bands import AGE_BANDS

Matrix = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]
Vector = npt.NDArray[np.float64]


def top(scores: Matrix, eligible: Mask, depth: int) -> npt.NDArray[np.int64]:
    """Columns of the best eligible scores, best first, shape (n, depth); ties by column.

    Rows with fewer eligible columns end in columns that are not eligible.
    """
    masked = np.where(eligible, scores, -np.inf)
    return np.argsort(-masked, axis=1, kind="stable")[:, :depth]


def hits(scores: Matrix, starts: Mask, eligible: Mask, depth: int) -> Matrix:
    """1 where a place of the ranking was started, shape (n, depth)."""
    places = top(scores, eligible, depth)
    right = np.take_along_axis(starts & eligible, places, axis=1)
    return right.astype(np.float64)


def hit_rate(hit: Matrix) -> Vector:
    """Per row: 1 if any place was right."""
    return np.asarray(hit.max(axis=1))


def reciprocal_rank(hit: Matrix) -> Vector:
    """Per row: 1 / first right place, 0 if none."""
    return np.asarray((hit / np.arange(1, hit.shape[1] + 1)).max(axis=1))


def average_precision(hit: Matrix, relevant: Vector) -> Vector:
    """Per row: Σ precision@k over right places ÷ min(relevant, depth) (Kaggle's AP@k)."""
    precision = np.cumsum(hit, axis=1) / np.arange(1, hit.shape[1] + 1)
    return np.asarray((precision * hit).sum(axis=1) / np.minimum(relevant, hit.shape[1]))


def precision(hit: Matrix) -> Vector:
    """Per row: share of the places that were right."""
    return np.asarray(hit.mean(axis=1))


def recall(hit: Matrix, relevant: Vector) -> Vector:
    """Per row: share of the `relevant` starts that the places hold."""
    return np.asarray(hit.sum(axis=1) / relevant)


def ranking(scores: Matrix, starts: Mask, eligible: Mask) -> dict[str, float]:
    """Hit rate and MRR at 3 and MAP at 7, over the rows that started anything."""
    started = (starts & eligible).any(axis=1)
    if not started.any():
        return {"hit_rate_at_3": float("nan"), "mrr_at_3": float("nan"), "map_at_7": float("nan")}
    scores, starts, eligible = scores[started], starts[started], eligible[started]
    at_3, at_7 = hits(scores, starts, eligible, 3), hits(scores, starts, eligible, 7)
    relevant = (starts & eligible).sum(axis=1).astype(np.float64)
    return {
        "hit_rate_at_3": float(hit_rate(at_3).mean()),
        "mrr_at_3": float(reciprocal_rank(at_3).mean()),
        "map_at_7": float(average_precision(at_7, relevant).mean()),
    }


def per_product(
    products: tuple[str, ...], p: Matrix, starts: Mask, eligible: Mask
) -> list[dict[str, Any]]:
    """Rows eligible, starts, AUC, mean probability, rate and their ratio, product by product."""
    table = []
    for k, product in enumerate(products):
        own = eligible[:, k]
        labels, scores = starts[own, k], p[own, k]
        positives = int(labels.sum())
        both = 0 < positives < len(labels)
        rate = float(labels.mean()) if len(labels) else float("nan")
        mean = float(scores.mean()) if len(scores) else float("nan")
        table.append(
            {
                "product": product,
                "rows": len(labels),
                "starts": positives,
                "auc": float(roc_auc_score(labels, scores)) if both else None,
                "mean_p": mean,
                "rate": rate,
                "mean_p_to_rate": mean / rate if rate else None,
            }
        )
    return table


def choice(p: Matrix, channel: npt.NDArray[np.int64]) -> dict[str, float]:
    """Accuracy, log-loss and AUC of channel probabilities.

    AUC is that of the second channel where there are two, else the mean over channels of each
    against the rest, of the channels that occur; NaN where all chose the same.
    """
    labels = np.arange(p.shape[1])
    seen = [c for c in labels if 0 < (channel == c).sum() < len(channel)]
    if p.shape[1] == 2:
        seen = seen[1:]
    areas = [float(roc_auc_score(channel == c, p[:, c])) for c in seen]
    auc = sum(areas) / len(areas) if areas else float("nan")
    return {
        "accuracy": float((p.argmax(axis=1) == channel).mean()),
        "log_loss": float(log_loss(channel, np.clip(p, 1e-12, 1), labels=labels)),
        "auc": auc,
    }


def auc_within(labels: Vector, scores: Vector, blocks: npt.NDArray[np.int64]) -> float:
    """Share of (positive, negative) pairs of the same block that the scores order right.

    The AUC of a model that must tell the rows of one month apart: that more starts in spring than
    in autumn earns it nothing. Blocks without both labels hold no pairs; NaN where none does.
    """
    right, pairs = 0.0, 0
    for block in np.unique(blocks):
        own = blocks == block
        positives = int(labels[own].sum())
        among = positives * int(own.sum() - positives)
        if among:
            right += among * float(roc_auc_score(labels[own], scores[own]))
            pairs += among
    return right / pairs if pairs else float("nan")


def reliability(p: Vector, labels: Vector, bins: int = 10) -> list[dict[str, float]]:
    """Mean probability against observed rate in equally filled bins."""
    order = np.argsort(p, kind="stable")
    return [
        {"mean_p": float(p[part].mean()), "rate": float(labels[part].mean()), "rows": len(part)}
        for part in np.array_split(order, bins)
        if len(part)
    ]


def age_bands(age_years: Vector) -> npt.NDArray[np.str_]:
    """Name of each row's age band; 'unknown' where the age is not known."""
    names = np.full(len(age_years), "unknown", dtype="<U16")
    for first, name in AGE_BANDS:
        names[age_years >= first] = name
    return names


def by_group(values: Vector, groups: npt.NDArray[np.str_]) -> dict[str, dict[str, float]]:
    """Mean and rows of a per-row metric in each group (fairlearn's MetricFrame)."""
    frame = MetricFrame(
        metrics={"mean": _mean, "rows": _rows},
        y_true=values,
        y_pred=values,
        sensitive_features=groups,
    )
    return {
        str(group): {"mean": float(row["mean"]), "rows": int(row["rows"])}
        for group, row in frame.by_group.to_dict(orient="index").items()
    }


def _mean(y_true: Vector, y_pred: Vector) -> float:
    return float(np.mean(y_pred))


def _rows(y_true: Vector, y_pred: Vector) -> int:
    return len(y_true)
