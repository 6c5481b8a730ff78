"""MLflow keeps everything a reviewer asks for, in one SQLite file."""

import csv
import json
import re
from pathlib import Path

import pandas as pd
import pytest
from mlflow import MlflowClient

from training import tracking
from training.errors import TrainingError
from training.model_card import model_card
from training.models.release import Release
from training.review_folder import ReviewFolders

COMMON = ["baselines", "gains", "lift", "calibration", "segments", "periods", "shap_groups",
          "shap_features"]  # fmt: skip
PICTURES = {
    "next_product": [*COMMON, "explanations", "drift"],
    "channel_preference": [*COMMON, "drift"],
}


@pytest.fixture(scope="module")
def client(small_work) -> MlflowClient:
    return MlflowClient(tracking.database_url(small_work))


@pytest.fixture(scope="module")
def run_id(small_run, small_work) -> str:
    return tracking.log_run(small_run, small_work)


@pytest.fixture(scope="module")
def children(client, run_id):
    """The runs of the heads, as the page of runs shows them: the newest first."""
    experiment = client.get_run(run_id).info.experiment_id
    return client.search_runs([experiment], f"tags.`mlflow.parentRunId` = '{run_id}'")


def kept(client, run_id) -> list[str]:
    """Names of all artifacts in their order, files of folders as `folder/file`."""
    names = []
    for one in client.list_artifacts(run_id):
        inner = client.list_artifacts(run_id, one.path) if one.is_dir else [one]
        names += [file.path for file in inner]
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


def test_nobody_of_the_bank_is_named_in_runs_or_models(run_id, children, small_source, small_work):
    """Ids of customers, ids and names of staff: words that stand in the tables only."""
    queries = ("select customer_id from customers", "select unnest([staff_id, name]) from staff")
    people, staff = (
        {one.encode() for (one,) in small_source.con.sql(query).fetchall()} for query in queries
    )
    ids = people | {one for one in staff if one.isalnum()}
    names = staff - ids
    assert min(len(people), len(names)) > 5

    def names_somebody(content: bytes) -> bool:
        words = set(re.findall(rb"[A-Za-z0-9]+", content))
        return bool(words & ids) or any(name in content for name in names)

    assert all(names_somebody(b'{"who": "%s"}' % one) for one in ids | names)
    files = [one for one in small_work.rglob("*") if one.is_file()]
    assert {"mlflow.db", "1_model_card.md", "next_product.txt"} <= {one.name for one in files}
    assert [one for one in files if names_somebody(one.read_bytes())] == []


def test_parameters_are_the_whole_configuration(client, run_id, small_run, read):
    params = client.get_run(run_id).data.params
    config = small_run.config
    for head in ("next_product", "channel_preference"):
        for key, value in getattr(config, head).model_dump().items():
            assert params[f"{head}.{key}"] == str(value)
    for key, value in config.splits.model_dump().items():
        assert params[f"splits.{key}"] == str(value)
    assert (params["seed"], params["purpose"]) == (str(config.seed), config.purpose)
    assert json.loads(read("2_config.json")) == config.model_dump(mode="json")


def test_metrics_are_the_runs(client, run_id, children, small_run):
    found = dict(client.get_run(run_id).data.metrics)
    assert found.pop("seconds_explanations") > 0
    assert found == pytest.approx(small_run.metrics())
    assert {"map_at_7", "popular_map_at_7", "accuracy", "explanation_deletion"} <= set(found)
    for child, (head, report) in zip(children, small_run.reports.items(), strict=True):
        assert child.data.metrics == pytest.approx(report.metrics), head


def test_a_child_for_each_head_in_order(children, small_run):
    assert [run.info.run_name for run in children] == [
        "1 next_product", "2 channel_preference", "3 expected_amount", "4 completion",
    ]  # fmt: skip
    for run in children:
        assert run.info.status == "FINISHED"
        assert run.data.tags["release"] == small_run.release.id


def test_the_runs_artifacts_begin_with_the_card(client, run_id, small_run):
    names = kept(client, run_id)
    assert names[:3] == ["1_model_card.md", "2_config.json", "3_data.json"]
    files = {"manifest.json", *small_run.release.manifest.files}
    assert set(names[3:]) == {f"release/{name}" for name in files}


def test_a_heads_pictures_stand_in_the_order_of_reading(client, children, small_run):
    for run in children:
        head = run.data.tags["head"]
        names = kept(client, run.info.run_id)
        pictures = [name for name in names if name.endswith(".png")]
        assert pictures == [
            f"{number:02}_{name}.png" for number, name in enumerate(PICTURES.get(head, ()), start=1)
        ]
        tables = {name for name, rows in small_run.reports[head].tables.items() if rows}
        rest = {f"tables/{name}.csv" for name in tables} | {"calibration.json"}
        assert set(names) - set(pictures) == rest


def test_pictures_are_drawn(client, children, tmp_path):
    for run in children:
        for name in kept(client, run.info.run_id):
            if name.endswith(".png"):
                file = client.download_artifacts(run.info.run_id, name, str(tmp_path))
                content = Path(file).read_bytes()
                assert content.startswith(b"\x89PNG")
                assert len(content) > 5_000
                # 1,280 px wide at most: nobody has to scroll
                assert 900 < int.from_bytes(content[16:20], "big") <= 1_280


def test_the_data_are_told_by_fingerprint_and_windows(read, small_run, small_source):
    data = json.loads(read("3_data.json"))
    assert data["tables"] == small_source.fingerprint()
    assert list(data["windows"]) == ["train", "stop", "calibrate", "test"]


def test_the_table_of_products_has_a_row_each(client, children, small_run, tmp_path):
    file = client.download_artifacts(children[0].info.run_id, "tables/products.csv", str(tmp_path))
    rows = list(csv.DictReader(Path(file).read_text("utf-8").splitlines()))
    assert [row["product"] for row in rows] == list(small_run.release.products)
    assert sum(int(row["starts"]) for row in rows) > 100


def test_the_release_comes_back_as_it_was(run_id, small_run, small_work, tmp_path):
    folder = tracking.release_of(run_id, small_work, tmp_path)
    assert Release.load(folder).id == small_run.release.id


def test_a_run_without_a_release_says_what_to_name(small_work, tmp_path):
    with pytest.raises(TrainingError, match="'nobody' is neither a release folder nor"):
        tracking.release_of("nobody", small_work, tmp_path)


def test_the_card_is_kept_and_shown_on_top(client, run_id, read, small_run):
    assert read("1_model_card.md") == model_card(small_run)
    assert client.get_run(run_id).data.tags["mlflow.note.content"] == model_card(small_run)


def test_a_logging_that_fails_marks_its_runs_failed(small_run, small_work, client, monkeypatch):
    def fails(self, run_id, folder):
        if Path(folder).name == "next_product":
            raise OSError("disk full")

    folders = ReviewFolders(Path("run"), {head: Path(head) for head in small_run.reports})
    monkeypatch.setattr(tracking, "write_review", lambda *_: folders)
    monkeypatch.setattr(MlflowClient, "log_artifacts", fails)
    with pytest.raises(OSError, match="disk full"):
        tracking.log_run(small_run, small_work)
    experiment = client.get_experiment_by_name("onepoint/simulated_bank")
    newest = client.search_runs([experiment.experiment_id], max_results=5)
    status = {run.info.run_name: run.info.status for run in newest}
    assert status == {
        f"release {small_run.release.id}": "FAILED", "1 next_product": "FAILED",
        "2 channel_preference": "FINISHED", "3 expected_amount": "FINISHED",
        "4 completion": "FINISHED",
    }  # fmt: skip


def test_nothing_is_logged_of_a_review_that_cannot_be_written(
    small_run, small_work, client, monkeypatch
):
    def fails(*_):
        raise OSError("disk full")

    experiment = client.create_experiment("onepoint/nothing")
    monkeypatch.setattr(tracking, "write_review", fails)
    monkeypatch.setattr(small_run, "source", "nothing")
    with pytest.raises(OSError, match="disk full"):
        tracking.log_run(small_run, small_work)
    assert client.search_runs([experiment]) == []


def test_nothing_a_reviewer_reads_names_a_customer_or_a_clerk(run_id, small_work, small_folder):
    """Neither the database, nor artifacts and pictures, nor the models' text."""
    named = set(pd.read_parquet(small_folder / "customers.parquet")["customer_id"])
    named |= set(pd.read_parquet(small_folder / "staff.parquet")["staff_id"])
    assert len(named) > 600
    any_name = re.compile("|".join(map(re.escape, sorted(named))).encode())
    files = [file for file in small_work.rglob("*") if file.is_file()]
    assert {"mlflow.db", "channel_preference.txt", "manifest.json"} <= {file.name for file in files}
    assert not [file for file in files if any_name.search(file.read_bytes())]
