from __future__ import annotations

import json
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]


def test_prints_one_json_object_last(experiments, tmp_path):
    words = ("--customers", "60", "--seed", "4", "--signal", "0", "--json")
    out = tmp_path / "bank"
    code, said, err = experiments("simulate", "--out", out, *words)
    assert code == 0, err
    said = json.loads(said.splitlines()[-1])
    assert (said["customers"], said["seed"], said["signal"]) == (60, 4, 0.0)
    assert set(said["bytes"]) == {path.stem for path in out.glob("*.parquet")}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--customers", "10"), "too few"),
        (("--config", "configs/simulation/bnak.yaml"), "did you mean 'bank.yaml'"),
        (("--signal", "7"), "from 0 to 2"),
    ],
)
def test_errors_are_sentences(experiments, tmp_path, arguments, message):
    code, _, err = experiments("simulate", "--out", tmp_path / "bank", *arguments)
    assert code == 2
    assert message in err
    assert "Traceback" not in err
    assert list(tmp_path.iterdir()) == []


def test_an_unknown_key_is_named_with_its_place(experiments, tmp_path):
    text = (ROOT / "configs" / "simulation" / "bank.yaml").read_text("utf-8")
    wrong = tmp_path / "wrong.yaml"
    wrong.write_text(text.replace("hold_out: 0.10", "holdout: 0.10"), "utf-8")
    code, _, err = experiments("simulate", "--out", tmp_path / "bank", "--config", wrong)
    assert code == 2
    assert "outreach.holdout" in err
    assert "hold_out" in err
