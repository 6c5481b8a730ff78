"""Each benchmark runs, small, and prints one JSON object; an unknown name lists the known ones.

`make bench` runs them in full, with the models of the shipped configuration; here models are quick.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import cache, partial
from typing import Any

import pytest

from experiments import truth_study
from experiments.benchmarks import BENCHMARKS, decisions

SCALES = {
    "merged_booster": 0.3, "packed_booster": 0.3, "training_vs_lightgbm": 0.1,
    "features_vs_pandas": 0.002, "features_growth": 0.002, "features_100m": 0.001,
}  # fmt: skip
OF_THE_SERVICE = ("recommend", "recommend_vs_tutorial")
"""They serve a bank: tested with the one of tests/serving."""
TOLD = {
    "merged_booster": {"merged_ms", "single_ms", "single_to_merged"},
    "packed_booster": {"packed_ms", "lightgbm_ms", "one", "one_cold", "64"},
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


@cache
def found_once(name: str) -> Callable[[float], dict[str, Any]]:
    """The benchmark, remembered: what it prints and what it finds are two tests of one run."""
    return cache(BENCHMARKS[name])


QUICK = """name: quick
purpose: a test
explained_rows: 0
splits: {warm_up_months: 18}
next_product: {max_rounds: 5, minimum_negatives: 1000}
channel_preference: {max_rounds: 3}
"""


@pytest.fixture
def bench(experiments, monkeypatch, tmp_path):
    """Run `python -m experiments bench` with models that are quickly trained."""
    quick = tmp_path / "quick.yaml"
    quick.write_text(QUICK, "utf-8")
    for module in (truth_study, decisions):
        monkeypatch.setattr(module, "RELEASE", quick)
    return partial(experiments, "bench")


@pytest.mark.parametrize("name", [one for one in BENCHMARKS if one not in OF_THE_SERVICE])
def test_a_benchmark_prints_one_json_object(name, bench, monkeypatch):
    monkeypatch.setitem(BENCHMARKS, name, found_once(name))
    code, out, err = bench("--only", name, "--scale", SCALES.get(name, 0.01))
    assert code == 0, err
    lines = out.splitlines()
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
def test_errors_are_sentences(words, said, bench):
    code, out, err = bench(*words)
    assert code == 2
    assert said in err
    assert "Traceback" not in err
    assert out == ""


def test_one_merged_booster_is_faster_than_many():
    found = found_once("merged_booster")(SCALES["merged_booster"])
    assert found["single_to_merged"] > 2


def test_fitting_grows_what_bare_lightgbm_grows_and_little_else():
    found = found_once("training_vs_lightgbm")(SCALES["training_vs_lightgbm"])
    assert found["boosters"] == found["boosters_of_lightgbm"] == 24  # 12 stopped early, 12 kept
    assert found["ratio"] < 2  # small boosters make the rest look large
