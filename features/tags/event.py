"""Events: reasons to act now, each with its end.

The part `date_days` is how many days from `as_of` the thing happens; below zero it has happened.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import reduce
from operator import or_

import narwhals.stable.v2 as nw

from features.catalog import Catalog
from features.feature import Feature, ratio
from features.spine import MICROSECONDS_A_DAY
from features.tags.book import TagBook
from features.tags.event_facts import credit_offers, event_facts
from features.tags.tag import Tag, flag


def facts(catalog: Catalog, book: TagBook) -> list[Feature]:
    """Declare what only this group's tags read."""
    return event_facts(catalog, book)


def tags(catalog: Catalog, book: TagBook) -> list[Tag]:
    """Declare the group's tags."""
    return [
        _large_flow("large_inflow", "large_inflow", book["large_inflow"].number("hours") / 24),
        _large_flow("outflow_peer", "large_outflow", book["outflow_peer"].number("days")),
        _maturity_30d(book),
        _maturity_unplaced(book),
        _payday_window(book),
        _application_break(book),
        _repeat_browse(book),
        _loss_care(book),
        _risk_test_due(book),
        _preapproved_live(catalog),
        _installment_ok(book),
        _card_renew(book),
    ]


def _event(
    code: str,
    inputs: Sequence[str],
    condition: nw.Expr,
    ends: nw.Expr | None = None,
    parts: Mapping[str, nw.Expr] | None = None,
    texts: tuple[str, ...] = (),
) -> Tag:
    """Make a flag whose details and end are told only where it holds."""
    return Tag(
        code,
        tuple(inputs),
        value=flag(condition),
        parts={part: nw.when(condition).then(expr) for part, expr in (parts or {}).items()},
        texts=texts,
        ends=None if ends is None else nw.when(condition).then(ends),
    )


def _large_flow(code: str, fact: str, days: float) -> Tag:
    since, amount = nw.col(f"fact_{fact}_days"), nw.col(f"fact_{fact}_cny")
    return _event(
        code,
        (f"fact_{fact}_days", f"fact_{fact}_cny"),
        ~since.is_null(),
        ends=days - since,
        parts={"amount_cny": amount, "date_days": -since},
    )


def _maturity_30d(book: TagBook) -> Tag:
    amount, days = nw.col("fact_maturing_cny"), nw.col("fact_maturing_days")
    return _event(
        "maturity_30d",
        ("fact_maturing_cny", "fact_maturing_days", "fact_maturing_product"),
        amount >= book["maturity_30d"].number("amount_cny"),
        ends=days,
        parts={
            "product": nw.col("fact_maturing_product"), "amount_cny": amount, "date_days": days,
        },
        texts=("product",),
    )  # fmt: skip


def _maturity_unplaced(book: TagBook) -> Tag:
    rule = book["maturity_unplaced"]
    amount, since = nw.col("fact_matured_cny"), nw.col("fact_matured_days")
    on_demand = nw.col("demand_balance_cny")
    return _event(
        "maturity_unplaced",
        (
            "fact_matured_cny", "fact_matured_days", "fact_matured_product", "demand_balance_cny",
            "fact_demand_balance_days",
        ),
        (amount > 0)
        & (on_demand >= amount * rule.number("share"))
        # a balance older than the maturity cannot tell where the money went
        & (nw.col("fact_demand_balance_days") <= since),
        ends=rule.number("until_days") - since,
        parts={
            "product": nw.col("fact_matured_product"), "amount_cny": amount,
            "demand_cny": on_demand, "date_days": -since,
        },
        texts=("product",),
    )  # fmt: skip


def _payday_window(book: TagBook) -> Tag:
    rule = book["payday_window"]
    around = round(rule.number("around_days"))
    distance = nw.col("fact_payday_distance_days")
    today = nw.col("as_of_day") * MICROSECONDS_A_DAY
    gone = (nw.col("as_of") + nw.col("utc_offset_us") - today) / MICROSECONDS_A_DAY
    return _event(
        "payday_window",
        ("fact_salary_payments", "fact_salary_days", "fact_payday_distance_days"),
        (nw.col("fact_salary_payments") >= rule.number("payments"))
        & (nw.col("fact_salary_days") <= rule.number("recent_days"))
        & ~distance.is_null(),
        # the last day of the window ends at its midnight
        ends=distance + (around + 1) - gone,
        parts={"date_days": distance},
    )


def _application_break(book: TagBook) -> Tag:
    since = nw.col("fact_broken_days")
    days = book["application_break"].number("hours") / 24
    details = ("product", "stage", "error_code", "channel")
    return _event(
        "application_break",
        ("fact_broken_days", *(f"fact_broken_{name}" for name in details)),
        ~since.is_null(),
        ends=days - since,
        parts={**{name: nw.col(f"fact_broken_{name}") for name in details}, "date_days": -since},
        texts=details,
    )


def _repeat_browse(book: TagBook) -> Tag:
    rule = book["repeat_browse"]
    return _event(
        "repeat_browse",
        ("fact_repeated_product", "fact_repeated_views", "fact_repeated_days"),
        nw.col("fact_repeated_views") >= rule.number("views"),
        ends=rule.number("days") - nw.col("fact_repeated_days"),
        parts={
            "product": nw.col("fact_repeated_product"), "views": nw.col("fact_repeated_views"),
        },
        texts=("product",),
    )  # fmt: skip


def _loss_care(book: TagBook) -> Tag:
    """Loss by class of assets; the newest balance that shows one says how long it stands."""
    rule = book["loss_care"]
    stands = rule.number("balance_days")
    inputs: list[str] = []
    losing: list[nw.Expr] = []
    ends: list[nw.Expr] = []
    parts: dict[str, nw.Expr] = {}
    for name in rule.strings("categories"):
        cost, value = nw.col(f"fact_{name}_cost_cny"), nw.col(f"{name}_balance_cny")
        age = nw.col(f"fact_{name}_balance_days")
        loses = (
            (value <= cost * (1 - rule.number("loss_share")))
            & (cost > 0)
            & (age < stands)
            # what was bought after the balance is not in it
            & (age <= nw.col(f"fact_{name}_bought_days"))
        )
        inputs += [
            f"fact_{name}_cost_cny", f"{name}_balance_cny", f"fact_{name}_balance_days",
            f"fact_{name}_bought_days",
        ]  # fmt: skip
        losing.append(loses)
        parts[f"{name}_loss_share"] = nw.when(loses).then(ratio(cost - value, cost))
        ends.append(nw.when(loses).then(stands - age))
    return _event("loss_care", inputs, reduce(or_, losing), ends=reduce(_later, ends), parts=parts)


def _later(one: nw.Expr, other: nw.Expr) -> nw.Expr:
    return nw.max_horizontal(one, other)


def _risk_test_due(book: TagBook) -> Tag:
    days = nw.col("days_to_assessment_expiry")
    return _event(
        "risk_test_due",
        ("days_to_assessment_expiry",),
        days <= book["risk_test_due"].number("days"),
        parts={"date_days": days},
    )


def _preapproved_live(catalog: Catalog) -> Tag:
    offers = credit_offers(catalog)
    days = nw.col("fact_limit_days")
    return _event(
        "preapproved_live",
        ("fact_limit_days", *(f"fact_limit_{offer}_cny" for offer in offers)),
        ~days.is_null(),
        ends=days,
        parts={
            **{offer: nw.col(f"fact_limit_{offer}_cny") for offer in offers}, "date_days": days,
        },
    )  # fmt: skip


def _installment_ok(book: TagBook) -> Tag:
    rule = book["installment_ok"]
    age = nw.col("fact_card_balance_days")
    possible = nw.col("card_debt_cny") - nw.col("fact_instalments_cny")
    return _event(
        "installment_ok",
        ("card_debt_cny", "fact_instalments_cny", "fact_card_balance_days"),
        (possible >= rule.number("amount_cny")) & (age < rule.number("balance_days")),
        ends=rule.number("balance_days") - age,
        parts={"amount_cny": possible},
    )


def _card_renew(book: TagBook) -> Tag:
    days = nw.col("fact_card_expiry_days")
    return _event(
        "card_renew",
        ("fact_card_expiry_days",),
        days <= book["card_renew"].number("days"),
        ends=days,
        parts={"date_days": days},
    )
