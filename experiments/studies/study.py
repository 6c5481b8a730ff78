"""What every study shares: its result beside its references, its folder, its files, its cut."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any, Literal

import pandas as pd

from features.errors import OnePointError, did_you_mean

Progress = Callable[[str], None]
Value = float | bool
PUBLIC_DATA = Path("../shared/data")
"""Where public sets are looked for when neither --data nor ONEPOINT_DATA names a folder."""


class StudyError(OnePointError):
    """A study cannot be run on this data."""


@dataclass(frozen=True)
class Reference:
    """What a metric is held against; None where there is no such number.

    ``naive`` is measured in the same run on the same rows, ``published`` was reported elsewhere,
    ``bar`` is what the metric `must` reach: at least, at most, or equal to four digits.
    """

    naive: float | None = None
    published: float | None = None
    bar: Value | None = None
    must: Literal["≥", "≤", "="] = "≥"

    def margin(self, value: Value) -> float:
        """How far `value` is on the right side of the bar; negative where it is lost.

        >>> round(Reference(bar=0.775, must="≤").margin(0.765), 4)
        0.01
        """
        if self.bar is None:
            raise ValueError("a reference without a bar has no margin")
        return self._ahead(value, self.bar)

    def behind(self, value: Value) -> bool:
        """Whether the published number is the better one."""
        return self.published is not None and self._ahead(value, self.published) < 0

    def _ahead(self, value: Value, of: Value) -> float:
        difference = float(value) - float(of)
        if self.must == "=":
            # half a unit of the fourth digit is rounding, not a difference
            return 0.0 if abs(difference) < 5e-5 else -abs(difference)
        return difference if self.must == "≥" else -difference


@dataclass(frozen=True)
class StudyResult:
    """Metrics of a study and, by the same names, what they are held against.

    ``tables`` hold what is behind them, as rows of values that JSON can hold.
    """

    study: str
    metrics: dict[str, Value]
    references: dict[str, Reference]
    tables: dict[str, list[dict[str, Any]]] = field(default_factory=dict)

    @property
    def verdict(self) -> str:
        """One sentence: which bars were met and which lost, and by how much."""
        met, lost = [], []
        for name, reference in self.references.items():
            if reference.bar is None:
                continue
            value = self.metrics[name]
            margin = reference.margin(value)
            told = f"{name} {shown(value)} {reference.must} {shown(reference.bar)}"
            if margin >= 0:  # never true of a metric that is not a number
                met.append(f"{told} (by {margin:.4f})" if margin > 0 else told)
            else:
                told = f"{name} {shown(value)}, not {reference.must} {shown(reference.bar)}"
                lost.append(f"{told} (by {-margin:.4f})")
        if not met and not lost:
            return "No bar is set for this study."
        behind = [
            f"{name} {shown(self.metrics[name])} against {shown(reference.published)}"
            for name, reference in self.references.items()
            if reference.behind(self.metrics[name])
        ]
        tail = f"; behind the published number: {'; '.join(behind)}" if behind else ""
        if not lost:
            return f"All {len(met)} bars met: {'; '.join(met)}{tail}."
        rest = f"; met: {'; '.join(met)}" if met else "; none met"
        return f"{len(lost)} of {len(met) + len(lost)} bars lost: {'; '.join(lost)}{rest}{tail}."

    def as_json(self) -> dict[str, Any]:
        """The object that `--json` prints; what is not a number is null: JSON has no NaN."""
        return {
            "study": self.study,
            "metrics": {name: _finite(value) for name, value in self.metrics.items()},
            "references": {
                name: {
                    "naive": _finite(one.naive),
                    "published": one.published,
                    "bar": one.bar,
                }
                for name, one in self.references.items()
            },
            **({"tables": self.tables} if self.tables else {}),
            "verdict": self.verdict,
        }


def shown(value: Value | None) -> str:
    """A number as tables and verdicts print it.

    >>> shown(0.70512), shown(11534), shown(True), shown(None)
    ('0.7051', '11,534', 'yes', '–')
    """
    if value is None:
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:,}" if isinstance(value, int) else f"{value:.4f}"


def _finite(value: Value | None) -> Value | None:
    return None if value is None or math.isnan(value) else value


def set_folder(data: Path | None, name: str) -> Path:
    """The folder of a public set: `data`, or `name` below $ONEPOINT_DATA (../shared/data)."""
    folder = data or Path(os.environ.get("ONEPOINT_DATA", PUBLIC_DATA)) / name
    if not folder.is_dir():
        raise StudyError(
            f"{folder}: no such folder; name that of the set with --data, or the one above it in "
            "ONEPOINT_DATA"
        )
    return folder


def read_file(
    path: Path, columns: Sequence[str], read: Callable[[Path], pd.DataFrame]
) -> pd.DataFrame:
    """Rows of one file, `columns` only; `StudyError` names the file or the column that lacks."""
    if not path.is_file():
        raise StudyError(f"{path}: no such file; a folder of this set holds it")
    rows = read(path)
    for column in columns:
        if column not in rows:
            hint = did_you_mean(column, [str(name) for name in rows])
            raise StudyError(f"{path}: column '{column}' is missing; {hint}")
    return rows[list(columns)]


def read_files(
    folder: Path, pattern: str, columns: Sequence[str], read: Callable[[Path], pd.DataFrame]
) -> pd.DataFrame:
    """Rows of all files that match, one after the other in the order of their names.

    A row that an earlier file holds already is left out, so that a longer file or an extract may
    lie beside the file it repeats; equal rows within one file are all kept.
    """
    paths = sorted(folder.glob(pattern))
    if not paths:
        raise StudyError(f"{folder}: no file {pattern}; give --data the folder that holds the set")
    parts = [read_file(path, columns, read) for path in paths]
    counted = [
        part.groupby(list(columns), dropna=False, observed=True).cumcount() for part in parts
    ]
    rows = pd.concat([p.assign(_again=c) for p, c in zip(parts, counted, strict=True)])
    return rows.drop_duplicates(ignore_index=True).drop(columns="_again")


def parse_cut(text: str) -> int | date:
    """Where the test begins: after this event or row number, or from this day on.

    >>> parse_cut("39937"), parse_cut("2018-01-01")
    (39937, datetime.date(2018, 1, 1))
    """
    if text.isascii() and text.isdigit() and len(text) != len("20180101"):
        return int(text)
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise StudyError(
            f"--test-from '{text}' is neither a number nor a day; write 39937 or 2018-01-01"
        ) from None


def need_both(train: int, test: int, folder: Path) -> None:
    """Raise where nothing lies before the cut, or nothing after it."""
    if not train or not test:
        raise StudyError(
            f"{folder}: {train} rows before the cut and {test} after it; change --test-from"
        )
