"""Two policies over one base: the same customers, the same luck, honest intervals, no trace."""

import hashlib
import json
import subprocess
import sys

import numpy as np
import pytest
from typer.testing import CliRunner

from features.errors import ConfigError, OnePointError
from features.terminal import parse_clock
from serving.__main__ import app
from serving.base import open_policies
from serving.bootstrap import interval, resampled_means
from serving.config import CATALOGS, ROOT
from serving.decide.pipeline import decide
from serving.simulation import MEASURES, simulate
from serving.startup import choose_start

CLOCK = "2026-07-01T10:00:00+08:00"


def other_policy(folder, **changes):
    text = (CATALOGS / "bank" / "policy.yaml").read_text("utf-8").splitlines()
    kept = [line for line in text if not line.startswith(tuple(f"{key}:" for key in changes))]
    path = folder / "other.yaml"
    path.write_text("\n".join([*kept, *(f"{k}: {v}" for k, v in changes.items())]), "utf-8")
    return path


@pytest.fixture(scope="module")
def bases(crowd, tmp_path_factory):
    """The crowd under the bank's policy, one without experience, and one that hardly sells."""
    folders = [tmp_path_factory.mktemp("policy") for _ in range(2)]
    policies = [
        None,
        other_policy(folders[0], experience_cny=0),
        other_policy(folders[1], minimum_p_start=0.9, adult_age=60),
    ]
    start = choose_start(crowd.folder, None, None, False)
    with open_policies(start, policies, parse_clock(CLOCK)) as opened:
        yield dict(zip(("own", "cheap", "strict"), opened, strict=True))


def compared(bases, other, customers=None, attributes=None):
    chosen = customers or bases["own"].customer_ids()
    pair = bases["own"], bases[other]
    return simulate(pair, chosen, attributes or {}, lambda _: None)


def test_a_policy_differs_from_itself_in_nothing(bases):
    found = compared(bases, "own")
    assert set(found.differences().values()) == {(0.0, 0.0, 0.0)}
    assert found.moved() == 0
    assert found.runs[0].excluded == found.runs[1].excluded
    for _family, _attribute, (one, other) in found.parities():
        assert one == other


def test_measures_are_those_of_the_decisions(bases):
    base = bases["own"]
    run = compared(bases, "own").runs[0]
    decisions = []
    for inputs in base.inputs(base.customer_ids()):
        same = f"simulated:{inputs.state.customer_id}"
        decisions.append(decide(inputs.model_copy(update={"decision_id": same}), base.rules))
    firsts = [one.ranked[0].action for one in decisions if one.ranked]
    means = dict(zip(MEASURES, run.array().mean(axis=0), strict=True))
    assert means["value_cny"] == pytest.approx(sum(a.value_cny for a in firsts) / len(decisions))
    assert means["experience"] == pytest.approx(sum(a.experience for a in firsts) / len(decisions))
    minutes = {
        name: channel.staff_minutes for name, channel in base.rules.catalog.channel_by_id.items()
    }
    expected = sum(action.p_start * minutes[action.handle] for action in firsts)
    assert sum(run.minutes["channel"].values()) == pytest.approx(expected)
    assert sum(run.minutes["org"].values()) == pytest.approx(expected)
    places = sum(len(one.ranked) for one in decisions)
    assert {sum(counts.values()) for counts in run.places.values()} == {places}
    left = sum(one.considered.candidates - one.considered.affordable for one in decisions)
    assert sum(run.excluded.values()) == left


def test_what_the_policy_changes_is_found(bases):
    cheap = compared(bases, "cheap")
    gaps = cheap.differences()
    assert gaps["value_cny"][1] > 0
    assert gaps["experience"][2] < 0
    assert cheap.moved() > 0.05
    strict = compared(bases, "strict")
    assert strict.differences()["coverage"][2] < 0
    assert strict.runs[1].excluded["minor"] > strict.runs[0].excluded["minor"] == 0
    suits = [sum(run.suitable["investments"]) for run in strict.runs]
    assert 0 < suits[1] < suits[0]
    assert not any(strict.runs[1].offered["investments"])


def test_groups_follow_age_and_the_attributes_given(bases):
    ids = [f"C{number:07d}" for number in range(80)]
    half = {"gender": {one: "F" if place % 2 else "M" for place, one in enumerate(ids[:60])}}
    found = compared(bases, "own", ids, half)
    assert set(found.groups) == {"age", "gender"}
    assert found.groups["gender"][:2] == ("M", "F")
    assert set(found.groups["gender"][60:]) == {"unknown"}
    kinds = {(family, attribute) for family, attribute, _ in found.parities()}
    families = ("investments", "credit")
    assert kinds == {(family, attribute) for family in families for attribute in found.groups}
    of = next(
        pair[0] for family, kind, pair in found.parities() if (family, kind) == ("credit", "age")
    )
    assert sum(group.customers for group in of.groups) == sum(found.runs[0].suitable["credit"])


def test_intervals_cover_the_truth_as_often_as_they_say():
    random = np.random.default_rng(3)
    inside = 0
    for seed in range(100):
        values = random.exponential(size=(200, 1))
        low, high = interval(resampled_means(values, seed, rounds=200)[:, 0])
        inside += low <= 1.0 <= high
    assert 86 <= inside <= 99


def test_measures_of_one_customer_stay_together():
    both = np.random.default_rng(1).normal(size=(50, 1)) * np.array([[1.0, 1.0]])
    draws = resampled_means(both + np.array([[0.0, 2.0]]))
    assert np.allclose(draws[:, 1] - draws[:, 0], 2.0)


def everything_in(folder):
    return {
        path: hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def run(*words):
    done = CliRunner().invoke(app, ["simulate", *map(str, words)])
    if isinstance(done.exception, OnePointError):
        raise done.exception
    assert done.exit_code == 0, done.exception
    return done.stdout


def test_the_command_leaves_no_trace(crowd, tmp_path, monkeypatch):
    # What was told since the publication is left out: a store out of reach does not matter.
    monkeypatch.setenv("ONEPOINT_POSTGRES_URL", "postgresql://nobody@127.0.0.1:1/none")
    policy = other_policy(tmp_path, experience_cny=5)
    words = ("--work", crowd.folder, "--clock", CLOCK, "--customers", 60, "--policy", policy)
    before = everything_in(crowd.folder), everything_in(tmp_path)
    told = json.loads(run(*words, "--json").splitlines()[-1])
    shown = run(*words)
    assert (everything_in(crowd.folder), everything_in(tmp_path)) == before
    assert told["customers"] == 60
    assert set(told["measures"]) == set(MEASURES)
    assert told["not_compared"] == ["gender", "region"]
    assert "not compared; give --source and --data" in shown
    assert "nothing was stored" in shown


def test_what_is_wrong_is_said(crowd, tmp_path):
    words = ("--work", crowd.folder, "--clock", CLOCK)
    policy = other_policy(tmp_path, experience_cny=-1)
    with pytest.raises(ConfigError, match=r"other\.yaml: 'experience_cny'"):
        run(*words, "--policy", policy)
    with pytest.raises(OnePointError, match="given 3 times"):
        run(*words, *(["--policy", policy] * 3))
    with pytest.raises(OnePointError, match="--data needs the source YAML"):
        run(*words, "--policy", policy, "--data", tmp_path)
    with pytest.raises(OnePointError, match="unknown channel 'telller'; did you mean 'teller'"):
        run(*words, "--policy", CATALOGS / "bank" / "policy.yaml", "--channel", "telller")


def test_the_service_waits_for_neither_pictures_nor_fairness():
    script = (
        "import sys, serving.__main__, serving.app, serving.recommender; "
        "print(sorted({'matplotlib', 'fairlearn'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"
