"""The decision as a whole: value, order, the dial, silence, degradation, and the same bytes."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from features.state import (
    BrokenApplication,
    CreditOffer,
    CustomerState,
    Holding,
    Outlet,
    Owner,
    PastContact,
    Refusal,
    Restriction,
    RiskAssessment,
)
from features.tables import TABLES
from serving.contract import Intent, Versions
from serving.decide import decide, load_rulebook, with_contributions
from serving.decide.case import make_case
from serving.decide.record import Contributions, Counters, DecisionInputs, OfferScores, Scores
from serving.decide.valuation import Prospect

NOW = datetime(2026, 7, 1, 2, 0, tzinfo=UTC)
DAY = timedelta(days=1)
ROOT = Path(__file__).parents[3]
RULES = load_rulebook(ROOT / "configs" / "catalog" / "bank")
OFFERS, HANDLES = RULES.catalog.offer_ids, RULES.catalog.handle_ids
GATES = ("candidates", "eligible", "suitable", "deployable", "permitted", "affordable")


def with_policy(rules, **changes):
    return replace(rules, policy=rules.policy.model_copy(update=changes))


def without_trials(rules):
    return with_policy(
        rules, exploration=rules.policy.exploration.model_copy(update={"share": 0.0})
    )


def test_every_term_of_the_score_by_hand(rules, make_inputs, make_scores):
    scores = make_scores(
        rules, p_start=0.1, amount_cny=100_000.0,
        preference={"mobile_bank": 0.3, "teller": 0.6},
        completion={"mobile_bank": 0.5, "teller": 0.9},
    )  # fmt: skip
    inputs = make_inputs(
        scores={"deposit_1y": scores}, prices={"teller": 2.0}, intent=Intent(offer="deposit_1y")
    )
    case, offer = make_case(inputs, rules), rules.catalog.offer_by_id["deposit_1y"]
    arms = Prospect(case, offer, tuple(range(len(rules.handles)))).arms()
    by_handle = {arm.handle.id: arm for arm in arms}
    stay, teller = by_handle["mobile_bank"], by_handle["teller"]
    assert stay.gross_value_cny == pytest.approx(0.1 * 0.5 * 250)
    assert stay.cost_cny == stay.staff_cost_cny == 0.0, "he is here already"
    assert stay.experience == pytest.approx(0.3 * 0.5 - 0.6 * 0.9)
    assert stay.score == pytest.approx(12.5 + 60 * (0.15 - 0.54))
    assert teller.value_cny == pytest.approx(0.1 * 0.9 * 250 - 2.5 - 2.0 * 12)
    assert teller.experience == pytest.approx(-0.03), "the best handle, but he changes door"
    assert teller.score == pytest.approx(22.5 - 2.5 - 24 - 60 * 0.03)


def test_experience_is_measured_against_vetoed_handles_too(rules, make_inputs, make_scores):
    scores = make_scores(rules, preference={"teller": 0.9}, completion={"teller": 1.0})
    decision = decide(
        make_inputs(scores={"fund_r2": scores}, intent=Intent(offer="fund_r2")), rules
    )
    assert decision.ranked[0].action.experience <= 1 / 11 * 0.8 - 0.9 + 1e-12


def test_offers_stand_by_score_and_once_each(rules, make_inputs, make_scores):
    scores = {p: make_scores(rules, p_start=0.001) for p in rules.catalog.product_ids}
    scores["mobile_payment"] = make_scores(rules, p_start=0.9)
    decision = decide(make_inputs(scores=scores), rules)
    assert decision.ranked[0].action.offer == "mobile_payment"
    offers = [place.action.offer for place in decision.ranked]
    assert len(offers) == len(set(offers))
    ordered = [place.action.score for place in decision.ranked]
    assert ordered == sorted(ordered, reverse=True)
    assert [place.rank for place in decision.ranked] == list(range(1, len(offers) + 1))


def test_ties_stand_in_catalog_order(rules, make_inputs, make_scores):
    alike = make_scores(rules, p_start=0.0)
    decision = decide(
        make_inputs(scores=dict.fromkeys(rules.catalog.product_ids, alike), channel="teller"),
        with_policy(without_trials(rules), minimum_p_start=0.0),
    )
    tied = [p.action.offer for p in decision.ranked if p.action.score == 0.0]
    assert len(tied) >= 2
    assert tied == sorted(tied, key=rules.catalog.offer_ids.index)


def test_intent_stands_first_and_care_before_it(rules, make_inputs):
    wanted = Intent(offer="bill_autopay")
    assert decide(make_inputs(intent=wanted), rules).ranked[0].action.offer == "bill_autopay"
    decision = decide(
        make_inputs(intent=Intent(offer="tier_benefit"), state_complaint_open_since=NOW - DAY),
        rules,
    )
    assert [p.action.offer for p in decision.ranked] == ["complaint_care", "tier_benefit"]


@pytest.mark.parametrize("stage", ["application", "interview", "signing"])
def test_broken_application_goes_on_at_its_stage(stage, rules, make_inputs):
    broken = BrokenApplication(
        offer="consumer_loan", stage=stage, channel="mobile_bank", event_time=NOW - DAY
    )
    decision = decide(make_inputs(state_broken_application=broken), rules)
    stages = {p.action.offer: p.action.stage for p in decision.ranked}
    assert stages["consumer_loan"] == stage
    assert set(stages.values()) - {stage} <= {"application", "servicing"}


def test_products_he_will_hardly_start_are_left_out_unless_he_came_for_them(
    rules, make_inputs, make_scores
):
    scores = dict.fromkeys(rules.catalog.product_ids, make_scores(rules, p_start=0.004))
    scores["deposit_1y"] = make_scores(rules, p_start=0.005)
    strict = with_policy(rules, minimum_p_start=0.005)
    inputs = make_inputs(scores=scores, channel="teller")

    def products(decision):
        return [p.action.offer for p in decision.ranked if p.action.kind == "product"]

    assert len(products(decide(inputs, with_policy(rules, minimum_p_start=0.0)))) > 1
    assert products(decide(inputs, strict)) == ["deposit_1y"]
    asked = inputs.model_copy(update={"intent": Intent(offer="deposit_3m")})
    assert set(products(decide(asked, strict))) == {"deposit_1y", "deposit_3m"}


def test_nothing_to_offer_is_a_valid_answer(rules, make_inputs):
    held = tuple(Restriction(kind=k, since=NOW - DAY) for k in ("aml_high", "anti_fraud"))
    inputs = make_inputs(
        state_restrictions=held, counters=Counters(minutes_used={"teller": 1440.0})
    )
    decision = decide(inputs, rules)
    assert decision.ranked == ()
    assert decision.considered.affordable == 0


@pytest.mark.parametrize("degraded", [("models",), ("features",)])
def test_degraded_answers_by_popularity_without_trials(degraded, rules, make_inputs):
    for number in range(40):
        inputs = make_inputs(decision_id=f"d-{number}", scores={}, degraded=degraded)
        decision = decide(inputs, rules)
        assert {p.action.p_start_is for p in decision.ranked} == {"popularity"}
        assert decision.ranked[0].action.propensity == 1.0
        assert not decision.explored


def test_non_personal_answer_reads_nothing_but_what_vetoes_need(rules, make_inputs, make_scores):
    no = {"personalisation": False}
    plain = decide(make_inputs(state_consents=no), rules)
    telling = decide(
        make_inputs(
            state_consents=no,
            state_demand_cny=900_000.0,
            state_credit_offers=(
                CreditOffer(offer="consumer_loan", limit_cny=1e5, expires_at=NOW + DAY),
            ),
            state_contacts=(
                PastContact(
                    channel="sms", offer="deposit_1y", event_time=NOW - DAY, responded=False
                ),
            ),
            state_holdings=(
                Holding(offer="deposit_1y", opened_at=NOW - DAY, maturity_at=NOW + DAY),
            ),
            state_broken_application=BrokenApplication(
                offer="wealth_r2", stage="signing", channel="mobile_bank", event_time=NOW - DAY
            ),
            scores=dict.fromkeys(rules.catalog.product_ids, make_scores(rules, p_start=0.7)),
        ),
        rules,
    )
    assert telling == plain
    assert not plain.personalised
    assert {p.action.p_start_is for p in plain.ranked} == {"popularity"}
    assert {r.code for p in plain.ranked for r in p.reasons} >= {"non_personal"}
    found = {"deposit_1y": Contributions(offer="deposit_1y", raw_score=1, bias=0, groups={"a": 1})}
    assert with_contributions(plain, found, make_inputs(state_consents=no), rules) == plain


def test_non_personal_answer_keeps_the_vetoes(rules, make_inputs, removed):
    codes = removed(
        decide(
            make_inputs(
                state_consents={"personalisation": False}, state_risk_assessment=None,
                state_overdue_days=5,
            ),
            rules,
        )
    )  # fmt: skip
    assert codes["fund_r2", "mobile_bank"] == "risk_assessment_missing"
    assert codes["credit_card", "mobile_bank"] == "overdue"


moments = st.integers(-800, 400).map(lambda days: NOW + days * DAY)
shares = st.floats(0, 1, allow_nan=False, width=32)
by_handle = st.fixed_dictionaries(dict.fromkeys(HANDLES, shares))
scores = st.builds(
    OfferScores,
    p_start=shares,
    p_start_is=st.sampled_from(["propensity", "popularity"]),
    amount_cny=st.floats(0, 1e6, width=32),
    preference=by_handle,
    completion=by_handle,
)
states = st.builds(
    CustomerState,
    customer_id=st.just("C1"),
    as_of=st.just(NOW),
    missing=st.sets(st.sampled_from(sorted(TABLES)), max_size=3).map(lambda s: tuple(sorted(s))),
    birth_date=st.none() | st.dates(date(1930, 1, 1), date(2020, 1, 1)),
    outlet=st.none() | st.sampled_from([(), ("deposit",), ("fund", "loan")]).map(
        lambda scope: Outlet(org_id="B1", business_scope=scope)
    ),
    owner=st.none() | st.sampled_from(HANDLES[-4:]).map(
        lambda role: Owner(staff_id="S1", org_id="B1", role=role, name="王芳")
    ),
    holdings=st.lists(
        st.builds(Holding, offer=st.sampled_from(OFFERS), opened_at=moments, maturity_at=moments),
        max_size=3,
    ).map(tuple),
    demand_cny=st.none() | st.floats(0, 1e6),
    assets_cny=st.none() | st.floats(0, 1e7),
    restrictions=st.lists(
        st.builds(
            Restriction,
            kind=st.sampled_from(["anti_fraud", "aml_high", "overdue", "minor"]),
            since=moments,
            until=st.none() | moments,
        ),
        max_size=2,
    ).map(tuple),
    consents=st.dictionaries(
        st.sampled_from(["personalisation", "video", "wecom"]), st.booleans()
    ),
    reachable=st.dictionaries(st.sampled_from(["wecom", "video"]), st.booleans()),
    risk_assessment=st.none() | st.builds(
        RiskAssessment, level=st.integers(1, 5), assessed_at=moments, expires_at=moments
    ),
    overdue_days=st.none() | st.integers(0, 90),
    refusals=st.lists(
        st.builds(
            Refusal, offer=st.sampled_from(OFFERS), channel=st.just("sms"), refused_at=moments
        ),
        max_size=3,
    ).map(tuple),
    complaint_open_since=st.none() | moments,
    broken_application=st.none() | st.builds(
        BrokenApplication,
        offer=st.sampled_from(OFFERS),
        stage=st.sampled_from(["application", "interview", "approval", "signing"]),
        channel=st.just("mobile_bank"),
        event_time=st.just(NOW - DAY),
    ),
)  # fmt: skip
requests = st.builds(
    DecisionInputs,
    decision_id=st.text("abcdef0123456789", min_size=1, max_size=12),
    audience=st.just("staff"),
    channel=st.sampled_from(RULES.catalog.channel_ids),
    as_of=st.just(NOW),
    limit=st.integers(1, 20),
    intent=st.none() | st.builds(
        Intent, offer=st.sampled_from(OFFERS), stage=st.sampled_from(["application", "inquiry"])
    ),
    state=states,
    scores=st.dictionaries(st.sampled_from(OFFERS), scores, max_size=6).map(
        lambda by_offer: Scores.table(by_offer, HANDLES)
    ),
    counters=st.dictionaries(st.sampled_from(HANDLES), st.floats(0, 1500)).map(
        lambda used: Counters(minutes_used=used)
    ),
    prices=st.dictionaries(st.sampled_from(HANDLES), st.floats(0, 10)),
    degraded=st.sampled_from([(), ("models",)]),
    versions=st.just(Versions(release=None, catalog="c", policy="p")),
)  # fmt: skip


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(inputs=requests)
def test_whatever_comes_nothing_vetoed_is_returned(removed, inputs):
    decision = decide(inputs, RULES)
    gone = removed(decision)
    left = [getattr(decision.considered, gate) for gate in GATES]
    assert left == sorted(left, reverse=True)
    assert left[0] - left[-1] == len(gone)
    assert len(decision.ranked) <= inputs.limit
    for place in decision.ranked:
        action = place.action
        assert (action.offer, action.handle) not in gone
        assert action.experience <= 0
        assert place.reasons
        assert (action.propensity is not None) == (place.rank == 1)
    again = decide(DecisionInputs.model_validate_json(inputs.model_dump_json()), RULES)
    assert again.model_dump_json() == decision.model_dump_json()


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(inputs=requests, low=st.floats(0, 200), more=st.floats(0, 200))
def test_a_higher_dial_never_lowers_the_experience_of_the_first_place(inputs, low, more):
    quiet = without_trials(RULES)
    first = decide(inputs, with_policy(quiet, experience_cny=low)).ranked
    second = decide(inputs, with_policy(quiet, experience_cny=low + more)).ranked
    if first and more > 1e-6:
        assert second[0].action.experience >= first[0].action.experience - 1e-9


def test_the_dial_moves_customers_to_where_they_succeed(rules, make_inputs, make_scores):
    liked = make_scores(rules, preference={"teller": 0.9}, completion={"teller": 0.95})
    inputs = make_inputs(scores={"deposit_1y": liked}, intent=Intent(offer="deposit_1y"))
    chosen = [
        decide(inputs, with_policy(without_trials(rules), experience_cny=dial)).ranked[0].action
        for dial in (0, 50)
    ]
    assert [action.handle for action in chosen] == ["mobile_bank", "teller"]


PRINT_ONE = """
import sys
from pathlib import Path
from serving.decide import decide, load_rulebook
from serving.decide.record import DecisionInputs
rules = load_rulebook(Path(sys.argv[1]))
print(decide(DecisionInputs.model_validate_json(sys.stdin.read()), rules).model_dump_json())
print(rules.catalog_version, rules.policy_version)
"""


def test_other_processes_give_the_same_bytes(rules, make_inputs):
    held = tuple(Restriction(kind=k, since=NOW - DAY) for k in ("overdue", "minor", "anti_fraud"))
    inputs = make_inputs(state_restrictions=held, channel="teller").model_dump_json()
    folder = str(ROOT / "configs" / "catalog" / "bank")
    outputs = [
        subprocess.run(
            [sys.executable, "-c", PRINT_ONE, folder], input=inputs, text=True, check=True,
            capture_output=True, cwd=ROOT, env=os.environ | {"PYTHONHASHSEED": seed},
        ).stdout
        for seed in ("1", "2")
    ]  # fmt: skip
    assert outputs[0] == outputs[1]
    assert f"{rules.catalog_version} {rules.policy_version}" in outputs[0]


def test_insurer_is_answered_by_the_same_functions(insurance_rules, make_scores):
    inputs = DecisionInputs(
        decision_id="d-1",
        audience="customer",
        channel="web",
        as_of=NOW,
        limit=3,
        state=CustomerState(customer_id="1", as_of=NOW, missing=("accounts", "ratings")),
        scores=Scores.table(
            {"item_7": make_scores(insurance_rules, p_start=0.3)},
            insurance_rules.catalog.handle_ids,
        ),
        versions=Versions(release=None, catalog="c", policy="p"),
    )
    decision = decide(inputs, insurance_rules)
    assert decision.considered.candidates == decision.considered.affordable == 48
    assert decision.ranked[0].action.offer == "item_7"
    assert len(decision.ranked) == 3
