"""One training run: from an opened source to an evaluated release."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

import numpy as np

from features.build import build
from features.feature_set import FeatureSet
from features.registry import available_features
from features.sources import Source
from features.spine import (
    MICROSECONDS_A_DAY,
    Spine,
    customers_at,
    data_end,
    microseconds,
    moment,
    month_starts,
    purchase_events,
    subset,
)
from training import targets
from training.about import about
from training.amount_head import AmountHead
from training.choice_head import ChoiceHead
from training.completion_head import CompletionHead
from training.config import Head, RunConfig
from training.errors import TrainingError
from training.models.channel_preference import ChannelPreferenceModel
from training.models.next_product import NextProductModel
from training.models.rates import Popularity
from training.models.release import Manifest, Release, check_replaceable
from training.report import REPORT, HeadReport, figured, need_rows
from training.splits import Cuts, month_cuts, parse_test_from, share_cuts
from training.start_head import StartHead

Progress = Callable[[str], None]


@dataclass
class TrainingRun:
    """A finished run: the release on disk and what there is to say of it.

    ``rows`` are those of each split; ``seconds`` what single steps took, which no release keeps.
    """

    config: RunConfig
    source: str
    release: Release
    reports: dict[str, HeadReport]
    rows: dict[str, int]
    heads: dict[Head, StartHead | ChoiceHead]
    seconds: dict[str, float] = field(default_factory=dict)

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
    zone = source.config.time_zone
    cut = None if test_from is None else parse_test_from(test_from, zone)
    spine, cuts = spine_and_cuts(config, source, cut)
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
    seconds: dict[str, float] = {}
    heads: dict[Head, StartHead | ChoiceHead] = {}
    next_product: NextProductModel | None = None
    preference: ChannelPreferenceModel | None = None
    popularity = Popularity(offers={}, channels={})
    if config.next_product is not None:
        learned = StartHead(config, source, spine, x, split, cuts.test, feature_set)
        heads["next_product"] = learned
        next_product = learned.fit(progress)
        progress("evaluating next product")
        reports["next_product"] = learned.evaluate(next_product)
        if config.explained_rows:
            progress("stability and faithfulness of explanations")
            begun = time.perf_counter()
            learned.measure_explanations(next_product, reports["next_product"])
            seconds["explanations"] = time.perf_counter() - begun
        popularity = popularity.model_copy(update={"offers": learned.popularity()})
    progress("expected amounts")
    bought = AmountHead(config, spine, x, cuts, feature_set)
    amounts = bought.fit()
    if config.channel_preference is not None:
        progress("choices")
        chosen = ChoiceHead(config, source, cuts, feature_set, features, amounts)
        heads["channel_preference"] = chosen
        progress("channel preference")
        preference = chosen.fit()
        reports["channel_preference"] = chosen.evaluate(preference)
        popularity = popularity.model_copy(update={"channels": chosen.popularity()})
    progress("completion")
    journeys = CompletionHead(source, cuts)
    completion = journeys.fit()
    for name, report in {
        "expected_amount": bought.evaluate(amounts),
        "completion": journeys.evaluate(completion),
    }.items():
        if report.metrics:  # a bank that tells no amounts or journeys has nothing to test
            reports[name] = report
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
        out, manifest, feature_set, next_product, preference, completion, amounts, popularity,
        about(config, feature_set, {head: reports[head] for head in config.heads}),
    )  # fmt: skip
    if config.tree_budget is not None and release.trees > config.tree_budget:
        raise TrainingError(
            f"{config.name}: its boosters have {release.trees:,} trees, its tree_budget is "
            f"{config.tree_budget:,}; lower the heads' max_rounds, or raise the budget"
        )
    progress("writing the release")
    rows = {name: len(ids) for name, ids in split.items()}
    reviewed: dict[str, HeadReport] = {head: reports[head] for head in config.heads}
    figures = figured(reviewed, rows).model_dump_json(indent=1)
    loaded = release.save(out, x[known], {REPORT: figures})
    return TrainingRun(config, source.config.name, loaded, reports, rows, heads, seconds)


def spine_and_cuts(
    config: RunConfig, source: Source, test_from: int | None, before: int | None = None
) -> tuple[Spine, Cuts]:
    """Rows to learn from and to test on, and where their splits begin, in microseconds.

    With ``before`` nothing is known from that moment on: no row's horizon reaches beyond it.
    """
    if source.config.every == "event":
        end = microseconds(data_end(source)) if before is None else before
        spine = purchase_events(source)
        rows = spine.arrow()
        as_of = rows["as_of"].to_numpy()
        spine = subset(spine, rows["row_id"].to_numpy()[as_of < end])
        return spine, share_cuts(as_of[as_of < end], config.splits, test_from, end)
    horizon = targets.horizon_us(source)
    # a month's row counts once its horizon is over; the last day may lack its last minutes
    end = microseconds(data_end(source)) + MICROSECONDS_A_DAY if before is None else before
    months = month_starts(
        targets.log_begins(source) - timedelta(days=31),
        moment(end - horizon),
        source.config.time_zone,
    )
    cuts = month_cuts(months, config.splits, test_from, end, horizon)
    wanted = [one for one in months if microseconds(one) >= cuts.train]
    return customers_at(source, wanted), cuts
