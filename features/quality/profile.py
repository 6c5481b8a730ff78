"""A profile: what tables hold, in counts. One saved is the reference of a later check.

Nothing of the rows themselves is kept but the commonest words of vocabularies and the smallest
and largest of numbers: ids, and texts that hardly repeat (names), leave only how many there are.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Literal

from features.config import StrictConfig, parse_config
from features.errors import ConfigError
from features.tables import Dtype


class Distribution(StrictConfig):
    """How the recent values of a column spread over bins.

    Numbers have ``edges`` (low, inner edges…, high) and ``len(edges) + 1`` bins: below low,
    [low, edges[1]], (edges[1], edges[2]], …, above high. Words have a bin for each of ``words``;
    rows in none of the bins that are not ``missing`` hold other words. A time is binned by its
    distance from the row's `event_time`, in microseconds.
    """

    rows: int
    missing: int
    edges: tuple[float, ...] = ()
    words: tuple[str, ...] = ()
    counts: tuple[int, ...] = ()

    @property
    def other(self) -> int:
        """Rows with a value that has no bin of its own."""
        return self.rows - self.missing - sum(self.counts)


class ColumnProfile(StrictConfig):
    """One column: over all rows, and `recent` over the recent ones (None: not to be compared).

    ``low`` and ``high`` are in the unit of the contract, times in microseconds and dates in days
    since 1970; words, ids and flags have none.
    """

    dtype: Dtype
    missing: int
    recent_missing: int
    distinct: int
    low: int | float | None
    high: int | float | None
    recent: Distribution | None


class TableProfile(StrictConfig):
    """One table. ``sample`` counts the independent units behind the recent rows.

    Rows of one customer resemble each other, so the unit is the customer where the table has
    one, else the row.
    """

    rows: int
    recent_rows: int
    sample: int
    newest: int | None
    columns: dict[str, ColumnProfile]


class Profile(StrictConfig):
    """Every table a source brings, at a moment (ISO 8601)."""

    format: Literal[1] = 1
    source: str
    clock: str
    recent_days: int
    tables: dict[str, TableProfile]


def load_profile(path: Path) -> Profile:
    """Read what `save_profile` wrote; `ConfigError` names the file and what is wrong with it."""
    if not path.is_file():
        raise ConfigError(f"{path}: no such file; --save-reference writes one")
    try:
        raw = json.loads(path.read_text("utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: not a reference ({error}); save one again") from None
    return parse_config(raw, Profile, str(path))


def save_profile(profile: Profile, path: Path) -> None:
    """Write a profile whole or not at all."""
    write_text(path, profile.model_dump_json(indent=1))


def write_text(path: Path, text: str) -> None:
    """Write a file whole or not at all; its folder is made where there is none."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(path.name + ".writing")
    try:
        temporary.write_text(text, "utf-8")
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)  # still there only where something failed
