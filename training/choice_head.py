"""The channel-preference head: its choices, its fitting, and its test beside naive rules."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from features.build import build
from features.catalog import STAGES
from features.feature import Feature
from features.feature_set import FeatureSet
from features.sources import Source
from features.spine import Spine, choices, subset
from training import baselines, metrics, targets
from training.breakdown import ScoredTest, segments_of
from training.calibration_report import LEAST_POSITIVES, Forecasts, calibrations
from training.config import RunConfig
from training.errors import TrainingError
from training.held_out import HeldOutChoices
from training.models.channel_preference import ChannelPreferenceModel, ChoiceRows
from training.models.expected_amount import ExpectedAmountModel
from training.report import HeadReport, calendar, need_rows, sample_rows
from training.splits import Cuts
from training.window_drift import SAMPLED_ROWS, Window, window_drift

Matrix = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]
Rows = npt.NDArray[np.int64]
Vector = npt.NDArray[np.float64]


@dataclass
class ChoiceHead:
    """Rows, fitting and evaluation of the channel preference model."""

    config: RunConfig
    source: Source
    cuts: Cuts
    feature_set: FeatureSet
    features: list[Feature]
    amounts: ExpectedAmountModel

    def __post_init__(self) -> None:
        if not self.source.has("interactions"):
            raise TrainingError("channel preference needs the table 'interactions'; bring it")
        self.channels = self.source.catalog.handle_ids
        self.spine = self._sampled(choices(self.source, self.cuts.train))
        rows = self.spine.arrow()
        position = {channel: number for number, channel in enumerate(self.channels)}
        channel = [position.get(one, -1) for one in rows["channel"].to_pylist()]
        self.x = self.feature_set.encode(build(self.spine, self.features))
        self.channel = np.array(channel, dtype=np.int64)
        self.as_of = rows["as_of"].to_numpy()
        self.customers = np.unique(rows["customer_id"].to_numpy(), return_inverse=True)[1]
        self.offers = rows["product"].to_pylist()
        self.stages = rows["stage"].to_pylist()
        told = rows["intent_amount_cny"].cast(pa.float64()).fill_null(np.nan).to_numpy()
        self.amount_cny = self.amounts.told_or_expected(
            told, self.x, self.offers, self.config.threads
        )
        self.last, self.uses = targets.past_choices(self.spine, self.channels)
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
            np.where(unread, np.nan, self.x), self.offers, self.stages, self.amount_cny,
            self.channel,
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

    def held_out(self, *splits: str) -> HeldOutChoices:
        """The choices of these splits, on which any model can be judged."""
        rows = np.concatenate([self.split[name] for name in splits])
        labels = self.channel[rows, None] == np.arange(len(self.channels))
        return HeldOutChoices(
            subset(self.spine, self.spine.arrow()["row_id"].to_numpy()[rows]),
            self.channels,
            labels,
            np.ones_like(labels),
            [self.offers[row] for row in rows],
            [self.stages[row] for row in rows],
            self.amount_cny[rows],
        )

    def naive_values(self) -> dict[str, Vector]:
        """The naive rules on the test choices, in the metric of `held_out`."""
        held = self.held_out("test")
        every = np.arange(len(self.channels))
        return {
            name: held.values((guess[:, None] == every).astype(np.float64))
            for name, guess in self._baselines(self.split["test"]).items()
        }

    def evaluate(self, model: ChannelPreferenceModel) -> HeadReport:
        """Compare with the naive rules on the test choices."""
        test = self.split["test"]
        offers = [self.offers[row] for row in test]
        stages = [self.stages[row] for row in test]
        amounts = self.amount_cny[test]
        p = model.predict(self.x[test], offers, stages, amounts, self.config.threads)
        actual = self.channel[test]
        report = HeadReport(metrics=metrics.choice(p, actual))
        guesses = self._baselines(test)
        for name, guess in guesses.items():
            report.metrics[f"{name}_accuracy"] = float((guess == actual).mean())
        report.metrics["test_choices"] = len(test)
        right = (p.argmax(axis=1) == actual).astype(np.float64)
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
        tested = ScoredTest(
            self.channels, p, one_hot(actual, len(self.channels)), np.ones(p.shape, dtype=bool),
            {name: self._ranked(guess) for name, guess in guesses.items()},
            self.customers[test], self.as_of[test],
        )  # fmt: skip
        names = segments_of(self.x[test], self.feature_set)
        report.break_down(tested, names, calendar(self.source), 1, "accuracy")
        report.add_drift("channel_preference", self._drift(model))
        report.curves = {
            channel: metrics.reliability(p[:, c], (actual == c).astype(np.float64))
            for c, channel in enumerate(self.channels)
            if (actual == c).sum() >= 50
        }
        sample = sample_rows(test, self.config.seed)
        report.sample = self.x[sample]
        report.sample_offers = [self.offers[row] for row in sample]
        report.sample_stages = [self.stages[row] for row in sample]
        report.sample_amounts = self.amount_cny[sample]
        report.forecasts = self._forecasts(p, actual, test)
        report.tables["calibration"] = [
            one.row() for one in calibrations(report.forecasts, least_positives=LEAST_POSITIVES)
        ]
        return report

    def _forecasts(self, p: Matrix, actual: Rows, test: Rows) -> Forecasts:
        width = len(self.channels)
        chosen = one_hot(actual, width).astype(np.float64)
        return Forecasts(
            self.channels, np.tile(np.arange(width), len(test)), p.ravel(), chosen.ravel(),
            np.repeat(self.customers[test], width),
        )  # fmt: skip

    def _ranked(self, guess: Rows) -> Matrix:
        """Turn a rule's guess into scores: it comes first, then what is chosen most."""
        shares = np.array(list(self.popularity().values()))
        return shares + one_hot(guess, len(self.channels))

    def _drift(self, model: ChannelPreferenceModel) -> list[dict[str, Any]]:
        def window(split: str) -> Window:
            # the test asks no first touches, so they would look like drift in training
            rows = self.split[split][self._seen_before(self.split[split])]
            rows = sample_rows(rows, self.config.seed, SAMPLED_ROWS)
            offers = [self.offers[row] for row in rows]
            stages = [self.stages[row] for row in rows]
            amounts = self.amount_cny[rows]
            p = model.predict(self.x[rows], offers, stages, amounts, self.config.threads)
            return Window(self.x[rows], p, len(np.unique(self.customers[rows])))

        return window_drift(window("train"), window("test"), self.feature_set, self.channels)

    def _baselines(self, test: Rows) -> dict[str, Rows]:
        before = [self.split[name] for name in ("train", "stop", "calibrate")]
        known = self.channel[np.concatenate(before)]
        majority = baselines.majority_channel(known, len(self.channels), len(test))
        return {
            "majority": majority,
            "last_channel": baselines.last_channel(self.last[test], majority),
            "most_used": baselines.most_used_channel(self.uses[test], majority),
        }


def one_hot(labels: Rows, width: int) -> Mask:
    """Mark each label's column, shape (n, width)."""
    return np.asarray(labels[:, np.newaxis] == np.arange(width))
