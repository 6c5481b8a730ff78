"""Which channel fits which stage: by hand, in a terminal, in JSON and on the page."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import date

import pytest

from serving.config import CATALOGS
from serving.decide.rulebook import load_rulebook
from serving.scorecard.design import design, rank
from serving.scorecard.design_page import design_page

TODAY = date(2026, 7, 1)
CLOCK = "2026-07-01T10:00+08:00"


@pytest.fixture(scope="module")
def rules():
    return load_rulebook(CATALOGS / "bank")


@pytest.fixture(scope="module")
def designs(rules):
    return design(rules.scorecard, rules.cells, rules.catalog, TODAY)


@pytest.fixture(scope="module")
def page(rules, designs):
    return design_page(rules.scorecard, designs, rules.catalog, TODAY)


def one(designs, offer, stage, segment="others"):
    found = [
        told
        for told in designs
        if (told.offer.id, told.stage, told.segment) == (offer, stage, segment)
    ]
    assert len(found) == 1
    return found[0]


def test_the_best_channel_and_why_by_hand(designs):
    """Mortgage application: the loan manager (fit 71) before the video bank (69)."""
    stage = one(designs, "mortgage", "application")
    assert [fit.handle for fit in stage.best] == ["loan_manager"]
    assert stage.runner_up.handle == "video"
    weights = {"ease_online": 73, "risk_control": 72, "regulation": 60, "number_of_steps": 57}
    manager = {"ease_online": 10 + 20, "risk_control": 95 + 95, "regulation": 95 + 95,
               "number_of_steps": 80 + 95}  # fmt: skip
    video = {"ease_online": 50 + 30, "risk_control": 80 + 85, "regulation": 85 + 85,
             "number_of_steps": 60 + 80}  # fmt: skip
    for name, lead in stage.leads:
        assert lead == pytest.approx((manager[name] - video[name]) * weights[name] / 262 / 2)
    assert sum(lead for _, lead in stage.leads) == pytest.approx(
        stage.ranked[0].points - stage.runner_up.points
    )
    assert [name for name, _ in stage.leads][-1] == "ease_online"


def test_forbidden_and_expired_channels_are_not_ranked(rules, designs):
    stage = one(designs, "fund_r4", "application")
    assert "mobile_bank" in stage.cells
    assert "mobile_bank" not in {fit.handle for fit in stage.ranked}
    row = {
        handle: replace(cell, expires=date(2026, 6, 30)) if handle == "video" else cell
        for handle, cell in stage.cells.items()
    }
    left = {fit.handle for fit in rank(rules.scorecard, row, TODAY)}
    assert {fit.handle for fit in stage.ranked} - left == {"video"}


def test_a_segment_is_told_only_where_it_differs(designs):
    assert "mobile_bank" not in {
        f.handle for f in one(designs, "fund_r3", "signing", "senior").ranked
    }
    assert not [d for d in designs if d.segment == "senior" and d.offer.id == "mortgage"]
    assert "wecom" in one(designs, "wealth_r2", "application", "private_banking").cells


def test_all_alike_is_nobody_best(designs):
    stage = one(designs, "deposit_3m", "inquiry")
    assert (stage.best, stage.runner_up, stage.leads) == ((), None, ())
    assert len(stage.ranked) == 11


def test_the_terminal_filters_and_shows_one_stage_whole(scorecard):
    code, out, _ = scorecard(
        "show", "--offer", "fund_r3", "--stage", "signing", "--segment", "senior", "--clock", CLOCK
    )
    assert code == 0
    assert "ease online 73, risk control 72, regulation 60, number of steps 57" in out
    assert "适老化" in out
    assert "customers of 65 and over" in out
    assert "forbidden" in out
    assert "2027-12-31" in out


@pytest.mark.parametrize(
    ("option", "value", "near"),
    [("--offer", "fund_r33", "fund_r3"), ("--stage", "sining", "signing"),
     ("--segment", "seniors", "senior")],
)  # fmt: skip
def test_an_unknown_filter_names_the_nearest(option, value, near, scorecard):
    code, _, err = scorecard("show", option, value)
    assert code == 2
    assert f"{option} '{value}' is not known; did you mean '{near}'?" in err


def test_json_itemises_and_the_page_is_written_whole(scorecard, tmp_path):
    file = tmp_path / "page.html"
    code, out, _ = scorecard(
        "show", "--offer", "mortgage", "--json", "--html", file, "--clock", CLOCK
    )
    told = {one["stage"]: one for one in json.loads(out)["stages"]}
    assert code == 0
    assert told["application"]["best"] == ["loan_manager"]
    cell = told["interview"]["cells"]["video"]
    assert cell["feasibility_points"]["ease_online"] == 50
    assert cell["expires"] == "2027-12-31"
    assert file.read_text("utf-8").startswith("<!DOCTYPE html>")
    assert [one.name for one in tmp_path.iterdir()] == ["page.html"]
    code, _, err = scorecard("show", "--html", tmp_path / "none" / "page.html")
    assert (code, "make it first" in err) == (2, True)


def test_the_page_says_what_a_product_manager_asks(page, designs, parse_page):
    assert len(parse_page(page).rows()) == len(designs)
    for text in (
        "渠道评分卡", "★ 个贷客户经理 71,领先视频银行 2.6 分",
        "personal loan manager 71, ahead of video bank by 2.6: number of steps +3.8",
        "个人贷款管理办法, interview face to face and signing in person", "2027-12-31",
        "渠道管理部 (channel management)", "annual channel review 2026",
        "线上化难易 ease online: 10", "老年客户 customers of 65 and over", "11 个渠道评分相同",
    ):  # fmt: skip
        assert text in page, text


@pytest.mark.needs("chromium")
def test_the_page_opens_offline_filters_and_fits(page, designs, browse, overflowing, tmp_path):
    file = tmp_path / "design.html"
    file.write_text(page, "utf-8")
    dom, console = browse(file, "#offer=fund_r3&segment=senior")
    assert console == []
    assert len(dom.rows()) == 2
    assert len([one for one in dom.all("data-section") if "hidden" not in one]) == 1
    assert overflowing(file) == {}
