"""From a customer's features to what the models believe of each offer; popularity stands in."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from features.catalog import Offer, Stage
from serving.decide.record import Contributions, FeatureValues, OfferScores
from serving.decide.rulebook import Rulebook

if TYPE_CHECKING:
    from training.models.release import Release

NO_RELEASE = "release: none, popularity instead of models"
Vector = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Features:
    """A customer's vector, shape (F,), with the names and the version it was published with."""

    names: tuple[str, ...]
    version: str
    vector: Vector


def feature_values(features: Features) -> FeatureValues:
    """Write a vector down for the record: values, and a hash over names and packed float64.

    >>> one = feature_values(Features(("age_years",), "1", np.array([41.0])))
    >>> one.values, one.sha256[:8]
    ((41.0,), '9e8485b3')
    """
    names = "\x1f".join(features.names).encode("utf-8")
    packed = np.ascontiguousarray(features.vector, dtype="<f8").tobytes()
    return FeatureValues(
        sha256=hashlib.sha256(names + b"\x00" + packed).hexdigest(),
        names=features.names,
        values=tuple(None if np.isnan(value) else float(value) for value in features.vector),
    )


class Scorer:
    """Scores every offer for one customer, by the release or, without one, by popularity.

    ``release`` is None where the service was started without models. Services and care have no
    start model: their probability is the policy's.
    """

    def __init__(self, rules: Rulebook, release: Release | None, top_features: int) -> None:
        self.rules = rules
        self.release = release
        self.top_features = top_features

    def misfit(self, features: Features) -> str | None:
        """Say why the models cannot read these features; None where they can."""
        if self.release is None:
            return NO_RELEASE
        if features.version != self.release.feature_set_version:
            return (
                f"features: of set {features.version}, release {self.release.id} was trained with "
                f"{self.release.feature_set_version}: publish the online store for this release"
            )
        if features.names != self.release.feature_names:
            return f"features: other names than release {self.release.id}; publish the store again"
        return None

    def by_models(self, features: Features, stages: Mapping[str, Stage]) -> dict[str, OfferScores]:
        """Score all offers at their stages from the vector; one booster call for all products."""
        release = self._release()
        row = features.vector.reshape(1, -1)
        starts = dict(zip(release.products, release.p_start(row)[0], strict=True))
        offers = list(stages)
        rows = np.repeat(row, len(offers), axis=0)
        amounts = release.expected_amounts(rows, offers)
        wanted = release.preference(rows, offers, [stages[offer] for offer in offers], amounts)
        scores = {}
        for offer, preferences, expected in zip(offers, wanted, amounts, strict=True):
            by_channel = dict(zip(release.choice_channels, preferences, strict=True))
            spoken = offer in starts
            scores[offer] = OfferScores(
                p_start=float(starts[offer]) if spoken else self._usual_start(offer),
                p_start_is="propensity" if spoken else "popularity",
                amount_cny=(self._usual_amount(offer) if np.isnan(expected) else float(expected)),
                # A channel nobody chose in training is one that nobody is expected to choose.
                preference={
                    one: float(by_channel.get(one, 0.0)) for one in self.rules.catalog.handle_ids
                },
                completion=self._completion(offer, stages[offer]),
            )
        return scores

    def by_popularity(self, stages: Mapping[str, Stage]) -> dict[str, OfferScores]:
        """Score all offers by what everybody does: nothing of this customer is read."""
        release = self.release
        if release is None:
            return {offer: self.rules.popular_scores(offer) for offer in stages}
        preference = {
            channel: release.channel_share(channel) for channel in self.rules.catalog.handle_ids
        }
        return {
            offer: OfferScores(
                p_start=self._usual_start(offer),
                p_start_is="popularity",
                amount_cny=self._usual_amount(offer),
                preference=preference,
                completion=self._completion(offer, stage),
            )
            for offer, stage in stages.items()
        }

    def contributions(self, features: Features, offers: Iterable[str]) -> dict[str, Contributions]:
        """Explain the start probability of ``offers``; those without a model are left out."""
        release = self._release()
        explained = {}
        for offer in offers:
            if offer not in release.products:
                continue
            found = release.explain_start(features.vector, offer)
            strongest = sorted(found.by_feature.items(), key=lambda one: (-abs(one[1]), one[0]))
            explained[offer] = Contributions(
                offer=offer,
                raw_score=found.raw_score,
                bias=found.bias,
                groups=dict(found.groups),
                top_features=tuple(strongest[: self.top_features]),
            )
        return explained

    def warm_up(self) -> None:
        """Score nobody once, so that the first customer does not wait for lazy loading."""
        if self.release is None:
            return
        nobody = Features(
            names=self.release.feature_names,
            version=self.release.feature_set_version,
            vector=np.full(len(self.release.feature_names), np.nan),
        )
        self.by_models(nobody, dict.fromkeys(self.rules.catalog.offer_ids, "application"))
        self.contributions(nobody, self.release.products)

    def _release(self) -> Release:
        if self.release is None:
            raise ValueError("no release; score by popularity")
        return self.release

    def _offer(self, offer: str) -> Offer:
        return self.rules.catalog.offer_by_id[offer]

    def _usual_start(self, offer: str) -> float:
        kind = self._offer(offer).kind
        if kind == "product" and self.release is not None:
            return float(self.release.popularity(offer))
        return self.rules.policy.popularity.p_start[kind]

    def _usual_amount(self, offer: str) -> float:
        priced = self.release.usual_amount_cny(offer) if self.release else None
        return float(priced if priced is not None else self._offer(offer).expected_amount_cny or 0)

    def _completion(self, offer: str, stage: Stage) -> dict[str, float]:
        release = self._release()
        handles = self.rules.catalog.handle_ids
        return {handle: float(release.completion(offer, stage, handle)) for handle in handles}
