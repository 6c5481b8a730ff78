"""The dial buys experience with value, at a price between its settings, and stores nothing."""

import hashlib
import itertools
import json
from dataclasses import replace

import pytest
from typer.testing import CliRunner

from features.errors import OnePointError
from features.terminal import parse_clock
from serving.__main__ import app
from serving.base import open_policies, sample
from serving.decide.pipeline import decide
from serving.frontier import DIALS, trace
from serving.startup import choose_start

CLOCK = "2026-07-01T10:00:00+08:00"


@pytest.fixture(scope="module")
def base(crowd):
    start = choose_start(crowd.folder, None, None, False)
    with open_policies(start, [None], parse_clock(CLOCK)) as [opened]:
        yield opened


@pytest.fixture(scope="module")
def frontier(base):
    return trace(base.chunks(), base.rules, DIALS, lambda _: None)


def test_value_falls_and_experience_rises_with_the_dial(frontier):
    assert len(frontier.settings) >= 9
    dials = [one.experience_cny for one in frontier.settings]
    assert dials == sorted(dials)
    for low, high in itertools.pairwise(frontier.settings):
        assert high.value_cny <= low.value_cny + 1e-9
        assert high.experience >= low.experience - 1e-12
    first, last = frontier.settings[0], frontier.settings[-1]
    assert last.value_cny < first.value_cny - 0.1
    assert last.experience > first.experience + 0.01


def test_a_point_costs_what_the_dial_says_it_is_worth(frontier):
    priced = [step for step in frontier.steps if step.price_cny is not None]
    assert len(priced) >= 3
    for step in priced:
        assert step.from_cny - 1e-6 <= step.price_cny <= step.to_cny + 1e-6
        low, high = step.price_interval
        assert low - 1e-6 <= step.price_cny <= high + 1e-6


def test_it_chooses_as_the_decision_does(base, frontier):
    some = base.inputs(base.customer_ids()[:40])
    few = trace([some], base.rules, [0, 1000], lambda _: None)
    policy = base.rules.policy
    quiet = policy.exploration.model_copy(update={"share": 0.0})
    for one in few.settings:
        turned = {"experience_cny": one.experience_cny, "exploration": quiet}
        rules = replace(base.rules, policy=policy.model_copy(update=turned))
        firsts = [decide(inputs, rules).ranked for inputs in some]
        actions = [ranked[0].action for ranked in firsts if ranked]
        assert one.value_cny == pytest.approx(sum(a.value_cny for a in actions) / 40)
        assert one.experience == pytest.approx(sum(a.experience for a in actions) / 40)


def test_todays_policy_is_a_point_and_differences_are_to_it(base, frontier):
    assert frontier.today_cny == base.rules.policy.experience_cny
    few = trace([base.inputs(base.customer_ids()[:20])], base.rules, [1, 7], lambda _: None)
    assert [one.experience_cny for one in few.settings] == [1, 7, frontier.today_cny]
    today = few.settings[-1]
    assert today.value_gap == today.experience_gap == (0.0, 0.0)
    for one in frontier.settings:
        low, high = one.value_gap
        now = next(s for s in frontier.settings if s.experience_cny == frontier.today_cny)
        assert low <= one.value_cny - now.value_cny <= high


def test_a_sample_is_always_the_same_and_not_the_first(base):
    everybody = base.customer_ids()
    few = sample(everybody, 30)
    assert few == sample(list(reversed(everybody)), 30)
    assert few != everybody[:30]
    assert set(few) < set(sample(everybody, 60))
    assert sample(everybody, None) == sample(everybody, 10**6) == everybody


def everything_in(folder):
    return {
        path: hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def run(*words):
    done = CliRunner().invoke(app, ["frontier", *map(str, words)])
    if isinstance(done.exception, OnePointError):
        raise done.exception
    assert done.exit_code == 0, done.exception
    return done.stdout


def test_the_command_draws_and_stores_nothing(crowd, tmp_path, monkeypatch):
    # What was told since the publication is left out: a store out of reach does not matter.
    monkeypatch.setenv("ONEPOINT_POSTGRES_URL", "postgresql://nobody@127.0.0.1:1/none")
    before = everything_in(crowd.folder)
    words = ("--work", crowd.folder, "--clock", CLOCK, "--customers", 40)
    out = tmp_path / "frontier.png"
    told = json.loads(run(*words, "--out", out, "--json").splitlines()[-1])
    assert [one["experience_cny"] for one in told["settings"]] == list(DIALS)
    assert told["customers"] == 40
    png = out.read_bytes()
    assert png.startswith(b"\x89PNG")
    assert int.from_bytes(png[16:20]) == 1280
    assert [path.name for path in tmp_path.iterdir()] == ["frontier.png"]
    assert "today" in run(*words, "--out", out, "--points", "0,100")
    assert everything_in(crowd.folder) == before
    with pytest.raises(OnePointError, match="at least two amounts"):
        run(*words, "--out", out, "--points", "5")
    with pytest.raises(OnePointError, match="at least two amounts"):
        run(*words, "--out", out, "--points", "0,-5")
    with pytest.raises(OnePointError, match=r"give a \.png in a folder that exists"):
        run(*words, "--out", tmp_path / "no" / "frontier.png")
