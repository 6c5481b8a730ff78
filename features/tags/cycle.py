"""How far the relationship with the bank has come."""

from __future__ import annotations

import narwhals.stable.v2 as nw

from features.catalog import Catalog
from features.feature import Feature
from features.tags import cycle_facts
from features.tags.book import TagBook
from features.tags.parts import where
from features.tags.tag import Tag, flag

NEW, GROWING, MATURE, DECLINING, LOST, BACK = range(6)
"""Stages of the relationship, in the order of the book's words."""

MAIN_BANK_SIGNS = ("payroll", "repayment", "bill", "binding")


def facts(catalog: Catalog, book: TagBook) -> list[Feature]:
    """Declare what only this group's tags read."""
    return cycle_facts.facts(catalog, book)


def tags(catalog: Catalog, book: TagBook) -> list[Tag]:
    """Declare the group's tags."""
    del catalog
    return [
        _lifecycle(book),
        _new_inactive(book),
        _first_invest_ready(),
        _main_bank(),
        _dormant(book),
    ]


def _lifecycle(book: TagBook) -> Tag:
    rule = book["lifecycle"]
    assets, before = nw.col("total_assets_cny"), nw.col("fact_cycle_assets_before_cny")
    since, joined = nw.col("days_since_interaction"), nw.col("fact_cycle_days_with_bank")
    back_days, silent_days = rule.number("back_days"), rule.number("silent_days")

    silent = since.is_null() | (since > silent_days)
    was_silent = nw.col("fact_cycle_interactions_before") == 0
    old_enough = joined.is_null() | (joined > back_days + silent_days)
    # the first that holds is told
    stages = (
        (NEW, joined <= rule.number("new_days")),
        (LOST, (assets < rule.number("lost_assets_cny")) & silent),
        (BACK, (since <= back_days) & was_silent & old_enough),
        (DECLINING, (before > 0) & (assets <= before * (1 - rule.number("decline_share")))),
        (GROWING, (assets > 0) & (assets >= before * (1 + rule.number("growth_share")))),
    )
    stage = nw.lit(MATURE)
    for number, holds in reversed(stages):
        stage = nw.when(holds).then(nw.lit(number)).otherwise(stage)
    return Tag(
        "lifecycle",
        inputs=(
            "total_assets_cny",
            "fact_cycle_assets_before_cny",
            "days_since_interaction",
            "fact_cycle_days_with_bank",
            "fact_cycle_interactions_before",
        ),
        value=stage,
    )


def _new_inactive(book: TagBook) -> Tag:
    days, joined = book["new_inactive"].number("days"), nw.col("fact_cycle_days_with_bank")
    nothing_done = (
        (nw.col("fact_cycle_transactions") == 0)
        & (nw.col("fact_cycle_logins") == 0)
        & (nw.col("fact_cycle_bindings") == 0)
    )
    inactive = (joined < days) & nothing_done
    return Tag(
        "new_inactive",
        inputs=(
            "fact_cycle_days_with_bank",
            "fact_cycle_transactions",
            "fact_cycle_logins",
            "fact_cycle_bindings",
        ),
        value=flag(inactive),
        parts=where(inactive, date_days=nw.lit(0) - joined),
        ends=nw.when(inactive).then(days - joined),
    )


def _first_invest_ready() -> Tag:
    expiry = nw.col("days_to_assessment_expiry")
    ready = (expiry > 0) & (nw.col("fact_cycle_investments_ever") == 0)
    return Tag(
        "first_invest_ready",
        inputs=("days_to_assessment_expiry", "fact_cycle_investments_ever"),
        value=flag(ready),
        ends=nw.when(ready).then(expiry),
    )


def _main_bank() -> Tag:
    signs = {name: nw.col(f"fact_cycle_{name}") for name in MAIN_BANK_SIGNS}
    return Tag(
        "main_bank",
        inputs=tuple(f"fact_cycle_{name}" for name in MAIN_BANK_SIGNS),
        value=sum(signs.values(), start=nw.lit(0)),
        parts={name: nw.when(sign > 0).then(sign) for name, sign in signs.items()},
    )


def _dormant(book: TagBook) -> Tag:
    rule = book["dormant"]
    since, joined = nw.col("fact_cycle_own_transaction_days"), nw.col("fact_cycle_days_with_bank")
    asleep = (
        (nw.col("total_assets_cny") < rule.number("assets_cny"))
        & (since.is_null() | (since > rule.number("days")))
        & (joined.is_null() | (joined > rule.number("days")))
    )
    return Tag(
        "dormant",
        inputs=(
            "total_assets_cny",
            "fact_cycle_own_transaction_days",
            "fact_cycle_days_with_bank",
        ),
        value=flag(asleep),
        parts=where(asleep, date_days=nw.lit(0) - since),
    )
