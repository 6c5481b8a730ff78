"""One small training run on a simulated bank, shared by all who look at what a run leaves."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from features.sources import Source, open_source
from training.config import RunConfig, load_run_config
from training.run import TrainingRun, train

ROOT = Path(__file__).resolve().parents[2]
SIMULATED = ROOT / "configs" / "sources" / "simulated_bank.yaml"
LATER = datetime(2027, 1, 1, tzinfo=UTC)


@pytest.fixture(scope="session")
def small_config() -> RunConfig:
    """The release configuration with few rounds and one thread."""
    config = load_run_config(ROOT / "configs" / "training" / "release.yaml")
    next_product = config.next_product.model_copy(update={"max_rounds": 30})
    preference = config.channel_preference.model_copy(update={"max_rounds": 15})
    heads = {"next_product": next_product, "channel_preference": preference}
    return config.model_copy(update={**heads, "threads": 1})


@pytest.fixture(scope="session")
def short_config(small_config) -> RunConfig:
    """The release configuration on the last months of 30, with few rounds."""
    splits = small_config.splits.model_copy(update={"warm_up_months": 20})
    next_product = small_config.next_product.model_copy(update={"max_rounds": 3})
    preference = small_config.channel_preference.model_copy(update={"max_rounds": 2})
    heads = {"next_product": next_product, "channel_preference": preference}
    return small_config.model_copy(update={**heads, "splits": splits})


@pytest.fixture(scope="session")
def small_folder(tmp_path_factory) -> Path:
    """Tables of a simulated bank of 600 customers, seed 5."""
    from experiments.simulated_bank.bank import simulate
    from experiments.simulated_bank.config import load_simulation

    settings = load_simulation(ROOT / "configs" / "simulation" / "bank.yaml")
    return simulate(settings, 600, 5, tmp_path_factory.mktemp("small") / "tables")


@pytest.fixture(scope="session")
def open_simulated():
    """Open the tables of a simulated bank in a connection of one's own."""
    return lambda folder: open_source(SIMULATED, folder, LATER)


@pytest.fixture(scope="session")
def small_source(small_folder, open_simulated) -> Source:
    return open_simulated(small_folder)


@pytest.fixture(scope="session")
def small_work(tmp_path_factory) -> Path:
    """The work folder of all runs of this session: one MLflow database, made once."""
    return tmp_path_factory.mktemp("work")


@pytest.fixture(scope="session")
def small_run(small_config, small_source, small_work) -> TrainingRun:
    """Both heads trained on 600 customers. Shared: copy the release folder before spoiling it."""
    return train(small_config, small_source, small_work / "releases" / "small")


INSURANCE = ROOT / "configs" / "sources" / "insurance.yaml"


@pytest.fixture(scope="session")
def insurance_folder(data_folder) -> Path:
    return data_folder / "insurance_touches"


@pytest.fixture(scope="session")
def insurance_source(insurance_folder) -> Source:
    return open_source(INSURANCE, insurance_folder, LATER)
