"""What the rules know of the eight customers, now and three weeks before."""

from datetime import UTC, date, datetime

import pytest

from features.spine import customers_at, subset
from features.state import (
    BrokenApplication,
    CreditOffer,
    CustomerState,
    Holding,
    Owner,
    PastContact,
    Refusal,
    Restriction,
    RiskAssessment,
)
from features.states import customer_states, state_texts

BEFORE = datetime(2026, 6, 10, tzinfo=UTC)


def utc(*parts: int) -> datetime:
    return datetime(*parts, tzinfo=UTC)


@pytest.fixture(scope="module")
def now(example_spine):
    return {state.customer_id: state for state in customer_states(example_spine)}


@pytest.fixture(scope="module")
def before(example_source):
    spine = customers_at(example_source, [BEFORE])
    return {state.customer_id: state for state in customer_states(spine)}


def test_everybody_known_has_a_state(now, before, clock):
    assert len(now) == 8
    assert set(now) - set(before) == {"brand_new"}
    assert {state.as_of for state in now.values()} == {clock}
    assert {state.missing for state in now.values()} == {()}


def test_the_old_woman_at_the_branch(now, before):
    state = now["old_branch"]
    assert state.birth_date == date(1951, 3, 12)
    assert (state.outlet.org_id, state.outlet.kind, state.outlet.business_scope) == (
        "O1",
        "own",
        (),
    )
    deposit = Holding(
        offer="deposit_1y",
        opened_at=utc(2025, 7, 3, 2, 20),
        amount_cny=200_000.0,
        maturity_at=utc(2026, 7, 3, 1),
    )
    assert state.holdings == (
        Holding(offer="bill_autopay", opened_at=utc(2012, 4, 1, 2)),
        deposit,
    )
    assert (state.demand_cny, state.assets_cny) == (38_000.30, 238_000.30)
    assert state.consents == {"human_call": True, "sms": False}
    assert state.reachable == {"human_call": True, "push": False}
    assert [contact.responded for contact in state.contacts] == [True]
    # the three-month deposit was still open then
    assert [holding.offer for holding in before["old_branch"].holdings] == [
        "bill_autopay", "deposit_1y", "deposit_3m",
    ]  # fmt: skip


def test_the_young_man_and_his_app(now, before):
    state = now["young_app"]
    assert state.broken_application == BrokenApplication(
        offer="fund_r3", stage="signing", channel="mobile_bank", event_time=utc(2026, 6, 29, 13, 5)
    )
    assert state.consents == {"push": False, "personalisation": True}
    assert before["young_app"].consents == {"push": True, "personalisation": True}
    assert state.reachable["wechat_bank"]
    # the hold-out row of the 23rd is no contact; the answer of 20 May is out of the month
    assert state.contacts == (
        PastContact(
            channel="push", offer="fund_r3", event_time=utc(2026, 6, 22, 2), responded=False
        ),
    )
    limits = {offer.offer: offer.limit_cny for offer in state.credit_offers}
    assert limits == {"consumer_loan": 50_000.0, "credit_card": 20_000.0}
    # the new limit was not known before the 12th
    assert before["young_app"].credit_offers == (
        CreditOffer(offer="credit_card", limit_cny=20_000.0, expires_at=utc(2026, 12, 1)),
        CreditOffer(offer="consumer_loan", limit_cny=30_000.0, expires_at=utc(2026, 9, 1)),
    )
    # nothing on demand was known on the 10th, only the wealth product
    assert (before["young_app"].demand_cny, before["young_app"].assets_cny) == (0.0, 20_150.25)


def test_complaints_open_and_settled(now, before):
    assert now["complaining"].complaint_open_since == utc(2026, 6, 20, 3, 15)
    assert before["complaining"].complaint_open_since == utc(2026, 2, 1, 3)
    assert now["refused_loan"].complaint_open_since is None


def test_the_newest_assessment_even_if_expired(now, before):
    assert now["expired_assessment"].risk_assessment == RiskAssessment(
        level=3,
        assessed_at=utc(2025, 2, 1, 3),
        expires_at=utc(2026, 2, 1, 3),
        raised_at=utc(2025, 2, 1, 3),
    )
    assert now["expired_assessment"].restrictions == ()
    assert now["managed"].risk_assessment.level == 5
    assert before["managed"].risk_assessment.level == 4
    assert now["managed"].risk_assessment.raised_at == utc(2026, 6, 12, 2)
    assert before["managed"].risk_assessment.raised_at is None, "the first one raises nothing"
    assert now["brand_new"].risk_assessment is None


def test_overdue_and_restricted(now, before):
    assert now["overdue"].overdue_days == 45
    assert now["overdue"].restrictions == (Restriction(kind="overdue", since=utc(2026, 6, 1)),)
    # neither the 17 days of May nor the restriction were known then
    assert before["overdue"].overdue_days == 0
    assert before["overdue"].restrictions == ()
    assert now["overdue"].credit_offers == ()


def test_the_manager_in_force(now, before):
    assert now["managed"].owner == Owner(
        staff_id="S2", org_id="O1", role="relationship_manager", name="李伟"
    )
    assert before["managed"].owner.staff_id == "S1"
    assert now["old_branch"].owner is None


def test_of_two_managers_the_newer(example_source):
    spine = customers_at(example_source, [utc(2026, 6, 15)], ["managed"])
    (state,) = customer_states(spine)
    assert state.owner.staff_id == "S2"


def test_refusals_newest_first(now, before):
    rate = Refusal(
        offer="consumer_loan", channel="ai_call", refused_at=utc(2026, 3, 1, 2, 2),
        reason="rate too high",
    )  # fmt: skip
    assert before["refused_loan"].refusals == (rate,)
    assert [refusal.reason for refusal in now["refused_loan"].refusals] == [
        "no need", "rate too high",
    ]  # fmt: skip
    assert now["refused_loan"].outlet.business_scope == ("deposit", "payment", "service")
    # on the call of 2 June he said, on the 20th, that he wants no more calls
    assert now["refused_loan"].consents == {"human_call": False, "personalisation": False}
    assert before["refused_loan"].consents == {}
    assert now["refused_loan"].restrictions[0].until == utc(2026, 12, 31)


def test_a_brand_new_customer(now):
    state = now["brand_new"]
    assert (state.holdings, state.contacts, state.refusals) == ((), (), ())
    assert (state.demand_cny, state.overdue_days, state.broken_application) == (0.0, 0, None)


def test_an_application_that_became_a_holding_is_not_broken(bank):
    bank.append("holdings", "young_app,fund_r3,2026-06-30 12:00:00,,5000.00,,mobile_bank,")
    spine = customers_at(bank.open(), [bank.clock], ["young_app"])
    assert [state.broken_application for state in customer_states(spine)] == [None]


def test_what_a_bank_cannot_know_is_none(bank):
    for table in ("balances", "accounts", "staff", "orgs"):
        bank.without(table)
    spine = customers_at(bank.open(), [bank.clock], ["managed"])
    (state,) = customer_states(spine)
    assert (state.demand_cny, state.assets_cny, state.overdue_days) == (None, None, None)
    assert (state.owner, state.outlet) == (None, None)
    assert state.missing == ("balances", "accounts", "orgs", "staff")


def broken(bank, *lines: str) -> BrokenApplication | None:
    """What is broken off of `managed`, who has applied for nothing, after these interactions."""
    filled = (f"managed,2026-06-{line},,,,,,," for line in lines)
    bank.append("interactions", *filled)
    (state,) = customer_states(customers_at(bank.open(), [bank.clock], ["managed"]))
    return state.broken_application


def test_the_stage_of_a_broken_application_is_the_last_told(bank):
    assert broken(
        bank,
        "29 10:00:00,mobile_bank,apply,fund_r3,application",
        "29 10:05:00,video,step,fund_r3,interview",
        "29 10:06:00,mobile_bank,error,fund_r3,",
        "29 10:07:00,teller,abandon,fund_r3,signing",
    ) == BrokenApplication(
        offer="fund_r3", stage="interview", channel="video", event_time=utc(2026, 6, 29, 10, 5)
    )


def test_a_broken_application_without_stages_is_at_its_start(bank):
    assert broken(
        bank,
        "29 09:00:00,video,step,fund_r3,interview",
        "29 10:00:00,mobile_bank,apply,fund_r3,",
    ) == BrokenApplication(
        offer="fund_r3", stage="application", channel="mobile_bank",
        event_time=utc(2026, 6, 29, 10),
    )  # fmt: skip


def test_a_completed_application_leaves_the_one_before(bank):
    found = broken(
        bank,
        "29 10:00:00,mobile_bank,apply,fund_r3,application",
        "30 10:00:00,teller,apply,deposit_1y,application",
        "30 10:20:00,teller,complete,deposit_1y,signing",
    )
    assert found is not None
    assert (found.offer, found.event_time) == ("fund_r3", utc(2026, 6, 29, 10))


def test_of_two_broken_applications_the_newer(bank):
    found = broken(
        bank,
        "29 10:00:00,mobile_bank,apply,deposit_1y,application",
        "29 12:00:00,teller,apply,fund_r3,application",
        "30 10:00:00,mobile_bank,step,deposit_1y,signing",
    )
    assert found is not None
    assert (found.offer, found.event_time) == ("fund_r3", utc(2026, 6, 29, 12))


def test_an_application_begun_again_after_one_was_completed_is_broken(bank):
    found = broken(
        bank,
        "29 10:00:00,teller,apply,deposit_1y,application",
        "29 10:20:00,teller,complete,deposit_1y,signing",
        "29 10:20:00.000001,mobile_bank,apply,deposit_1y,application",
    )
    assert found is not None
    assert (found.offer, found.channel) == ("deposit_1y", "mobile_bank")


def test_an_application_completed_at_once_or_older_than_72_hours_is_not_broken(bank):
    assert broken(
        bank,
        "28 01:59:59.999999,teller,apply,fund_r3,application",
        "29 10:00:00,teller,apply,deposit_1y,application",
        "29 10:00:00,teller,complete,deposit_1y,signing",
    ) is None  # fmt: skip


def test_any_text_of_the_bank_is_kept(bank):
    name = 'the "corner" \\ 路, {1}'
    bank.replace("orgs", "人民路支行", '"' + name.replace('"', '""') + '"')
    (state,) = customer_states(customers_at(bank.open(), [bank.clock], ["old_branch"]))
    assert state.outlet.name == name


def test_money_is_exact_where_a_float_can_hold_it(bank):
    bank.append("balances", "managed,2026-06-30 10:00:01,metal,12345678901234.56,")
    bank.append("holdings", "managed,cd_3y,2026-06-30 00:00:00,,0.07,,teller,")
    (state,) = customer_states(customers_at(bank.open(), [bank.clock], ["managed"]))
    assert state.assets_cny > 12_345_678_901_234.56
    assert state.holdings[-1].amount_cny == 0.07


def test_part_of_a_spine_has_the_states_of_the_whole(example_spine, now):
    part = subset(example_spine, [2, 5, 7])
    states = list(customer_states(part))
    assert states == [list(now.values())[place] for place in (1, 4, 6)]
    example_spine.source.drop(part.table)


def test_a_spine_without_customers_has_no_states(example_source):
    spine = customers_at(example_source, [datetime(1990, 1, 1, tzinfo=UTC)])
    assert list(customer_states(spine)) == []


def test_a_state_is_published_as_what_it_is_read_as(example_spine, now):
    texts = state_texts(example_spine).to_pylist()
    assert [CustomerState.model_validate_json(text) for text in texts] == list(now.values())
