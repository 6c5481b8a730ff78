"""The long runs of `python -m experiments soak`, short: killed, swapped, restarted, asked on."""

import os
import shutil

import pytest

from experiments.soak.killed import POSTGRES_VARIABLE, kill9
from experiments.soak.restarts import restarts
from experiments.soak.steady import soak
from experiments.soak.swaps import swaps

CLOCK = "2026-07-01T10:00:00+08:00"
FULL = bool(os.environ.get("ONEPOINT_FULL"))


@pytest.fixture
def own(crowd, tmp_path):
    """A bank whose work folder says what time it is, and gives slow machines time."""
    own = tmp_path / "bank"
    shutil.copytree(crowd.folder, own)
    (own / "service.yaml").write_text(
        f"clock: {CLOCK}\nservice: {{deadline_s: 10, read_budget_s: 5, drain_s: 2}}\n"
    )
    return own


def test_what_was_acknowledged_survives_kill_9(own, tmp_path):
    told = kill9(own, tmp_path / "run", times=5 if FULL else 1, store="sqlite")
    assert told["lost"] == 0
    assert told["well"], told


@pytest.mark.needs("postgres")
def test_what_was_acknowledged_survives_kill_9_on_postgres(
    own, tmp_path, postgres_url, monkeypatch
):
    monkeypatch.setenv(POSTGRES_VARIABLE, postgres_url)
    told = kill9(own, tmp_path / "run", times=5 if FULL else 1, store="postgresql")
    assert told["lost"] == 0
    assert told["well"], told


def test_swaps_under_load_mix_nothing(own, tmp_path):
    told = swaps(own, tmp_path / "run", times=10 if FULL else 3)
    assert told["corrupt_refused"] == told["corrupt_offered"] == 1
    assert told["mixed"] == 0
    assert told["well"], told


def test_restarts_under_load_drop_nothing(own, tmp_path):
    told = restarts(own, tmp_path / "run", times=5 if FULL else 1)
    assert told["dropped"] == 0
    assert told["well"], told


def test_a_soak_loses_nothing_and_names_nobody(own, tmp_path):
    told = soak(own, tmp_path / "run", minutes=0.5 if FULL else 0.1, per_s=10, train=False)
    assert told["lost"] == 0
    assert told["customers_named_in_log_or_metrics"] == 0
    assert told["well"], told
