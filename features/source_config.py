"""The YAML of a source: a bank's data, in its own words."""

from __future__ import annotations

from pathlib import Path
from typing import Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError, available_timezones

from pydantic import Field, model_validator

from features.catalog import Catalog, load_catalog
from features.config import StrictConfig, load_yaml
from features.errors import ConfigError, SourceError, did_you_mean
from features.tables import TABLES

CONFIGS = Path(__file__).resolve().parent.parent / "configs"


class Horizon(StrictConfig):
    """What counts as *next*: the `days` after `as_of`, or the customer's next purchase event."""

    days: int = Field(default=30, ge=1, le=366)


class SourceConfig(StrictConfig):
    """A bank's data, in its own words.

    ``tables`` gives one SQL select per table of the contract; `{data}` in it stands for the folder
    given as ``--data``. With ``database_env`` the selects run in the database whose SQLAlchemy URL
    that environment variable holds. ``every`` is the rhythm of training rows: each month's start,
    or each purchase event.
    """

    name: str
    catalog: str
    time_zone: str = "Asia/Shanghai"
    horizon: Horizon | Literal["next_event"] = Horizon()
    every: Literal["month", "event"] = "month"
    database_env: str | None = None
    tables: dict[str, str]

    @model_validator(mode="after")
    def _tables_are_of_the_contract(self) -> SourceConfig:
        for name in self.tables:
            if name not in TABLES:
                raise ValueError(f"unknown table '{name}'; {did_you_mean(name, TABLES)}")
        try:
            ZoneInfo(self.time_zone)
        except (ZoneInfoNotFoundError, ValueError):
            near = did_you_mean(self.time_zone, available_timezones())
            raise ValueError(f"unknown time_zone '{self.time_zone}'; {near}") from None
        if "customers" not in self.tables:
            raise ValueError("table 'customers' is required; give its select")
        if not {"interactions", "holdings"} & set(self.tables):
            raise ValueError(
                "give a select for 'interactions' or 'holdings'; one of them is needed"
            )
        if (self.every == "event") != (self.horizon == "next_event"):
            raise ValueError("every: event goes with horizon: next_event, and month with days")
        return self

    def selects(self, path: Path, data: Path | None) -> dict[str, str]:
        """Give each table's select with the data folder put in; ``path`` is the YAML it is from."""
        if data is not None and not data.is_dir():
            raise SourceError(
                f"{data}: no such folder; --data names the folder of the bank's files"
            )
        for name, select in self.tables.items():
            if "{data}" in select and data is None:
                raise SourceError(
                    f"{path}: table '{name}' reads {{data}}; give the folder with --data"
                )
        return {name: select.replace("{data}", str(data)) for name, select in self.tables.items()}


def load_source_config(path: Path) -> SourceConfig:
    """Parse a source YAML; `ConfigError` names what is wrong with it."""
    return load_yaml(path, SourceConfig)


def load_source_catalog(path: Path, config: SourceConfig) -> Catalog:
    """Load the catalog a source names; ``path`` is its YAML, for the error."""
    folder = CONFIGS / "catalog" / config.catalog
    if not folder.is_dir():
        known = [one.name for one in folder.parent.iterdir() if one.is_dir()]
        raise ConfigError(
            f"{path}: catalog '{config.catalog}'; {did_you_mean(config.catalog, known)}"
        )
    return load_catalog(folder)
