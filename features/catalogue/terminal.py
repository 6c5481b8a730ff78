"""The catalogue in a terminal: one line a feature, one line a tag."""

from __future__ import annotations

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from features.catalogue.catalogue import Catalogue
from features.page import number, percent


def print_catalogue(catalogue: Catalogue, console: Console) -> None:
    """Print every feature, then every tag."""
    console.print(_features(catalogue))
    if catalogue.tags:
        console.print(_tags(catalogue))


def _features(catalogue: Catalogue) -> Table:
    table = Table(title=f"{len(catalogue.features)} features", box=None)
    table.add_column("feature", no_wrap=True)
    for heading in ("group", "unit", "range"):
        table.add_column(heading)
    if catalogue.described is not None:
        table.add_column("missing", justify="right")
        table.add_column("median", justify="right")
    if catalogue.release is not None:
        table.add_column("importance", justify="right")
    table.add_column("meaning", min_width=40)
    for one in catalogue.features:
        low = "−∞" if one.low is None else f"{one.low:g}"
        high = "∞" if one.high is None else f"{one.high:g}"
        cells = [one.name, one.group, one.unit, "words" if one.category else f"{low} … {high}"]
        if catalogue.described is not None:
            cells.append(percent(one.spread.missing_share) if one.spread else "")
            known = one.spread.quantiles if one.spread else None
            cells.append(number(known[2]) if known else "")
        if catalogue.release is not None:
            cells.append(percent(one.importance) if one.importance is not None else "")
        table.add_row(*cells, escape(f"{one.zh}; {one.en}"))
    return table


def _tags(catalogue: Catalogue) -> Table:
    table = Table(title=f"{len(catalogue.tags)} tags", box=None)
    table.add_column("tag", no_wrap=True)
    for heading in ("group", "kind", "value"):
        table.add_column(heading)
    if catalogue.described is not None:
        table.add_column("held", justify="right")
    table.add_column("meaning", min_width=40)
    for one in catalogue.tags:
        cells = [one.name, one.group, one.kind, one.unit or one.shape]
        if catalogue.described is not None:
            cells.append(percent(one.held_share) if one.held_share is not None else "lost")
        table.add_row(*cells, escape(f"{one.zh}; {one.en}"))
    return table
