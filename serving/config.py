"""Typed settings of the service: `configs/serving/service.yaml` and what a work folder holds."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pydantic import AwareDatetime, Field

from features.config import StrictConfig, load_yaml, parse_config, read_yaml
from features.online import RedisAddress, location

ROOT = Path(__file__).resolve().parent.parent
SERVICE_YAML = ROOT / "configs" / "serving" / "service.yaml"
ABOUT_YAML = ROOT / "configs" / "serving" / "about.yaml"
CATALOGS = ROOT / "configs" / "catalog"
KEYS_FILE_VARIABLE = "ONEPOINT_KEYS_FILE"


class ServiceConfig(StrictConfig):
    """Limits and defaults of the service; sizes in bytes, times in seconds."""

    workers: int = Field(ge=1, le=256)
    one_core: bool
    deadline_s: float = Field(gt=0, le=60)
    drain_s: float = Field(ge=0, le=600)
    max_concurrency: int = Field(ge=1, le=10_000)
    max_body_bytes: int = Field(ge=1024, le=1_048_576)
    clock_skew_s: float = Field(ge=0, le=3600)
    top_features: int = Field(ge=1, le=50)
    read_budget_s: float = Field(gt=0, le=10)
    features_stale_after_s: float = Field(gt=0)


class WorkConfig(StrictConfig):
    """`service.yaml` of a work folder, written by the demo, so that `make serve` needs no flags.

    ``clock`` is the pinned present of the demo. ``online`` says where the online store is, where it
    is not the folder's own file: another file, `redis://…` or `env:NAME` (see
    `features.online.location`). ``shadow`` is the folder of a release that scores in the shadow of
    the one served (`serving.shadow`), from the work folder. ``service`` holds what this folder has
    otherwise than `configs/serving/service.yaml`.
    """

    clock: AwareDatetime | None = None
    online: str | None = None
    shadow: str | None = None
    service: dict[str, Any] = {}


class WorkFolder:
    """The files the service is made of, all in one folder.

    The keys may lie elsewhere, where `ONEPOINT_KEYS_FILE` says, as a mounted secret does.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.release = path / "release"
        self.previous_release = path / "release.previous"
        self.workers = path / "workers"
        self.neighbours = self.workers / "inside"
        self.shadows = path / "shadows"
        self.online = path / "online.sqlite"
        self.keys = Path(os.environ.get(KEYS_FILE_VARIABLE) or path / "keys.yaml")
        self.trial_keys = path / "trial_keys.env"
        self.pseudonym_key = path / "pseudonym.key"
        self.settings = path / "service.yaml"

    def online_store(self) -> Path | RedisAddress:
        """Say where the customers are read: the settings' store, else the folder's own file."""
        left = self.config()
        return location(left.online) if left and left.online else self.online

    def config(self) -> WorkConfig | None:
        """Read the settings the demo left; None where there are none."""
        return load_yaml(self.settings, WorkConfig) if self.settings.exists() else None


def load_service_config(work: WorkFolder | None = None, path: Path = SERVICE_YAML) -> ServiceConfig:
    """Read the service's YAML and what a work folder has otherwise; `ConfigError` names errors."""
    left = work.config() if work else None
    own = left.service if left else {}
    where = f"{path}, with `service` of {work.settings}" if work and own else str(path)
    return parse_config({**read_yaml(path), **own}, ServiceConfig, where)


class Clock:
    """The present: the machine's, or one moment pinned for demos and tests."""

    def __init__(self, pinned: datetime | None = None) -> None:
        self.pinned = pinned.astimezone(UTC) if pinned else None

    def now(self) -> datetime:
        """Say what time it is, in UTC."""
        return self.pinned or datetime.now(UTC)

    def latest(self) -> datetime:
        """Say the latest moment at which something may have happened: a pinned present is left."""
        machine = datetime.now(UTC)
        return max(self.pinned, machine) if self.pinned else machine
