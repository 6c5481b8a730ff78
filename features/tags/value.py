"""What the customer is worth, and to whom."""

from __future__ import annotations

from collections.abc import Mapping

import narwhals.stable.v2 as nw

from features.catalog import Catalog
from features.errors import ConfigError
from features.feature import Feature, ratio
from features.tables import ASSET_CLASSES
from features.tags import value_facts
from features.tags.asset_windows import MONTH_AVERAGE, month_average
from features.tags.book import TagBook
from features.tags.parts import where
from features.tags.tag import Tag, band, flag, positive

BROAD_CLASSES: dict[str, tuple[str, ...]] = {
    "deposit": ("demand", "deposit"),
    "wealth": ("wealth",),
    "fund": ("fund",),
    "insurance": ("insurance",),
    "metal": ("metal",),
}
"""Classes of assets as an allocation counts them: money on demand is a deposit."""

BALANCES = tuple(f"{name}_balance_cny" for name in ASSET_CLASSES)
ROUNDING = 1e-9


def facts(catalog: Catalog, book: TagBook) -> list[Feature]:
    """Declare what only this group's tags read."""
    return value_facts.facts(catalog, book)


def tags(catalog: Catalog, book: TagBook) -> list[Tag]:
    """Declare the group's tags."""
    del catalog
    return [
        *_tiers(book),
        _churn_risk(book),
        _idle_cash(book),
        *_mix(book),
        *_elsewhere(book),
        Tag(
            "loan_band",
            inputs=("fact_value_debt_cny",),
            value=band(
                positive(nw.col("fact_value_debt_cny")), book["loan_band"].numbers("edges_cny")
            ),
        ),
    ]


def _tiers(book: TagBook) -> list[Tag]:
    edges = book["tier_aum"].numbers("edges_cny")
    average, assets = month_average(), nw.col("total_assets_cny")
    # the edge above what he has, and the highest at or below it
    above, floor = nw.lit(None), nw.lit(None)
    for edge in reversed(edges):
        above = nw.when(average < edge).then(nw.lit(edge)).otherwise(above)
    for edge in edges:
        floor = nw.when(average >= edge).then(nw.lit(edge)).otherwise(floor)
    near = average >= above * book["near_upgrade"].number("share")

    risk = book["downgrade_risk"]
    peak = nw.col("fact_value_peak_cny")
    dropped = (peak >= risk.number("minimum_peak_cny")) & (
        average <= peak * (1 - risk.number("drop_share"))
    )
    falling = dropped | (assets < floor)
    return [
        Tag("tier_aum", inputs=MONTH_AVERAGE, value=band(average, edges)),
        Tag("aum_month_avg", inputs=MONTH_AVERAGE, value=positive(average)),
        Tag(
            "near_upgrade",
            inputs=MONTH_AVERAGE,
            value=flag(near),
            parts=where(near, threshold_cny=above, gap_cny=above - average),
        ),
        Tag(
            "downgrade_risk",
            inputs=(*MONTH_AVERAGE, "fact_value_peak_cny", "total_assets_cny"),
            value=flag(falling),
            parts=where(
                falling,
                average_cny=average,
                peak_cny=peak,
                assets_cny=assets,
            ),
        ),
    ]


def _churn_risk(book: TagBook) -> Tag:
    before, outflow = nw.col("fact_value_assets_before_cny"), nw.col("fact_value_net_outflow_cny")
    leaving = (
        (before > 0)
        & (outflow >= before * book["churn_risk"].number("outflow_share"))
        & (nw.col("fact_value_interactions") == 0)
    )
    return Tag(
        "churn_risk",
        inputs=(
            "fact_value_assets_before_cny",
            "fact_value_net_outflow_cny",
            "fact_value_interactions",
        ),
        value=flag(leaving),
        parts=where(leaving, outflow_cny=outflow, outflow_share=ratio(outflow, before)),
    )


def _idle_cash(book: TagBook) -> Tag:
    rule = book["idle_cash"]
    demand, idle = nw.col("demand_balance_cny"), nw.col("fact_value_lowest_demand_cny")
    lying = (demand >= rule.number("demand_cny")) & (idle >= demand * rule.number("idle_share"))
    return Tag(
        "idle_cash",
        inputs=("demand_balance_cny", "fact_value_lowest_demand_cny"),
        value=flag(lying),
        parts=where(lying, idle_cny=idle, demand_cny=demand),
    )


def _mix(book: TagBook) -> list[Tag]:
    assets = nw.col("total_assets_cny")
    sums = {
        name: sum((nw.col(f"{one}_balance_cny") for one in classes), start=nw.lit(0))
        for name, classes in BROAD_CLASSES.items()
    }
    single, largest = book["single_asset"], nw.max_horizontal(*sums.values())
    alone = (assets >= single.number("assets_cny")) & (
        largest >= assets * single.number("single_share")
    )
    which = nw.lit(None)
    for name, held in reversed(sums.items()):
        which = nw.when(held == largest).then(nw.lit(name)).otherwise(which)

    rule = book["deposit_only"]
    investments = tuple(f"{name}_balance_cny" for name in rule.strings("investment_classes"))
    invested = sum((nw.col(name) for name in investments), start=nw.lit(0))
    return [
        Tag(
            "single_asset",
            inputs=("total_assets_cny", *BALANCES),
            value=flag(alone),
            parts=where(alone, asset_class=which, share=ratio(largest, assets)),
            texts=("asset_class",),
        ),
        Tag(
            "deposit_only",
            inputs=("total_assets_cny", *investments, "fact_value_investments_held"),
            value=flag(
                (assets >= rule.number("assets_cny"))
                & (invested <= 0)
                & (nw.col("fact_value_investments_held") == 0)
            ),
        ),
        _allocation_gap(book, sums),
    ]


def _allocation_gap(book: TagBook, sums: Mapping[str, nw.Expr]) -> Tag:
    rule, assets = book["allocation_gap"], nw.col("total_assets_cny")
    targets = {level: _target(book, level) for level in range(1, 6)}
    told = (assets >= rule.number("assets_cny")) & (nw.col("days_to_assessment_expiry") > 0)
    gaps = {}
    for place, (name, held) in enumerate(sums.items()):
        target = nw.lit(None)
        for level, shares in targets.items():
            own = nw.col("risk_tolerance") == level
            target = nw.when(own).then(nw.lit(shares[place])).otherwise(target)
        gaps[name] = nw.when(told).then(ratio(held, assets) - target)
    return Tag(
        "allocation_gap",
        inputs=(
            "total_assets_cny",
            *BALANCES,
            "risk_tolerance",
            "days_to_assessment_expiry",
        ),
        value=sum((gap.abs() for gap in gaps.values()), start=nw.lit(0)),
        parts=gaps,
    )


def _target(book: TagBook, level: int) -> tuple[float, ...]:
    """Give the shares of the broad classes that suit a risk level, 1 to 5."""
    shares = book["allocation_gap"].numbers(f"target_c{level}")
    if len(shares) != len(BROAD_CLASSES) or abs(sum(shares) - 1) > ROUNDING:
        raise ConfigError(
            f"tag allocation_gap: target_c{level} needs one share for each of "
            f"{', '.join(BROAD_CLASSES)}, together 1; it has {shares}"
        )
    return shares


def _elsewhere(book: TagBook) -> list[Tag]:
    assets, potential = nw.col("total_assets_cny"), nw.col("fact_value_offbank_cny")
    tail = book["pseudo_tail"]
    is_tail = (assets < tail.number("assets_cny")) & (potential >= tail.number("offbank_cny"))
    return [
        Tag(
            "offbank_potential",
            inputs=("fact_value_offbank_cny",),
            value=band(potential, book["offbank_potential"].numbers("edges_cny")),
            parts={"estimate_cny": potential},
        ),
        Tag(
            "pseudo_tail",
            inputs=("total_assets_cny", "fact_value_offbank_cny"),
            value=flag(is_tail),
            parts=where(is_tail, assets_cny=assets, estimate_cny=potential),
        ),
    ]
