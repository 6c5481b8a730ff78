"""A release: the directory of models that is served, and the only thing serving loads.

Text boosters, coefficients in JSON, `manifest.json` with the sha256 of every file, and golden rows
(made up, no customer's) with the scores they must give. Nothing in it can run code. A booster file
is parsed only after its hash was checked: a malformed one can hang the process.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from pydantic import ValidationError

from features.catalog import Catalog
from features.config import StrictConfig
from features.feature_set import FeatureSet
from training.errors import ReleaseError
from training.models.about import ABOUT, About
from training.models.channel_preference import ChannelPreferenceModel
from training.models.completion import CompletionModel
from training.models.expected_amount import ExpectedAmountModel
from training.models.next_product import NextProductModel, StartContrast, StartExplanation
from training.models.rates import Popularity

Matrix = npt.NDArray[np.float64]
Vector = npt.NDArray[np.float64]
GOLDEN_ROWS = 16
TOLERANCE = 1e-9
MANIFEST = "manifest.json"


class Manifest(StrictConfig):
    """What a release says of itself; `files` maps each file to its sha256."""

    id: str
    heads: tuple[str, ...]
    catalog: str
    offer_ids: tuple[str, ...]
    channel_ids: tuple[str, ...]
    feature_set_version: str
    time_zone: str
    windows: dict[str, tuple[str, str]]
    horizon: str
    metrics: dict[str, Any]
    config: dict[str, Any]
    data: dict[str, Any]
    files: dict[str, str]


class Golden(StrictConfig):
    """Made-up feature rows and the scores a sound release gives them; None is missing."""

    rows: tuple[tuple[float | None, ...], ...]
    p_start: tuple[tuple[float, ...], ...]
    preference: tuple[tuple[float, ...], ...]
    amount_cny: tuple[float | None, ...]
    offers: tuple[str | None, ...]
    stages: tuple[str | None, ...]


class Release:
    """Models ready to score, with the names and ids they were trained with."""

    def __init__(
        self,
        folder: Path,
        manifest: Manifest,
        feature_set: FeatureSet,
        next_product: NextProductModel | None,
        channel_preference: ChannelPreferenceModel | None,
        completion: CompletionModel,
        amounts: ExpectedAmountModel,
        popularity: Popularity,
        about: About | None = None,
    ) -> None:
        self.folder = folder
        self.manifest = manifest
        self.feature_set = feature_set
        self._next_product = next_product
        self._channel_preference = channel_preference
        self._completion = completion
        self._amounts = amounts
        self._popularity = popularity
        self.about = about
        """What it says of itself to who asks what the algorithm uses; None: it says nothing."""
        self._feature_groups = {name: feature_set.groups[name] for name in feature_set.names}

    @property
    def id(self) -> str:
        """Hash of everything in the release."""
        return self.manifest.id

    @property
    def feature_names(self) -> tuple[str, ...]:
        """Names of the columns of `x`, in order."""
        return self.feature_set.names

    @property
    def feature_set_version(self) -> str:
        """Version a published vector must have to be scored."""
        return self.feature_set.version

    @property
    def offer_ids(self) -> tuple[str, ...]:
        """All offer ids of the catalog it was trained with."""
        return self.manifest.offer_ids

    @property
    def channel_ids(self) -> tuple[str, ...]:
        """All channel ids of the catalog it was trained with."""
        return self.manifest.channel_ids

    @property
    def next_product(self) -> NextProductModel:
        """The start model; `ReleaseError` where the release has none."""
        if self._next_product is None:
            raise ReleaseError(f"{self.folder}: no next_product model; train release.yaml")
        return self._next_product

    @property
    def channel_preference(self) -> ChannelPreferenceModel:
        """The preference model; `ReleaseError` where the release has none."""
        if self._channel_preference is None:
            raise ReleaseError(f"{self.folder}: no channel_preference model; train release.yaml")
        return self._channel_preference

    @property
    def products(self) -> tuple[str, ...]:
        """Offers with a start model, in the order of the columns of `p_start`."""
        return self.next_product.products

    @property
    def choice_channels(self) -> tuple[str, ...]:
        """Channels a customer can choose, in the order of the columns of `preference`."""
        return self.channel_preference.channels

    @property
    def trees(self) -> int:
        """The trees of all boosters that score a customer."""
        return sum(
            booster.num_trees()
            for model in (self._next_product, self._channel_preference, self._amounts)
            if model is not None
            for booster in model.boosters
        )

    def p_start(self, x: Matrix, threads: int = 1) -> Matrix:
        """Probabilities of a start within the horizon, (n, products), in 0–1; x is (n, F)."""
        return self.next_product.predict(x, threads)

    def preference(
        self,
        x: Matrix,
        offers: Sequence[str | None],
        stages: Sequence[str | None],
        told_cny: Vector | None = None,
        threads: int = 1,
    ) -> Matrix:
        """Probabilities of each channel, (n, choice_channels); row i is offers[i] at stages[i].

        ``told_cny`` (n,) holds the amounts the customer spoke of, NaN where he did not; those are
        expected from the features, as in training.
        """
        told = np.full(len(x), np.nan) if told_cny is None else told_cny
        amounts = self._amounts.told_or_expected(told, x, offers, threads)
        return self.channel_preference.predict(x, offers, stages, amounts, threads)

    def expected_by_offer(self, x: Matrix, offers: tuple[str, ...]) -> Matrix:
        """Expected amounts (CNY) of each of ``offers`` for each row, (n, O); NaN: the catalog's."""
        return self._amounts.by_offer(x, offers)

    def preference_by_offer(
        self,
        x: Matrix,
        offers: tuple[str, ...],
        stages: Sequence[tuple[str, ...]],
        amounts_cny: Matrix,
    ) -> npt.NDArray[np.float64]:
        """Probabilities of each channel, (n, O, choice_channels); offer j is at ``stages[i][j]``.

        ``amounts_cny`` (n, O) are told or expected (`expected_by_offer`).
        """
        return self.channel_preference.by_offer(x, offers, stages, amounts_cny)

    def completion(self, offer: str, stage: str, channel: str) -> float:
        """Share of begun journeys that get done if handled there, 0–1."""
        return self._completion.rate(offer, stage, channel)

    def expected_amounts(self, x: Matrix, offers: Sequence[str | None], threads: int = 1) -> Vector:
        """Expected amounts (CNY) of purchases, (n,), from the features; NaN: take the catalog's."""
        return self._amounts.predict(x, offers, threads)

    def usual_amount_cny(self, offer: str) -> float | None:
        """Median amount of a purchase (CNY), whoever buys; None: take the catalog's."""
        return self._amounts.usual_cny(offer, None)

    def popularity(self, offer: str) -> float:
        """Recent start rate per eligible customer and horizon; 0 for offers without a model."""
        return self._popularity.offers.get(offer, 0.0)

    def channel_share(self, channel: str) -> float:
        """Share of a channel among all choices of the training window."""
        return self._popularity.channels.get(channel, 0.0)

    def explain_start(self, x_row: Matrix, offer: str) -> StartExplanation:
        """Exact TreeSHAP of one offer's start probability for one row of shape (F,)."""
        return self.next_product.explain(x_row, offer, self._feature_groups)

    def explain_starts(
        self, x: Matrix, offers: Sequence[str], threads: int = 1
    ) -> list[StartExplanation]:
        """Exact TreeSHAP of the start probability of offers[i] for row i of shape (n, F)."""
        return self.next_product.explain_many(x, offers, self._feature_groups, threads)

    def contrast_start(self, x_row: Matrix, offer: str, other: str) -> StartContrast:
        """Why one offer's start is likelier than another's for one row of shape (F,)."""
        return self.next_product.contrast(x_row, offer, other, self._feature_groups)

    def explain_preference(
        self, x_row: Matrix, offer: str, stage: str, channel: str
    ) -> dict[str, float]:
        """How feature groups and the context move one channel's raw score (log-odds)."""
        x = x_row.reshape(1, -1)
        amount = self.expected_amounts(x, [offer])
        values = self.channel_preference.contributions(x, [offer], [stage], amount, channel)[0]
        summed = dict.fromkeys(self._feature_groups.values(), 0.0)
        for name, value in zip(self.feature_names, values, strict=False):
            summed[self._feature_groups[name]] += float(value)
        return {
            **summed,
            "context": float(values[len(self.feature_names) : -1].sum()),
            "bias": float(values[-1]),
        }

    @classmethod
    def load(cls, folder: Path) -> Release:
        """Check every hash, load the models and reproduce the golden rows.

        Raises
        ------
        ReleaseError
            A file is missing, altered or truncated (it is named), or the scores of the golden rows
            are not what they were.
        """
        manifest = _read_manifest(folder)
        _check_files(folder, manifest)
        feature_set = FeatureSet.model_validate_json(_text(folder, "features.json"))
        release = cls(
            folder,
            manifest,
            feature_set,
            NextProductModel.load(folder) if "next_product" in manifest.heads else None,
            ChannelPreferenceModel.load(folder) if "channel_preference" in manifest.heads else None,
            CompletionModel.model_validate_json(_text(folder, "completion.json")),
            ExpectedAmountModel.load(folder),
            Popularity.model_validate_json(_text(folder, "popularity.json")),
            About.model_validate_json(_text(folder, ABOUT)) if ABOUT in manifest.files else None,
        )
        release.check_golden(Golden.model_validate_json(_text(folder, "golden.json")))
        return release

    def check_golden(self, golden: Golden) -> None:
        """Score the golden rows again; `ReleaseError` where a score moved by more than 1e-9."""
        now = _golden_scores(self, golden)
        for head in ("p_start", "preference", "amount_cny"):
            then, scores = (np.array(getattr(one, head), dtype=np.float64) for one in (golden, now))
            if not np.allclose(
                scores, then, rtol=0, atol=TOLERANCE, equal_nan=head == "amount_cny"
            ):
                gap = np.max(np.abs(scores - then), initial=0.0)
                raise ReleaseError(
                    f"{self.folder}: golden rows give other {head} scores than when the release "
                    f"was made (by up to {gap:.2g}); was LightGBM changed? train a new release"
                )

    def save(self, folder: Path, x: Matrix, papers: Mapping[str, str] | None = None) -> Release:
        """Write the release whole or not at all; golden rows are made up from the columns of `x`.

        ``papers`` are texts to keep with the models, hashed like them, by file name.

        Returns the release as loaded back from disk, hashes and golden rows checked.
        """
        with replacing(folder) as temporary:
            self._write(temporary, x, papers or {})
            loaded = Release.load(temporary)  # what cannot be loaded replaces nothing
        loaded.folder = folder
        return loaded

    def _write(self, folder: Path, x: Matrix, papers: Mapping[str, str]) -> None:
        if self._next_product is not None:
            self._next_product.save(folder)
        if self._channel_preference is not None:
            self._channel_preference.save(folder)
        self._amounts.save(folder)
        files = {
            **papers,
            "features.json": self.feature_set.model_dump_json(indent=1),
            "completion.json": self._completion.model_dump_json(indent=1),
            "popularity.json": self._popularity.model_dump_json(indent=1),
            "golden.json": _make_golden(self, x).model_dump_json(),
        }
        if self.about is not None:
            files[ABOUT] = self.about.model_dump_json(indent=1)
        for name, text in files.items():
            (folder / name).write_text(text, "utf-8")
        hashes = {path.name: _sha256(path) for path in sorted(folder.iterdir())}
        identity = self.manifest.model_copy(update={"files": hashes, "id": ""})
        digest = hashlib.sha256(identity.model_dump_json().encode()).hexdigest()[:12]
        manifest = identity.model_copy(update={"id": digest})
        (folder / MANIFEST).write_text(manifest.model_dump_json(indent=1), "utf-8")


def check_replaceable(folder: Path) -> None:
    """Refuse to write a release over anything but an earlier release or an empty folder."""
    if not folder.exists():
        return
    if not folder.is_dir():
        raise ReleaseError(f"{folder}: is a file; name a folder for the release")
    if any(folder.iterdir()) and not (folder / MANIFEST).is_file():
        raise ReleaseError(f"{folder}: holds other files; name a new folder for the release")


@contextmanager
def replacing(folder: Path) -> Iterator[Path]:
    """Give a folder to write a release into; it takes the place of `folder` if all goes well."""
    check_replaceable(folder)
    folder.parent.mkdir(parents=True, exist_ok=True)
    temporary = folder.with_name(folder.name + ".writing")
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir()
    try:
        yield temporary
        shutil.rmtree(folder, ignore_errors=True)
        temporary.replace(folder)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)  # still there only where something failed


def check_catalog(release: Release, catalog: Catalog) -> None:
    """Refuse a catalog whose ids are not those of training; both lists are printed.

    Ids are append-only, so their order counts too.
    """
    for what, trained, given in (
        ("offers", release.offer_ids, catalog.offer_ids),
        ("channels", release.channel_ids, catalog.channel_ids),
    ):
        if tuple(trained) != tuple(given):
            gone = [one for one in trained if one not in given]
            new = [one for one in given if one not in trained]
            moved = [] if gone or new else ["the same ids in another order"]
            differences = [
                *(f"only in the release: {one}" for one in gone),
                *(f"only in the catalog: {one}" for one in new),
                *moved,
            ]
            raise ReleaseError(
                f"{release.folder}: trained with other {what} than catalog '{catalog.name}' has\n"
                f"  release: {', '.join(trained)}\n  catalog: {', '.join(given)}\n"
                f"  {'; '.join(differences)}\n"
                "train a release on a source that names this catalog (ids are append-only: add new "
                "ones at the end), or serve the catalog of the release"
            )


def _read_manifest(folder: Path) -> Manifest:
    path = folder / MANIFEST
    if not path.is_file():
        raise ReleaseError(f"{path}: no such file; a release is a folder that training wrote")
    try:
        manifest = Manifest.model_validate_json(path.read_text("utf-8"))
    except (ValidationError, UnicodeDecodeError) as error:
        first = str(error).splitlines()[0]
        raise ReleaseError(f"{path}: not a manifest ({first}); train again") from None
    identity = manifest.model_copy(update={"id": ""}).model_dump_json().encode()
    if hashlib.sha256(identity).hexdigest()[:12] != manifest.id:
        raise ReleaseError(f"{path}: was altered (its id does not match); train again")
    return manifest


def _check_files(folder: Path, manifest: Manifest) -> None:
    for name, expected in manifest.files.items():
        path = folder / name
        if not path.is_file():
            raise ReleaseError(f"{path}: missing from the release; copy it again or train again")
        if _sha256(path) != expected:
            raise ReleaseError(
                f"{path}: its sha256 is not that of the manifest: truncated or altered; "
                "copy the release again or train again"
            )


def _text(folder: Path, name: str) -> str:
    return (folder / name).read_text("utf-8")


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _make_golden(release: Release, x: Matrix) -> Golden:
    """Rows whose every column is drawn by itself: plausible, and nobody's."""
    random = np.random.default_rng(20_260_701)
    rows = np.column_stack(
        [random.choice(x[:, column], GOLDEN_ROWS) for column in range(x.shape[1])]
    )
    learned = release._channel_preference.learned_ if release._channel_preference else None
    offers = learned.offers if learned and learned.offers else (None,)
    stages = learned.stages if learned and learned.stages else (None,)
    draft = Golden(
        rows=tuple(
            tuple(None if np.isnan(cell) else cell for cell in row) for row in rows.tolist()
        ),
        p_start=(),
        preference=(),
        amount_cny=(),
        offers=tuple(offers[number % len(offers)] for number in range(GOLDEN_ROWS)),
        stages=tuple(stages[number % len(stages)] for number in range(GOLDEN_ROWS)),
    )
    return _golden_scores(release, draft)


def _golden_scores(release: Release, golden: Golden) -> Golden:
    x = np.array(golden.rows, dtype=np.float64)
    p_start: Any = ()
    preference: Any = ()
    if release._next_product is not None:
        p_start = release._next_product.predict(x).tolist()
    if release._channel_preference is not None:
        preference = release.preference(x, golden.offers, golden.stages).tolist()
    # through JSON, as a stored golden file is: the same floats come back
    amounts = release.expected_amounts(x, golden.offers).tolist()
    amounts = [None if np.isnan(amount) else amount for amount in amounts]
    scores = json.loads(
        json.dumps({"p_start": p_start, "preference": preference, "amount_cny": amounts})
    )
    return Golden.model_validate({**golden.model_dump(), **scores})
