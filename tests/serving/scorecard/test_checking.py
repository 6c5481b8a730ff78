"""Everything `scorecard check` can find, each seen once, and nothing in the real scorecards."""

from __future__ import annotations

import json
from datetime import date

import pytest

from serving.config import CATALOGS
from serving.scorecard.checking import check_scorecard

TODAY = date(2026, 7, 1)
CLOCK = "2026-07-01T10:00+08:00"
POINTS = "{ease_online: 95, risk_control: 85, regulation: 90, number_of_steps: 95}"


def rule(head: str, compliance: str = "allowed", points: str = POINTS) -> str:
    return (
        f"  - {head}\n    compliance: {compliance}\n    basis: a test\n"
        f"    feasibility: {points}\n    necessity: {points}\n"
    )


@pytest.mark.parametrize("name", ["bank", "insurance"])
def test_the_real_scorecards_have_neither_errors_nor_warnings(name):
    assert {one.level for one in check_scorecard(CATALOGS / name, TODAY)} <= {"note"}


LAST = "expires: 2027-12-31"
FOUND = {
    "an unknown offer": (
        {"old": "offers: [fund_r4]", "new": "offers: [fund_r44]"},
        "error", "unknown", "unknown offer 'fund_r44'; did you mean 'fund_r4'?",
    ),
    "an unknown channel": (
        {"old": "channels: [smart_counter, teller,", "new": "channels: [smart_counter, telller,"},
        "error", "unknown", "did you mean 'teller'?",
    ),
    "an unknown category": (
        {"old": "categories: [payroll]", "new": "categories: [payrol]"},
        "error", "unknown", "did you mean 'payroll'?",
    ),
    "an unknown segment": (
        {"old": "segments: [senior]", "new": "segments: [seniors]"},
        "error", "unknown", "did you mean 'senior'?",
    ),
    "a channel that handles nothing": (
        {"old": "channels: [remote_agent, video]", "new": "channels: [sms]"},
        "error", "handles_nothing", "'sms' only reaches customers",
    ),
    "a duplicate cell": (
        {"old": "channels: [remote_agent, video]", "new": "channels: [remote_agent, teller]"},
        "error", "duplicate", "cell (deposit_3m, application, teller) stands in rule 3 and",
    ),
    "a wrong form": (
        {"old": "compliance: forbidden", "new": "compliance: perhaps"},
        "error", "form", "Input should be 'allowed' or 'forbidden' (got 'perhaps')",
    ),
    "an expired card": (
        {"old": LAST, "new": "expires: 2026-06-30"},
        "error", "expired", "the scorecard's own last day was 2026-06-30",
    ),
    "an expired rule": (
        {"add": rule("offers: [cd_3y]\n    channels: [teller]\n    expires: 2026-06-30")},
        "error", "expired", "last day was 2026-06-30",
    ),
    "a rule about to expire": (
        {"add": rule("offers: [cd_3y]\n    channels: [teller]\n    expires: 2026-08-30")},
        "warning", "expires_soon", "expires in 60 days",
    ),
    "no owner": (
        {"old": "owner: 渠道管理部 (channel management)\n", "new": ""},
        "error", "no_owner", "nobody answers for it",
    ),
    "blank evidence": (
        {"old": "evidence: annual channel review 2026, product managers and compliance",
         "new": "evidence: ' '"},
        "error", "no_evidence", "on no evidence",
    ),
    "allowed but hardly feasible": (
        {"add": rule("offers: [cd_3y]\n    channels: [teller]", points=POINTS.replace("9", "3")
                     .replace("85", "35"))},
        "warning", "allowed_but_hardly_feasible", "allowed, yet scored 34 of 100",
    ),
    "allowed against regulation": (
        {"add": rule("offers: [cd_3y]\n    channels: [teller]", points=POINTS.replace("90", "39"))},
        "warning", "allowed_but_against_regulation", "allowed, yet scored 39 of 100",
    ),
    "forbidden but feasible": (
        {"add": rule("offers: [cd_3y]\n    channels: [teller]", "forbidden")},
        "warning", "forbidden_but_feasible", "forbidden, yet scored 91 of 100",
    ),
    "a rule that fills nothing": (
        {"add": rule("categories: [care]\n    channels: [mobile_bank]\n    stages: [servicing]")},
        "warning", "idle", "fills no cell",
    ),
    "a segment that is let through": (
        {"add": rule("segments: [senior]\n    offers: [mortgage]\n    channels: [video]")},
        "warning", "segment_loosens", "allows senior what the second rule forbids all others",
    ),
    "an offer that begins nowhere": (
        {"add": rule("offers: [payroll_account]\n    stages: [application]", "forbidden")},
        "warning", "no_beginning", "payroll_account can be begun nowhere",
    ),
    "cells nobody fills": (
        {"old": "channels: [remote_agent, video]", "new": "channels: [remote_agent]"},
        "note", "unfilled", "deposit_3m: no rule names application: wecom, video,",
    ),
}  # fmt: skip


@pytest.fixture(scope="module")
def before():
    return check_scorecard(CATALOGS / "bank", TODAY)


@pytest.mark.parametrize("case", FOUND)
def test_it_finds(case, folder, change, before):
    changes, level, code, text = FOUND[case]
    change(**changes)
    new = [one for one in check_scorecard(folder, TODAY) if one not in before]
    assert (level, code) in {(one.level, one.code) for one in new}
    assert any(text in one.text for one in new), new


def test_a_sound_scorecard_exits_with_0_and_prints_notes_when_asked(scorecard):
    code, out, _ = scorecard("check", "--clock", CLOCK)
    assert (code, "unfilled" in out) == (0, False)
    assert "0 errors, 0 warnings, 23 notes; --notes prints them" in out
    assert "unfilled" in scorecard("check", "--notes", "--clock", CLOCK)[1]


def test_an_expired_scorecard_exits_with_1_and_a_warning_with_0(scorecard, folder, change):
    assert scorecard("check", folder, "--clock", "2028-01-01T00:00+08:00")[0] == 1
    code, out, _ = scorecard("check", folder, "--clock", "2027-12-31T23:59+08:00", "--json")
    told = json.loads(out)
    assert (code, told["error"], told["warning"], told["day"]) == (0, 0, 1, "2027-12-31")
    assert told["findings"][0]["code"] == "expires_soon"


def test_an_unknown_catalog_names_the_nearest(scorecard):
    code, _, err = scorecard("check", "bnak")
    assert code == 2
    assert "no catalog 'bnak'; did you mean 'bank'?" in err
