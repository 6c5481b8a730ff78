"""Purchase ranking: the ranking metrics, checked to four digits against published ones.

Insurance purchases of Bruun et al. (RecSys 2022): the model is popularity itself, three products,
nothing filtered, so whoever computes the metrics as the paper does gets the paper's numbers.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from experiments.studies.study import (
    Progress,
    Reference,
    StudyError,
    StudyResult,
    need_both,
    parse_cut,
    read_file,
    set_folder,
)
from training import baselines, metrics

Mask = npt.NDArray[np.bool_]
DEPTH = 3
COLUMNS = ("event_id", "item_id")
PUBLISHED = {
    "hit_rate_at_3": 0.6217,
    "precision_at_3": 0.2145,
    "recall_at_3": 0.5855,
    "mrr_at_3": 0.4764,
    "map_at_3": 0.4540,
}
"""Popular, unfiltered: Bruun, Maistro, Lioma, RecSys 2022."""


def purchase_ranking(data: Path | None, test_from: str | None, progress: Progress) -> StudyResult:
    """Rank products by popularity in the train file and measure on the events of the test file.

    With `test_from`, an event number, both files are one and everything after it is test. The
    naive rule is the model here, so its numbers are those measured.
    """
    progress("reading purchases")
    train, test = _split(set_folder(data, "purchase_ranking"), test_from)
    products = list(train["item_id"].unique())  # ties in popularity go to the product seen first
    bought, started = _matrix(train, products), _matrix(test, products)
    progress("ranking")
    scores = baselines.popular(bought, np.ones_like(bought), np.arange(len(started)))
    # what was never sold before can be neither ranked nor forgotten: it counts as missed
    relevant = np.asarray(test.groupby("event_id")["item_id"].nunique(), dtype=np.float64)
    hit = metrics.hits(scores, started, np.ones_like(started), DEPTH)
    measured = {
        "hit_rate_at_3": metrics.hit_rate(hit),
        "precision_at_3": metrics.precision(hit),
        "recall_at_3": metrics.recall(hit, relevant),
        "mrr_at_3": metrics.reciprocal_rank(hit),
        "map_at_3": metrics.average_precision(hit, relevant),
    }
    found = {name: float(values.mean()) for name, values in measured.items()}
    references = {
        name: Reference(naive=found[name], published=published, bar=published, must="=")
        for name, published in PUBLISHED.items()
    }
    counts = {"train_events": train["event_id"].nunique(), "test_events": len(hit)}
    return StudyResult("purchase_ranking", {**found, **counts}, references)


def _split(folder: Path, test_from: str | None) -> tuple[pd.DataFrame, pd.DataFrame]:
    names = ("purchase_events_train.csv", "purchase_events_test.csv")
    train, test = (read_file(folder / name, COLUMNS, pd.read_csv) for name in names)
    if test_from is not None:
        cut = parse_cut(test_from)
        if not isinstance(cut, int):
            raise StudyError(f"--test-from {cut}: these events have numbers, not days; write 48381")
        events = pd.concat([train, test])
        train, test = events[events["event_id"] <= cut], events[events["event_id"] > cut]
    need_both(len(train), len(test), folder)
    return train, test


def _matrix(events: pd.DataFrame, products: list[str]) -> Mask:
    """Which products each event bought, shape (events, products), events by number."""
    bought = pd.crosstab(events["event_id"], events["item_id"]) > 0
    return bought.reindex(columns=products, fill_value=False).to_numpy(np.bool_)
