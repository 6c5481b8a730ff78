"""Each reason with a customer it is true of and one of whom it just is not; who may hear it."""

from __future__ import annotations

import csv
import os
import re
import shutil
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest

from features.errors import ConfigError
from features.groups import GROUPS
from features.registry import all_features
from features.state import (
    BrokenApplication,
    Holding,
    Owner,
    PastContact,
    Restriction,
    RiskAssessment,
)
from features.tags.book import load_tag_book
from serving.contract import Intent
from serving.decide import answer, decide, load_rulebook, with_contributions
from serving.decide.contrast import TERMS
from serving.decide.gates import exclusion_codes
from serving.decide.precedence import PRECEDENCE
from serving.decide.reason_rules import REASON_RULES
from serving.decide.reasons import reason_codes
from serving.decide.record import Contributions, Counters, DecisionRecord
from serving.decide.rules import GATES

CATALOGS = Path(__file__).parents[3] / "configs" / "catalog"
NOW = datetime(2026, 7, 1, 2, 0, tzinfo=UTC)
DAY = timedelta(days=1)


def own(role: str, name: str | None = "王芳") -> Owner:
    return Owner(staff_id="S1", org_id="B001", role=role, name=name)


def maturing(at: datetime):
    opened = NOW - 360 * DAY
    return (Holding(offer="deposit_1y", opened_at=opened, amount_cny=80_000.0, maturity_at=at),)


def broke_off(offer: str):
    return BrokenApplication(offer=offer, stage="signing", channel="mobile_bank", event_time=NOW)


def calls(number: int):
    one = PastContact(channel="human_call", offer="cd_3y", event_time=NOW - DAY, responded=False)
    return (one,) * number


def assessed(expires: datetime):
    return RiskAssessment(level=3, assessed_at=NOW - 100 * DAY, expires_at=expires)


MORTGAGE_TALK = {"intent": Intent(offer="mortgage", stage="interview")}
# code: (offer, handle that the scores make the best, inputs where it is said, where it is not)
CASES: dict[str, tuple[str, str, dict, dict]] = {
    "complaint_follow_up": (
        "complaint_care", "remote_agent", {"state_complaint_open_since": NOW},
        {"intent": Intent(offer="complaint_care")},
    ),
    "complaint_first": (
        "complaint_care", "remote_agent", {"state_complaint_open_since": NOW},
        {"intent": Intent(offer="complaint_care")},
    ),
    "asked_for": (
        "bill_autopay", "mobile_bank", {"intent": Intent(offer="bill_autopay")},
        {"intent": Intent(offer="mobile_payment")},
    ),
    "maturity_soon": (  # 31 July in Shanghai is the thirtieth day, 1 August is not
        "wealth_r2", "mobile_bank",
        {"state_holdings": maturing(datetime(2026, 7, 31, 15, 59, tzinfo=UTC))},
        {"state_holdings": maturing(datetime(2026, 7, 31, 16, 0, tzinfo=UTC))},
    ),
    "application_resume": (
        "consumer_loan", "mobile_bank", {"state_broken_application": broke_off("consumer_loan")},
        {"state_broken_application": broke_off("wealth_r2")},
    ),
    "risk_test_due": (
        "risk_assessment_renewal", "mobile_bank",
        {"state_risk_assessment": assessed(NOW + timedelta(microseconds=1))},
        {"state_risk_assessment": assessed(NOW)},
    ),
    "risk_test_expired": (
        "risk_assessment_renewal", "mobile_bank",
        {"state_risk_assessment": assessed(NOW)},
        {"state_risk_assessment": assessed(NOW + timedelta(microseconds=1))},
    ),
    "risk_test_missing": (
        "risk_assessment_renewal", "mobile_bank", {"state_risk_assessment": None},
        {"state_risk_assessment": assessed(NOW)},
    ),
    "id_check": (
        "id_update", "teller",
        {"state_restrictions": (Restriction(kind="anti_fraud", since=NOW - DAY),)}, {},
    ),
    "benefit_ready": ("tier_benefit", "mobile_bank", {}, {"state_assets_cny": 10.0}),
    "own_rm": (
        "fund_r2", "wealth_manager", {"state_owner": own("wealth_manager")},
        {"state_owner": own("wealth_manager", None)},
    ),
    "capacity_handover": (
        "fund_r2", "relationship_manager",
        {
            "state_owner": own("wealth_manager"),
            "counters": Counters(minutes_used={"wealth_manager": 811.0}),
        },
        {"state_owner": own("loan_manager")},
    ),
    "senior_care": (
        "deposit_1y", "teller", {"state_birth_date": date(1961, 7, 1)},
        {"state_birth_date": date(1961, 7, 2)},
    ),
    "idle_cash": (
        "cash_plus", "mobile_bank", {"state_demand_cny": 50_000.0},
        {"state_demand_cny": 49_999.0},
    ),
    "tier_gap": (
        "deposit_1y", "mobile_bank", {"state_assets_cny": 425_000.0},
        {"state_assets_cny": 424_999.0},
    ),
    "switch_channel": (
        "tier_benefit", "wecom", {"state_contacts": calls(3)}, {"state_contacts": calls(2)},
    ),
    "app_can_finish": (
        "deposit_1y", "mobile_bank", {"channel": "teller"}, {"channel": "mobile_bank"},
    ),
    "video_ok": (
        "mortgage", "video", MORTGAGE_TALK, {"intent": Intent(offer="mortgage")},
    ),
    "must_visit": (
        "mortgage", "loan_manager", {"intent": Intent(offer="mortgage", stage="signing")},
        MORTGAGE_TALK,
    ),
    "specialist": (
        "fund_r2", "wealth_manager", {}, {"state_owner": own("wealth_manager")},
    ),
    "demo_help": (
        "credit_card", "teller", {"channel": "teller"}, {"channel": "mobile_bank"},
    ),
    "channel_fit": (
        "deposit_1y", "teller", {"completion": {"teller": 0.85, "mobile_bank": 0.79}},
        {"completion": {"teller": 0.84, "mobile_bank": 0.80}},
    ),
    "staff_time_saved": (
        "deposit_1y", "mobile_bank", {"channel": "teller"}, {"channel": "wechat_bank"},
    ),
    "expected_value": (
        "deposit_1y", "mobile_bank", {"amount_cny": 100_000.0}, {"amount_cny": 1_000.0},
    ),
}  # fmt: skip


def reasons_of(code, changes, rules, make_inputs, make_scores):
    """The reasons of the case's offer at the case's handle, which the scores make the best."""
    offer, handle, *_ = CASES[code]
    bent = dict(changes)
    scores = make_scores(
        rules, preference={handle: 50.0},
        completion=bent.pop("completion", None), amount_cny=bent.pop("amount_cny", 50_000.0),
    )  # fmt: skip
    quiet = rules.policy.exploration.model_copy(update={"share": 0.0})
    still = type(rules)(
        **{f: getattr(rules, f) for f in rules.__dataclass_fields__ if f != "policy"},
        policy=rules.policy.model_copy(update={"exploration": quiet}),
    )
    decision = decide(make_inputs(scores={offer: scores}, **bent), still)
    return {
        reason.code: reason
        for place in decision.ranked
        for reason in place.reasons
        if (place.action.offer, place.action.handle) == (offer, handle)
    }


def test_every_reason_is_tested_but_the_drawn_one():
    assert set(CASES) | {"explored"} == {rule.code for rule in REASON_RULES}


@pytest.mark.parametrize("code", CASES)
def test_reason_is_said_where_it_is_true(code, rules, make_inputs, make_scores):
    said = reasons_of(code, CASES[code][2], rules, make_inputs, make_scores)
    assert code in said
    for text in (said[code].text.zh, said[code].text.en):
        assert "{" not in text
        assert "None" not in text


@pytest.mark.parametrize("code", CASES)
def test_reason_is_not_said_where_it_just_is_not(code, rules, make_inputs, make_scores):
    assert code not in reasons_of(code, CASES[code][3], rules, make_inputs, make_scores)


def test_maturity_is_said_with_product_and_day(rules, make_inputs, make_scores):
    friday = {"state_holdings": maturing(datetime(2026, 7, 3, 2, 0, tzinfo=UTC))}
    text = reasons_of("maturity_soon", friday, rules, make_inputs, make_scores)[
        "maturity_soon"
    ].text
    assert text.zh == "您的一年期整存整取7月3日(周五)到期,可以提前看看怎么接续。"
    assert text.en == "Your 1-year time deposit matures on Friday 3 July; let's plan what follows."


def test_a_maturing_deposit_is_no_reason_for_insurance(rules, make_inputs, make_scores):
    bent = {"annuity_insurance": make_scores(rules), "wealth_r2": make_scores(rules)}
    inputs = make_inputs(scores=bent, state_holdings=maturing(NOW + DAY))
    said = {
        place.action.offer: {reason.code for reason in place.reasons}
        for place in decide(inputs, rules).ranked
    }
    assert "maturity_soon" in said["wealth_r2"]
    assert "maturity_soon" not in said["annuity_insurance"]


def test_the_soonest_maturity_is_named_and_past_ones_are_not(rules, make_inputs, make_scores):
    held = maturing(NOW - DAY) + maturing(NOW + 20 * DAY) + maturing(NOW + 2 * DAY)
    said = reasons_of("maturity_soon", {"state_holdings": held}, rules, make_inputs, make_scores)
    assert "7月3日" in said["maturity_soon"].text.zh


def test_model_reasons_name_the_two_groups_that_speak_for_it(rules, make_inputs):
    decision = decide(make_inputs(limit=2), rules)
    offer = decision.ranked[0].action.offer
    groups = {"activity": 0.4, "asset_size": -2.0, "holdings": 0.9, "life_stage": 0.1}
    found = {offer: Contributions(offer=offer, raw_score=-1.0, bias=-0.4, groups=groups)}
    told = with_contributions(decision, found, make_inputs(limit=2), rules)
    codes = [reason.code for reason in told.ranked[0].reasons if reason.kind == "model"]
    assert [code for code in codes if code.startswith("model_")] == [
        "model_activity", "model_holdings",
    ]  # fmt: skip
    assert told.ranked[0].contributions == found[offer]
    assert told.ranked[1] == decision.ranked[1]


def test_a_group_that_speaks_against_it_or_hardly_for_it_is_no_reason(rules, make_inputs):
    decision = decide(make_inputs(limit=1), rules)
    offer = decision.ranked[0].action.offer
    groups = {"activity": -0.1, "asset_size": 0.0, "life_stage": 0.09, "holdings": 0.1}
    found = {offer: Contributions(offer=offer, raw_score=-1.0, bias=-1.8, groups=groups)}
    told = with_contributions(decision, found, make_inputs(limit=1), rules)
    codes = [reason.code for reason in told.ranked[0].reasons]
    assert [code for code in codes if code.startswith("model_")] == ["model_holdings"]


def test_a_popular_place_is_never_explained_by_the_model(rules, make_inputs):
    inputs = make_inputs(scores={}, degraded=("models",))
    decision = decide(inputs, rules)
    offer = decision.ranked[0].action.offer
    found = {offer: Contributions(offer=offer, raw_score=1, bias=0, groups={"holdings": 1.0})}
    assert with_contributions(decision, found, inputs, rules) == decision


def test_audience_hears_at_least_one_and_at_most_three(rules, make_inputs):
    inputs = make_inputs(
        channel="teller", state_holdings=maturing(NOW + DAY), state_demand_cny=90_000.0,
        state_owner=own("wealth_manager"), state_assets_cny=480_000.0,
    )  # fmt: skip
    for place in decide(inputs, rules).ranked:
        for audience in ("customer", "staff", "reviewer"):
            heard = rules.phrases.heard_by(audience, place.reasons)
            assert 1 <= len(heard) <= 3
            allowed = {"customer": {"customer"}, "staff": {"customer", "staff"}}.get(
                audience, {"customer", "staff", "reviewer"}
            )
            assert {rules.phrases.by_code[r.code].audience for r in heard} <= allowed


def test_no_veto_and_no_model_sentence_is_meant_for_customers(rules, insurance_rules):
    for book in (rules, insurance_rules):
        for code in (*exclusion_codes(), *(f"model_{group}" for group in GROUPS)):
            assert book.phrases.by_code[code].audience != "customer", code


@pytest.mark.parametrize("book", ["rules", "insurance_rules"])
def test_every_code_that_can_be_given_has_its_sentence_in_both_languages(book, request):
    book = request.getfixturevalue(book)
    groups = {feature.group for feature in all_features(book.catalog)}
    codes = {
        *exclusion_codes(), *reason_codes(), *(f"term_{term}" for term in TERMS),
        *(f"model_{group}" for group in groups), *(f"model_{group}_against" for group in groups),
        *(f"gate_{gate}" for gate in GATES), *(f"first_{one}" for one in PRECEDENCE),
        "economics_value", "economics_score",
    }  # fmt: skip
    for code in codes:
        phrase = book.phrases.by_code[code]
        assert phrase.zh != phrase.en, code
        assert re.search("[\u4e00-\u9fff]", phrase.zh), code
        assert not re.search("[\u4e00-\u9fff]", phrase.en), code


@pytest.mark.parametrize("code", ["model_holdings_against", "term_friction", "next_here"])
def test_a_sentence_that_is_needed_and_absent_is_named_with_its_file(code, tmp_path):
    folder = Path(shutil.copytree(CATALOGS / "bank", tmp_path / "bank"))
    file = folder / "reasons.yaml"
    file.write_text(file.read_text("utf-8").replace(f"  {code}:", f"  {code}_no:"), "utf-8")
    with pytest.raises(ConfigError, match=rf"reasons\.yaml: no text for {code};"):
        load_rulebook(folder)


def test_a_customer_hears_of_himself_only_what_a_tag_allows(rules):
    book = load_tag_book(CATALOGS / "bank")
    told = {code: p for code, p in rules.phrases.by_code.items() if p.audience == "customer"}
    for code, phrase in told.items():
        if phrase.tag is not None:
            assert phrase.tag in book.not_carried or book[phrase.tag].say_to_customer, code
    personal = {rule.code for rule in REASON_RULES if rule.personal} & told.keys()
    # says that he is listened to, and nothing of an open complaint, which is not to be said
    assert {code for code in personal if told[code].tag is None} == {"complaint_follow_up"}


def test_no_customer_sentence_speaks_of_scores_of_others_or_promises(rules, insurance_rules):
    told = "得分|概率|模型|同类客户|相近|保本|保证收益|稳赚|投诉|逾期|反洗钱|反诈"
    said = "score|probab|model|similar customers|guarantee|complaint|overdue|launder|fraud"
    for book in (rules, insurance_rules):
        for code, phrase in book.phrases.by_code.items():
            if phrase.audience == "customer":
                assert not re.search(told, phrase.zh), code
                assert not re.search(said, phrase.en, re.IGNORECASE), code


def test_a_fact_is_told_at_one_place_where_another_reason_is_left(rules, make_inputs):
    inputs = make_inputs(audience="customer", limit=20, state_holdings=maturing(NOW + DAY))
    decision = decide(inputs, rules)
    able = [p for p in decision.ranked if "maturity_soon" in {r.code for r in p.reasons}]
    assert len(able) > 1
    told = answer(DecisionRecord(inputs=inputs, decision=decision), rules).recommendations
    assert [p.rank for p in told if "maturity_soon" in {r.code for r in p.reasons}] == [
        able[0].rank
    ]
    assert all(place.reasons for place in told)


@pytest.mark.needs("data")
def test_the_approved_list_is_taken_over_word_for_word(rules):
    data = Path(os.environ.get("ONEPOINT_DATA", "../shared/data"))
    with (data.parent / "reasons.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) > 20
    for row in rows:
        phrase = rules.phrases.by_code[row["code"]]
        assert (phrase.audience, phrase.zh, phrase.en) == (row["audience"], row["zh"], row["en"])


@pytest.mark.needs("data")
def test_no_customer_sentence_tells_a_label_that_is_not_for_him(rules):
    data = Path(os.environ.get("ONEPOINT_DATA", "../shared/data"))
    with (data.parent / "labels.csv").open(encoding="utf-8") as file:
        may_say = {row["code"]: row["say_to_customer"] for row in csv.DictReader(file)}
    tags = {p.tag for p in rules.phrases.by_code.values() if p.audience == "customer" and p.tag}
    assert len(tags) > 10
    assert {may_say[tag] for tag in tags} == {"yes"}
