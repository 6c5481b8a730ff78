"""Scores of every customer with a release: the table that model tags read."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from features.build import build
from features.catalog import Stage
from features.registry import available_features
from features.sources import Source
from features.spine import customers_at
from training import targets
from training.errors import TrainingError
from training.models.release import Release, check_catalog

Progress = Callable[[str], None]
Matrix = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]
Rows = npt.NDArray[np.int64]

STAGE: Stage = "application"
"""The stage at which preference and completion are scored: where a journey begins."""

TOP_PRODUCTS = 3
"""Preference and completion are scored for this many of a customer's most probable products."""

BATCH = 10_000
"""Customers scored at a time: what is held in memory does not grow with the bank."""

SCHEMA = pa.schema(
    [
        ("customer_id", pa.string()),
        ("event_time", pa.timestamp("us")),
        ("head", pa.string()),
        ("product", pa.string()),
        ("stage", pa.string()),
        ("channel", pa.string()),
        ("probability", pa.float64()),
        ("release", pa.string()),
    ]
)
"""Columns of the table `scores` of the contract (`features/tables.py`)."""


@dataclass(frozen=True)
class Scored:
    """What was written: how many customers were scored, and the rows that gave."""

    customers: int
    rows: int


def write_scores(
    release: Release,
    source: Source,
    at: datetime,
    out: Path,
    threads: int = 2,
    progress: Progress = lambda _: None,
) -> Scored:
    """Score every customer known at a moment and write the table, whole or not at all.

    Heads, as probabilities: `start`, that he starts the product within the horizon, for each
    product he may start; `preference` and `completion`, by channel, at the application for his
    most probable products: that he chooses the channel, and that what is begun there gets done.

    Parameters
    ----------
    release
        Models of both heads.
    source
        The bank; its catalog must be that of the release.
    at
        The moment: nothing later is read.
    out
        Parquet file; an earlier one is replaced.
    threads
        Threads of LightGBM.
    progress
        Called with the name of each step.

    Raises
    ------
    ReleaseError
        The release lacks a head, or was trained with another catalog.
    TrainingError
        The source cannot give the features that the release reads.
    """
    out.parent.mkdir(parents=True, exist_ok=True)
    temporary = out.with_name(out.name + ".writing")
    customers = rows = 0
    try:
        with pq.ParquetWriter(temporary, SCHEMA) as writer:
            for number, table in score(release, source, at, threads, progress):
                writer.write_table(table)
                customers, rows = customers + number, rows + table.num_rows
        temporary.replace(out)
    finally:
        temporary.unlink(missing_ok=True)  # still there only where something failed
    return Scored(customers, rows)


def score(
    release: Release,
    source: Source,
    at: datetime,
    threads: int = 2,
    progress: Progress = lambda _: None,
) -> Iterator[tuple[int, pa.Table]]:
    """Give the scores batch by batch: the number of customers and their rows, as `SCHEMA` has it.

    Errors and heads are those of `write_scores`.
    """
    check_catalog(release, source.catalog)
    features = available_features(source)
    lacking = set(release.feature_names) - {feature.name for feature in features}
    if lacking:
        raise TrainingError(
            "the release reads features this source cannot give: "
            f"{', '.join(sorted(lacking)[:5])}; train on this source, or bring the tables"
        )
    scorer = _Scorer(release, source.catalog.handle_ids, threads)
    spine = customers_at(source, [at])
    wanted = [feature for feature in features if feature.name in release.feature_names]
    built = build(spine, wanted, progress)
    eligible = targets.eligible(spine, release.products)
    for first in range(0, built.num_rows, BATCH):
        progress(f"scoring from customer {first + 1:,} of {built.num_rows:,}")
        batch = built.slice(first, BATCH)
        yield batch.num_rows, scorer.table(batch, eligible[first : first + BATCH])


class _Scorer:
    """Scores batches of customers with one release."""

    def __init__(self, release: Release, handles: tuple[str, ...], threads: int) -> None:
        self._release = release
        self._handles = handles
        self._threads = threads
        # asked for here, so that a release without them is refused before anything is built
        self._starts, self._channels = release.next_product, release.choice_channels
        self._completion = np.array(
            [
                [release.completion(product, STAGE, handle) for handle in handles]
                for product in release.products
            ]
        )

    def table(self, built: pa.Table, eligible: Mask) -> pa.Table:
        """Scores of a batch; ``eligible`` is (customers, products)."""
        x = self._release.feature_set.encode(built)
        p_start = self._starts.predict(x, self._threads)
        customer, product = np.nonzero(eligible)
        parts = [self._rows(built, "start", customer, product, p_start[customer, product])]
        customer, product = top_products(p_start, eligible)
        offers = [self._release.products[k] for k in product]
        stages = [STAGE] * len(offers)
        chosen = self._release.preference(x[customer], offers, stages, threads=self._threads)
        for head, channels, p in (
            ("preference", self._channels, chosen),
            ("completion", self._handles, self._completion[product]),
        ):
            parts.append(self._by_channel(built, head, customer, product, channels, p))
        return pa.concat_tables(parts)

    def _by_channel(
        self,
        built: pa.Table,
        head: str,
        customer: Rows,
        product: Rows,
        channels: tuple[str, ...],
        p: Matrix,
    ) -> pa.Table:
        """Write out ``p`` of shape (rows, channels)."""
        width = len(channels)
        channel = pa.array(channels).take(pa.array(np.tile(np.arange(width), len(p))))
        return self._rows(
            built, head, np.repeat(customer, width), np.repeat(product, width), p.ravel(), channel
        )

    def _rows(
        self,
        built: pa.Table,
        head: str,
        customer: Rows,
        product: Rows,
        p: Matrix,
        channel: pa.Array | None = None,
    ) -> pa.Table:
        """Lay out one head: ``customer`` and ``product`` are positions, all of shape (rows,)."""
        rows = len(p)
        staged = channel is not None
        return pa.table(
            [
                built["customer_id"].combine_chunks().take(pa.array(customer)),
                built["as_of"].combine_chunks().take(pa.array(customer)).cast(pa.timestamp("us")),
                pa.repeat(head, rows),
                pa.array(self._release.products).take(pa.array(product)),
                pa.repeat(STAGE, rows) if staged else pa.nulls(rows, pa.string()),
                channel if staged else pa.nulls(rows, pa.string()),
                pa.array(p),
                pa.repeat(self._release.id, rows),
            ],
            schema=SCHEMA,
        )


def top_products(p_start: Matrix, eligible: Mask) -> tuple[Rows, Rows]:
    """Row and column of the most probable products of each customer, best first.

    Those he may not start are left out; of equal ones the first is taken.

    >>> p = np.array([[0.1, 0.4, 0.3, 0.2], [0.5, 0.5, 0.9, 0.1]])
    >>> may = np.array([[True, True, True, True], [True, True, False, False]])
    >>> [one.tolist() for one in top_products(p, may)]
    [[0, 0, 0, 1, 1], [1, 2, 3, 0, 1]]
    """
    ranked = np.argsort(np.where(eligible, -p_start, np.inf), axis=1, kind="stable")
    best = ranked[:, :TOP_PRODUCTS]
    kept = np.take_along_axis(eligible, best, axis=1)
    return np.nonzero(kept)[0], best[kept]
