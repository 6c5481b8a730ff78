"""Where a run came from: the code and the packages, so that it can be made again."""

from __future__ import annotations

import hashlib
import json
import platform
import subprocess
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

PACKAGES = ("lightgbm", "numpy", "scikit-learn", "duckdb", "narwhals", "pyarrow", "mlflow")
NO_GIT = "not in a git checkout"


def versions() -> dict[str, str]:
    """Versions of Python and of the packages that a release's numbers depend on."""
    return {"python": platform.python_version(), **{name: version(name) for name in PACKAGES}}


def git_commit(folder: Path = Path(__file__).parent) -> str:
    """Commit of the code, '-dirty' where files differ from it; a text that says so without git."""
    command = ["git", "-C", str(folder), "describe", "--always", "--abbrev=40", "--dirty"]
    try:
        found = subprocess.run(command, capture_output=True, check=True, text=True)  # noqa: S603
    except (FileNotFoundError, subprocess.CalledProcessError):
        return NO_GIT
    return found.stdout.strip()


def data_hash(fingerprint: Mapping[str, Any]) -> str:
    """One hash of all tables' fingerprints: equal data, equal hash."""
    return hashlib.sha256(json.dumps(fingerprint, sort_keys=True).encode()).hexdigest()[:16]
