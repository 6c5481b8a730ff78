"""What counts as a contradiction: planted ones are found, others are not; command and page."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, date, datetime

import pytest

from serving.config import CATALOGS, ROOT
from serving.decide.rulebook import load_rulebook
from serving.scorecard.evaluation import evaluate, significant
from serving.scorecard.evaluation_page import evaluation_page
from serving.scorecard.evidence import Evidence, Sums, Visits

DAY = date(2026, 6, 1)
SOURCE = ROOT / "configs" / "sources" / "simulated_bank.yaml"
CLOCK = "2026-07-01T10:00+08:00"


@pytest.fixture(scope="module")
def rules():
    return load_rulebook(CATALOGS / "bank")


def share(x: int, d: int) -> Sums:
    """Each journey of a customer of his own."""
    return Sums(x, d, x, x, d, d)


def seen(offer="deposit_1y", stage="application", by="offer", segment="others", **doors):
    """Doors as channel=(completed, journeys) or (completed, journeys, errors)."""
    sums, visits = {}, []
    for channel, (done, journeys, *errors) in doors.items():
        sums[offer, stage, channel] = {
            "completion": share(done, journeys),
            "abandonment": share(0, journeys),
            "errors": share(errors[0] if errors else 0, journeys),
        }
        visits.append(Visits(offer, stage, channel, segment, DAY, journeys))
    moment = datetime(2026, 7, 1, tzinfo=UTC)
    return Evidence(moment, moment, by, sums, tuple(visits), ())


def kinds(evidence, rules):
    return {(one.kind, one.channel, one.metric) for one in evaluate(evidence, rules).contradictions}


def test_the_better_scored_channel_that_completes_less_is_contradicted(rules):
    """Feasibility of a deposit: mobile bank 91, teller 76."""
    assert kinds(seen(mobile_bank=(50, 100), teller=(90, 100)), rules) == {
        ("scored_high_does_badly", "mobile_bank", "completion"),
        ("scored_low_does_well", "teller", "completion"),
    }


def test_the_better_scored_channel_that_completes_more_is_not(rules):
    assert kinds(seen(mobile_bank=(90, 100), teller=(50, 100)), rules) == set()


def test_two_channels_of_one_score_are_held_to_each_other(rules):
    found = kinds(seen(mobile_bank=(90, 100), wechat_bank=(50, 100)), rules)
    assert found == {("scored_high_does_badly", "wechat_bank", "completion")}


def test_errors_count_against_a_well_scored_channel(rules):
    found = kinds(seen(mobile_bank=(80, 100, 20), teller=(80, 100, 0)), rules)
    assert found == {("scored_high_does_badly", "mobile_bank", "errors")}


def test_a_channel_that_records_no_errors_is_no_channel_without(rules):
    silent = seen(mobile_bank=(80, 100, 20), teller=(80, 100))
    del silent.sums["deposit_1y", "application", "teller"]["errors"]
    assert kinds(silent, rules) == set()
    among = seen(mobile_bank=(80, 100, 20), teller=(80, 100), wechat_bank=(80, 100, 0))
    del among.sums["deposit_1y", "application", "teller"]["errors"]
    assert ("scored_high_does_badly", "mobile_bank", "errors") in kinds(among, rules)


def test_few_journeys_and_small_gaps_contradict_nothing(rules):
    assert kinds(seen(mobile_bank=(5, 29), teller=(90, 100)), rules) == set()
    assert kinds(seen(mobile_bank=(80, 100), teller=(88, 100)), rules) == set()  # by chance
    near = seen(mobile_bank=(87_100, 100_000), teller=(90_000, 100_000))  # significant, not large
    assert kinds(near, rules) == set()
    assert evaluate(near, rules).tests == 6


def test_journeys_of_a_forbidden_or_missing_cell_are_counted(rules):
    assert kinds(seen("fund_r4", mobile_bank=(1, 2)), rules) == {
        ("forbidden_but_done", "mobile_bank", "journeys")
    }
    assert kinds(seen("mortgage", teller=(1, 1)), rules) == {
        ("forbidden_but_done", "teller", "journeys")
    }


def test_the_cell_is_that_of_the_customers_segment(rules):
    assert kinds(seen("fund_r3", mobile_bank=(1, 2)), rules) == set()
    assert kinds(seen("fund_r3", segment="senior", mobile_bank=(1, 2)), rules) != set()


def test_a_cell_that_had_expired_on_the_day_was_not_to_be_used(rules):
    evidence = seen(mobile_bank=(1, 2))
    late = replace(evidence.visits[0], day=date(2028, 1, 1))
    assert kinds(replace(evidence, visits=(late,)), rules) != set()


def test_journeys_outside_the_card_do_not_lend_it_scores(rules):
    """WeCom is not deployed for a deposit: nothing is scored, so nothing can be contradicted."""
    found = kinds(seen(mobile_bank=(50, 100), wecom=(90, 100)), rules)
    assert found == {("forbidden_but_done", "wecom", "journeys")}


def test_a_family_of_comparisons_without_signal_finds_nothing_by_chance():
    """Benjamini and Hochberg: 200 p-values spread evenly have ten below 5 %, none counts."""
    even = [(place + 0.5) / 200 for place in range(200)]
    assert sum(p <= 0.05 for p in even) == 10
    assert not any(significant(even, 0.05))
    assert sum(significant([*even, 1e-9, 1e-8], 0.05)) == 2
    assert significant([], 0.05) == []


def test_costs_are_per_completion(rules):
    (row,) = evaluate(seen(teller=(5, 10)), rules).rows
    assert (row.cost_cny, row.staff_minutes) == (2.5 / 0.5, 12 / 0.5)
    (nobody,) = evaluate(seen(teller=(0, 10)), rules).rows
    assert (nobody.cost_cny, nobody.staff_minutes) == (None, None)


def test_the_command_evaluates_the_simulated_bank(scorecard, simulated_folder, tmp_path):
    file = tmp_path / "page.html"
    code, out, _ = scorecard(
        "evaluate", "--source", SOURCE, "--data", simulated_folder, "--clock", CLOCK,
        "--by", "category", "--json", "--html", file,
    )  # fmt: skip
    told = json.loads(out)
    assert (code, told["by"]) == (0, "category")
    (lacking,) = told["lacking"]
    assert lacking.startswith("interactions.error_code at")
    # the data end before the clock: what was begun since could not be over
    assert told["until"] < CLOCK
    assert sum(row["journeys"] for row in told["rows"]) > 500
    for row in told["rows"]:
        rate = row["metrics"]["completion"]
        assert 0 <= rate["low"] <= rate["value"] <= rate["high"] <= 1
    assert "上线后评估" in file.read_text("utf-8")
    assert {one["kind"] for one in told["contradictions"]} >= {"forbidden_but_done"}
    code, out, _ = scorecard(
        "evaluate", "--source", SOURCE, "--data", simulated_folder, "--clock", CLOCK
    )
    assert code == 0
    assert "evidence against the scorecard" in out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--until", "2026-07-02T00:00+08:00"), "has not come yet"),
        (("--since", "2026-06-15T00:00+08:00"), "a journey has 30 days to complete"),
        (("--by", "ofer"), "--by 'ofer' is not known; did you mean 'offer'?"),
        (("--since", "yesterday"), "'yesterday' is not a time"),
    ],
)
def test_moments_that_make_no_sense_are_refused(words, message, scorecard, tmp_path):
    code, _, err = scorecard(
        "evaluate", "--source", SOURCE, "--data", tmp_path, "--clock", CLOCK, *words
    )
    assert code == 2
    assert message in err


@pytest.mark.needs("chromium")
def test_the_page_opens_offline_filters_and_fits(rules, browse, overflowing, tmp_path):
    evidence = seen(mobile_bank=(50, 100, 9), teller=(90, 100), wecom=(3, 4))
    told = evaluate(replace(evidence, lacking=("ratings (no rating)",)), rules)
    file = tmp_path / "evaluation.html"
    file.write_text(evaluation_page(told, rules.catalog), "utf-8")
    dom, console = browse(file, "#channel=teller")
    assert console == []
    assert len(dom.rows()) == 2  # a contradiction, and its row
    whole, _ = browse(file)
    assert len(whole.rows()) == len(told.rows) + len(told.contradictions)
    assert len([one for one in whole.all("data-section") if "hidden" not in one]) == 3
    assert overflowing(file) == {}
