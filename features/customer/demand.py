"""Demand: what the whole bank's customers buy these days, the same for everybody at a moment."""

from __future__ import annotations

from features.catalog import Catalog
from features.feature import Feature, is_, largest

RECENT, USUAL = "recent_demand_{}", "usual_demand_{}"
"""Names of the two features of a product."""


def features(catalog: Catalog) -> list[Feature]:
    """Declare both shares of each of the catalog's products."""
    return [
        Feature(
            name.format(offer.id), "demand", "share", f"全行{zh}{offer.names.zh}购买占比",
            f"Of all who bought anything {en}, the share who bought {offer.names.en}",
            largest(column, is_("product", offer.id)), history="demand", high=1,
        )
        for offer in catalog.offers
        if offer.kind == "product"
        for name, column, zh, en in (
            (RECENT, "recent_share", "近期", "of late"),
            (USUAL, "usual_share", "平时", "over a longer time"),
        )
    ]  # fmt: skip
