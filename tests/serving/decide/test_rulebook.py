"""The real catalogs load and hang together; a wrong line is named with its place and remedy."""

from __future__ import annotations

import re
import shutil
from datetime import date
from pathlib import Path

import pytest

from features.catalog import STAGES
from features.errors import ConfigError
from serving.decide import load_rulebook, stages_for
from serving.decide.scorecard import OTHERS

CATALOGS = Path(__file__).parents[3] / "configs" / "catalog"
TODAY = date(2026, 7, 1)


@pytest.fixture
def folder(tmp_path):
    return Path(shutil.copytree(CATALOGS / "bank", tmp_path / "bank"))


def change(file: Path, old: str, new: str) -> None:
    text = file.read_text("utf-8")
    assert old in text, "the test is stale"
    file.write_text(text.replace(old, new, 1), "utf-8")


@pytest.mark.parametrize("name", ["bank", "insurance"])
def test_every_offer_can_be_handled_somewhere_at_its_first_stage(name, make_state):
    book = load_rulebook(CATALOGS / name)
    for offer, stage in stages_for(None, make_state(), book).items():
        cells = book.cells[offer, stage, OTHERS].values()
        assert any(cell.allowed and cell.valid_on(TODAY) for cell in cells), offer


def test_what_a_banker_would_check(rules):
    def where(offer, stage):
        return {h for h, cell in rules.cells[offer, stage, OTHERS].items() if cell.allowed}

    assert where("mortgage", "interview") == {"video", "loan_manager"}
    assert where("mortgage", "signing") == {"loan_manager"}
    assert "mobile_bank" in where("credit_card", "application")
    assert where("credit_card", "signing") <= {
        "smart_counter", "teller", "lobby_manager", "relationship_manager",
    }  # fmt: skip
    assert where("annuity_insurance", "application") == {
        "video", "relationship_manager", "wealth_manager",
    }  # fmt: skip
    assert where("id_update", "servicing") == {"smart_counter", "teller"}
    assert "mobile_bank" in where("risk_assessment_renewal", "servicing")
    assert "mobile_bank" not in where("fund_r4", "application")
    assert "teller" not in where("wealth_r2", "application")
    for offer in rules.catalog.offer_ids:
        assert where(offer, "approval") == set()
        assert where(offer, "inquiry") == set(rules.catalog.handle_ids)


def test_itemised_points_are_weighted_by_the_survey(rules):
    cell = rules.cell("mortgage", "interview", "loan_manager", OTHERS)
    by_hand = (10 * 73 + 95 * 72 + 95 * 60 + 80 * 57) / (73 + 72 + 60 + 57)
    assert cell.feasibility == pytest.approx(by_hand)
    assert cell.steps == 95


def test_the_more_specific_rule_wins(rules):
    assert rules.cell("fund_r3", "application", "mobile_bank", OTHERS).allowed
    assert not rules.cell("fund_r4", "application", "mobile_bank", OTHERS).allowed
    assert rules.cell("fund_r4", "servicing", "mobile_bank", OTHERS).allowed
    assert not rules.cell("cd_3y", "application", "wechat_bank", OTHERS).allowed
    assert rules.cell("mortgage", "application", "teller", OTHERS) is None


def test_versions_follow_the_content_and_not_the_layout(folder, rules):
    with (folder / "policy.yaml").open("a") as file:
        file.write("\n# a remark\n")
    change(folder / "policy.yaml", "adult_age: 18\n", "")
    change(folder / "policy.yaml", "timezone: Asia", "adult_age: 18\ntimezone: Asia")
    assert load_rulebook(folder).policy_version == rules.policy_version
    change(folder / "policy.yaml", "experience_cny: 60", "experience_cny: 21")
    book = load_rulebook(folder)
    assert book.policy_version != rules.policy_version
    assert book.catalog_version == rules.catalog_version
    change(folder / "reasons.yaml", "这是您要办理的业务。", "这是您要办的业务。")
    assert load_rulebook(folder).catalog_version != rules.catalog_version


BAD = {
    "unknown offer in the scorecard": (
        "scorecard.yaml", "offers: [fund_r4]", "offers: [fund_r44]",
        r"scorecard\.yaml: rule \d+: unknown offer 'fund_r44'; did you mean 'fund_r4'\?",
    ),
    "unknown category in the scorecard": (
        "scorecard.yaml", "categories: [deposit]", "categories: [depositt]",
        r"unknown category 'depositt'; did you mean 'deposit'\?",
    ),
    "unknown channel in the scorecard": (
        "scorecard.yaml", "channels: [mobile_bank, wechat_bank]", "channels: [mobil_bank]",
        r"unknown channel 'mobil_bank'; did you mean 'mobile_bank'\?",
    ),
    "channel that handles nothing in the scorecard": (
        "scorecard.yaml", "channels: [mobile_bank, wechat_bank]", "channels: [sms]",
        r"channel 'sms' only reaches customers",
    ),
    "duplicate cell": (
        "scorecard.yaml", "channels: [remote_agent, video]", "channels: [remote_agent, teller]",
        r"cell \(deposit_3m, application, teller\) stands in rule 3 and, .* specific, in rule 4",
    ),
    "unknown stage": (
        "scorecard.yaml", "stages: [inquiry, rating]", "stages: [inquiry, rateing]",
        r"scorecard\.yaml: 'rules\.0\.stages\.1'",
    ),
    "points out of range": (
        "scorecard.yaml", "ease_online: 95,", "ease_online: 950,", r"less than or equal to 100",
    ),
    "allowed without scores": (
        "scorecard.yaml", "compliance: forbidden", "compliance: allowed",
        r"an allowed rule needs feasibility and necessity",
    ),
    "unknown key": (
        "policy.yaml", "experience_cny: 60", "experience_cnyy: 20",
        r"policy\.yaml: unknown key 'experience_cnyy'; did you mean 'experience_cny'\?",
    ),
    "key twice": (
        "policy.yaml", "adult_age: 18", "adult_age: 18\nadult_age: 16",
        r"policy\.yaml: key 'adult_age' stands twice",
    ),
    "share to explore above 1": (
        "policy.yaml", "exploration: {share: 0.05", "exploration: {share: 1.05",
        r"policy\.yaml: 'exploration\.share': .*less than or equal to 1 \(got 1\.05\)",
    ),
    "share held out below 0": (
        "policy.yaml", "hold_out: {share: 0.05", "hold_out: {share: -0.05", r"'hold_out\.share'",
    ),
    "impossible cap": (
        "policy.yaml", "per_day: 1", "per_day: 3", r"policy\.yaml: 'caps': .*impossible caps",
    ),
    "impossible cap by channel": (
        "policy.yaml", "sms: 2", "sms: 9", r"impossible cap: channel 'sms' allows 9",
    ),
    "cap of an unknown channel": (
        "policy.yaml", "sms: 2", "smss: 2", r"unknown channel 'smss'; did you mean 'sms'\?",
    ),
    "hours that end before they start": (
        "policy.yaml", "start: 14, end: 20", "start: 14, end: 12", r"hours end \(12\) before",
    ),
    "hours that overlap": (
        "policy.yaml", "{start: 14, end: 20}", "{start: 11, end: 20}",
        r"'call_hours': .*hours from 11 overlap .* until 12",
    ),
    "hours in no order": (
        "policy.yaml", "[{start: 9, end: 12}, {start: 14, end: 20}]",
        "[{start: 14, end: 20}, {start: 9, end: 12}]", r"hours from 9 .* until 20",
    ),
    "hour past midnight": (
        "policy.yaml", "start: 14, end: 20", "start: 14, end: 25", r"'call_hours\.1\.end'",
    ),
    "holiday that is no day": (
        "policy.yaml", "2026-04-06", "2026-04-31", r"policy\.yaml: .*day is out of range for month",
    ),
    "holiday twice": (
        "policy.yaml", "2026-04-05, 2026-04-06", "2026-04-05, 2026-04-05",
        r"'holidays': .*holiday 2026-04-05 stands after 2026-04-05",
    ),
    "consent to an unknown channel": (
        "policy.yaml", "must_have_consent: [sms,", "must_have_consent: [smss,",
        r"'must_have_consent' names unknown channel 'smss'; did you mean 'sms'\?",
    ),
    "no word on consent": (
        "policy.yaml", "must_have_consent: [sms, ai_call, human_call]\n", "",
        r"policy\.yaml: key 'must_have_consent' is missing",
    ),
    "managed contact by an unknown channel": (
        "policy.yaml", "[mobile_bank, push, wechat_bank, sms,", "[mobile_bank, pusch, sms,",
        r"'managed_contact' names unknown channel 'pusch'; did you mean 'push'\?",
    ),
    "agency that sells an unknown category": (
        "policy.yaml", "agency_categories: [deposit,", "agency_categories: [deposits,",
        r"'agency_categories' names unknown 'deposits'; did you mean 'deposit'\?",
    ),
    "risk level that is none": (
        "policy.yaml", "high_risk: {from_level: 4", "high_risk: {from_level: 6",
        r"'high_risk\.from_level'",
    ),
    "rating held for days below 0": (
        "policy.yaml", "raised_hold_days: 7", "raised_hold_days: -7",
        r"'high_risk\.raised_hold_days'",
    ),
    "share held out above 1": (
        "policy.yaml", "hold_out: {share: 0.05", "hold_out: {share: 1.05", r"'hold_out\.share'",
    ),
    "cap below 0": (
        "policy.yaml", "per_day: 1", "per_day: -1", r"'caps\.per_day'",
    ),
    "no contact without an answer": (
        "policy.yaml", "unanswered_30_days: 3", "unanswered_30_days: 0",
        r"'caps\.unanswered_30_days': .*greater than or equal to 1",
    ),
    "cool-down longer than refusals are known": (
        "policy.yaml", "credit_days: 180", "credit_days: 366",
        r"'cool_downs\.credit_days': .*less than or equal to 365 \(got 366\)",
    ),
    "7 days that allow more than 30": (
        "policy.yaml", "per_7_days: 2", "per_7_days: 5", r"'caps': .*impossible caps",
    ),
    "unknown time zone": (
        "policy.yaml", "Asia/Shanghai", "Asia/Shanghia", r"did you mean 'Asia/Shanghai'\?",
    ),
    "service that is no offer": (
        "policy.yaml", "identity: id_update", "identity: id_updat",
        r"'services\.identity' names unknown offer 'id_updat'; did you mean 'id_update'\?",
    ),
    "trigger on no category": (
        "policy.yaml", "idle_cash_categories: [deposit, wealth]",
        "idle_cash_categories: [deposit, welth]", r"names unknown 'welth'; did you mean 'wealth'",
    ),
    "tiers that fall": (
        "policy.yaml", "from_cny: 500000}", "from_cny: 500}", r"tiers must stand in rising order",
    ),
    "probability above 1": (
        "policy.yaml", "service: 0.2", "service: 2", r"'service' needs a probability",
    ),
    "reason without English": (
        "reasons.yaml", '     en: "This is what you came for."}', "    }",
        r"reasons\.yaml: reason 'asked_for': key 'en' is missing",
    ),
    "reason without Chinese": (
        "reasons.yaml", '     zh: "这是您要办理的业务。",\n', "",
        r"reasons\.yaml: reason 'asked_for': key 'zh' is missing",
    ),
    "reason with an empty text": (
        "reasons.yaml", '"This is what you came for."', '""', r"reason 'asked_for': 'en'",
    ),
    "placeholders that differ": (
        "reasons.yaml", "on {date}; let's", "soon; let's",
        r"reason 'maturity_soon': zh names \['date', 'product'\], en \['product'\]",
    ),
    "brace left open": (
        "reasons.yaml", "continue from there", "continue {from there", r"a brace is wrong",
    ),
    "unknown audience": (
        "reasons.yaml", "audience: customer", "audience: clients",
        r"reason 'complaint_follow_up': 'audience'",
    ),
    "veto without a text": (
        "reasons.yaml", "  below_minimum:", "  below_the_minimum:",
        r"reasons\.yaml: no text for below_minimum",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD)
def test_wrong_line_is_named(case, folder):
    file, old, new, message = BAD[case]
    change(folder / file, old, new)
    with pytest.raises(ConfigError) as error:
        load_rulebook(folder)
    assert re.search(message, str(error.value), re.DOTALL), str(error.value)
    assert str(folder / file) in str(error.value)


@pytest.mark.parametrize("file", ["scorecard.yaml", "policy.yaml", "reasons.yaml"])
def test_missing_file_is_named(file, folder):
    (folder / file).unlink()
    with pytest.raises(ConfigError, match=f"{file}: no such file"):
        load_rulebook(folder)


def test_every_named_cell_is_of_a_known_stage_and_handle(rules):
    for (offer, stage, segment), row in rules.cells.items():
        assert offer in rules.catalog.offer_by_id
        assert stage in STAGES
        assert segment in rules.scorecard.readings
        assert set(row) <= set(rules.catalog.handle_ids)
