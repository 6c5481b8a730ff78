"""Each benchmark runs, small, and prints one JSON object; an unknown name lists the known ones."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from experiments.benchmarks import BENCHMARKS

ROOT = Path(__file__).resolve().parents[2]
SCALES = {"features_vs_pandas": "0.002", "features_growth": "0.002", "features_100m": "0.001"}
OF_THE_SERVICE = ("recommend", "recommend_vs_tutorial")
"""They serve a bank: tested with the one of tests/serving."""
TOLD = {
    "merged_booster": {"merged_ms", "single_ms", "single_to_merged"},
    "simulate_20k": {"rows", "seconds", "copy_seconds", "simulate_to_copy"},
    "training_vs_lightgbm": {"ratio", "fit_seconds", "fit_peak_gb", "lightgbm_peak_gb"},
    "publish": {"customers_per_s", "read_sqlite_p50_ms", "read_redis_p50_ms"},
    "decide": {"share_of_predict", "exponent", "peak_gb", "decide_s", "predict_s"},
    "features_vs_sql": {"events", "features", "sql_seconds", "ratio"},
    "features_vs_pandas": {"features"},
    "features_growth": {"events", "seconds", "exponent"},
    "features_100m": {"events", "customers", "features", "minutes", "peak_gb"},
    "truth": {"seeds", "with_signal", "without_signal"},
}


def bench(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "experiments", "bench", *words],
        cwd=ROOT, capture_output=True, text=True, check=False, timeout=300,
    )  # fmt: skip


@pytest.mark.parametrize("name", [one for one in BENCHMARKS if one not in OF_THE_SERVICE])
def test_a_benchmark_prints_one_json_object(name):
    done = bench("--only", name, "--scale", SCALES.get(name, "0.01"))
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert len(lines) == 1
    found = json.loads(lines[0])
    assert found["bench"] == name
    assert set(found) >= TOLD[name] | {"scale", "seconds_in_all"}


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (
            ("--only", "merged_boosters"),
            "did you mean 'merged_booster'? allowed: decide, features_100m",
        ),
        (("--scale", "0"), "give a number above 0"),
    ],
)
def test_errors_are_sentences(words, said):
    done = bench(*words)
    assert done.returncode == 2
    assert said in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""


def test_one_merged_booster_is_faster_than_many():
    found = BENCHMARKS["merged_booster"](0.3)
    assert found["single_to_merged"] > 2


def test_fitting_grows_what_bare_lightgbm_grows_and_little_else():
    found = BENCHMARKS["training_vs_lightgbm"](0.1)
    assert found["boosters"] == found["boosters_of_lightgbm"] == 24  # 12 stopped early, 12 kept
    assert found["ratio"] < 2  # small boosters make the rest look large
