"""Gates on arrays: what each lets through, what it refuses, and the sentence it says."""

import numpy as np
import pytest

from training import gates
from training.calibration_report import Forecasts
from training.models.release import Manifest
from training.sentinel import LeakCheck, PeeledFeature

MANY = np.array([f"C{number}" for number in range(2_000)])


def manifest(**changes) -> Manifest:
    windows = {
        "train": ("2026-01-01", "2026-02-01"), "stop": ("2026-02-01", "2026-03-01"),
        "calibrate": ("2026-03-01", "2026-04-01"), "test": ("2026-04-01", "2026-07-01"),
    }  # fmt: skip
    told = {
        "id": "", "heads": ("next_product", "channel_preference"), "catalog": "bank",
        "offer_ids": (), "channel_ids": (), "feature_set_version": "", "time_zone": "UTC",
        "windows": windows, "horizon": "", "metrics": {}, "config": {"seed": 1},
        "data": {"holdings": {"rows": 3, "hash": "a"}},
        "files": {"model.txt": "1", "set.json": "2"},
    }  # fmt: skip
    return Manifest.model_validate({**told, **changes})


def test_two_people():
    assert gates.two_people("wang", "li").passed
    for name in ("wang", " Wang "):
        refused = gates.two_people("wang", name)
        assert not refused.passed
        assert "may not approve it too; ask a second person" in refused.says
    unknown = gates.two_people(None, "li")
    assert not unknown.passed
    assert "does not say who trained it" in unknown.says


def test_a_champion_that_knows_the_test_is_no_opponent():
    assert gates.comparable(manifest(), manifest()).passed
    later = {**manifest().windows, "calibrate": ("2026-04-01", "2026-05-01")}
    refused = gates.comparable(manifest(windows=later), manifest())
    assert not refused.passed
    assert "train the challenger with a later --test-from" in refused.says


def test_a_challenger_without_a_head_of_the_champion_is_refused():
    refused = gates.comparable(manifest(), manifest(heads=("next_product",)))
    assert not refused.passed
    assert "the champion has channel_preference and the challenger has not" in refused.says


def test_reproducible():
    assert gates.reproduced(manifest(), manifest()).passed
    refused = gates.reproduced(manifest(), manifest(files={"model.txt": "9", "set.json": "2"}))
    assert not refused.passed
    assert "with seed 1 on the same data, model.txt came out different" in refused.says
    data = {"holdings": {"rows": 4, "hash": "b"}}
    refused = gates.reproduced(manifest(), manifest(data=data))
    assert not refused.passed
    assert "the data are not those it was trained on (holdings differ)" in refused.says


def paired(challenger, opponent, margin=0.005, customers=MANY):
    return gates.not_worse(
        "h", "accuracy", np.asarray(challenger, float), np.asarray(opponent, float),
        customers, "champion x", margin, 1,
    )  # fmt: skip


def test_not_worse():
    random = np.random.default_rng(3)
    right = (random.random(2_000) < 0.6).astype(float)
    assert paired(right, right).passed
    worse = right.copy()
    worse[np.flatnonzero(right)[:80]] = 0
    refused = paired(worse, right)
    assert not refused.passed
    assert refused.figures["difference"] == pytest.approx(-0.04)
    assert "-0.0400, 95 % interval" in refused.says
    assert "keep the champion" in refused.says
    assert paired(worse, right, margin=0.06).passed


def test_few_rows_prove_nothing_and_are_refused():
    """A difference of 0 that might as well be −10 points is not 'not worse'."""
    a, b = np.tile([1.0, 0.0], 20), np.tile([0.0, 1.0], 20)
    assert not paired(a, b, customers=MANY[:40]).passed


def test_the_bootstrap_draws_customers_not_rows():
    values = np.repeat(np.random.default_rng(1).normal(size=50), 40)
    one_each = gates.bootstrap_interval(values, MANY, 1)
    few = gates.bootstrap_interval(values, np.repeat(MANY[:50], 40), 1)
    assert (few[1] - few[0]) > 4 * (one_each[1] - one_each[0])


def test_the_interval_is_that_of_the_mean():
    values = np.random.default_rng(1).normal(0.3, 1.0, 2_000)
    low, high = gates.bootstrap_interval(values, MANY, 1)
    assert low == pytest.approx(values.mean() - 1.96 / np.sqrt(2_000), abs=0.005)
    assert high == pytest.approx(values.mean() + 1.96 / np.sqrt(2_000), abs=0.005)


def forecasts(distort) -> Forecasts:
    """6,000 rows of two products whose true probability is known; `distort` acts on log-odds."""
    random = np.random.default_rng(7)
    score = random.normal(-1.0, 1.0, 6_000)
    happened = (random.random(6_000) < 1 / (1 + np.exp(-score))).astype(float)
    p = 1 / (1 + np.exp(-distort(score)))
    customer = np.arange(6_000)
    return Forecasts(("a", "b"), customer % 2, p, happened, customer)


def test_calibrated():
    passed = gates.calibrated("h", forecasts(lambda score: score))
    assert passed.passed
    assert set(passed.figures) == {"all", "a", "b"}
    for distort, said in (
        (lambda score: score + 0.5, "all: mean p is 1."),
        (lambda score: 3 * score + 1.5, "all: slope 0.3"),
        (lambda score: 0 * score - 0.83, "all: slope nan"),
    ):
        refused = gates.calibrated("h", forecasts(distort))
        assert not refused.passed
        assert said in refused.says


def test_a_product_too_high_is_not_hidden_by_one_too_low():
    right = forecasts(lambda score: score)
    p = np.where(right.group == 0, right.p * 1.4, right.p * 0.6)
    spoiled = Forecasts(right.groups, right.group, p, right.happened, right.customer)
    refused = gates.calibrated("h", spoiled)
    assert not refused.passed
    assert "a: mean p is 1.4" in refused.says
    assert "b: mean p is 0.6" in refused.says


def fairness(challenger, opponent, groups):
    return gates.fair("h", "accuracy", challenger, opponent, MANY, {"region": groups}, 1)


def test_no_segment_pays_for_the_others():
    groups = np.repeat(["north", "south", "tiny"], [1_000, 950, 50])
    opponent = np.tile([1.0, 0.0], 1_000)
    challenger = opponent.copy()
    assert fairness(challenger, opponent, groups).passed
    challenger[1_000:1_080] = 0  # 40 of the south's 950 lost
    challenger[:1_000] = 1  # the north more than makes up for it
    refused = fairness(challenger, opponent, groups)
    assert not refused.passed
    assert "region 'south' loses 4.2 points of accuracy over 950 rows" in refused.says


def test_segments_of_few_rows_are_not_judged_and_it_is_said_where_none_is():
    groups = np.repeat(["north", "tiny"], [1_950, 50])
    opponent = np.tile([1.0, 0.0], 1_000)
    challenger = opponent.copy()
    challenger[1_950:] = 0
    assert fairness(challenger, opponent, groups).passed
    nothing = gates.fair("h", "accuracy", challenger, opponent, MANY, {}, 1)
    assert nothing.passed
    assert "no age, gender or region is known" in nothing.says


def test_a_loss_that_chance_explains_is_not_held_against_it():
    groups = np.repeat(["north", "few"], [1_900, 100])
    opponent, challenger = np.zeros(2_000), np.zeros(2_000)
    opponent[1_900:1_950], challenger[1_953:] = 1, 1  # 50 right against 47 others
    assert fairness(challenger, opponent, groups).passed


def leak_check(worth_of_feature: float) -> LeakCheck:
    peeled = PeeledFeature("duration", 0.6 + 0.4 * worth_of_feature, 0.6)
    return LeakCheck((peeled,), 0.76, 0.3)


def test_honest():
    assert gates.honest("h", {"fund": leak_check(0.1)}).passed
    refused = gates.honest("h", {"fund": leak_check(0.1), "gold": leak_check(0.9)})
    assert not refused.passed
    assert refused.says.startswith("gold: stopped: 'duration' sets 90% ")
    nothing = gates.honest("h", {})
    assert nothing.passed
    assert "too few events" in nothing.says
