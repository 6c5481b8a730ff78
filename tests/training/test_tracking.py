"""MLflow keeps everything a reviewer asks for, in one SQLite file."""

import csv
import json
from pathlib import Path

import pytest
from mlflow import MlflowClient

from training import tracking
from training.model_card import model_card

PICTURES = {f"{head}_{what}.png" for head in ("next_product", "channel_preference")
            for what in ("calibration", "baselines", "shap")}  # fmt: skip


@pytest.fixture(scope="module")
def client(small_work) -> MlflowClient:
    return MlflowClient(tracking.database_url(small_work))


@pytest.fixture(scope="module")
def run_id(small_run, small_work) -> str:
    return tracking.log_run(small_run, small_work)


@pytest.fixture(scope="module")
def kept(client, run_id):
    """Names of all artifacts, folders included as `folder/file`."""
    names = set()
    for one in client.list_artifacts(run_id):
        inner = client.list_artifacts(run_id, one.path) if one.is_dir else [one]
        names |= {file.path for file in inner}
    return names


@pytest.fixture
def read(client, run_id, tmp_path):
    def reader(name: str) -> str:
        return Path(client.download_artifacts(run_id, name, str(tmp_path))).read_text("utf-8")

    return reader


def test_the_run_is_finished_and_named_after_its_release(client, run_id, small_run, small_work):
    run = client.get_run(run_id)
    assert run.info.status == "FINISHED"
    assert run.info.run_name == f"release {small_run.release.id}"
    assert run.data.tags["release"] == small_run.release.id
    assert client.get_experiment(run.info.experiment_id).name == "onepoint/simulated_bank"
    assert (small_work / "mlflow.db").is_file()


def test_parameters_are_the_whole_configuration(client, run_id, small_run, read):
    params = client.get_run(run_id).data.params
    config = small_run.config
    for head in ("next_product", "channel_preference"):
        for key, value in getattr(config, head).model_dump().items():
            assert params[f"{head}.{key}"] == str(value)
    for key, value in config.splits.model_dump().items():
        assert params[f"splits.{key}"] == str(value)
    assert (params["seed"], params["purpose"]) == (str(config.seed), config.purpose)
    assert json.loads(read("config.json")) == config.model_dump(mode="json")


def test_metrics_are_the_runs(client, run_id, small_run):
    kept = client.get_run(run_id).data.metrics
    assert kept == pytest.approx(small_run.metrics())
    assert {"map_at_7", "popular_map_at_7", "accuracy", "last_channel_accuracy"} <= set(kept)


def test_artifacts(kept, small_run):
    assert kept >= PICTURES
    assert {"model_card.md", "config.json", "data.json", "next_product_products.csv",
            "next_product_age_bands.csv", "channel_preference_channels.csv",
            "next_product_calibration.json"} <= kept  # fmt: skip
    assert "release/manifest.json" in kept
    assert {f"release/{name}" for name in small_run.release.manifest.files} <= kept
    for name in kept:
        assert name.endswith((".md", ".json", ".csv", ".png", ".txt"))


def test_pictures_are_drawn(client, run_id, tmp_path):
    for name in PICTURES:
        content = Path(client.download_artifacts(run_id, name, str(tmp_path))).read_bytes()
        assert content.startswith(b"\x89PNG")
        assert len(content) > 5_000


def test_the_data_are_told_by_fingerprint_and_windows(read, small_run, small_source):
    data = json.loads(read("data.json"))
    assert data["tables"] == small_source.fingerprint()
    assert list(data["windows"]) == ["train", "stop", "calibrate", "test"]


def test_the_table_of_products_has_a_row_each(read, small_run):
    rows = list(csv.DictReader(read("next_product_products.csv").splitlines()))
    assert [row["product"] for row in rows] == list(small_run.release.products)
    assert sum(int(row["starts"]) for row in rows) > 100


def test_the_release_comes_back_as_it_was(read, small_run):
    manifest = read("release/manifest.json")
    assert manifest == (small_run.release.folder / "manifest.json").read_text("utf-8")


def test_a_reviewer_can_read_the_card(read, small_run):
    card = read("model_card.md")
    assert card == model_card(small_run)
    for said in (
        f"release {small_run.release.id}", "## Time windows (UTC)", "## Limits",
        "| popular |", "| last_channel |", "### products", "### age bands",
        "not effects", "## Data fingerprint",
    ):  # fmt: skip
        assert said in card.replace(" not\n effects", " not effects")
    for rule, metric in (("popular", "map_at_7"), ("last_channel", "accuracy")):
        row = next(line for line in card.splitlines() if line.startswith(f"| {rule} |"))
        assert f" {small_run.metrics()[f'{rule}_{metric}']:.4f} |" in row
    assert "nan" not in card.lower().split()


def test_a_logging_that_fails_marks_its_run_failed(small_run, small_work, client, monkeypatch):
    def fails(*_):
        raise OSError("disk full")

    monkeypatch.setattr(tracking, "draw_all", fails)
    with pytest.raises(OSError, match="disk full"):
        tracking.log_run(small_run, small_work)
    experiment = client.get_experiment_by_name("onepoint/simulated_bank")
    newest = client.search_runs([experiment.experiment_id], max_results=1)[0]
    assert newest.info.status == "FAILED"
