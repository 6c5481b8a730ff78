"""`python -m training`: what it prints, its exit codes, and nothing half-written."""

import json
from pathlib import Path

import pytest

from training.__main__ import app

ROOT = Path(__file__).resolve().parents[2]
RELEASE = ROOT / "configs" / "training" / "release.yaml"
SIMULATED = ROOT / "configs" / "sources" / "simulated_bank.yaml"


@pytest.fixture
def training(typed, tmp_path, simulated_folder):
    """Run the command line as a person does; gives exit code, stdout and stderr."""

    def call(config: Path, *words: object, data: Path = simulated_folder) -> tuple[int, str, str]:
        asked = ["run", config, "--source", SIMULATED, "--data", data, "--work", tmp_path / "work"]
        return typed(app, "training", *asked, *words)

    return call


@pytest.fixture
def quick(tmp_path) -> Path:
    path = tmp_path / "quick.yaml"
    path.write_text(
        "name: quick\npurpose: a test\nthreads: 1\nsplits: {warm_up_months: 20}\n"
        "channel_preference: {max_rounds: 2, num_leaves: 3}\n",
        "utf-8",
    )
    return path


def test_a_run_prints_a_table_and_one_json_object_last(training, quick, tmp_path, small_work):
    work = small_work  # an MLflow database is there: making one takes ten seconds
    code, out, err = training(quick, "--json", "--work", work, "--clock", "2027-01-01T00:00Z")
    assert code == 0
    assert "majority_accuracy" in out
    assert "Traceback" not in err
    told = json.loads(out.splitlines()[-1])
    assert set(told["rows"]) == {"train", "stop", "calibrate", "test"}
    assert 0 < told["accuracy"] < 1
    folder = Path(told["folder"])
    assert folder == work / "releases" / "simulated_bank-quick"
    assert json.loads((folder / "manifest.json").read_text("utf-8"))["id"] == told["release"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["quick.yaml"]


def test_what_a_person_must_mend_is_said_without_a_traceback(training, quick, tmp_path):
    clock = ("--clock", "2027-01-01T00:00Z")
    wrong = tmp_path / "wrong.yaml"
    wrong.write_text("name: wrong\npurpose: a test\nnext_produkt: {}\n", "utf-8")
    for words, said in (
        ((tmp_path / "absent.yaml",), "absent.yaml: no such file"),
        ((wrong,), "did you mean 'next_product'"),
        ((quick, "--test-from", "someday", *clock), "neither an event id nor a time"),
        ((quick, "--test-from", "2031-01-01", *clock), "no month with a whole horizon"),
        ((quick, "--test-from", "39937", *clock), "or change splits or --test-from"),
        ((quick, "--clock", "noon"), "is not a time"),
        ((quick, "--clock", "2025-01-01T00:00Z"), "lie in the future"),
    ):
        code, _, err = training(*words)
        assert code == 2, said
        assert said in err
        assert "Traceback" not in err
    code, _, err = training(quick, *clock, data=tmp_path)
    assert code == 2
    assert "customers" in err
    assert not (tmp_path / "work").exists()
