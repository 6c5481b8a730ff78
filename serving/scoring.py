"""From a customer's features to what the models believe of each offer; popularity stands in."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from features.catalog import Stage
from features.online import OnlineRecord, OnlineStore
from serving.contract import Intent
from serving.decide.case import personal_answer
from serving.decide.record import Contributions, FeatureValues, PStartIs, Scores
from serving.decide.rulebook import Rulebook

if TYPE_CHECKING:
    from training.models.release import Release

TOGETHER = 64
"""Customers whose rows are made and scored at once: so few that they stay in the cache."""

STAGES_REMEMBERED = 1_000
"""Of how many sets of stages completion is kept: one for nearly all, one for each broken step."""

NO_RELEASE = "release: none, popularity instead of models"
Matrix = npt.NDArray[np.float64]
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
    packed = np.ascontiguousarray(features.vector, dtype="<f8")
    digest = _hash_of(features.names).copy()
    digest.update(packed.tobytes())
    values: list[float | None] = packed.tolist()
    for place in np.flatnonzero(np.isnan(packed)).tolist():
        values[place] = None
    # hundreds of numbers made right here: nothing to validate
    written = FeatureValues.model_construct(
        sha256=digest.hexdigest(), version=features.version, values=tuple(values)
    )
    written.__dict__["vector"] = packed  # it need not be packed again
    return written


@lru_cache(maxsize=4)
def _hash_of(names: tuple[str, ...]) -> hashlib._Hash:
    """The hash of a vector as far as its names; copy it before going on."""
    return hashlib.sha256("\x1f".join(names).encode("utf-8") + b"\x00")


class Scorer:
    """Scores every offer for one customer, by the release or, without one, by popularity.

    ``release`` is None where the service was started without models. Services and care have no
    start model: their probability is the policy's.
    """

    def __init__(self, rules: Rulebook, release: Release | None, top_features: int) -> None:
        self.rules = rules
        self.release = release
        self.top_features = top_features
        self._offers = rules.catalog.offer_ids
        self._completed: dict[tuple[Stage, ...], tuple[tuple[float, ...], ...]] = {}
        self._names: tuple[str, ...] | None = None
        """Names of features that were found to be the release's."""

    def misfit(self, features: Features) -> str | None:
        """Say why the models cannot read these features; None where they can."""
        if self.release is None:
            return NO_RELEASE
        if features.version != self.release.feature_set_version:
            return (
                f"features: of set {features.version}, release {self.release.id} was trained with "
                f"{self.release.feature_set_version}: publish the online store for this release"
            )
        if features.names is not self._names:  # hundreds of texts, and nearly always the same ones
            if features.names != self.release.feature_names:
                return (
                    f"features: other names than release {self.release.id}; publish the store again"
                )
            self._names = features.names
        return None

    def readable(
        self, record: OnlineRecord, store: OnlineStore
    ) -> tuple[Features | None, tuple[str, ...]]:
        """Give the features the models may read, or say why there are none."""
        if not personal_answer(record.state.consents):
            return None, (() if self.release else (NO_RELEASE,))
        if record.vector is None:
            return None, ("features: none for this customer",)
        features = Features(store.feature_names, store.version, record.vector)
        misfit = self.misfit(features)
        return (None, (misfit,)) if misfit else (features, ())

    def by_models(
        self, features: Features, stages: Mapping[str, Stage], intent: Intent | None = None
    ) -> Scores:
        """Score all offers at their stages from one customer's vector; see below for ``intent``."""
        return self.by_models_together(features.vector.reshape(1, -1), [stages], intents=[intent])[
            0
        ]

    def by_models_together(
        self,
        x: Matrix,
        stages: Sequence[Mapping[str, Stage]],
        threads: int = 1,
        intents: Sequence[Intent | None] = (),
    ) -> list[Scores]:
        """Score all offers for many customers: row i of ``x``, shape (n, F), at ``stages[i]``.

        One booster call for each head and `TOGETHER` customers, and the same numbers as one
        customer at a time. Where ``intents[i]`` states an amount, it stands in the place of the
        expected one.
        """
        asked = list(intents) or [None] * len(x)
        return [
            one
            for first in range(0, len(x), TOGETHER)
            for one in self._by_models(
                x[first : first + TOGETHER],
                stages[first : first + TOGETHER],
                threads,
                asked[first : first + TOGETHER],
            )
        ]

    def _by_models(
        self,
        x: Matrix,
        stages: Sequence[Mapping[str, Stage]],
        threads: int,
        intents: Sequence[Intent | None],
    ) -> list[Scores]:
        release, offers = self._release(), self._offers
        starts = release.p_start(x, threads)
        amounts = release.expected_by_offer(x, offers)
        for row, intent in enumerate(intents):
            if intent is not None and intent.amount_cny is not None:
                amounts[row, offers.index(intent.offer)] = intent.amount_cny
        at = [tuple(map(one.__getitem__, offers)) for one in stages]
        wanted = release.preference_by_offer(x, offers, at, amounts)
        p_start = np.where(self._modelled, starts[:, self._start_column], self._usual_starts)
        amount = np.where(np.isnan(amounts), self._usual_amounts, amounts)
        preference = self._by_handle(wanted)
        # model_construct: validating hundreds of numbers that are of this shape already costs more
        # than all else here
        return [
            Scores.model_construct(
                offers=offers,
                handles=self.rules.handle_ids,
                p_start=tuple(p),
                p_start_is=self._p_start_is,
                amount_cny=tuple(cny),
                preference=tuple(map(tuple, likes)),
                completion=self._completions(one),
            )
            for p, cny, likes, one in zip(
                p_start.tolist(), amount.tolist(), preference.tolist(), at, strict=True
            )
        ]

    def by_popularity(self, stages: Mapping[str, Stage]) -> Scores:
        """Score all offers by what everybody does: nothing of this customer is read."""
        if self.release is None:
            return self.rules.popular
        offers, handles = self._offers, self.rules.handle_ids
        shares = tuple(_rounded([self.release.channel_share(one) for one in handles]).tolist())
        return Scores(
            offers=offers,
            handles=handles,
            p_start=tuple(self._usual_starts.tolist()),
            p_start_is=("popularity",) * len(offers),
            amount_cny=tuple(self._usual_amounts.tolist()),
            preference=(shares,) * len(offers),
            completion=self._completions(tuple(stages[offer] for offer in offers)),
        )

    def contributions(self, features: Features, offers: Iterable[str]) -> dict[str, Contributions]:
        """Explain the start probability of ``offers``; those without a model are left out."""
        return self.contributions_together(features.vector.reshape(1, -1), [offers])[0]

    def contributions_together(
        self, x: Matrix, offers: Sequence[Iterable[str]], threads: int = 1
    ) -> list[dict[str, Contributions]]:
        """Explain ``offers[i]`` for row i of ``x``, shape (n, F); one booster call an offer."""
        release = self._release()
        modelled = self._products
        asked = [
            (row, offer) for row, wanted in enumerate(offers) for offer in wanted
            if offer in modelled
        ]  # fmt: skip
        explained: list[dict[str, Contributions]] = [{} for _ in offers]
        if not asked:
            return explained
        rows = x[[row for row, _ in asked]]
        told = release.explain_starts(rows, [offer for _, offer in asked], threads)
        for (row, offer), found in zip(asked, told, strict=True):
            explained[row][offer] = Contributions(
                offer=offer,
                raw_score=found.raw_score,
                bias=found.bias,
                groups=found.groups,
                top_features=found.strongest(self.top_features),
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
        self.by_models(nobody, dict.fromkeys(self._offers, "application"))
        self.contributions(nobody, self.release.products)

    def _release(self) -> Release:
        if self.release is None:
            raise ValueError("no release; score by popularity")
        return self.release

    @cached_property
    def _modelled(self) -> npt.NDArray[np.bool_]:
        """Whether each offer has a start model."""
        return np.array([offer in self._products for offer in self._offers])

    @cached_property
    def _products(self) -> frozenset[str]:
        return frozenset(self._release().products)

    @cached_property
    def _start_column(self) -> list[int]:
        """The column of each offer among the release's products; 0 for those without one."""
        column = {product: at for at, product in enumerate(self._release().products)}
        return [column.get(offer, 0) for offer in self._offers]

    @cached_property
    def _p_start_is(self) -> tuple[PStartIs, ...]:
        return tuple("propensity" if one else "popularity" for one in self._modelled.tolist())

    @cached_property
    def _usual_starts(self) -> Vector:
        """How probably each offer is started, whoever is asked, shape (offers,)."""
        usual = self.rules.policy.popularity.p_start
        return np.array(
            [
                self.release.popularity(offer.id)
                if offer.kind == "product" and self.release is not None
                else usual[offer.kind]
                for offer in self.rules.catalog.offers
            ]
        )

    @cached_property
    def _usual_amounts(self) -> Vector:
        """The amount of each offer (CNY), whoever buys, shape (offers,)."""
        amounts = []
        for offer in self.rules.catalog.offers:
            priced = self.release.usual_amount_cny(offer.id) if self.release else None
            amounts.append(priced if priced is not None else offer.expected_amount_cny or 0.0)
        return np.array(amounts, dtype=np.float64)

    def _by_handle(self, preference: Matrix) -> Matrix:
        """Put preferences (…, choice channels) in the order of the handles, shape (…, handles).

        A channel nobody chose in training is one that nobody is expected to choose.
        """
        chosen = self._release().choice_channels
        handles = self.rules.handle_ids
        if chosen != handles:
            column = {channel: at for at, channel in enumerate(chosen)}
            none = np.zeros((*preference.shape[:-1], 1))
            order = [column.get(handle, len(chosen)) for handle in handles]
            preference = np.concatenate([preference, none], axis=-1)[..., order]
        return _rounded(preference)

    def _completions(self, stages: tuple[Stage, ...]) -> tuple[tuple[float, ...], ...]:
        """Completion of each offer at its stage by handle; most customers are at the same ones."""
        known = self._completed.get(stages)
        if known is None:
            known = tuple(map(self._completion, self._offers, stages))
            if len(self._completed) < STAGES_REMEMBERED:
                self._completed[stages] = known
        return known

    def _completion(self, offer: str, stage: Stage) -> tuple[float, ...]:
        release, handles = self._release(), self.rules.handle_ids
        rates = [release.completion(offer, stage, handle) for handle in handles]
        return tuple(_rounded(rates).tolist())


def _rounded(probabilities: Sequence[float] | Matrix) -> Matrix:
    """Round to a millionth: what is finer says nothing, and doubles every record."""
    return np.asarray(np.round(np.asarray(probabilities), 6), dtype=np.float64)
