"""Holdings over time and across categories: how many there were, and what goes together."""

from __future__ import annotations

from functools import reduce
from operator import add

import narwhals.stable.v2 as nw

from features.catalog import Catalog
from features.feature import Feature, count, happened, is_
from features.histories import LAG_MONTHS

HELD = nw.col("open_now") > 0
CLOSINGS = ("holdings.closed_at",)

TOGETHER = (
    ("payroll", "card"), ("deposit", "fund"), ("loan", "insurance"),
)  # fmt: skip
"""Categories whose joint holding says something: the everyday account, saving and investing, cover
for a debt."""


def features(catalog: Catalog) -> list[Feature]:
    """Declare lags, and, where the catalog has several categories, breadth and co-holding."""
    return [*_lags(), *_categories(catalog)]


def _lags() -> list[Feature]:
    lags = [
        Feature(
            f"products_held_{months}m_ago", "holdings", "products", f"{months}个月前持有产品数",
            f"Different products held {months} months ago (months of 30.4375 days)",
            nw.col(f"held_{months}m_ago").sum(), history="product_positions", needs=CLOSINGS,
            empty=0,
        )
        for months in LAG_MONTHS
    ]  # fmt: skip
    return [
        *lags,
        Feature(
            "products_dropped_12m", "holdings", "products", "12个月内不再持有的产品数",
            "Different products held 12 months ago and no longer",
            count(~HELD & (nw.col("held_12m_ago") > 0)), history="product_positions",
            needs=CLOSINGS, empty=0,
        ),
    ]  # fmt: skip


def _categories(catalog: Catalog) -> list[Feature]:
    products: dict[str, list[str]] = {}
    for offer in catalog.offers:
        if offer.kind == "product":
            products.setdefault(offer.category, []).append(offer.id)
    if len(products) < 2:
        return []
    own = {category: HELD & is_("product", *ids) for category, ids in products.items()}
    by_category = [
        Feature(
            f"{category}_products_held", "holdings", "products", f"持有{category}类产品数",
            f"Different {category} products held", count(own[category]),
            history="product_positions", empty=0,
        )
        for category, ids in products.items()
        if len(ids) > 1  # else it is the product's own count
    ]  # fmt: skip
    together = [
        Feature(
            f"holds_{one}_and_{other}", "holdings", "yes or no",
            f"是否同时持有{one}类与{other}类", f"Whether both {one} and {other} products are held",
            happened(own[one]) * happened(own[other]), history="product_positions", empty=0,
            high=1,
        )
        for one, other in TOGETHER
        if one in own and other in own
    ]  # fmt: skip
    return [
        Feature(
            "categories_held", "holdings", "categories", "持有产品大类数",
            "Different categories of products held",
            reduce(add, (happened(held) for held in own.values())), history="product_positions",
            empty=0, high=len(own),
        ),
        *by_category,
        *together,
    ]  # fmt: skip
