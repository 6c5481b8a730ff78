"""One small training run on a simulated bank, shared by all who look at what a run leaves.

Features of the same rows of the same bank are built once, however many trainings read them: that
they are the same when built again is shown in tests/features/test_properties.py, and a test that
must see it here asks for `features_built_anew`.
"""

import shutil
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pytest
from mlflow import MlflowClient

from features.build import build
from features.feature import Feature
from features.sources import Source, open_source
from features.spine import Spine
from training import choice_head, promotion, run, tracking, tuning
from training.config import RunConfig, load_run_config
from training.run import TrainingRun, train

ROOT = Path(__file__).resolve().parents[2]
SIMULATED = ROOT / "configs" / "sources" / "simulated_bank.yaml"
LATER = datetime(2027, 1, 1, tzinfo=UTC)


class BuiltOnce:
    """`build`, but what was asked before of a bank with the same content is remembered."""

    def __init__(self) -> None:
        self._known: list[tuple[object, pa.Table, pa.Table]] = []

    def __call__(self, spine: Spine, features: list[Feature]) -> pa.Table:
        bank, rows = spine.on_duckdb, spine.arrow()
        names = [one.name for one in features]
        of = (bank.config, bank.fingerprint(), bank.missing_columns, spine.context, names)
        for asked, same_rows, table in self._known:
            if asked == of and same_rows.equals(rows):
                return table
        table = build(spine, features)
        self._known.append((of, rows, table))
        return table


TRAINING = (run, choice_head, tuning, promotion)


@pytest.fixture(scope="session", autouse=True)
def features_built_once() -> Iterator[None]:
    """Trainings of this session share what they build."""
    once = BuiltOnce()
    with pytest.MonkeyPatch.context() as patch:
        for module in TRAINING:
            patch.setattr(module, "build", once)
        yield


@pytest.fixture
def features_built_anew(monkeypatch) -> None:
    """Trainings of this test build everything themselves."""
    for module in TRAINING:
        monkeypatch.setattr(module, "build", build)


@pytest.fixture(scope="session")
def small_config() -> RunConfig:
    """The release configuration with few rounds and negatives, and one thread."""
    config = load_run_config(ROOT / "configs" / "training" / "release.yaml")
    few = {"max_rounds": 30, "minimum_negatives": 5_000}
    next_product = config.next_product.model_copy(update=few)
    preference = config.channel_preference.model_copy(update={"max_rounds": 15})
    heads = {"next_product": next_product, "channel_preference": preference}
    return config.model_copy(update={**heads, "threads": 1})


@pytest.fixture(scope="session")
def short_config(small_config) -> RunConfig:
    """The release configuration on the last months of 30, with few rounds."""
    splits = small_config.splits.model_copy(update={"warm_up_months": 20})
    few = {"max_rounds": 3, "minimum_negatives": 1_000}
    next_product = small_config.next_product.model_copy(update=few)
    preference = small_config.channel_preference.model_copy(update={"max_rounds": 2})
    heads = {"next_product": next_product, "channel_preference": preference}
    return small_config.model_copy(update={**heads, "splits": splits})


@pytest.fixture(scope="session")
def small_folder(made_once) -> Path:
    """Tables of a simulated bank of 600 customers, seed 5."""
    from experiments.simulated_bank.bank import simulate
    from experiments.simulated_bank.config import load_simulation

    settings = load_simulation(ROOT / "configs" / "simulation" / "bank.yaml")
    return made_once("small", lambda out: simulate(settings, 600, 5, out))


@pytest.fixture(scope="session")
def open_simulated():
    """Open the tables of a simulated bank in a connection of one's own."""
    return lambda folder: open_source(SIMULATED, folder, LATER)


@pytest.fixture(scope="session")
def small_source(small_folder, open_simulated) -> Source:
    return open_simulated(small_folder)


@pytest.fixture(scope="session")
def make_work(made_once, tmp_path_factory):
    """Make work folders that have an empty MLflow database: making one takes ten seconds."""

    def empty(out: Path) -> None:
        out.mkdir()
        MlflowClient(tracking.database_url(out)).search_experiments()

    def make(name: str) -> Path:
        work = tmp_path_factory.mktemp(name)
        shutil.copy(made_once("mlflow", empty) / "mlflow.db", work)
        return work

    return make


@pytest.fixture(scope="session")
def small_work(make_work) -> Path:
    """The work folder of all runs of this session: one MLflow database."""
    return make_work("work")


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
