"""Exhaustive: tolerance, risk, kind, age, assessment age and handle; zero unsuitable."""

from __future__ import annotations

import itertools
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from functools import partial

import pytest

from features.catalog import Catalog, Offer
from features.state import RiskAssessment
from serving.contract import Intent
from serving.decide import decide, unknown_state
from serving.decide.cells import fill_cells
from serving.decide.scorecard import Scorecard

NOW = datetime(2026, 7, 1, 2, 0, tzinfo=UTC)
INVESTMENTS = {  # offer: risk level
    "cash_plus": 1, "wealth_r2": 2, "fund_r2": 2, "fund_r3": 3, "fund_r4": 4, "gold_saving": 3,
    "annuity_insurance": 2,
}  # fmt: skip
CREDIT = ("credit_card", "card_instalment", "consumer_loan", "mortgage")
ONLINE = ("mobile_bank", "wechat_bank")

# Birthdays on 1 July and the day after, at 18 and at 65; and not known.
BORN = (
    None,
    date(2008, 7, 2),
    date(2008, 7, 1),
    date(1981, 1, 1),
    date(1961, 7, 2),
    date(1961, 7, 1),
)
# Moment assessed, whether twelve months to the day are not over in Shanghai.
ASSESSED = (
    (datetime(2026, 6, 30, tzinfo=UTC), True),
    (datetime(2025, 7, 1, 16, 0, tzinfo=UTC), True),  # 2 July 2025, 00:00 in Shanghai
    (datetime(2025, 7, 1, 15, 59, 59, tzinfo=UTC), False),  # 1 July 2025, 23:59:59
    (datetime(2024, 1, 1, tzinfo=UTC), False),
)
EXPIRES = (datetime(2030, 1, 1, tzinfo=UTC), NOW)


def returned(decision):
    return {(place.action.offer, place.action.handle) for place in decision.ranked}


def permitted(decision, rules, removed):
    gone = removed(decision)
    return {
        (offer, handle)
        for offer in rules.catalog.offer_ids
        for handle in rules.catalog.handle_ids
        if (offer, handle) not in gone
    }


@pytest.mark.parametrize("degraded", [(), ("models",)])
def test_no_unsuitable_investment_ever(degraded, rules, make_inputs, removed):
    offered = set()
    for level, (at, in_year), expires, born in itertools.product(
        (None, 1, 2, 3, 4, 5), ASSESSED, EXPIRES, BORN
    ):
        risk = level and RiskAssessment(level=level, assessed_at=at, expires_at=expires)
        inputs = make_inputs(
            state_risk_assessment=risk, state_birth_date=born, degraded=degraded,
            scores={} if degraded else make_inputs().scores,
        )  # fmt: skip
        decision = decide(inputs, rules)
        valid = level is not None and in_year and expires > NOW
        adult = born is not None and born <= date(2008, 7, 1)
        senior = born is not None and born <= date(1961, 7, 1)
        allowed = permitted(decision, rules, removed)
        assert returned(decision) <= allowed
        for offer, handle in allowed:
            if offer not in INVESTMENTS:
                continue
            risk_level = INVESTMENTS[offer]
            assert valid, (offer, handle, inputs.state)
            assert adult
            assert risk_level <= level
            assert not (senior and risk_level >= 4)
            assert not (senior and risk_level >= 3 and handle in ONLINE)
            assert not (offer == "fund_r4" and handle in ONLINE)
            offered.add((offer, level))
        if valid and adult and not senior:
            assert {o for o, _ in allowed} & set(INVESTMENTS) == {
                o for o, r in INVESTMENTS.items() if r <= level
            }
        # Where the assessment is lacking, the service offer stands in its place.
        due = not valid or (expires - NOW).days <= 60 or at < NOW - timedelta(days=305)
        assert ("risk_assessment_renewal", "mobile_bank") in allowed or not (due and adult)
    assert offered == {(o, c) for o, r in INVESTMENTS.items() for c in range(r, 6)}


def test_no_unsuitable_credit_ever(rules, make_inputs, removed):
    for overdue, missing, born, degraded in itertools.product(
        (None, 0, 1, 90), ((), ("accounts",)), BORN, ((), ("models",))
    ):
        decision = decide(
            make_inputs(
                state_overdue_days=overdue, state_missing=missing, state_birth_date=born,
                degraded=degraded,
            ),
            rules,
        )  # fmt: skip
        clean = overdue == 0 and not missing
        adult = born is not None and born <= date(2008, 7, 1)
        offers = {offer for offer, _ in permitted(decision, rules, removed)}
        assert not (offers & set(CREDIT)) or (clean and adult)
        if clean and born == date(1981, 1, 1):
            assert set(CREDIT) <= offers


def test_expired_assessment_puts_the_renewal_first_for_who_came_to_invest(rules, make_inputs):
    expired = RiskAssessment(level=3, assessed_at=NOW - timedelta(days=400), expires_at=NOW)
    decision = decide(
        make_inputs(state_risk_assessment=expired, intent=Intent(offer="fund_r2")), rules
    )
    assert decision.ranked[0].action.offer == "risk_assessment_renewal"
    assert "risk_test_expired" in {reason.code for reason in decision.ranked[0].reasons}


# The whole grid. One bank sells every kind at every risk, everywhere, so that a decision answers
# for 24 products at 11 handles.
BY_KIND = {
    "none": (None, 5), "investment": (1, 2, 3, 4, 5), "fund": (1, 2, 3, 4, 5),
    "insurance": (None, 1, 2, 3, 4, 5), "credit": (None, 1, 2, 3, 4, 5),
}  # fmt: skip
SOLD = {f"{kind}_r{risk or 0}": (kind, risk) for kind, risks in BY_KIND.items() for risk in risks}
ALONE = {"mobile_bank", "wechat_bank", "smart_counter"}
AGES = {  # birth date by age on the day
    None: None, 17: date(2008, 7, 2), 45: date(1981, 1, 1), 64: date(1961, 7, 2),
    65: date(1961, 7, 1), 80: date(1946, 1, 1),
}  # fmt: skip
# Whether it counts: (assessed at, expires at); the moments are midnights in Shanghai, and not.
TESTS = {
    "fresh": (True, datetime(2026, 6, 30, tzinfo=UTC), datetime(2030, 1, 1, tzinfo=UTC)),
    "a day short of 12 months": (
        True, datetime(2025, 7, 1, 16, 0, tzinfo=UTC), datetime(2030, 1, 1, tzinfo=UTC),
    ),
    "12 months to the day": (
        False, datetime(2025, 7, 1, 15, 59, 59, tzinfo=UTC), datetime(2030, 1, 1, tzinfo=UTC),
    ),
    "expired by itself": (False, datetime(2026, 6, 1, tzinfo=UTC), NOW),
}  # fmt: skip
RAISED = {  # at, whether that is less than seven days ago
    None: False,
    datetime(2026, 6, 23, 16, 0, tzinfo=UTC): False,
    datetime(2026, 6, 24, 16, 0, tzinfo=UTC): True,
}


@pytest.fixture(scope="module")
def supermarket(rules):
    """The bank's rules over one product of every kind and risk, allowed at every channel."""
    names, plain = {"zh": "测", "en": "test"}, {"repeatable": True, "fixed_cny": 1.0}
    products = tuple(
        Offer(
            id=one, names=names, kind="product", category="wealth", suitability=kind,
            risk_level=risk, **plain,
        )
        for one, (kind, risk) in SOLD.items()
    )  # fmt: skip
    kept = tuple(offer for offer in rules.catalog.offers if offer.kind != "product")
    catalog = Catalog(name="supermarket", channels=rules.catalog.channels, offers=products + kept)
    points = {"ease_online": 80, "risk_control": 80, "regulation": 80, "number_of_steps": 80}
    rule = {
        "compliance": "allowed", "basis": "a test", "feasibility": points, "necessity": points,
    }  # fmt: skip
    card = Scorecard.model_validate(
        {"owner": "o", "evidence": "e", "expires": date(2030, 1, 1), "rules": (rule,)}
    )
    cells = fill_cells(card, catalog, "card")
    return replace(rules, catalog=catalog, scorecard=card, cells=cells)


def may_have(kind, risk, handle, *, level, counts, age, lately, outbound):
    """Say in other words than the rules' whether an offer is right for a customer."""
    if kind == "none":
        return True
    if age is None or age < 18:
        return False
    if kind == "credit" or risk is None:
        return True
    fits = level is not None and counts and risk <= level
    by_himself = handle in ALONE
    match risk:
        case 1 | 2:
            return fits
        case 3:
            return fits and (age < 65 or not by_himself)
        case _:
            return fits and age < 65 and not outbound and not (lately and by_himself)


@pytest.mark.parametrize("direction", ["inbound", "outbound"])
@pytest.mark.parametrize("degraded", [(), ("features",)])
def test_the_whole_grid_is_offered_what_is_right_and_all_of_it(
    direction, degraded, supermarket, make_inputs, removed, capsys
):
    decided = judged = offered = 0
    ask = partial(make_inputs, scores={}, limit=1, direction=direction, degraded=degraded)
    for level, (age, born), test, (raised, lately) in itertools.product(
        (None, 1, 2, 3, 4, 5), AGES.items(), TESTS.values(), RAISED.items()
    ):
        counts, at, expires = test
        assessed = level and RiskAssessment(
            level=level, assessed_at=at, expires_at=expires, raised_at=raised
        )
        decision = decide(ask(state_birth_date=born, state_risk_assessment=assessed), supermarket)
        right = {
            (offer, handle)
            for offer, (kind, risk) in SOLD.items()
            for handle in supermarket.catalog.handle_ids
            if may_have(
                kind, risk, handle, level=level, counts=counts, age=age, lately=lately,
                outbound=direction == "outbound",
            )
        }  # fmt: skip
        left = {one for one in permitted(decision, supermarket, removed) if one[0] in SOLD}
        assert left == right, (level, age, test, raised, sorted(left ^ right)[:3])
        decided += 1
        judged += len(SOLD) * len(supermarket.catalog.handle_ids)
        offered += len(left)
        assert {one for one in returned(decision) if one[0] in SOLD} <= right
    with capsys.disabled():
        print(
            f"\n{direction}, {'degraded' if degraded else 'scored'}: {judged:,} candidates in "
            f"{decided:,} decisions, 0 unsuitable, none of {offered:,} suitable lost"
        )


@pytest.mark.parametrize("direction", ["inbound", "outbound"])
def test_nothing_is_sold_to_who_cannot_be_read(direction, supermarket, make_inputs, removed):
    inputs = make_inputs(
        scores={}, direction=direction, state=unknown_state("C0000001", NOW), degraded=("store",)
    )
    decision = decide(inputs, supermarket)
    left = {offer for offer, _ in permitted(decision, supermarket, removed)}
    assert not left & set(SOLD)
