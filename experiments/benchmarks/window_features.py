"""Sixty window features of interactions, told a second and a third time: in SQL and in pandas.

Benchmarks compare what features/ does with what a careful engineer would write for this one job.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq

from features.catalog import MODES, load_catalog
from features.source_config import CONFIGS

BANK = load_catalog(CONFIGS / "catalog" / "bank")
HANDLES = BANK.handle_ids
KINDS = (
    ("login_count", "login", (7, 30, 90)), ("browse_count", "browse", (7, 30)),
    ("inquiry_count", "inquiry", (30,)), ("call_count", "call", (30,)),
    ("service_count", "service", (90,)), ("apply_count", "apply", (90, 365)),
    ("complete_count", "complete", (90, 365)), ("abandon_count", "abandon", (90, 365)),
)  # fmt: skip
VIEWED = ("deposit", "wealth", "fund", "loan")
DAY_US = 86_400_000_000


def names() -> list[str]:
    """Names of the sixty, in the order in which they are told here."""
    return [
        *(f"interactions_{days}d" for days in (1, 7, 30, 90, 365)),
        *(f"{name}_{days}d" for name, _, windows in KINDS for days in windows),
        *(f"{mode}_interactions_{days}d" for mode in MODES for days in (30, 90, 365)),
        *(f"{channel}_interactions_90d" for channel in HANDLES),
        *(f"views_{category}_30d" for category in VIEWED),
        "long_waits_90d", "errors_30d", "errors_90d",
        "days_since_interaction", "days_since_apply",
        *(f"days_since_{channel}" for channel in HANDLES),
        "longest_wait_90d_s",
    ]  # fmt: skip


def _of_mode(mode: str) -> list[str]:
    return [channel.id for channel in BANK.channels if channel.mode == mode]


def _of_category(category: str) -> list[str]:
    return [offer.id for offer in BANK.offers if offer.category == category]


def sql(as_of_us: int) -> str:
    """Write one DuckDB query for the sixty at one moment, over the working table."""

    def within(days: int) -> str:
        return f"age <= {days * DAY_US}"

    def one_of(column: str, values: Sequence[str]) -> str:
        return f"{column} in ({', '.join(repr(value) for value in values)})"

    conditions = [
        *(within(days) for days in (1, 7, 30, 90, 365)),
        *(f"kind = '{kind}' and {within(d)}" for _, kind, windows in KINDS for d in windows),
        *(
            f"{one_of('channel', _of_mode(mode))} and {within(days)}"
            for mode in MODES
            for days in (30, 90, 365)
        ),
        *(f"channel = '{channel}' and {within(90)}" for channel in HANDLES),
        *(
            f"kind in ('browse', 'inquiry') and {one_of('product', _of_category(category))} "
            f"and {within(30)}"
            for category in VIEWED
        ),
        f"wait_s > 1200 and {within(90)}",
        f"error_code is not null and {within(30)}",
        f"error_code is not null and {within(90)}",
    ]
    counts = [f"count(*) filter (where {condition})" for condition in conditions]
    since = ["true", "kind = 'apply'", *(f"channel = '{channel}'" for channel in HANDLES)]
    recencies = [f"min(age) filter (where {condition}) / {DAY_US}" for condition in since]
    cells = [*counts, *recencies, f"max(wait_s) filter (where {within(90)})"]
    told = ", ".join(f"{cell} as {name}" for cell, name in zip(cells, names(), strict=True))
    return f"""
        select customer_id, {told}
        from (select *, {as_of_us} - event_time as age from interactions
              where event_time < {as_of_us} and event_time >= {as_of_us - 365 * DAY_US}
                and (available_at is null or available_at <= {as_of_us})) as known
        group by customer_id"""  # noqa: S608


def with_pandas(folder: Path, as_of_us: int) -> pd.DataFrame:
    """Tell the sixty with pandas, as careful as one can be: categories, one sort, no copies."""
    columns = ["customer_id", "event_time", "available_at", "channel", "kind", "product", "wait_s",
               "error_code"]  # fmt: skip
    table = pq.read_table(folder / "interactions.parquet", columns=columns)
    words = ("customer_id", "channel", "kind", "product")
    frame: Any = table.to_pandas(categories=list(words), self_destruct=True)
    age = as_of_us - frame["event_time"].astype("datetime64[us]").astype("int64").to_numpy()
    known = frame["available_at"].astype("datetime64[us]").astype("int64").to_numpy() <= as_of_us
    kept = (age > 0) & (age <= 365 * DAY_US) & known
    frame, age = frame[kept], age[kept]
    customer = frame["customer_id"].cat.codes.to_numpy()
    index = frame["customer_id"].cat.categories
    groups = pd.Series(customer, copy=False)

    def is_in(column: str, values: Sequence[str]) -> Any:
        codes = frame[column].cat.categories.get_indexer(list(values))
        return np.isin(frame[column].cat.codes.to_numpy(), codes[codes >= 0])

    def count(mask: Any) -> Any:
        return groups[mask].groupby(groups[mask]).size().reindex(range(len(index)), fill_value=0)

    def youngest(mask: Any) -> Any:
        days = pd.Series(age[mask] / DAY_US)
        return days.groupby(customer[mask]).min().reindex(range(len(index)))

    near = {days: age <= days * DAY_US for days in (1, 7, 30, 90, 365)}
    masks = [*near.values()]
    masks += [is_in("kind", [kind]) & near[d] for _, kind, windows in KINDS for d in windows]
    masks += [is_in("channel", _of_mode(mode)) & near[d] for mode in MODES for d in (30, 90, 365)]
    masks += [is_in("channel", [channel]) & near[90] for channel in HANDLES]
    looked = is_in("kind", ["browse", "inquiry"]) & near[30]
    masks += [looked & is_in("product", _of_category(category)) for category in VIEWED]
    wait, failed = frame["wait_s"].to_numpy(), frame["error_code"].notna().to_numpy()
    masks += [(wait > 1200) & near[90], failed & near[30], failed & near[90]]
    since = [near[365], is_in("kind", ["apply"]), *(is_in("channel", [c]) for c in HANDLES)]
    told = [*map(count, masks), *map(youngest, since)]
    longest = pd.Series(wait[near[90]]).groupby(customer[near[90]]).max()
    told.append(longest.reindex(range(len(index))))
    result = pd.DataFrame(dict(zip(names(), told, strict=True)))
    return result.set_index(index)
