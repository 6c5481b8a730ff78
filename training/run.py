"""One training run: from an opened source to an evaluated release."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from features.build import build
from features.catalog import STAGES
from features.feature_set import FeatureSet
from features.registry import available_features
from features.sources import Source
from features.spine import (
    Spine,
    choices,
    customers_at,
    data_end,
    microseconds,
    moment,
    month_starts,
    purchase_events,
    subset,
)
from training import baselines, metrics, targets
from training.config import RunConfig
from training.errors import TrainingError
from training.models.channel_preference import ChannelPreferenceModel, ChoiceRows
from training.models.next_product import NextProductModel, StartRows
from training.models.rates import AmountModel, CompletionModel, Popularity
from training.models.release import Manifest, Release, check_replaceable
from training.splits import Cuts, month_cuts, parse_test_from, share_cuts

Matrix = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]
Rows = npt.NDArray[np.int64]
Progress = Callable[[str], None]


@dataclass
class HeadReport:
    """What one head's evaluation leaves for the reviewer.

    ``metrics`` are single numbers with the baselines beside them; ``tables`` and ``curves`` hold
    rows for pages and plots; ``sample`` (m, F) are test rows for SHAP plots.
    """

    metrics: dict[str, float] = field(default_factory=dict)
    tables: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    curves: dict[str, list[dict[str, float]]] = field(default_factory=dict)
    sample: Matrix = field(default_factory=lambda: np.empty((0, 0)))
    sample_offers: list[str | None] = field(default_factory=list)
    sample_stages: list[str | None] = field(default_factory=list)


@dataclass
class TrainingRun:
    """A finished run: the release on disk and what there is to say of it."""

    config: RunConfig
    source: str
    release: Release
    reports: dict[str, HeadReport]
    rows: dict[str, int]

    def metrics(self) -> dict[str, float]:
        """All single numbers; names are unique over the heads."""
        merged: dict[str, float] = {}
        for report in self.reports.values():
            merged.update(report.metrics)
        return merged


SAMPLE_ROWS = 500


def train(
    config: RunConfig,
    source: Source,
    out: Path,
    test_from: str | None = None,
    progress: Progress = lambda _: None,
) -> TrainingRun:
    """Train the heads of a configuration and write the release to `out`.

    Raises `TrainingError` where the source cannot carry the heads asked for. Nothing is written
    unless everything was trained and evaluated.
    """
    check_replaceable(out)
    progress("spines")
    spine, cuts = _spine_and_cuts(config, source, test_from)
    features = available_features(source)
    progress("features")
    table = build(spine, features)
    as_of = table["as_of"].to_numpy()
    split = cuts.rows(as_of, targets.horizon_us(source))
    _need_rows(split)
    known = np.concatenate([split["train"], split["stop"]])
    feature_set = FeatureSet.learn(table.take(known), features)
    x = feature_set.encode(table)
    reports: dict[str, HeadReport] = {}
    next_product: NextProductModel | None = None
    preference: ChannelPreferenceModel | None = None
    popularity = Popularity(offers={}, channels={})
    if config.next_product is not None:
        learned = _NextProduct(config, source, spine, x, split, feature_set)
        next_product = learned.fit(progress)
        progress("evaluating next product")
        reports["next_product"] = learned.evaluate(next_product)
        popularity = popularity.model_copy(update={"offers": learned.popularity()})
    if config.channel_preference is not None:
        progress("choices")
        chosen = _Choices(config, source, cuts, feature_set, features)
        progress("channel preference")
        preference = chosen.fit()
        reports["channel_preference"] = chosen.evaluate(preference)
        popularity = popularity.model_copy(update={"channels": chosen.popularity()})
    progress("completion and amounts")
    completion = CompletionModel.fit(targets.journeys(source, 0, cuts.test))
    amounts = AmountModel.fit(targets.purchase_amounts(source, cuts.test))
    manifest = Manifest(
        id="",
        heads=config.heads,
        catalog=source.catalog.name,
        offer_ids=source.catalog.offer_ids,
        channel_ids=source.catalog.channel_ids,
        feature_set_version=feature_set.version,
        time_zone=source.config.time_zone,
        windows=cuts.windows(),
        horizon=str(source.config.horizon),
        metrics={head: report.metrics for head, report in reports.items()},
        config=config.model_dump(mode="json"),
        data=source.fingerprint(),
        files={},
    )
    release = Release(
        out, manifest, feature_set, next_product, preference, completion, amounts, popularity
    )
    progress("writing the release")
    loaded = release.save(out, x[known])
    rows = {name: len(ids) for name, ids in split.items()}
    return TrainingRun(config, source.config.name, loaded, reports, rows)


def _spine_and_cuts(config: RunConfig, source: Source, test_from: str | None) -> tuple[Spine, Cuts]:
    zone = source.config.time_zone
    cut = None if test_from is None else parse_test_from(test_from, zone)
    end = data_end(source)
    if source.config.every == "event":
        spine = purchase_events(source)
        moments = spine.arrow()["as_of"].to_numpy()
        return spine, share_cuts(moments, config.splits, cut, microseconds(end))
    horizon = targets.horizon_us(source)
    first = source.con.sql(
        "select min(event_time) from (select min(event_time) event_time from interactions)"
        if source.has("interactions")
        else "select min(event_time) from holdings"
    ).fetchall()[0][0]
    # a month's row counts once its horizon is over; the last day may lack its last minutes
    last = end + timedelta(days=1) - timedelta(microseconds=horizon)
    months = month_starts(moment(first) - timedelta(days=31), last, zone)
    cuts = month_cuts(
        months, config.splits, cut, microseconds(end) + 86_400_000_000, horizon
    )
    wanted = [one for one in months if microseconds(one) >= cuts.train]
    return customers_at(source, wanted), cuts


def _need_rows(split: dict[str, Rows]) -> None:
    empty = [name for name, rows in split.items() if not len(rows)]
    if empty:
        raise TrainingError(
            f"no rows to {', '.join(empty)} on; bring more data or change the splits"
        )


@dataclass
class _NextProduct:
    """Rows, fitting and evaluation of the start models."""

    config: RunConfig
    source: Source
    spine: Spine
    x: Matrix
    split: dict[str, Rows]
    feature_set: FeatureSet

    def __post_init__(self) -> None:
        self.products = self.source.catalog.product_ids
        self.starts = targets.starts(self.spine, self.products)
        self.eligible = targets.eligible(self.spine, self.products)

    def fit(self, progress: Progress) -> NextProductModel:
        assert self.config.next_product is not None  # noqa: S101 (the caller looked)
        rows = StartRows(
            self.x, self.starts, self.eligible,
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
        report.sample = self.x[_sample(test, self.config.seed)]
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

    def _columns(self, pattern: str) -> Matrix:
        places = [self.feature_set.names.index(pattern.format(one)) for one in self.products]
        return self.x[:, places]

    def _by_age(self, p: Matrix, starts: Mask, eligible: Mask, test: Rows) -> list[dict[str, Any]]:
        if "age_years" not in self.feature_set.names:
            return []
        ages = self.x[test, self.feature_set.names.index("age_years")]
        started = (starts & eligible).any(axis=1)
        hit = metrics.hit_rate(metrics.hits(p[started], starts[started], eligible[started], 3))
        return _group_rows("hit_rate_at_3", hit, metrics.age_bands(ages[started]))


@dataclass
class _Choices:
    """Rows, fitting and evaluation of the channel preference model."""

    config: RunConfig
    source: Source
    cuts: Cuts
    feature_set: FeatureSet
    features: list[Any]

    def __post_init__(self) -> None:
        if not self.source.has("interactions"):
            raise TrainingError("channel preference needs the table 'interactions'; bring it")
        self.channels = self.source.catalog.handle_ids
        spine = self._sampled(choices(self.source, self.cuts.train))
        rows = spine.arrow()
        position = {channel: number for number, channel in enumerate(self.channels)}
        channel = [position.get(one, -1) for one in rows["channel"].to_pylist()]
        self.x = self.feature_set.encode(build(spine, self.features))
        self.channel = np.array(channel, dtype=np.int64)
        self.offers = rows["product"].to_pylist()
        self.stages = rows["stage"].to_pylist()
        self.last, self.uses = targets.past_choices(spine, self.channels)
        possible = self.channel >= 0
        split = self.cuts.rows(rows["as_of"].to_numpy())
        self.split = {name: ids[possible[ids]] for name, ids in split.items()}
        # a customer's first touch has no past to choose by: it is not asked in the test
        self.split["test"] = self.split["test"][self._seen_before(self.split["test"])]
        _need_rows(self.split)

    def _sampled(self, spine: Spine) -> Spine:
        """At most so many choices of each split, so that features are built for no more."""
        assert self.config.channel_preference is not None  # noqa: S101 (the caller looked)
        most = self.config.channel_preference.sampled_choices
        random = np.random.default_rng(self.config.seed)
        rows = spine.arrow()
        kept = [
            ids if len(ids) <= most else random.choice(ids, most, replace=False)
            for ids in self.cuts.rows(rows["as_of"].to_numpy()).values()
        ]
        return subset(spine, rows["row_id"].to_numpy()[np.sort(np.concatenate(kept))])

    def _seen_before(self, rows: Rows) -> Mask:
        days = self.x[rows, self.feature_set.names.index("days_since_interaction")]
        return np.asarray(~np.isnan(days))

    def fit(self) -> ChannelPreferenceModel:
        assert self.config.channel_preference is not None  # noqa: S101 (the caller looked)
        told = {stage for stage in self.stages if stage}
        rows = ChoiceRows(
            self.x, self.offers, self.stages, self.channel,
            self.split["train"], self.split["stop"], self.split["calibrate"],
        )  # fmt: skip
        return ChannelPreferenceModel.fit(
            self.config.channel_preference,
            self.channels,
            self.source.catalog.offer_ids if any(self.offers) else (),
            tuple(stage for stage in STAGES if stage in told),
            rows,
            self.config.seed,
            self.config.threads,
        )

    def popularity(self) -> dict[str, float]:
        """Share of each channel among the choices before the test."""
        known = self.channel[np.concatenate([self.split["train"], self.split["stop"]])]
        counts = np.bincount(known, minlength=len(self.channels))
        return {
            channel: float(counts[number] / len(known))
            for number, channel in enumerate(self.channels)
        }

    def evaluate(self, model: ChannelPreferenceModel) -> HeadReport:
        test = self.split["test"]
        offers = [self.offers[row] for row in test]
        stages = [self.stages[row] for row in test]
        p = model.predict(self.x[test], offers, stages, self.config.threads)
        actual = self.channel[test]
        report = HeadReport(metrics=metrics.choice(p, actual))
        for name, guess in self._baselines(test).items():
            report.metrics[f"{name}_accuracy"] = float((guess == actual).mean())
        report.metrics["test_choices"] = len(test)
        right = (p.argmax(axis=1) == actual).astype(np.float64)
        if "age_years" in self.feature_set.names:
            ages = self.x[test, self.feature_set.names.index("age_years")]
            report.tables["age_bands"] = _group_rows("accuracy", right, metrics.age_bands(ages))
        report.tables["channels"] = [
            {
                "channel": channel,
                "choices": int((actual == c).sum()),
                "mean_p": float(p[:, c].mean()),
                "rate": float((actual == c).mean()),
                "recall": float(right[actual == c].mean()) if (actual == c).any() else None,
            }
            for c, channel in enumerate(self.channels)
        ]
        report.curves = {
            channel: metrics.reliability(p[:, c], (actual == c).astype(np.float64))
            for c, channel in enumerate(self.channels)
            if (actual == c).sum() >= 50
        }
        sample = _sample(test, self.config.seed)
        report.sample = self.x[sample]
        report.sample_offers = [self.offers[row] for row in sample]
        report.sample_stages = [self.stages[row] for row in sample]
        return report

    def _baselines(self, test: Rows) -> dict[str, Rows]:
        before = [self.split[name] for name in ("train", "stop", "calibrate")]
        known = self.channel[np.concatenate(before)]
        majority = baselines.majority_channel(known, len(self.channels), len(test))
        return {
            "majority": majority,
            "last_channel": baselines.last_channel(self.last[test], majority),
            "most_used": baselines.most_used_channel(self.uses[test], majority),
        }


def _group_rows(
    metric: str, values: npt.NDArray[np.float64], groups: npt.NDArray[np.str_]
) -> list[dict[str, Any]]:
    return [
        {"group": group, metric: row["mean"], "rows": row["rows"]}
        for group, row in metrics.by_group(values, groups).items()
    ]


def _sample(rows: Rows, seed: int) -> Rows:
    random = np.random.default_rng(seed)
    return np.sort(random.choice(rows, min(SAMPLE_ROWS, len(rows)), replace=False))
