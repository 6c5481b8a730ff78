"""Small simulated banks, made once: the tests only read them."""

from __future__ import annotations

# ruff: noqa: S608 - the names come from the contract
from pathlib import Path

import duckdb
import pytest

from experiments.simulated_bank.bank import Month, World, simulate
from experiments.simulated_bank.config import SimulationConfig, load_simulation

ROOT = Path(__file__).resolve().parents[3]
BANK = ROOT / "configs" / "simulation" / "bank.yaml"


@pytest.fixture(scope="session")
def settings() -> SimulationConfig:
    return load_simulation(BANK)


@pytest.fixture(scope="session")
def bank_folder(settings, tmp_path_factory) -> Path:
    return simulate(settings, 1_500, 7, tmp_path_factory.mktemp("bank") / "tables")


@pytest.fixture
def bank(bank_folder):
    """Every table of the written bank as a view of its name."""
    connection = duckdb.connect()
    for path in sorted(bank_folder.glob("*.parquet")):
        connection.execute(f"create view {path.stem} as select * from read_parquet('{path}')")
    yield connection
    connection.close()


@pytest.fixture(scope="session")
def lived(settings) -> tuple[World, list[Month]]:
    """A larger bank lived to its end and never written: what happened, month by month."""
    world = World(settings, 6_000, 3)
    return world, [world.advance() for _ in range(settings.months)]
