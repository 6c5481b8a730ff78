"""What the customer is worth, and to whom."""

from __future__ import annotations

import narwhals.stable.v2 as nw

from features.catalog import Catalog
from features.feature import Feature
from features.tags.book import TagBook
from features.tags.tag import Tag, flag


def facts(catalog: Catalog, book: TagBook) -> list[Feature]:
    """Declare what only this group's tags read."""
    del catalog, book
    return []


def tags(catalog: Catalog, book: TagBook) -> list[Tag]:
    """Declare the group's tags."""
    del catalog
    invested = nw.col("wealth_balance_cny") + nw.col("fund_balance_cny")
    return [
        Tag(
            "deposit_only",
            inputs=("total_assets_cny", "wealth_balance_cny", "fund_balance_cny"),
            value=flag(
                (nw.col("total_assets_cny") >= book["deposit_only"].number("assets_cny"))
                & (invested <= 0)
            ),
        ),
    ]
