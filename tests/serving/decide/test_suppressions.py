"""Every hold ends, every approval lapses on its day in the bank's time zone; opt-outs at once."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest

from features.state import PastContact, Refusal, Restriction, RiskAssessment
from serving.contract import Intent
from serving.decide import decide
from serving.facts import LiveFact
from serving.overlay import overlay

MINUTE = timedelta(minutes=1)
LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)
LATE = time(23, 59)
"""The last minute of a day counts as that day: a hold ends by days, not by hours."""


def local(day: str, at: time, zone: ZoneInfo) -> datetime:
    return datetime.combine(date.fromisoformat(day), at, zone).astimezone(UTC)


def refused(offer, day):
    return lambda zone: {
        "state_refusals": (
            Refusal(offer=offer, channel="human_call", refused_at=local(day, LATE, zone)),
        )
    }


def contacted(channel, *days, by="push", responded=True):
    return lambda zone: {
        "direction": "outbound",
        "channel": by,
        "state_consents": {"sms": True},
        "state_contacts": tuple(
            PastContact(
                channel=channel,
                offer="fund_r2",
                event_time=local(day, LATE, zone),
                responded=responded,
            )
            for day in days
        ),
    }


def assessed(day, level=3, raised=False):
    return lambda zone: {
        "intent": Intent(offer="fund_r4", stage="inquiry"),
        "state_risk_assessment": RiskAssessment(
            level=level,
            assessed_at=local(day, LATE, zone),
            expires_at=datetime(2040, 1, 1, tzinfo=UTC),
            raised_at=local(day, LATE, zone) if raised else None,
        ),
    }


def expiring(day):
    """Expires with the day before; whole days are the bank's, whatever its clock says elsewhere."""
    return lambda zone: {
        "state_risk_assessment": RiskAssessment(
            level=3,
            assessed_at=local("2026-06-01", LATE, zone),
            expires_at=local(day, time(), zone),
        )
    }


def born(day, **facts):
    return lambda zone: {"state_birth_date": date.fromisoformat(day), **facts}


def called(zone):
    return {
        "direction": "outbound",
        "channel": "human_call",
        "state_consents": {"human_call": True},
    }


def restricted(kind, until):
    return lambda zone: {
        "state_restrictions": (
            Restriction(kind=kind, since=LONG_AGO, until=local(until, time(), zone)),
        )
    }


# what: (first day on which it is over, offer, handle, reason code, facts)
HOLDS = {
    "credit refused": ("2026-07-01", "mortgage", "loan_manager", "loan_cooldown",
                       refused("consumer_loan", "2026-01-02")),
    "deposit refused": ("2026-07-01", "deposit_1y", "teller", "refusal_cooldown",
                        refused("deposit_1y", "2026-06-01")),
    "one a day": ("2026-07-01", "deposit_1y", "teller", "contact_cap",
                  contacted("wecom", "2026-06-30")),
    "two in 7 days": ("2026-07-01", "deposit_1y", "teller", "contact_cap",
                      contacted("wecom", "2026-06-24", "2026-06-26")),
    "four in 30 days": ("2026-07-01", "deposit_1y", "teller", "contact_cap",
                        contacted("wecom", "2026-06-01", "2026-06-03", "2026-06-12", "2026-06-20")),
    "two texts in 30 days": ("2026-07-01", "deposit_1y", "teller", "channel_cap",
                             contacted("sms", "2026-06-01", "2026-06-12", by="sms")),
    "three without an answer": ("2026-07-01", "deposit_1y", "teller", "fatigue_hold",
                                contacted("wecom", "2026-06-01", "2026-06-12", "2026-06-20",
                                          responded=False)),
    "restriction": ("2026-07-01", "deposit_1y", "teller", "aml_high",
                    restricted("aml_high", "2026-07-01")),
    "anti-fraud hold": ("2026-07-01", "deposit_1y", "mobile_bank", "anti_fraud_counter_only",
                        restricted("anti_fraud", "2026-07-01")),
    "overdue restriction": ("2026-07-01", "credit_card", "mobile_bank", "overdue_restriction",
                            restricted("overdue", "2026-07-01")),
    "limited capacity": ("2026-07-01", "fund_r2", "wealth_manager", "minor",
                         restricted("limited_capacity", "2026-07-01")),
    "minor until the 18th birthday": ("2026-07-01", "fund_r2", "wealth_manager", "minor",
                                      born("2008-07-01")),
    "too young until the 16th birthday": ("2026-07-01", "mobile_payment", "mobile_bank",
                                          "age_out_of_range", born("2010-07-01")),
    "assessment renewed not long ago": ("2026-07-01", "risk_assessment_renewal", "mobile_bank",
                                        "assessment_not_due", assessed("2025-08-30")),
    "holidays": ("2026-10-08", "deposit_1y", "teller", "holiday", called),
    "rating raised": ("2026-07-01", "fund_r4", "mobile_bank", "rating_raised_lately",
                      assessed("2026-06-24", level=4, raised=True)),
}  # fmt: skip
LAPSES = {
    "assessment of twelve months": ("2026-07-01", "fund_r2", "wealth_manager",
                                    "risk_assessment_expired", assessed("2025-07-01")),
    "scorecard's approval": ("2028-01-01", "deposit_1y", "teller", "scorecard_expired",
                             lambda zone: {}),
    "no calls on a holiday": ("2026-10-01", "deposit_1y", "teller", "holiday",
                              called),
    "assessment's own expiry": ("2026-07-01", "fund_r2", "wealth_manager",
                                "risk_assessment_expired", expiring("2026-07-01")),
    "not alone from 65 on": ("2026-07-01", "fund_r3", "mobile_bank", "senior_needs_person",
                             born("1961-07-01")),
    "no R4 from 65 on": ("2026-07-01", "fund_r4", "wealth_manager", "senior_high_risk",
                         lambda zone: born("1961-07-01")(zone) | assessed("2026-06-01", 5)(zone)),
    "too old for it": ("2026-07-01", "pension_account", "mobile_bank", "age_out_of_range",
                       born("1965-07-01")),
}  # fmt: skip


@pytest.fixture(scope="module", params=["Asia/Shanghai", "America/New_York"])
def bank(request, rules):
    """The bank's rules in its time zone, and in one behind UTC; it calls at all hours."""
    all_day = ({"start": 0, "end": 24},)
    policy = rules.policy.model_validate(
        rules.policy.model_dump() | {"timezone": request.param, "call_hours": all_day}
    )
    return replace(rules, policy=policy)


def codes_around(day, facts, bank, make_inputs, removed):
    """What is removed in the minute before a day, and in its first minute."""
    midnight = local(day, time(), bank.zone)
    return [
        removed(decide(make_inputs(as_of=moment, **facts(bank.zone)), bank))
        for moment in (midnight - MINUTE, midnight)
    ]


@pytest.mark.parametrize("what", HOLDS)
def test_hold_ends_on_its_day(what, bank, make_inputs, removed):
    day, offer, handle, code, facts = HOLDS[what]
    before, after = codes_around(day, facts, bank, make_inputs, removed)
    assert before[offer, handle] == code
    assert (offer, handle) not in after


@pytest.mark.parametrize("what", LAPSES)
def test_approval_lapses_on_its_day(what, bank, make_inputs, removed):
    day, offer, handle, code, facts = LAPSES[what]
    before, after = codes_around(day, facts, bank, make_inputs, removed)
    assert (offer, handle) not in before
    assert after[offer, handle] == code


@pytest.mark.parametrize(
    ("hour", "before", "after"),
    [
        (9, "outside_call_hours", None),
        (12, None, "outside_call_hours"),
        (14, "outside_call_hours", None),
        (20, None, "outside_call_hours"),
    ],
)
def test_calls_begin_and_end_at_the_banks_hour(
    hour, before, after, bank, rules, make_inputs, removed
):
    hours = {"call_hours": rules.policy.call_hours}
    shut = replace(bank, policy=bank.policy.model_copy(update=hours))
    at = local("2026-07-01", time(hour), bank.zone)
    for moment, code in ((at - MINUTE, before), (at, after)):
        inputs = make_inputs(as_of=moment, **called(bank.zone))
        assert removed(decide(inputs, shut)).get(("deposit_1y", "teller")) == code, moment


def test_an_opt_out_binds_from_its_minute_and_a_later_yes_lifts_it(
    bank, make_inputs, make_state, removed
):
    no, yes = (
        local("2026-07-01", time(10, 0), bank.zone),
        local("2026-07-01", time(10, 5), bank.zone),
    )
    said = [
        LiveFact("consent", at, {"channel": "sms", "allowed": at == yes}) for at in (no, yes)
    ]  # fmt: skip
    published = make_state(as_of=no - 60 * MINUTE, consents={"sms": True})
    for moment, code in (
        (no - MINUTE, None), (no, "no_consent"), (yes - MINUTE, "no_consent"), (yes, None),
    ):  # fmt: skip
        known = [fact for fact in said if fact.event_time <= moment]
        state = overlay(published, known, published.as_of, moment)
        inputs = make_inputs(direction="outbound", channel="sms", as_of=moment, state=state)
        assert removed(decide(inputs, bank)).get(("deposit_1y", "teller")) == code, moment
