"""Typed settings of the service: `configs/serving/service.yaml` and what a work folder holds."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from pydantic import AwareDatetime, Field

from features.config import StrictConfig, load_yaml
from features.online import RedisAddress, location

ROOT = Path(__file__).resolve().parent.parent
SERVICE_YAML = ROOT / "configs" / "serving" / "service.yaml"
CATALOGS = ROOT / "configs" / "catalog"


class ServiceConfig(StrictConfig):
    """Limits and defaults of the service; sizes in bytes, times in seconds."""

    workers: int = Field(ge=1, le=256)
    timeout_s: float = Field(gt=0, le=60)
    max_concurrency: int = Field(ge=1, le=10_000)
    max_body_bytes: int = Field(ge=1024, le=1_048_576)
    clock_skew_s: float = Field(ge=0, le=3600)
    top_features: int = Field(ge=1, le=50)


def load_service_config(path: Path = SERVICE_YAML) -> ServiceConfig:
    """Read the service's YAML; `ConfigError` names what is off."""
    return load_yaml(path, ServiceConfig)


class WorkConfig(StrictConfig):
    """`service.yaml` of a work folder, written by the demo, so that `make serve` needs no flags.

    ``clock`` is the pinned present of the demo. ``online`` says where the online store is, where it
    is not the folder's own file: another file, `redis://…` or `env:NAME` (see
    `features.online.location`).
    """

    clock: AwareDatetime | None = None
    online: str | None = None


class WorkFolder:
    """The files the service is made of, all in one folder."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.release = path / "release"
        self.online = path / "online.sqlite"
        self.keys = path / "keys.env"
        self.settings = path / "service.yaml"

    def online_store(self) -> Path | RedisAddress:
        """Say where the customers are read: the settings' store, else the folder's own file."""
        left = self.config()
        return location(left.online) if left and left.online else self.online

    def config(self) -> WorkConfig | None:
        """Read the settings the demo left; None where there are none."""
        return load_yaml(self.settings, WorkConfig) if self.settings.exists() else None


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
