"""Groups that customers belong to, and whether a policy treats them alike."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import duckdb
import numpy as np
import numpy.typing as npt
from fairlearn.metrics import MetricFrame, count, selection_rate
from scipy.stats import binomtest

from features.history import attributes
from features.sources import Source, open_source
from features.spine import customers_at

ATTRIBUTES = ("gender", "region")
SMALL = 30
"""A group with fewer customers says nothing of a rate; it is told and left out of the ratio."""
UNKNOWN = "unknown"

Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Group:
    """A group within those for whom something is suitable: how many, and the share offered it.

    ``low`` and ``high`` are Wilson's 95 % interval of the share.
    """

    name: str
    customers: int
    rate: float
    low: float
    high: float

    @property
    def small(self) -> bool:
        """Whether there are too few customers to compare."""
        return self.customers < SMALL


@dataclass(frozen=True)
class Parity:
    """How alike groups are offered what suits them.

    ``ratio`` is the lowest rate over the highest (1: alike), of the groups that are not small;
    None where there are fewer than two, or nobody is offered anything.
    """

    groups: tuple[Group, ...]
    ratio: float | None


def parity(suitable: Mask, offered: Mask, names: Sequence[str]) -> Parity:
    """Compare the share of customers offered something among those whom it suits, by group.

    Parameters
    ----------
    suitable, offered
        Shape (customers,).
    names
        Each customer's group.
    """
    if not suitable.any():
        return Parity((), None)
    frame = MetricFrame(
        metrics={"rate": selection_rate, "customers": count},
        y_true=np.ones(int(suitable.sum())),
        y_pred=offered[suitable].astype(int),
        sensitive_features=np.asarray(names)[suitable],
    ).by_group
    groups = tuple(
        _group(str(name), int(row["customers"]), float(row["rate"]))
        for name, row in frame.to_dict(orient="index").items()
    )
    rates = [one.rate for one in groups if not one.small]
    comparable = len(rates) > 1 and max(rates) > 0
    return Parity(groups, min(rates) / max(rates) if comparable else None)


def _group(name: str, customers: int, rate: float) -> Group:
    share = binomtest(round(rate * customers), customers).proportion_ci(method="wilson")
    return Group(name, customers, rate, float(share.low), float(share.high))


def read_attributes(
    source: Path, data: Path | None, as_of: datetime, customer_ids: Sequence[str]
) -> dict[str, dict[str, str]]:
    """Read gender and region from the bank's table of customers, as known at ``as_of``.

    Returns attribute → customer → group; an attribute that the source does not bring is left out.
    """

    def customers_only(
        _: Source, table: str, rows: duckdb.DuckDBPyRelation
    ) -> duckdb.DuckDBPyRelation:
        return rows if table in ("customers", "identities") else rows.limit(0)

    opened = open_source(source, data, as_of, pick=customers_only)
    brought = [one for one in ATTRIBUTES if one not in opened.missing_columns["customers"]]
    rows = opened.arrow(
        attributes(customers_at(opened, [as_of], customer_ids)).select("customer_id", *brought)
    ).to_pylist()
    return {one: {row["customer_id"]: row[one] or UNKNOWN for row in rows} for one in brought}
