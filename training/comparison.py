"""Two releases side by side: what a reviewer needs to choose between them.

Read from what each release carries: its manifest and `report.json`, the evaluation on its own test.
Differences are B less A. Where the tests are not the same rows, the caveats say so.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Literal

from features.config import StrictConfig, load_yaml
from training.breakdown import SEGMENT_POINTS
from training.config import flat
from training.errors import ReleaseError
from training.models.release import Manifest, Release
from training.report import REPORT, RULES, Figured, Figures

Verdict = Literal["better", "worse", "alike", "untold"]

HIGHER = (
    "hit_rate_at_3", "precision_at_3", "recall_at_3", "mrr_at_3", "map_at_3", "map_at_7",
    "accuracy", "auc",
)  # fmt: skip
LOWER = ("log_loss",)
"""Metrics with a direction; of the others the difference is told, and no verdict."""


class Side(StrictConfig):
    """One of the two releases."""

    id: str
    config: str
    catalog: str
    horizon: str
    features: int
    rows: dict[str, int]


class Pair(StrictConfig):
    """A number of A and of B; None where one has none."""

    name: str
    a: float | None
    b: float | None

    @property
    def difference(self) -> float | None:
        """B less A."""
        return None if self.a is None or self.b is None else self.b - self.a


class MetricPair(Pair):
    """A metric with the best naive rule's on either test, and whether B is better."""

    naive_a: float | None
    naive_b: float | None
    verdict: Verdict


class ClassPair(StrictConfig):
    """A product or channel: test events, quality (AUC or recall), mean probability ÷ rate."""

    name: str
    events: Pair
    quality: Pair
    ratio: Pair


class SegmentPair(Pair):
    """A group of customers; each metric with its 95 % interval and rows."""

    segment: str
    interval_a: tuple[float, float] | None
    interval_b: tuple[float, float] | None
    rows_a: int
    rows_b: int

    @property
    def apart(self) -> bool:
        """Whether the two intervals do not meet."""
        if self.interval_a is None or self.interval_b is None:
            return False
        return self.interval_a[1] < self.interval_b[0] or self.interval_b[1] < self.interval_a[0]


class Curves(StrictConfig):
    """Calibration of one class: points (mean probability, observed rate) on either test."""

    name: str
    a: tuple[tuple[float, float], ...]
    b: tuple[tuple[float, float], ...]


class HeadComparison(StrictConfig):
    """One head that both releases have."""

    metric: str
    metrics: tuple[MetricPair, ...]
    measures: tuple[Pair, ...]
    classes: tuple[ClassPair, ...]
    segments: tuple[SegmentPair, ...]
    curves: tuple[Curves, ...]

    @property
    def losing_segments(self) -> tuple[SegmentPair, ...]:
        """Groups that lose more than two points, whether or not chance could do it."""
        return tuple(one for one in self.segments if (one.difference or 0.0) < -SEGMENT_POINTS)


class Difference(StrictConfig):
    """A text of A and of B: a setting, a window."""

    name: str
    a: str
    b: str


class Comparison(StrictConfig):
    """Two releases side by side. ``caveats`` are (zh, en)."""

    a: Side
    b: Side
    caveats: tuple[tuple[str, str], ...]
    heads: dict[str, HeadComparison]
    settings: tuple[Difference, ...]
    windows: tuple[Difference, ...]
    features_new: tuple[str, ...]
    features_gone: tuple[str, ...]


def compare(a: Release, b: Release) -> Comparison:
    """Hold release B against release A.

    Raises `ReleaseError` where one carries no evaluation, or where they share no head.
    """
    told = _report(a), _report(b)
    shared = [head for head in told[0].heads if head in told[1].heads]
    if not shared:
        raise ReleaseError(
            f"{a.folder} and {b.folder} share no head: {', '.join(told[0].heads)} against "
            f"{', '.join(told[1].heads)}; compare releases of the same heads"
        )
    old, new = set(a.feature_names), set(b.feature_names)
    windows = a.manifest.windows, b.manifest.windows
    return Comparison(
        a=_side(a, told[0]),
        b=_side(b, told[1]),
        caveats=tuple(_caveats(a.manifest, b.manifest, told, shared)),
        heads={head: _head(told[0].heads[head], told[1].heads[head]) for head in shared},
        settings=tuple(_differences(flat(a.manifest.config), flat(b.manifest.config))),
        windows=tuple(
            Difference(name=split, a=_window(windows[0], split), b=_window(windows[1], split))
            for split in windows[0]
        ),
        features_new=tuple(name for name in b.feature_names if name not in old),
        features_gone=tuple(name for name in a.feature_names if name not in new),
    )


def _report(release: Release) -> Figured:
    path = release.folder / REPORT
    if not path.is_file():
        raise ReleaseError(f"{path}: no such file; the release is of an older kind: train it again")
    return load_yaml(path, Figured)  # JSON is YAML


def _side(release: Release, told: Figured) -> Side:
    manifest = release.manifest
    return Side(
        id=manifest.id,
        config=str(manifest.config["name"]),
        catalog=manifest.catalog,
        horizon=manifest.horizon,
        features=len(release.feature_names),
        rows=told.rows,
    )


def _caveats(
    a: Manifest, b: Manifest, told: tuple[Figured, Figured], shared: list[str]
) -> Iterable[tuple[str, str]]:
    if a.windows["test"] != b.windows["test"]:
        yield (
            "两者的测试时段不同：差异不只来自模型。",
            "The two tests are of different times: differences are not the models' alone.",
        )
    if a.data != b.data:
        yield (
            "两者的数据不同：差异不只来自模型。",
            "The data are not the same: differences are not the models' alone.",
        )
    if (a.catalog, a.offer_ids, a.channel_ids) != (b.catalog, b.offer_ids, b.channel_ids):
        yield (
            "两者的产品或渠道目录不同。",
            "The catalogs differ: products or channels are not the same.",
        )
    if a.horizon != b.horizon:
        yield ("两者的预测期不同。", "The horizons differ: other targets were predicted.")
    alone = sorted({*told[0].heads, *told[1].heads} - set(shared))
    if alone:
        yield (
            f"只有一方有的模型头：{', '.join(alone)}",
            f"Heads that only one of them has: {', '.join(alone)}.",
        )


def _head(a: Figures, b: Figures) -> HeadComparison:
    naive = tuple(f"{rule}_" for rule in RULES)
    names = [name for name in a.metrics if name in b.metrics and not name.startswith(naive)]
    ours = [name for name in names if not name.startswith(("test_", "drift_", "explanation_"))]
    metric = next(name for name in ("hit_rate_at_3", "accuracy") if name in names)
    return HeadComparison(
        metric=metric,
        metrics=tuple(_metric(name, a.metrics, b.metrics) for name in ours),
        measures=tuple(
            Pair(name=name, a=a.metrics[name], b=b.metrics[name])
            for name in names
            if name not in ours
        ),
        classes=tuple(_classes(a, b)),
        segments=tuple(_segments(a.tables["segments"], b.tables["segments"], metric)),
        curves=tuple(
            Curves(name=name, a=_points(a.curves.get(name)), b=_points(b.curves.get(name)))
            for name in dict.fromkeys([*a.curves, *b.curves])
        ),
    )


def verdict(name: str, a: float | None, b: float | None) -> Verdict:
    """Whether B is better by a metric.

    >>> verdict("auc", 0.7, 0.8), verdict("log_loss", 0.7, 0.8), verdict("test_rows", 1, 2)
    ('better', 'worse', 'untold')
    """
    if a is None or b is None or name not in (*HIGHER, *LOWER):
        return "untold"
    if a == b:
        return "alike"
    return "better" if (b > a) == (name in HIGHER) else "worse"


def _metric(name: str, a: Mapping[str, float | None], b: Mapping[str, float | None]) -> MetricPair:
    def best(metrics: Mapping[str, float | None]) -> float | None:
        found = [metrics.get(f"{rule}_{name}") for rule in RULES]
        known = [one for one in found if one is not None]
        return (min if name in LOWER else max)(known, default=None)

    return MetricPair(
        name=name, a=a[name], b=b[name], naive_a=best(a), naive_b=best(b),
        verdict=verdict(name, a[name], b[name]),
    )  # fmt: skip


def _classes(a: Figures, b: Figures) -> Iterable[ClassPair]:
    """Products or channels, those with most events first."""
    kind, events, quality = (
        ("product", "starts", "auc") if "products" in a.tables else ("channel", "choices", "recall")
    )
    sides = [{str(row[kind]): row for row in one.tables[f"{kind}s"]} for one in (a, b)]

    def pair(name: str, column: str) -> Pair:
        one, other = (side.get(name, {}).get(column) for side in sides)
        return Pair(name=column, a=one, b=other)

    def ratio(name: str) -> Pair:
        one, other = (_ratio(side.get(name, {})) for side in sides)
        return Pair(name="ratio", a=one, b=other)

    found = [
        ClassPair(name=name, events=pair(name, events), quality=pair(name, quality),
                  ratio=ratio(name))
        for name in dict.fromkeys([*sides[0], *sides[1]])
    ]  # fmt: skip
    return sorted(found, key=lambda one: -max(one.events.a or 0, one.events.b or 0))


def _ratio(row: Mapping[str, Any]) -> float | None:
    return row["mean_p"] / row["rate"] if row.get("rate") else None


def _segments(
    a: list[dict[str, Any]], b: list[dict[str, Any]], metric: str
) -> Iterable[SegmentPair]:
    sides = [{(row["segment"], row["group"]): row for row in one} for one in (a, b)]
    for segment, group in dict.fromkeys([*sides[0], *sides[1]]):
        one, other = (side.get((segment, group), {}) for side in sides)
        yield SegmentPair(
            segment=segment, name=group, a=one.get(metric), b=other.get(metric),
            interval_a=(one["low"], one["high"]) if one else None,
            interval_b=(other["low"], other["high"]) if other else None,
            rows_a=one.get("rows", 0), rows_b=other.get("rows", 0),
        )  # fmt: skip


def _points(curve: list[dict[str, float]] | None) -> tuple[tuple[float, float], ...]:
    return tuple((one["mean_p"], one["rate"]) for one in curve or ())


def _window(windows: Mapping[str, tuple[str, str]], split: str) -> str:
    return " – ".join(moment[:16].replace("T", " ") for moment in windows[split])


def _differences(a: Mapping[str, Any], b: Mapping[str, Any]) -> Iterable[Difference]:
    for name in dict.fromkeys([*a, *b]):
        one, other = (str(side.get(name, "–")) for side in (a, b))
        if one != other:
            yield Difference(name=name, a=one, b=other)
