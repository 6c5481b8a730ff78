"""A head's test broken down: by depth of the list, by score, by segment, by time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import numpy.typing as npt

from features.age_bands import AGE_BANDS
from features.feature_set import FeatureSet
from features.spine import moment
from training import metrics
from training.intervals import share_interval

Matrix = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]
Vector = npt.NDArray[np.float64]
Names = npt.NDArray[np.str_]
Codes = npt.NDArray[np.int64]
Table = list[dict[str, Any]]

MODEL = "model"
DEPTHS = 10
TENTHS = 10
PARTS = 5
ENOUGH_POSITIVES = 50
"""Positives a class needs for a table of its own by score."""

SEGMENT_POINTS = 0.02
"""A group may lose so much of a metric against an earlier release; more is told, and stopped."""


@dataclass(frozen=True)
class ScoredTest:
    """A head's test as scored: n rows, K classes (products or channels).

    ``happened`` says what was started or chosen, ``possible`` what could have been; ``naive``
    holds the scores of each naive rule. All of these, and ``p``, are (n, K). ``customers`` are
    codes of the rows' customers and ``as_of`` their moments (µs), both (n,).
    """

    classes: tuple[str, ...]
    p: Matrix
    happened: Mask
    possible: Mask
    naive: dict[str, Matrix]
    customers: Codes
    as_of: Codes

    def asked(self) -> Mask:
        """Rows on which anything happened: only they can be right or wrong, shape (n,)."""
        return np.asarray((self.happened & self.possible).any(axis=1))

    def right(self, scores: Matrix, depth: int) -> Vector:
        """1 where what happened is among the first `depth` of a ranking; over the rows asked."""
        asked = self.asked()
        hit = metrics.hits(scores[asked], self.happened[asked], self.possible[asked], depth)
        return metrics.hit_rate(hit)


def gains(tested: ScoredTest) -> Table:
    """By depth 1, 2, … of the list: share of rows whose event is in it, model and every rule."""
    asked = tested.asked()
    depths = min(DEPTHS, len(tested.classes))
    table: Table = [{"depth": depth + 1} for depth in range(depths)]
    for rule, scores in {MODEL: tested.p, **tested.naive}.items():
        hit = metrics.hits(scores[asked], tested.happened[asked], tested.possible[asked], depths)
        for row, share in zip(table, np.maximum.accumulate(hit, axis=1).mean(axis=0), strict=True):
            row[rule] = float(share)
    return table


def lift(tested: ScoredTest) -> Table:
    """By class and tenth of its possible rows, highest scored first: rate, and rate ÷ mean rate."""
    table: Table = []
    for k, name in enumerate(tested.classes):
        own = tested.possible[:, k]
        labels = tested.happened[own, k].astype(np.float64)
        if labels.sum() < ENOUGH_POSITIVES:
            continue
        order = np.argsort(-tested.p[own, k], kind="stable")
        for number, part in enumerate(np.array_split(labels[order], TENTHS)):
            rate = float(part.mean())
            table.append(
                {"class": name, "tenth": number + 1, "rows": len(part), "rate": rate,
                 "lift": rate / float(labels.mean())}
            )  # fmt: skip
    return table


def segments_of(x: Matrix, feature_set: FeatureSet) -> dict[str, Names]:
    """Segment of each row by age band, gender and region, where the features tell them.

    A missing value, or a word not seen in training, is 'unknown'.
    """
    found: dict[str, Names] = {}
    if "age_years" in feature_set.names:
        found["age band"] = metrics.age_bands(x[:, feature_set.names.index("age_years")])
    for name in ("gender", "region"):
        if name in feature_set.names:
            words = np.array([*feature_set.vocabularies[name], "unknown"])
            codes = np.nan_to_num(x[:, feature_set.names.index(name)], nan=len(words) - 1)
            found[name] = words[codes.astype(np.int64)]
    return found


def segments(tested: ScoredTest, names: dict[str, Names], depth: int, metric: str) -> Table:
    """By segment: the metric with its 95 % interval, and how many rows and customers tell it."""
    right, asked = tested.right(tested.p, depth), tested.asked()
    customers = tested.customers[asked]
    table: Table = []
    for segment, labels in names.items():
        found = metrics.by_group(right, labels[asked])
        for group in sorted(found, key=_rank):
            row = found[group]
            own = labels[asked] == group
            low, high = share_interval(right[own], customers[own])
            table.append(
                {"segment": segment, "group": group, metric: row["mean"], "low": low, "high": high,
                 "rows": row["rows"], "customers": len(np.unique(customers[own]))}
            )  # fmt: skip
    return table


def _rank(group: str) -> tuple[int, str]:
    """Ages from young to old, other names by the alphabet."""
    ages = [name for _, name in AGE_BANDS]
    return (ages.index(group) if group in ages else len(ages), group)


def periods_of(as_of: Codes, zone: str | None) -> Names:
    """Period of each row: its month on the bank's clock, or with no calendar its fifth of time.

    >>> day = 86_400_000_000
    >>> periods_of(np.array([0, 30 * day, 31 * day]), "UTC").tolist()
    ['1970-01', '1970-01', '1970-02']
    >>> periods_of(np.arange(10), None).tolist()[:3]
    ['part 1 of 5', 'part 1 of 5', 'part 2 of 5']
    """
    if zone is None:
        order = np.argsort(np.argsort(as_of, kind="stable"), kind="stable")
        return np.array([f"part {1 + PARTS * one // len(as_of)} of {PARTS}" for one in order])
    moments, place = np.unique(as_of, return_inverse=True)
    local = ZoneInfo(zone)
    named = [moment(int(one)).astimezone(local).strftime("%Y-%m") for one in moments]
    return np.array(named, dtype=str)[place]


def periods(tested: ScoredTest, zone: str | None, depth: int, metric: str) -> Table:
    """By period of the test: the metric with its 95 % interval, and each rule's beside it."""
    asked = tested.asked()
    labels = periods_of(tested.as_of[asked], zone)
    right = {rule: tested.right(scores, depth) for rule, scores in tested.naive.items()}
    model, customers = tested.right(tested.p, depth), tested.customers[asked]
    table: Table = []
    for period in np.unique(labels).tolist():
        own = labels == period
        low, high = share_interval(model[own], customers[own])
        table.append(
            {"period": period, "rows": int(own.sum()), metric: float(model[own].mean()),
             "low": low, "high": high,
             **{rule: float(values[own].mean()) for rule, values in right.items()}}
        )  # fmt: skip
    return table
