"""Golden: what three hand-written customers are told, by audience, in both languages.

Where a change is meant, copy the file that the failure names over `reasons_golden.txt` and read it
once as the customer, the teller and the compliance officer would.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest

from features.state import BrokenApplication, Holding, Owner, Refusal
from serving.contract import Intent
from serving.decide import answer, decide, with_contributions
from serving.decide.record import Contributions, DecisionRecord

GOLDEN = Path(__file__).with_name("reasons_golden.txt")
NOW = datetime(2026, 7, 1, 2, 0, tzinfo=UTC)
OWN = Owner(staff_id="S1", org_id="B001", role="wealth_manager", name="王芳")
CUSTOMERS = {
    "到期客户在手机银行 · money matures, at the app": {
        "state_holdings": (
            Holding(
                offer="deposit_1y", opened_at=NOW - timedelta(days=360), amount_cny=80_000.0,
                maturity_at=NOW + timedelta(days=2),
            ),
        ),
        "p_start": {"deposit_1y": 0.3},
        "state_demand_cny": 90_000.0,
        "state_assets_cny": 480_000.0,
        "state_owner": OWN,
    },
    "老年客户有投诉在柜台 · a senior with a complaint, at the counter": {
        "channel": "teller",
        "state_birth_date": date(1950, 1, 1),
        "state_complaint_open_since": NOW - timedelta(days=1),
    },
    "想买基金但没有测评 · wants a fund, no assessment, at the remote desk": {
        "channel": "remote_agent",
        "intent": Intent(offer="fund_r2"),
        "state_risk_assessment": None,
        "state_refusals": (
            Refusal(offer="consumer_loan", channel="sms", refused_at=NOW - timedelta(days=5)),
        ),
        "state_broken_application": BrokenApplication(
            offer="bill_autopay", stage="signing", channel="mobile_bank", event_time=NOW
        ),
    },
}  # fmt: skip
TOLD = ("maturity_soon", "complaint_follow_up", "risk_test_missing")
"""What each of them is here to hear."""


def write_out(rules, make_inputs, make_scores):
    lines = []
    for name, changes in CUSTOMERS.items():
        given = dict(changes)
        if likely := given.pop("p_start", None):
            given["scores"] = {
                product: make_scores(rules, p_start=likely.get(product, 0.01))
                for product in rules.catalog.product_ids
            }
        inputs = make_inputs(decision_id="golden", limit=3, **given)
        decision = decide(inputs, rules)
        groups = {"holdings": 0.42, "activity": -0.31, "life_stage": 0.05}
        found = {
            place.action.offer: Contributions(
                offer=place.action.offer, raw_score=-2.84 + 0.1 * place.rank, bias=-3.0,
                groups=groups | {"asset_size": 0.1 * place.rank},
            )
            for place in decision.ranked
        }  # fmt: skip
        record = DecisionRecord(
            inputs=inputs, decision=with_contributions(decision, found, inputs, rules)
        )
        for audience in ("customer", "staff", "reviewer"):
            lines += [f"== {name} == {audience}", *told(answer(record, rules, audience)), ""]
    return "\n".join(lines)


def told(response):
    lines = []
    for place in response.recommendations:
        lines.append(
            f"{place.rank}. {place.offer_name.zh} @ {place.handle_name.zh} ({place.route})"
        )
        for name in ("reasons", "next_steps", "economics"):
            lines += [said(name, one) for one in getattr(place, name) or ()]
        for one in place.explanation.groups if place.explanation else ():
            if one.text is not None:
                lines.append(
                    f"   {one.group} {one.contribution:+.2f}: {one.text.zh} | {one.text.en}"
                )
    if response.why_first is not None:
        lines.append(f"why {response.why_first.offer} before {response.why_first.over}")
        lines += [said("why_first", one) for one in response.why_first.reasons]
    for gate in response.gates or ():
        lines.append(f"   {gate.text.zh} | {gate.text.en} {gate.by_reason}")
    return lines


def said(name, reason):
    return f"   {name} [{reason.kind}] {reason.code}: {reason.text.zh} | {reason.text.en}"


@pytest.mark.parametrize(
    ("situation", "code"),
    list(zip(CUSTOMERS, TOLD, strict=True)),
)
def test_each_customer_hears_what_he_is_here_to_hear(situation, code):
    customer = GOLDEN.read_text("utf-8").split(f"== {situation} == customer\n")[1]
    assert f" {code}: " in customer.split("\n== ")[0]


def test_reasons_are_those_of_the_golden_file(rules, make_inputs, make_scores, tmp_path):
    now = write_out(rules, make_inputs, make_scores)
    (tmp_path / GOLDEN.name).write_text(now, "utf-8")
    golden = GOLDEN.read_text("utf-8") if GOLDEN.is_file() else ""
    assert now == golden, f"if this is meant, copy {tmp_path / GOLDEN.name} to {GOLDEN}"
