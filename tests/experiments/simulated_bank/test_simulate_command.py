from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "experiments", "simulate", *arguments],
        cwd=ROOT, capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip


def test_prints_one_json_object_last(tmp_path):
    out = tmp_path / "bank"
    done = run("--customers", "60", "--seed", "4", "--out", str(out), "--signal", "0", "--json")
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout.splitlines()[-1])
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
def test_errors_are_sentences(tmp_path, arguments, message):
    done = run("--out", str(tmp_path / "bank"), *arguments)
    assert done.returncode == 2
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_an_unknown_key_is_named_with_its_place(tmp_path):
    text = (ROOT / "configs" / "simulation" / "bank.yaml").read_text("utf-8")
    wrong = tmp_path / "wrong.yaml"
    wrong.write_text(text.replace("hold_out: 0.10", "holdout: 0.10"), "utf-8")
    done = run("--out", str(tmp_path / "bank"), "--config", str(wrong))
    assert done.returncode == 2
    assert "outreach.holdout" in done.stderr
    assert "hold_out" in done.stderr
