"""Who looks after the customer."""

from __future__ import annotations

from features.catalog import Catalog
from features.feature import Feature
from features.tags.book import TagBook
from features.tags.tag import Tag


def facts(catalog: Catalog, book: TagBook) -> list[Feature]:
    """Declare what only this group's tags read."""
    del catalog, book
    return []


def tags(catalog: Catalog, book: TagBook) -> list[Tag]:
    """Declare the group's tags."""
    del catalog, book
    return []
