"""Benefits: what the customer takes up."""

from __future__ import annotations

from functools import reduce
from operator import or_

import narwhals.stable.v2 as nw

from features.catalog import Catalog
from features.feature import Feature, count, is_, ratio, total, within
from features.tags.book import TagBook
from features.tags.parts import largest, leader
from features.tags.tag import Tag, flag, positive

KINDS = ("travel", "dining", "groceries", "health", "entertainment", "points")
"""Kinds of benefit, in the order of the words of `benefit_pref`."""

USES = {number: f"fact_used_{kind}" for number, kind in enumerate(KINDS)}


def facts(catalog: Catalog, book: TagBook) -> list[Feature]:
    """Declare what only this group's tags read."""
    del catalog
    return [*_uses(book), *_moves(book)]


def _uses(book: TagBook) -> list[Feature]:
    preferred, active = book["benefit_pref"], book["campaign_active"]
    lately = within(active.number("days"))
    return [
        Feature(
            USES[number], "experience", "benefits", f"{kind}类权益领用次数",
            f"Benefits of {kind} used",
            count(
                is_("kind", "used")
                & is_("benefit", *preferred.strings(kind))
                & within(preferred.number("days"))
            ),
            history="benefits", empty=0,
        )
        for number, kind in enumerate(KINDS)
    ] + [
        Feature(
            "fact_benefits_used", "experience", "benefits", "权益领用次数", "Benefits used",
            count(is_("kind", "used") & lately), history="benefits", empty=0,
        ),
        Feature(
            "fact_benefits_granted", "experience", "benefits", "权益发放次数", "Benefits granted",
            count(lately), history="claimed_benefits", empty=0,
        ),
        Feature(
            "fact_benefits_claimed", "experience", "benefits", "已领用的权益发放次数",
            "Grants that were used", total("claimed", lately), history="claimed_benefits",
            empty=0,
        ),
    ]  # fmt: skip


def _moves(book: TagBook) -> list[Feature]:
    raised, hunter = book["benefit_sensitive"], book["bonus_hunter"]
    before, now = nw.col("assets_before_cny"), nw.col("assets_cny")
    reached = reduce(or_, ((before < tier) & (now >= tier) for tier in raised.numbers("tiers_cny")))
    brought = nw.col("brought_cny").cast(nw.Float64)
    taken = nw.col("taken_cny").cast(nw.Float64)
    hunted = (brought >= hunter.number("brought_cny")) & (
        taken >= brought * hunter.number("taken_share")
    )
    return [
        Feature(
            "fact_raised_assets", "experience", "times", "为达标提升资产次数",
            "Grants before which assets rose to a tier",
            count(reached & within(raised.number("days"))), history="raised_assets",
            needs=("balances",), empty=0,
        ),
        Feature(
            "fact_hunted_bonuses", "experience", "times", "权益发放后转出次数",
            "Grants after which the money left", count(hunted & within(hunter.number("days"))),
            history="money_around_benefits", needs=("transactions",), empty=0,
        ),
    ]  # fmt: skip


def tags(catalog: Catalog, book: TagBook) -> list[Tag]:
    """Declare the group's tags."""
    del catalog
    used = nw.col("fact_benefits_used")
    completed = ratio(nw.col("fact_benefits_claimed"), nw.col("fact_benefits_granted"))
    raised, hunted = nw.col("fact_raised_assets"), nw.col("fact_hunted_bonuses")
    average = nw.coalesce("average_assets_month_cny", "average_assets_30d_cny")
    upcoming: nw.Expr = nw.lit(None)
    for tier in sorted(book["tier_gap_cny"].numbers("tiers_cny"), reverse=True):
        upcoming = nw.when(average < tier).then(nw.lit(tier)).otherwise(upcoming)
    return [
        Tag(
            "benefit_pref",
            inputs=tuple(USES.values()),
            value=leader(USES),
            parts={"used": positive(largest(USES.values()))},
        ),
        Tag(
            "benefit_sensitive",
            inputs=("fact_raised_assets",),
            value=flag(raised >= book["benefit_sensitive"].number("times")),
            parts={"times": positive(raised)},
        ),
        Tag(
            "campaign_active",
            inputs=("fact_benefits_used", "fact_benefits_granted", "fact_benefits_claimed"),
            value=positive(used),
            parts={"completion": nw.when(used > 0).then(completed)},
        ),
        Tag(
            "tier_gap_cny",
            inputs=("average_assets_month_cny", "average_assets_30d_cny"),
            value=upcoming - average,
            parts={"threshold_cny": upcoming},
        ),
        Tag(
            "bonus_hunter",
            inputs=("fact_hunted_bonuses",),
            value=flag(hunted >= book["bonus_hunter"].number("times")),
            parts={"times": positive(hunted)},
        ),
    ]
