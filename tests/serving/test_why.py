"""Why not: the reason is the decision's own, with rule, sentence and cell; or what stood before."""

import asyncio
import json
from dataclasses import replace
from datetime import date, timedelta

import pytest
from typer.testing import CliRunner

from features.errors import OnePointError
from features.terminal import parse_clock
from serving.__main__ import app
from serving.base import open_policies
from serving.contract import Intent, RecommendRequest
from serving.decide.pipeline import decide
from serving.decide.record import DecisionRecord
from serving.startup import choose_start
from serving.why import why_not

CLOCK = "2026-07-01T10:00:00+08:00"


@pytest.fixture(scope="module")
def base(crowd):
    start = choose_start(crowd.folder, None, None, False)
    with open_policies(start, [None], parse_clock(CLOCK)) as [opened]:
        yield opened


@pytest.fixture
def ask(base):
    """Ask why not, of a customer of 45, changed as told."""

    def asking(offer, handle=None, **changes):
        of_state = {key[6:]: changes.pop(key) for key in list(changes) if key.startswith("state_")}
        [inputs] = base.inputs(["C0000007"])
        born = {"birth_date": date(1981, 1, 1)}
        state = inputs.state.model_copy(update=born | of_state)
        inputs = inputs.model_copy(update={"state": state, **changes})
        rules = base.rules
        record = DecisionRecord(inputs=inputs, decision=decide(inputs, rules))
        return why_not(record, rules, offer, handle)

    return asking


def test_the_first_veto_is_the_decisions_own_reason(base):
    # So that some products are too unlikely for a place.
    policy = base.rules.policy.model_copy(update={"minimum_p_start": 0.1})
    rules = replace(base.rules, policy=policy)
    seen = set()
    for asked in base.inputs(base.customer_ids()[:20]):
        inputs = asked.model_copy(update={"limit": 1})
        decision = decide(inputs, rules)
        record = DecisionRecord(inputs=inputs, decision=decision)
        reasons = {
            (one.offer, handle): (one.gate, one.reason)
            for one in decision.excluded
            for handle in (rules.catalog.handle_ids if one.handle == "*" else (one.handle,))
        }
        everything = decide(inputs.model_copy(update={"limit": 99}), rules).ranked
        ranks = {place.action.offer: place.rank for place in everything}
        shown = {(place.action.offer, place.action.handle) for place in decision.ranked}
        for offer in rules.catalog.offer_ids:
            for one in why_not(record, rules, offer, None).candidates:
                key = offer, one.handle
                if key in reasons:
                    assert (one.vetoes[0].gate, one.vetoes[0].code) == reasons[key]
                    assert one.survivor is None
                    assert one.vetoes[0].says
                else:
                    assert one.vetoes == ()
                    assert one.survivor.rank == ranks.get(offer)
                    assert (one.survivor.standing == "shown") == (key in shown)
                    seen.add(one.survivor.standing)
    assert seen >= {"shown", "other_handle", "outranked", "unlikely"}


def test_a_rule_is_named_with_sentence_function_and_file(ask):
    [one] = ask("fund_r2", "mobile_bank", state_risk_assessment=None).candidates
    veto = one.vetoes[0]
    assert (veto.gate, veto.code) == ("suitable", "risk_assessment_missing")
    assert veto.text.zh
    assert veto.text.en
    assert "never took" in veto.says
    assert veto.where.startswith("serving/decide/suitable.py: ")


def test_a_cell_is_shown_with_basis_owner_and_expiry(ask, base):
    [one] = ask("cd_3y", "wechat_bank", state_assets_cny=400_000.0).candidates
    assert one.vetoes[0].code == "scorecard_forbidden"
    assert not one.cell.allowed
    assert "U盾" in one.cell.basis
    assert one.cell.owner
    assert (one.cell.expires, one.cell.expired) == (date(2027, 12, 31), False)
    later = base.asked.as_of + timedelta(days=600)
    [one] = ask("deposit_1y", "mobile_bank", as_of=later).candidates
    assert "scorecard_expired" in {veto.code for veto in one.vetoes}
    assert one.cell.expired
    [one] = ask("mortgage", "wecom").candidates
    assert one.cell is None
    assert one.vetoes[0].code == "not_deployed"


def test_all_that_stands_in_the_way_is_told_in_the_order_of_the_gates(ask):
    codes = [
        veto.code
        for veto in ask(
            "fund_r4", "wechat_bank", state_risk_assessment=None, state_birth_date=date(2015, 1, 1)
        ).candidates[0].vetoes
    ]  # fmt: skip
    assert codes[:3] == ["minor", "age_out_of_range", "risk_assessment_missing"]
    assert len(codes) > 3


def test_what_survived_is_set_beside_what_was_shown(ask, base):
    found = ask("deposit_1y", limit=1, intent=Intent(offer="deposit_1y"))
    standings = {one.handle: one.survivor.standing for one in found.candidates if one.survivor}
    assert list(standings.values()).count("shown") == 1
    other = next(one for one in found.candidates if one.survivor and one.survivor.handle_rank == 2)
    assert other.survivor.beside.action.offer == "deposit_1y"
    assert other.survivor.action.score <= other.survivor.beside.action.score
    found = ask("bill_autopay", limit=1, intent=Intent(offer="deposit_1y"))
    survivor = next(one.survivor for one in found.candidates if one.survivor)
    assert survivor.standing == "precedence"
    assert survivor.beside.action.offer == "deposit_1y"


def run(*words):
    done = CliRunner().invoke(app, ["why", *map(str, words)])
    if isinstance(done.exception, OnePointError):
        raise done.exception
    assert done.exit_code == 0, done.exception
    return done.stdout


def test_the_command_tells_people_and_machines(crowd, environment_of_the_work_folder):
    words = ("C0000007", "--work", crowd.folder, "--clock", CLOCK)
    told = json.loads(run(*words, "--not", "cd_3y/wechat_bank", "--json").splitlines()[-1])
    [one] = told["candidates"]
    codes = [veto["code"] for veto in (one["removed_by"], *one["also"])]
    assert "scorecard_forbidden" in codes
    assert set(one["removed_by"]) == {"gate", "code", "says", "where", "text"}
    assert one["cell"]["expires"] == "2027-12-31"
    shown = run(*words, "--not", "deposit_1y")
    assert "打分卡 scorecard" in shown
    assert "teller" in shown


def test_asking_leaves_no_file(crowd, environment_of_the_work_folder):
    before = sorted(crowd.folder.rglob("*"))
    run("C0000007", "--work", crowd.folder, "--clock", CLOCK, "--not", "deposit_1y")
    assert sorted(crowd.folder.rglob("*")) == before


def test_names_are_checked_against_what_there_is(crowd, environment_of_the_work_folder):
    words = ("--work", crowd.folder, "--clock", CLOCK)
    with pytest.raises(OnePointError, match="unknown offer 'fund_r9'; did you mean 'fund_r"):
        run("C0000007", *words, "--not", "fund_r9")
    with pytest.raises(OnePointError, match="at a channel 'telller'; did you mean 'teller'"):
        run("C0000007", *words, "--not", "fund_r2/telller")
    with pytest.raises(OnePointError, match="'C00000O7' is not in the online store; did you mean"):
        run("C00000O7", *words, "--not", "fund_r2")


def test_a_stored_decision_is_asked_in_its_place(recommender):
    work = recommender.customers.path.parent
    request = RecommendRequest(customer_id="C_CAUTIOUS", channel="teller")
    answer = json.loads(asyncio.run(recommender.recommend(request, "staff")))
    words = ("--work", work, "--decision", answer["decision_id"], "--not", "fund_r2/teller")
    told = json.loads(run("C_CAUTIOUS", *words, "--json").splitlines()[-1])
    assert (told["decision_id"], told["channel"]) == (answer["decision_id"], "teller")
    assert told["candidates"][0]["removed_by"]["code"] == "risk_assessment_missing"
    with pytest.raises(OnePointError, match="is not about customer 'C_PLAIN'"):
        run("C_PLAIN", *words)
    with pytest.raises(OnePointError, match="brings its own channel and moment"):
        run("C_CAUTIOUS", *words, "--channel", "teller")
