"""One training run: from an opened source to an evaluated release."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import numpy as np

from features.build import build
from features.feature_set import FeatureSet
from features.registry import available_features
from features.sources import Source
from features.spine import (
    Spine,
    customers_at,
    data_end,
    microseconds,
    moment,
    month_starts,
    purchase_events,
)
from training import targets
from training.choice_head import ChoiceHead
from training.config import RunConfig
from training.models.channel_preference import ChannelPreferenceModel
from training.models.next_product import NextProductModel
from training.models.rates import AmountModel, CompletionModel, Popularity
from training.models.release import Manifest, Release, check_replaceable
from training.report import HeadReport, need_rows
from training.splits import Cuts, month_cuts, parse_test_from, share_cuts
from training.start_head import StartHead

Progress = Callable[[str], None]


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
    need_rows(split)
    known = np.concatenate([split["train"], split["stop"]])
    feature_set = FeatureSet.learn(table.take(known), features)
    x = feature_set.encode(table)
    reports: dict[str, HeadReport] = {}
    next_product: NextProductModel | None = None
    preference: ChannelPreferenceModel | None = None
    popularity = Popularity(offers={}, channels={})
    if config.next_product is not None:
        learned = StartHead(config, source, spine, x, split, cuts.test, feature_set)
        next_product = learned.fit(progress)
        progress("evaluating next product")
        reports["next_product"] = learned.evaluate(next_product)
        popularity = popularity.model_copy(update={"offers": learned.popularity()})
    if config.channel_preference is not None:
        progress("choices")
        chosen = ChoiceHead(config, source, cuts, feature_set, features)
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
    cuts = month_cuts(months, config.splits, cut, microseconds(end) + 86_400_000_000, horizon)
    wanted = [one for one in months if microseconds(one) >= cuts.train]
    return customers_at(source, wanted), cuts
