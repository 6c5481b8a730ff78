"""Channel preference: which channel would this customer choose for this product and stage?

Multiclass LightGBM on customers' own choices, with the product, the stage and the amount known at
the time; calibrated by one temperature and a bias a channel.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import lightgbm as lgb
import numpy as np
import numpy.typing as npt
from pydantic import Field

from features.config import StrictConfig
from training.models.boosters import (
    MOST_LEAVES,
    BoosterConfig,
    contributions,
    one_output,
    raw_scores,
)
from training.models.calibration import SoftmaxCalibrator
from training.models.packed import PackedBooster

Matrix = npt.NDArray[np.float64]
Rows = npt.NDArray[np.int64]
Vector = npt.NDArray[np.float64]
CONTEXT = ("offer", "stage", "amount_cny")
"""Columns appended to the features: what the choice was about; offer and stage as codes."""
CODES_REMEMBERED = 1_000
"""Of how many rows of offers or stages the codes are kept: one for nearly all customers."""


class ChannelPreferenceConfig(BoosterConfig):
    """How the preference model is trained.

    ``sampled_choices`` bounds the choices of each split, drawn evenly (of the simulated bank's
    118,000, 20,000 reach an accuracy of 0.656 and 60,000 of 0.662).
    """

    num_leaves: int = Field(default=15, ge=2, le=MOST_LEAVES)
    learning_rate: float = Field(default=0.12, gt=0, le=1)
    max_rounds: int = Field(default=80, ge=1)
    early_stopping_rounds: int = Field(default=15, ge=1)
    min_data_in_leaf: int = Field(default=40, ge=1)
    sampled_choices: int = Field(default=80_000, ge=1)


@dataclass(frozen=True)
class ChoiceRows:
    """Choices to learn from: `x` (n, F), offer and stage ids (None where not told), channels.

    ``amount_cny`` (n,) is what the choice was about, NaN where unknown. ``channel`` holds positions
    in the model's channels; ``train``, ``stop`` and ``calibrate`` are row numbers, each later in
    time than the one before.
    """

    x: Matrix
    offers: Sequence[str | None]
    stages: Sequence[str | None]
    amount_cny: Vector
    channel: Rows
    train: Rows
    stop: Rows
    calibrate: Rows


class _Learned(StrictConfig):
    channels: tuple[str, ...]
    offers: tuple[str, ...]
    stages: tuple[str, ...]
    calibrator: SoftmaxCalibrator
    rounds: int


class ChannelPreferenceModel:
    """Probabilities over handle channels for a customer, an offer and a stage."""

    def __init__(self, learned: _Learned, text: str) -> None:
        self.learned_ = learned
        self.text_ = text
        self._booster = lgb.Booster(model_str=text)
        self._apart: dict[str, lgb.Booster] = {}
        self._coded: dict[tuple[str, ...], Vector] = {}

    @cached_property
    def _by_offer(self) -> PackedBooster:
        return PackedBooster(self.text_, len(CONTEXT))

    @property
    def boosters(self) -> list[lgb.Booster]:
        """What scores a customer."""
        return [self._booster]

    @property
    def channels(self) -> tuple[str, ...]:
        """Channel ids, in the order of the columns of `predict`."""
        return self.learned_.channels

    @classmethod
    def fit(
        cls,
        config: ChannelPreferenceConfig,
        channels: tuple[str, ...],
        offers: tuple[str, ...],
        stages: tuple[str, ...],
        rows: ChoiceRows,
        seed: int,
        threads: int,
    ) -> ChannelPreferenceModel:
        """Train, stop early on the next time, refit on both, calibrate on time not seen."""
        learned = _Learned(
            channels=channels,
            offers=offers,
            stages=stages,
            calibrator=SoftmaxCalibrator(scale=1.0, bias=(0.0,) * len(channels)),
            rounds=0,
        )
        context = _context(learned, rows.offers, rows.stages, rows.amount_cny)
        x = np.column_stack([rows.x, context])
        options = config.parameters(seed, threads, objective="multiclass", num_class=len(channels))
        codes = [x.shape[1] - 3, x.shape[1] - 2]
        train = lgb.Dataset(
            x[rows.train], rows.channel[rows.train], categorical_feature=codes, params=options
        )
        stop = lgb.Dataset(x[rows.stop], rows.channel[rows.stop], reference=train, params=options)
        stopping = lgb.early_stopping(config.early_stopping_rounds, verbose=False)
        early = lgb.train(
            options, train, config.max_rounds, valid_sets=[stop], callbacks=[stopping]
        )
        best = max(early.best_iteration, 1)
        both = np.concatenate([rows.train, rows.stop])
        dataset = lgb.Dataset(
            x[both], rows.channel[both], categorical_feature=codes, params=options
        )
        text = lgb.train(options, dataset, best).model_to_string()
        draft = cls(learned.model_copy(update={"rounds": best}), text)
        scores = raw_scores(draft._booster, x[rows.calibrate], len(channels), threads)
        calibrator = SoftmaxCalibrator.fit(scores, rows.channel[rows.calibrate])
        return cls(draft.learned_.model_copy(update={"calibrator": calibrator}), text)

    def matrix(
        self,
        x: Matrix,
        offers: Sequence[str | None],
        stages: Sequence[str | None],
        amount_cny: Vector,
    ) -> Matrix:
        """Features with the context columns appended, shape (n, F + 3)."""
        return np.column_stack([x, _context(self.learned_, offers, stages, amount_cny)])

    def predict(
        self,
        x: Matrix,
        offers: Sequence[str | None],
        stages: Sequence[str | None],
        amount_cny: Vector,
        threads: int = 1,
    ) -> Matrix:
        """Probabilities (n, C) over `channels`; row i is about offers[i] at stages[i]."""
        stacked = self.matrix(x, offers, stages, amount_cny)
        scores = raw_scores(self._booster, stacked, len(self.channels), threads)
        return self.learned_.calibrator.apply(scores)

    def by_offer(
        self,
        x: Matrix,
        offers: tuple[str, ...],
        stages: Sequence[tuple[str, ...]],
        amount_cny: Matrix,
    ) -> npt.NDArray[np.float64]:
        """Probabilities (n, O, C): every customer's for each of ``offers``; as `predict`'s.

        Offer j is at ``stages[i][j]`` for row i of ``x`` and about ``amount_cny[i, j]``.
        """
        asked = np.empty((len(x), len(offers), len(CONTEXT)))
        asked[:, :, 0] = self._codes(self.learned_.offers, offers)
        asked[:, :, 1] = [self._codes(self.learned_.stages, one) for one in stages]
        asked[:, :, 2] = amount_cny
        return self.learned_.calibrator.apply(self._by_offer.raw_scores(x, asked))

    def _codes(self, coded: tuple[str, ...], names: tuple[str, ...]) -> Vector:
        """Codes of names, (len(names),); remembered, for customers are mostly at the same ones."""
        found = self._coded.get(names)
        if found is None:
            found = _codes(coded, names)
            if len(self._coded) < CODES_REMEMBERED:
                self._coded[names] = found
        return found

    def contributions(
        self,
        x: Matrix,
        offers: Sequence[str | None],
        stages: Sequence[str | None],
        amount_cny: Vector,
        channel: str,
        threads: int = 1,
    ) -> Matrix:
        """TreeSHAP of one channel's raw score, shape (n, F + 4): context, then bias last."""
        if channel not in self._apart:
            text = one_output(self.text_, self.channels.index(channel))
            self._apart[channel] = lgb.Booster(model_str=text)
        return contributions(
            self._apart[channel], self.matrix(x, offers, stages, amount_cny), threads
        )

    def save(self, folder: Path) -> None:
        """Write the text booster and the coefficients into `folder`."""
        (folder / "channel_preference.json").write_text(
            self.learned_.model_dump_json(indent=1), "utf-8"
        )
        (folder / "channel_preference.txt").write_text(self.text_, "utf-8")

    @classmethod
    def load(cls, folder: Path) -> ChannelPreferenceModel:
        """Read what `save` wrote; the caller has checked the hashes."""
        text = (folder / "channel_preference.json").read_text("utf-8")
        learned = _Learned.model_validate_json(text)
        return cls(learned, (folder / "channel_preference.txt").read_text("utf-8"))


def _context(
    learned: _Learned,
    offers: Sequence[str | None],
    stages: Sequence[str | None],
    amount_cny: Vector,
) -> Matrix:
    return np.column_stack(
        [_codes(learned.offers, offers), _codes(learned.stages, stages), amount_cny]
    )


def _codes(coded: Sequence[str], names: Sequence[str | None]) -> Vector:
    """The place of each name among those coded in training; NaN for others."""
    code = {name: float(number) for number, name in enumerate(coded)}
    return np.array([code.get(name or "", np.nan) for name in names], dtype=np.float64)
