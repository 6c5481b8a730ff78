"""Sets of candidates, as the gates count with them: one bit an offer at a handle channel."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import cached_property

from features.catalog import MODES, Catalog, Mode, Offer

Actions = int
"""A set of (offer, handle channel); `|`, `&` and `& ~` are what they are for sets.

Bit ``offer · H + handle`` stands for an offer at a handle, both by their place in the catalog.
"""

NOTHING: Actions = 0

Row = int
"""The handles of one offer: bit i is the i-th of the catalog."""


def needs_assessment(offer: Offer) -> bool:
    """Whether only who has a valid risk assessment may be offered it.

    Investments and funds always; insurance where it carries a risk level, for then it invests.
    """
    return offer.risk_level is not None and offer.suitability in ("investment", "fund", "insurance")


class ActionSets:
    """The candidates of a catalog, and the sets of them that rules speak of.

    ``everything`` are all; ``offer`` those of an offer, at every handle; ``handle`` those at a
    handle channel, of every offer. ``row`` are all handles of one offer.
    """

    def __init__(self, catalog: Catalog) -> None:
        self.catalog = catalog
        self.handles = tuple(catalog.channel_by_id[handle] for handle in catalog.handle_ids)
        row, places = (1 << len(self.handles)) - 1, range(len(catalog.offers))
        column = sum(1 << place * len(self.handles) for place in places)
        self.row: Row = row
        self.everything: Actions = column * row
        self.offer: dict[str, Actions] = {
            offer.id: row << place * len(self.handles) for place, offer in enumerate(catalog.offers)
        }
        self.handle: dict[str, Actions] = {
            handle.id: column << place for place, handle in enumerate(self.handles)
        }
        self._offers: dict[Callable[[Offer], bool], Actions] = {}
        self._rows: dict[Row, tuple[int, ...]] = {}
        self._closed_to_age: dict[int, Actions] = {}

    def of(self, offers: Iterable[str]) -> Actions:
        """Return these offers at every handle, without those the catalog does not know."""
        found = NOTHING
        for offer in offers:
            found |= self.offer.get(offer, NOTHING)
        return found

    def at(self, channels: Iterable[str]) -> Actions:
        """Return every offer at these channels, without those where nothing is handled."""
        found = NOTHING
        for channel in channels:
            found |= self.handle.get(channel, NOTHING)
        return found

    def offers(self, holds: Callable[[Offer], bool]) -> Actions:
        """Return the offers of which something holds; it is asked once and remembered."""
        found = self._offers.get(holds)
        if found is None:
            found = self.of(offer.id for offer in self.catalog.offers if holds(offer))
            self._offers[holds] = found
        return found

    def offers_with(self, actions: Actions, handle: str) -> Actions:
        """Return the offers that `actions` hold at that handle, at every handle."""
        if handle not in self.handle:
            return NOTHING
        place = self.catalog.handle_ids.index(handle)
        return ((actions & self.handle[handle]) >> place) * self.row

    @cached_property
    def products(self) -> Actions:
        """What is sold: no services, no care."""
        return self.offers(lambda offer: offer.kind == "product")

    @cached_property
    def credit(self) -> Actions:
        """Loans and credit cards."""
        return self.offers(lambda offer: offer.suitability == "credit")

    @cached_property
    def investments(self) -> Actions:
        """What needs a risk assessment."""
        return self.offers(needs_assessment)

    @cached_property
    def risk_from(self) -> tuple[Actions, ...]:
        """Investments by least risk level: entry r holds those of R``r`` and above (0–6)."""
        invest = [offer for offer in self.catalog.offers if needs_assessment(offer)]
        return tuple(
            self.of(offer.id for offer in invest if (offer.risk_level or 0) >= level)
            for level in range(7)
        )

    @cached_property
    def mode(self) -> dict[Mode, Actions]:
        """Every offer at the handles of a mode."""
        return {
            mode: self.at(handle.id for handle in self.handles if handle.mode == mode)
            for mode in MODES
        }

    @cached_property
    def category(self) -> dict[str, Actions]:
        """The offers of each category."""
        offers = self.catalog.offers
        return {
            category: self.of(offer.id for offer in offers if offer.category == category)
            for category in {offer.category for offer in offers}
        }

    @cached_property
    def _minimums(self) -> tuple[tuple[float, Actions], ...]:
        amounts = sorted({offer.minimum_cny for offer in self.catalog.offers} - {0.0}, reverse=True)
        return tuple(
            (amount, self.of(one.id for one in self.catalog.offers if one.minimum_cny == amount))
            for amount in amounts
        )

    def above(self, amount_cny: float) -> Actions:
        """Return the offers that have a minimum amount, and one above this (CNY)."""
        found = NOTHING
        for minimum, offers in self._minimums:
            if minimum <= amount_cny:
                break
            found |= offers
        return found

    def closed_to(self, age: int) -> Actions:
        """Return the offers whose holders must be younger or older than this (years)."""
        found = self._closed_to_age.get(age)
        if found is None:
            offers = self.catalog.offers
            found = self.of(o.id for o in offers if not o.minimum_age <= age <= o.maximum_age)
            self._closed_to_age[age] = found
        return found

    def rows(self, actions: Actions) -> Iterator[tuple[str, Row]]:
        """Take a set apart: offers in catalog order, each with its handles."""
        width, row = len(self.handles), self.row
        for offer in self.offer:
            if actions & row:
                yield offer, actions & row
            actions >>= width
            if not actions:
                return

    def places(self, row: Row) -> tuple[int, ...]:
        """Write the handles of a row out, by their places among `handles`."""
        found = self._rows.get(row)
        if found is None:
            found = tuple(place for place in range(len(self.handles)) if row >> place & 1)
            self._rows[row] = found
        return found
