"""A second release for the same bank, to swap with the first, in a second and without training."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from features.online import OnlineStore
from training.models.channel_preference import ChannelPreferenceModel
from training.models.completion import CompletionModel
from training.models.expected_amount import ExpectedAmountModel
from training.models.next_product import NextProductModel
from training.models.rates import Popularity
from training.models.release import Release


def another_release(release: Path, online: Path, to: Path) -> str:
    """Write a release that scores everybody otherwise: the same trees, half the odds; its id."""
    first = Release.load(release)
    learned = first.next_product.learned_
    calibrators = {
        product: one.model_copy(update={"bias": one.bias - 0.7})
        for product, one in learned.calibrators.items()
    }
    model = NextProductModel(
        learned.model_copy(update={"calibrators": calibrators}),
        first.next_product.merged_text_,
        first.next_product.pooled_text_,
    )
    with OnlineStore(online) as store:
        some = [store.read(one) for one in store.customer_ids()[:200]]
    x = np.array([one.vector for one in some if one is not None and one.vector is not None])
    return (
        Release(
            to,
            first.manifest,
            first.feature_set,
            model,
            ChannelPreferenceModel.load(release),
            CompletionModel.model_validate_json((release / "completion.json").read_text("utf-8")),
            ExpectedAmountModel.load(release),
            Popularity.model_validate_json((release / "popularity.json").read_text("utf-8")),
            first.about,
        )
        .save(to, x)
        .id
    )
