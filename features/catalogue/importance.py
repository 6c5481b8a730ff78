"""How much a release makes of each feature: its share of the split gain of all boosters."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np

from features.config import load_yaml
from features.errors import ConfigError
from features.feature_set import FeatureSet

MANIFEST = "manifest.json"
FEATURES = "features.json"


def importance(release: Path) -> tuple[str, dict[str, float]]:
    """Give a release's id, and each feature's share (0–1) of its boosters' split gain.

    The boosters also split on the context of a choice (the product, the stage): what those gain is
    in the total, so that the shares of the features add up to less than 1.

    Raises
    ------
    ConfigError
        The folder is no release, or a file in it is missing or altered (it is named).
    """
    release_id, files = _checked(release)
    names = load_yaml(release / FEATURES, FeatureSet).names  # JSON is YAML
    gains = np.zeros(len(names))
    total = 0.0
    for name in files:
        if name.endswith(".txt"):
            gained = _gains(release / name)
            if len(gained) < len(names):
                raise ConfigError(
                    f"{release / name}: reads {len(gained)} columns, fewer than the {len(names)} "
                    f"features of {FEATURES}; train the release again"
                )
            # the columns of every booster begin with the feature set; context comes after it
            gains += gained[: len(names)]
            total += float(gained.sum())
    shares = gains / total if total else gains
    return release_id, dict(zip(names, shares.tolist(), strict=True))


def _gains(path: Path) -> np.ndarray:
    """Gain of each column of a booster, summed over its splits."""
    import lightgbm  # a second to import, and only needed with a release

    booster = lightgbm.Booster(model_file=path)
    return np.asarray(booster.feature_importance("gain"), dtype=np.float64)


def _checked(release: Path) -> tuple[str, list[str]]:
    """Give a release's id and the names of its files, each as its manifest hashes it.

    A booster is parsed only after that: a malformed one can hang the process.
    """
    manifest = release / MANIFEST
    if not manifest.is_file():
        raise ConfigError(f"{manifest}: no such file; --release names a folder that training wrote")
    try:
        told = json.loads(manifest.read_text("utf-8"))
        release_id = str(told["id"])
        hashes = {str(name): str(digest) for name, digest in told["files"].items()}
    except (json.JSONDecodeError, UnicodeDecodeError, KeyError, TypeError, AttributeError) as error:
        raise ConfigError(f"{manifest}: not a manifest ({error!r}); train again") from None
    if FEATURES not in hashes:
        raise ConfigError(f"{manifest}: names no {FEATURES}; train again")
    for name, digest in hashes.items():
        path = release / name
        if Path(name).name != name:
            raise ConfigError(f"{manifest}: '{name}' is no file of the release; train again")
        if not path.is_file():
            raise ConfigError(f"{path}: missing from the release; copy it again or train again")
        if hashlib.sha256(path.read_bytes()).hexdigest() != digest:
            raise ConfigError(
                f"{path}: its sha256 is not that of the manifest: truncated or altered; copy the "
                "release again or train again"
            )
    return release_id, list(hashes)
