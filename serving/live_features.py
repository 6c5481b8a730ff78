"""The published feature vector with what happened since counted in.

Only what a single event defines by itself is: counts of a window, days since the newest, and what
follows from these alone. All other features stay as published until the next publication.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from math import isnan, nan
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from features.catalog import MODES, Catalog
from features.customer.experience import LONG_WAIT_S
from features.customer.naming import channels_of
from serving.events import FactKind
from serving.facts import LiveFact

Vector = npt.NDArray[np.float64]
Body = Mapping[str, Any]
Fits = Callable[[Body], bool]
DAY = timedelta(days=1)
RATIOS = (
    ("interaction_trend_30d", "interactions_30d", "interactions_90d", 3.0),
    ("completion_rate_365d", "complete_count_365d", "apply_count_365d", 1.0),
    *((f"{mode}_share_90d", f"{mode}_interactions_90d", "interactions_90d", 1.0) for mode in MODES),
)
"""Features that are a quotient of two counts: name, above, below, and how often what is above."""


@dataclass(frozen=True)
class LiveFeature:
    """How facts change one feature: each of ``kind`` that fits is counted, or is the newest.

    ``days`` is the window of a count (None: no window).
    """

    kind: FactKind
    change: Literal["count", "days_since"]
    fits: Fits
    days: int | None = None


def live_features(catalog: Catalog) -> dict[str, LiveFeature]:
    """Declare every feature that follows an event, by its name in the feature registry."""
    return {**_interactions(catalog), **_contacts(catalog), **_purchases(catalog)}


class LiveVector:
    """Lays facts over vectors of one list of names; names it does not know stay as they are."""

    def __init__(self, catalog: Catalog, names: Sequence[str]) -> None:
        self.names = tuple(names)
        self._place = {name: place for place, name in enumerate(names)}
        declared = live_features(catalog)
        self._rules: dict[FactKind, list[tuple[int, LiveFeature]]] = {}
        for place, name in enumerate(names):
            if name in declared:
                self._rules.setdefault(declared[name].kind, []).append((place, declared[name]))
        self._ratios = [
            (self._place[name], self._place[above], self._place[below], times)
            for name, above, below, times in RATIOS
            if {name, above, below} <= set(names)
        ]
        recencies = [f"days_since_{one}" for one in catalog.handle_ids]
        known = "last_channel_index" in self._place and set(recencies) <= set(self._place)
        self._recencies = [self._place[name] for name in recencies] if known else []

    def overlay(self, vector: Vector, facts: Iterable[LiveFact], as_of: datetime) -> Vector:
        """Give the vector with facts counted in: none may lie before the publication."""
        # Plain floats: numpy takes ten times as long for one number.
        values = vector.tolist()
        published = tuple(values)
        for fact in facts:
            age = max(as_of - fact.event_time, timedelta()) / DAY
            for place, rule in self._rules.get(fact.kind, ()):
                if not rule.fits(fact.body):
                    continue
                value = values[place]
                if rule.change == "days_since":
                    values[place] = age if isnan(value) else min(value, age)
                elif rule.days is None or age <= rule.days:
                    values[place] = 1.0 if isnan(value) else value + 1
        self._follow(values, published)
        return np.array(values)

    def _follow(self, values: list[float], published: Sequence[float]) -> None:
        """Work out again what follows from counts and recencies that have changed."""

        def changed(*places: int) -> bool:
            pairs = [(values[place], published[place]) for place in places]
            return any(now != then and not (isnan(now) and isnan(then)) for now, then in pairs)

        for at, above, below, times in self._ratios:
            if changed(above, below):
                values[at] = times * values[above] / values[below] if values[below] > 0 else nan
        if changed(*self._recencies):
            days = [(values[at], number) for number, at in enumerate(self._recencies)]
            newest = min(one for one in days if not isnan(one[0]))
            values[self._place["last_channel_index"]] = newest[1]


def _any(_: Body) -> bool:
    return True


def _is(field: str, *values: str) -> Fits:
    return lambda body: body.get(field) in values


def _both(one: Fits, other: Fits) -> Fits:
    return lambda body: one(body) and other(body)


_CHOSEN = _is("kind", "apply", "step", "service")


def _met_error(body: Body) -> bool:
    return body.get("error_code") is not None


def _waited_long(body: Body) -> bool:
    return (body.get("wait_s") or 0.0) > LONG_WAIT_S


def _interactions(catalog: Catalog) -> dict[str, LiveFeature]:
    windows: list[tuple[str, Fits, Sequence[int]]] = [
        ("interactions", _any, (1, 7, 30, 90, 365)),
        ("login_count", _is("kind", "login"), (7, 30, 90)),
        ("browse_count", _is("kind", "browse"), (7, 30)),
        ("inquiry_count", _is("kind", "inquiry"), (30,)),
        ("call_count", _is("kind", "call"), (30,)),
        ("service_count", _is("kind", "service"), (90,)),
        ("apply_count", _is("kind", "apply"), (90, 365)),
        ("complete_count", _is("kind", "complete"), (90, 365)),
        ("abandon_count", _is("kind", "abandon"), (90, 365)),
        ("errors", _met_error, (30, 90)),
        ("long_waits", _waited_long, (90,)),
    ]
    newest: dict[str, Fits] = {
        "days_since_interaction": _any,
        "days_since_apply": _is("kind", "apply"),
    }
    for mode in MODES:
        of_mode = _is("channel", *channels_of(catalog, mode))
        windows.append((f"{mode}_interactions", of_mode, (30, 90, 365)))
    for channel in catalog.handle_ids:
        own = _is("channel", channel)
        windows.append((f"{channel}_interactions", own, (90,)))
        windows.append((f"{channel}_choices", _both(own, _CHOSEN), (365,)))
        newest[f"days_since_{channel}"] = own
    for app in channels_of(catalog, "online", "handle"):
        windows.append((f"{app}_errors", _both(_is("channel", app), _met_error), (180,)))
    for category in {offer.category for offer in catalog.offers if offer.kind == "product"}:
        ids = [offer.id for offer in catalog.offers if offer.category == category]
        seen = _both(_is("product", *ids), _is("kind", "browse", "inquiry"))
        windows.append((f"views_{category}", seen, (30,)))
    return _declared("interaction", windows, newest)


def _contacts(catalog: Catalog) -> dict[str, LiveFeature]:
    windows: list[tuple[str, Fits, Sequence[int]]] = [("contacts", _any, (7, 30, 90))]
    for mode in MODES:
        of_mode = _is("channel", *channels_of(catalog, mode))
        windows.append((f"{mode}_contacts", of_mode, (365,)))
    refused = _declared("refusal", [("refusals", _any, (180,))], {})
    return refused | _declared("contact", windows, {"days_since_contact": _any})


def _purchases(catalog: Catalog) -> dict[str, LiveFeature]:
    windows: list[tuple[str, Fits, Sequence[int]]] = [("purchases", _opened, (30, 90, 180, 365))]
    newest: dict[str, Fits] = {"days_since_purchase": _opened}
    ever: dict[str, Fits] = {"purchases_ever": _opened}
    for product in catalog.product_ids:
        own = _bought(product)
        windows.append((f"purchases_{product}", own, (365,)))
        newest[f"days_since_{product}_purchase"] = own
        ever |= {f"holds_{product}": own, f"purchases_{product}": own}
    declared = _declared("holding", windows, newest)
    return declared | {name: LiveFeature("holding", "count", fits) for name, fits in ever.items()}


def _opened(body: Body) -> bool:
    return body.get("closed_at") is None


def _bought(product: str) -> Fits:
    return lambda body: body["product"] == product and _opened(body)


def _declared(
    kind: FactKind,
    windows: Iterable[tuple[str, Fits, Sequence[int]]],
    newest: Mapping[str, Fits],
) -> dict[str, LiveFeature]:
    counts = {
        f"{name}_{days}d": LiveFeature(kind, "count", fits, days)
        for name, fits, windows_days in windows
        for days in windows_days
    }
    return counts | {name: LiveFeature(kind, "days_since", fits) for name, fits in newest.items()}
