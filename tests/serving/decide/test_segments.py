"""Cells by customer segment: who is in which, which rule wins, and what unknown facts mean."""

from __future__ import annotations

import re
from datetime import date

import pytest

from features.errors import ConfigError
from serving.decide import decide
from serving.decide.calendar_days import utc
from serving.decide.case import make_case
from serving.decide.cells import fill_cells
from serving.decide.scorecard import OTHERS, Scorecard

POINTS = {"ease_online": 80, "risk_control": 80, "regulation": 80, "number_of_steps": 80}
POOR = dict.fromkeys(POINTS, 40)
SENIOR = {"id": "senior", "names": {"zh": "老年", "en": "seniors"}, "minimum_age": 65}
RICH = {"id": "rich", "names": {"zh": "高净值", "en": "rich"}, "minimum_assets_cny": 1_000_000}
YOUNG = {
    "id": "young",
    "names": {"zh": "青年", "en": "young"},
    "minimum_age": 18,
    "maximum_age": 25,
}


def rule(compliance="allowed", points=POINTS, **named):
    scores = {"feasibility": points, "necessity": points} if compliance == "allowed" else {}
    return {"compliance": compliance, "basis": "a test", **scores, **named}


def card(*rules, segments=(SENIOR, RICH)):
    return Scorecard.model_validate(
        {
            "owner": "o", "evidence": "e", "expires": date(2030, 1, 1),
            "segments": segments, "rules": rules,
        }
    )  # fmt: skip


@pytest.mark.parametrize(
    ("age", "assets", "segment"),
    [
        (64, 0.0, "others"), (65, 0.0, "senior"), (130, 0.0, "senior"),
        (64, 999_999.99, "others"), (64, 1_000_000.0, "rich"), (65, 1_000_000.0, "senior"),
        (None, 5.0, "senior|others"), (None, 2e6, "senior|rich"),
        (70, None, "senior"), (30, None, "rich|others"), (None, None, "senior|rich|others"),
    ],
)  # fmt: skip
def test_the_first_segment_that_fits_is_the_customers(age, assets, segment):
    assert card(rule()).segment_of(age, assets) == segment
    assert segment in card(rule()).readings


def test_a_segment_ends_with_its_last_year_of_age():
    young = card(rule(), segments=(YOUNG,))
    assert [young.segment_of(age, None) for age in (17, 18, 25, 26)] == [
        OTHERS, "young", "young", OTHERS,
    ]  # fmt: skip
    assert set(young.readings) == {OTHERS, "young", "young|others"}


def test_without_segments_everybody_is_one_of_the_others():
    assert card(rule(), segments=()).readings == (OTHERS,)
    assert card(rule(), segments=()).segment_of(None, None) == OTHERS


def test_a_rule_for_a_segment_goes_before_one_for_everybody(rules):
    cells = fill_cells(
        card(
            rule(offers=["fund_r2"], channels=["mobile_bank"], stages=["application"]),
            rule("forbidden", categories=["fund"], segments=["senior"]),
            rule(channels=["video"], segments=["rich"], points=POOR),
        ),
        rules.catalog, "card",
    )  # fmt: skip
    row = {who: cells["fund_r2", "application", who] for who in ("senior", "rich", OTHERS)}
    assert row[OTHERS]["mobile_bank"].allowed
    assert row["rich"]["mobile_bank"] == row[OTHERS]["mobile_bank"]
    assert not row["senior"]["mobile_bank"].allowed
    assert row["rich"]["video"].feasibility == pytest.approx(40)
    assert "video" not in row[OTHERS]


def test_who_is_unknown_gets_the_strictest_of_what_may_be_his(rules):
    cells = fill_cells(
        card(
            rule(channels=["teller", "video", "mobile_bank"]),
            rule("forbidden", channels=["mobile_bank"], segments=["senior"]),
            rule(channels=["video"], segments=["senior"], points=POOR),
            rule(channels=["teller"], segments=["rich"], expires=date(2026, 1, 1)),
            rule(channels=["wecom"], segments=["rich"]),
        ),
        rules.catalog, "card",
    )  # fmt: skip

    def row(reading):
        return cells["deposit_1y", "application", reading]

    assert not row("senior|others")["mobile_bank"].allowed
    assert row("senior|others")["video"].feasibility == pytest.approx(40)
    assert row("senior|others")["teller"].valid_on(date(2026, 7, 1))
    assert not row("senior|rich|others")["teller"].valid_on(date(2026, 7, 1))
    assert "wecom" in row("rich")
    assert "wecom" not in row("rich|others")


BAD = {
    "a segment that is not named": (
        {"rules": [rule(segments=["seniors"])]},
        r"card: rule 1: unknown segment 'seniors'; did you mean 'senior'\?",
    ),
    "one cell twice for a segment": (
        {"rules": [
            rule(segments=["senior"], stages=["signing"]),
            rule(segments=["senior", "rich"], stages=["signing", "rating"]),
        ]},
        r"cell \(deposit_3m, signing, mobile_bank, senior\) stands in rule 1 and, .* rule 2",
    ),
    "a segment twice": (
        {"segments": (SENIOR, SENIOR)}, r"segment 'senior' stands twice; ids are unique",
    ),
    "a segment of everybody": (
        {"segments": ({**SENIOR, "minimum_age": 0},)}, r"a segment needs minimum_age, maximum_age",
    ),
    "a segment of nobody": (
        {"segments": ({**YOUNG, "minimum_age": 40},)}, r"minimum_age is above maximum_age",
    ),
    "a segment called as the rest is": (
        {"segments": ({**SENIOR, "id": OTHERS},)}, r"'others' are those in no segment",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD)
def test_what_is_wrong_with_segments_is_named(case, rules):
    changes, message = BAD[case]
    plain = {"rules": [rule()], "segments": (SENIOR, RICH)} | changes
    with pytest.raises((ConfigError, ValueError)) as error:
        fill_cells(card(*plain["rules"], segments=plain["segments"]), rules.catalog, "card")
    assert re.search(message, str(error.value)), str(error.value)


def born(age):
    return date(2026 - age, 7, 1)


@pytest.mark.parametrize(
    ("who", "allowed"),
    [
        ({"state_birth_date": born(64)}, True),
        ({"state_birth_date": born(65)}, False),
        ({"state_birth_date": None}, False),
        ({"state_birth_date": born(64), "state_assets_cny": None}, True),
    ],
)
def test_seniors_and_those_of_unknown_age_get_no_r3_product_in_the_app(
    who, allowed, rules, make_inputs
):
    case = make_case(make_inputs(**who), rules)
    fund, gold = (rules.catalog.offer_by_id[one] for one in ("fund_r3", "gold_saving"))
    app, person = (rules.catalog.channel_by_id[one] for one in ("mobile_bank", "wealth_manager"))
    assert utc(case.now).date() == date(2026, 7, 1)
    assert case.cell(fund, app).allowed is allowed
    assert case.cell(gold, app).allowed is allowed
    assert case.cell(fund, person).allowed


def test_private_banking_orders_wealth_over_wecom_and_others_do_not(rules, make_inputs):
    wealth, wecom = rules.catalog.offer_by_id["wealth_r2"], rules.catalog.channel_by_id["wecom"]

    def cell(assets):
        return make_case(make_inputs(state_assets_cny=assets), rules).cell(wealth, wecom)

    assert cell(6_000_000.0).allowed
    assert cell(5_999_999.99) is None
    assert cell(None) is None


def test_the_decision_reads_the_cell_of_the_customers_segment(rules, make_inputs, removed):
    def wecom(assets):
        decision = decide(make_inputs(state_assets_cny=assets), rules)
        return removed(decision).get(("wealth_r2", "wecom"))

    assert wecom(5_999_999.99) == "not_deployed"
    assert wecom(6_000_000.0) is None
