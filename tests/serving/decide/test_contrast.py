"""Why the first place stands before the second: the parts add up, the reason is the true one."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from itertools import permutations
from math import isclose

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from serving.contract import Intent
from serving.decide import answer, decide, with_contributions
from serving.decide.contrast import TERMS, product_parts
from serving.decide.record import Contributions, DecisionRecord

SINCE = datetime(2026, 7, 1, 1, 0, tzinfo=UTC)
PRODUCTS = ("deposit_1y", "cash_plus", "fund_r2", "credit_card", "bill_autopay")
shares = st.floats(0, 1, width=32)
factors = st.tuples(shares, shares, st.floats(0, 1e4, width=32))


@pytest.fixture(scope="module")
def explain(rules, make_inputs):
    """Decide and render for an audience; models explain the offers given with contributions."""

    def ask(audience="staff", groups=None, biases=None, **changes):
        inputs = make_inputs(audience=audience, **changes)
        decision = decide(inputs, rules)
        found = {}
        for offer, values in (groups or {}).items():
            bias = (biases or {}).get(offer, -3)
            raw = bias + sum(values.values())
            found[offer] = Contributions(offer=offer, raw_score=raw, bias=bias, groups=values)
        decision = with_contributions(decision, found, inputs, rules)
        return answer(DecisionRecord(inputs=inputs, decision=decision), rules)

    return ask


def shapley(one, two):
    """The definition, by all six orders."""
    parts = [0.0, 0.0, 0.0]
    for order in permutations(range(3)):
        now = list(two)
        for factor in order:
            before = now[0] * now[1] * now[2]
            now[factor] = one[factor]
            parts[factor] += (now[0] * now[1] * now[2] - before) / 6
    return parts


@given(one=factors, two=factors)
def test_a_product_is_split_as_the_definition_of_shapley_says(one, two):
    parts = product_parts(one, two)
    size = max(1.0, one[2], two[2])
    assert parts == pytest.approx(shapley(one, two), abs=1e-12 * size)
    difference = one[0] * one[1] * one[2] - two[0] * two[1] * two[2]
    assert isclose(sum(parts), difference, abs_tol=1e-12 * size)


@settings(
    max_examples=120, deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)  # fmt: skip
@given(data=st.data())
def test_parts_add_up_to_the_lead_and_agree_with_the_order(data, rules, make_scores, explain):
    handles = rules.catalog.handle_ids
    by_handle = st.fixed_dictionaries(dict.fromkeys(handles, shares))
    scores = {
        product: make_scores(
            rules, data.draw(shares), data.draw(by_handle), data.draw(by_handle),
            data.draw(st.floats(0, 1e6, width=32)),
        )
        for product in PRODUCTS
    }  # fmt: skip
    wanted = data.draw(st.none() | st.sampled_from(("fund_r2", "deposit_1y", "id_update")))
    told = explain(
        decision_id=data.draw(st.text("abcdef", min_size=1, max_size=8)),
        channel=data.draw(st.sampled_from(("mobile_bank", "teller", "remote_agent"))),
        scores=scores,
        intent=None if wanted is None else Intent(offer=wanted),
        prices=data.draw(st.dictionaries(st.sampled_from(handles), st.floats(0, 10), max_size=4)),
        state_complaint_open_since=data.draw(st.none() | st.just(SINCE)),
        limit=3,
    )
    why, places = told.why_first, told.recommendations
    if len(places) < 2:
        assert why is None
        return
    assert (why.offer, why.over) == (places[0].offer, places[1].offer)
    assert set(why.parts) == set(TERMS)
    size = max(1.0, abs(places[0].score), abs(places[1].score))
    assert why.lead_cny == places[0].score - places[1].score
    assert isclose(sum(why.parts.values()), why.lead_cny, rel_tol=0, abs_tol=1e-9 * size)
    if why.because == "score" and not why.explored:
        assert why.lead_cny >= 0
    assert why.reasons
    codes = [reason.code for reason in why.reasons]
    if "first_score" in codes:
        lead = figures(why.reasons[codes.index("first_score")])[-1]
        told = [figures(one)[-1] for one in why.reasons if one.code.startswith("term_")]
        assert isclose(sum(told), lead, abs_tol=0.035)  # rounded: three figures, and a rest < 0.01


def figures(reason):
    """The amounts that a sentence names, in its order."""
    return [float(one.replace(",", "")) for one in re.findall(r"-?[\d,]+\.\d\d", reason.text.en)]


def test_equal_terms_have_no_part_and_the_odd_one_has_all(rules, make_scores, explain):
    scores = {
        "deposit_1y": make_scores(rules, p_start=0.9, amount_cny=80_000.0),
        "deposit_3m": make_scores(rules, p_start=0.9, amount_cny=80_000.0),
    }
    why = explain(scores=scores, limit=2).why_first
    assert (why.offer, why.over) == ("deposit_1y", "deposit_3m")
    told = {term: part for term, part in why.parts.items() if part != 0}
    assert told == {"sale_value": pytest.approx(why.lead_cny)}
    assert [reason.code for reason in why.reasons] == ["first_score", "term_sale_value"]
    assert why.reasons[1].text.zh == "办成一笔的价值200.00元,第二位64.00元:对分差贡献+97.92元。"


@pytest.mark.parametrize(
    ("changes", "because"),
    [
        ({"state_complaint_open_since": SINCE}, "complaint"),
        ({"intent": Intent(offer="bill_autopay")}, "asked_for"),
        ({"intent": Intent(offer="fund_r2"), "state_risk_assessment": None}, "assessment"),
        ({}, "score"),
    ],
)
def test_what_put_it_first_is_told_as_the_reason(changes, because, explain):
    why = explain(limit=3, **changes).why_first
    assert why.because == because
    codes = [reason.code for reason in why.reasons]
    assert codes[0] == f"first_{because}"
    assert (len(codes) == 1) == (because != "score")


def test_a_drawn_first_place_is_told_as_such(explain):
    drawn = 0
    for number in range(60):
        why = explain(decision_id=f"d-{number}", limit=2).why_first
        assert (why.reasons[0].code == "first_explored") == why.explored
        drawn += why.explored
    assert drawn > 0


def test_the_models_contrast_adds_up_and_names_the_group_that_differs_most(
    rules, make_scores, explain
):
    scores = {
        "deposit_1y": make_scores(rules, p_start=0.9, amount_cny=80_000.0),
        "deposit_3m": make_scores(rules, p_start=0.9, amount_cny=80_000.0),
    }
    groups = {
        "deposit_1y": {"activity": 0.9, "holdings": 0.2},
        "deposit_3m": {"activity": 0.1, "holdings": 0.3, "demand": 0.05},
    }
    why = explain(scores=scores, groups=groups, limit=2).why_first
    model = why.model
    assert model.groups == pytest.approx({"activity": 0.8, "holdings": -0.1, "demand": -0.05})
    assert model.bias + sum(model.groups.values()) == pytest.approx(model.lead)
    last = why.reasons[-1]
    assert (last.kind, last.code) == ("model", "first_by_model")
    assert "活跃度" in last.text.zh
    assert "+0.80" in last.text.zh
    assert "+0.65" in last.text.zh  # of the whole
    assert explain(scores=scores, groups={"deposit_1y": {"activity": 1}}).why_first.model is None


def test_where_the_average_customer_decides_it_is_told_first(rules, make_scores, explain):
    scores = {
        "deposit_1y": make_scores(rules, p_start=0.9, amount_cny=80_000.0),
        "deposit_3m": make_scores(rules, p_start=0.9, amount_cny=80_000.0),
    }
    groups = {"deposit_1y": {"activity": -0.4}, "deposit_3m": {"activity": 0.26}}
    biases = {"deposit_1y": -1.5, "deposit_3m": -3.25}
    why = explain(scores=scores, groups=groups, biases=biases, limit=2).why_first
    average, group = (reason for reason in why.reasons if reason.kind == "model")
    assert (average.code, group.code) == ("first_by_average", "first_by_model")
    assert average.text.en == (
        "The model, for the average customer: +1.75 log-odds between the first and the second, "
        "+1.09 all in all (above 0 speaks for the first)."
    )
    assert "-0.66 log-odds" in group.text.en


def test_a_customer_is_never_told_why_one_before_another(explain):
    assert explain("customer", limit=3).why_first is None
    assert explain("reviewer", limit=3).why_first == explain("staff", limit=3).why_first
    assert explain("staff", limit=1).why_first is None
