"""The benchmarks that serve a bank run, small, on the tests' bank."""

import json
import os
import shutil
import subprocess
import sys

import pytest

from experiments.benchmarks.recommend import read_steps, step_ms
from experiments.load import Told
from experiments.served_bank import BANK_VARIABLE
from serving.config import ROOT

CLOCK = "2026-07-01T10:00:00+08:00"
TOLD = {
    "recommend": {
        "vs_empty", "p99_ms", "saturation_rps", "goodput_share", "only_429_503", "recovery_s",
        "step_ms", "p99_empty_ms", "goodput_in_turns", "sync_ms", "disk_stalled_share",
    },
    "recommend_vs_tutorial": {"ratio", "p50_ms", "p50_tutorial_ms"},
}  # fmt: skip


@pytest.mark.parametrize("name", TOLD)
def test_it_prints_one_json_object(name, crowd, tmp_path):
    own = tmp_path / "bank"
    shutil.copytree(crowd.folder, own)
    (own / "service.yaml").write_text(
        f"clock: {CLOCK}\nservice: {{deadline_s: 10, read_budget_s: 5}}\n"
    )
    done = subprocess.run(
        [sys.executable, "-m", "experiments", "bench", "--only", name, "--scale", "0.01"],
        cwd=ROOT,
        env={**os.environ, BANK_VARIABLE: str(own)},
        capture_output=True,
        text=True,
        check=False,
        timeout=500,
    )
    assert done.returncode == 0, done.stderr
    (line,) = done.stdout.splitlines()
    found = json.loads(line)
    assert set(found) >= TOLD[name]
    if name == "recommend":
        assert found["only_429_503"]
        assert found["answered"]["staff"] == {"200": 100}
        assert set(found["step_ms"]) == {"read", "score", "decide", "explain", "store"}
    else:
        assert found["answered"] == {"ours": 100, "tutorial": 100}


def test_steps_are_means_between_two_readings():
    text = 'onepoint_step_seconds_{}{{step="decide"}} {}'
    before = read_steps("\n".join([text.format("sum", 1.0), text.format("count", 10)]))
    after = read_steps("\n".join([text.format("sum", 1.5), text.format("count", 20)]))
    assert step_ms(before, after) == {"decide": 50.0}
    assert step_ms(after, after) == {}


def test_what_is_late_is_no_good_answer():
    told = Told(statuses=[200, 200, 429, 0], seconds=[0.1, 0.4, 0.01, 0.01], in_all_s=2.0)
    assert told.good() == 2
    assert told.per_s(within_s=0.3) == 0.5
    told.degraded.add(0)
    assert told.good() == 1


def test_what_came_back_at_two_times_is_added_up():
    told = Told([200, 200], [0.1, 0.4], 2.0, {1})
    told += Told([200, 429], [0.2, 0.1], 1.0, {0})
    assert (told.statuses, told.degraded, told.in_all_s) == ([200, 200, 200, 429], {1, 2}, 3.0)
    assert told.good() == 1
