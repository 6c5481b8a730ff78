"""Insurance: which product comes next, and by which channel, at a Danish insurer.

Touches and purchases of Bruun et al. (SIGIR 2024, doi 10.1145/3626772.3657881), in order of the
events' numbers; the last fifth of the purchase events is the test unless the cut says otherwise.
Nothing here is made for this set: the release configuration is trained on the shipped source, as
any bank's is. The customer's number is no feature.
"""

from __future__ import annotations

import tempfile
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from sklearn.metrics import roc_auc_score

from experiments.studies.study import Progress, Reference, StudyResult, Value, set_folder
from features.sources import CONFIGS, Source, open_source
from features.spine import choices, microseconds
from training import targets
from training.config import load_run_config
from training.report import RULES
from training.run import train

SOURCE = CONFIGS / "sources" / "insurance.yaml"
RELEASE = CONFIGS / "training" / "release.yaml"
AFTER_THE_SET = datetime(2100, 1, 1, tzinfo=UTC)
PUBLISHED = {
    "next_product_hit_rate_at_3": 0.4210,
    "next_product_mrr_at_3": 0.2942,
    "next_channel_auc": 0.7173,
}
"""Plain LightGBM on exactly this file and cut (README of the data)."""
BARS = {
    "next_product_hit_rate_at_3": 0.430,
    "next_product_mrr_at_3": 0.301,
    "next_channel_auc": 0.718,
}


def insurance(data: Path | None, test_from: str | None, progress: Progress) -> StudyResult:
    """Train the release on the events before the cut and measure it on those after it.

    The naive number of a metric is that of the best naive rule of the same run; all rules stand
    among the metrics under their own names.
    """
    folder = set_folder(data, "insurance_touches")
    with tempfile.TemporaryDirectory() as work:
        source = open_source(SOURCE, folder, AFTER_THE_SET)
        config = load_run_config(RELEASE).model_copy(update={"explained_rows": 0})
        done = train(config, source, Path(work) / "release", test_from, progress)
        progress("naive rules of the channel")
        test_from_time = done.release.manifest.windows["test"][0]
        channel = _naive_channel(source, datetime.fromisoformat(test_from_time))
        source.con.close()
    found = done.metrics()
    metrics: dict[str, Value] = {
        "next_product_hit_rate_at_3": found["hit_rate_at_3"],
        "next_product_mrr_at_3": found["mrr_at_3"],
        "next_channel_auc": found["auc"],
    }
    naive: dict[str, float] = {"next_channel_auc": max(channel.values())}
    for name in ("hit_rate_at_3", "mrr_at_3"):
        rules = {
            f"{rule}_{name}": found[f"{rule}_{name}"] for rule in RULES if f"{rule}_{name}" in found
        }
        naive[f"next_product_{name}"] = max(rules.values())
        metrics.update(rules)
    metrics.update(channel)
    metrics.update({
        "next_channel_accuracy": found["accuracy"],
        "next_channel_log_loss": found["log_loss"],
        "majority_channel_accuracy": found["majority_accuracy"],
        "last_channel_accuracy": found["last_channel_accuracy"],
        "train_events": sum(done.rows.values()) - done.rows["test"],
        "test_events": done.rows["test"],
        "test_touches": int(found["test_choices"]),
    })  # fmt: skip
    references = {
        name: Reference(naive=naive[name], published=PUBLISHED[name], bar=BARS[name])
        for name in BARS
    }
    return StudyResult("insurance", metrics, references)


def _naive_channel(source: Source, test_from: datetime) -> dict[str, float]:
    """AUC of the last channel and of the share of a customer's touches, of the second channel."""
    spine = choices(source)
    rows = spine.arrow()
    last, uses = targets.past_choices(spine, source.catalog.handle_ids)
    # a customer's first touch has no past to choose by: it is not asked
    asked = (rows["as_of"].to_numpy() >= microseconds(test_from)) & (last >= 0)
    second = np.array(rows["channel"].to_pylist())[asked] == source.catalog.handle_ids[1]
    share = uses[asked, 1] / uses[asked].sum(axis=1)
    return {
        "last_channel_auc": float(roc_auc_score(second, last[asked] == 1)),
        "most_used_channel_auc": float(roc_auc_score(second, share)),
    }
