"""The channel-preference head: its choices, its fitting, and its test beside naive rules."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from features.build import build
from features.catalog import STAGES
from features.feature import Feature
from features.feature_set import FeatureSet
from features.sources import Source
from features.spine import Spine, choices, subset
from training import baselines, metrics, targets
from training.config import RunConfig
from training.errors import TrainingError
from training.models.channel_preference import ChannelPreferenceModel, ChoiceRows
from training.report import HeadReport, group_rows, need_rows, sample_rows
from training.splits import Cuts

Mask = npt.NDArray[np.bool_]
Rows = npt.NDArray[np.int64]


@dataclass
class ChoiceHead:
    """Rows, fitting and evaluation of the channel preference model."""

    config: RunConfig
    source: Source
    cuts: Cuts
    feature_set: FeatureSet
    features: list[Feature]

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
        need_rows(self.split)

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
        """Train on the choices before the test."""
        assert self.config.channel_preference is not None  # noqa: S101 (the caller looked)
        told = {stage for stage in self.stages if stage}
        # a column of holes is never read: what products are in demand says nothing of channels
        unread = [self.feature_set.groups[name] == "demand" for name in self.feature_set.names]
        rows = ChoiceRows(
            np.where(unread, np.nan, self.x), self.offers, self.stages, self.channel,
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
        """Compare with the naive rules on the test choices."""
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
            report.tables["age_bands"] = group_rows("accuracy", right, metrics.age_bands(ages))
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
        sample = sample_rows(test, self.config.seed)
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
