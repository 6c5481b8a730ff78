"""The reviewer's folders: all that is read of a run before signing, numbered in reading order.

    run/            1_model_card.md  2_config.json  3_data.json  release/…
    next_product/   01_baselines.png  02_gains.png …  tables/products.csv …  calibration.json

MLflow takes each over as the artifacts of a run: the parent's, and one child's for each head.
"""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from training.model_card import model_card
from training.plots import pictures
from training.report import HeadReport
from training.run import TrainingRun


@dataclass(frozen=True)
class ReviewFolders:
    """Where the review was written: the run's own folder, and one for each head, in order."""

    run: Path
    heads: dict[str, Path]


def write_review(run: TrainingRun, folder: Path) -> ReviewFolders:
    """Write card, configuration, data and release of a run, and each head's pictures and tables."""
    own = folder / "run"
    own.mkdir(parents=True)
    manifest = run.release.manifest
    (own / "1_model_card.md").write_text(model_card(run), "utf-8")
    _write_json(own / "2_config.json", run.config.model_dump(mode="json"))
    _write_json(own / "3_data.json", {"tables": manifest.data, "windows": manifest.windows})
    shutil.copytree(run.release.folder, own / "release")
    heads = {head: folder / head for head in run.reports}
    for head, path in heads.items():
        _write_head(head, run.reports[head], run, path)
    return ReviewFolders(own, heads)


def _write_head(head: str, report: HeadReport, run: TrainingRun, folder: Path) -> None:
    (folder / "tables").mkdir(parents=True)
    # completion and expected amounts are told in tables alone
    drawn = pictures(head, report, run.release) if head in run.config.heads else ()
    for number, (name, figure) in enumerate(drawn, start=1):
        figure.savefig(folder / f"{number:02}_{name}.png", dpi=110)
    for name, rows in report.tables.items():
        if rows:
            pd.DataFrame(rows).to_csv(folder / "tables" / f"{name}.csv", index=False)
    _write_json(folder / "calibration.json", report.curves)


def _write_json(path: Path, value: Any) -> None:
    path.write_text(json.dumps(value, indent=1, ensure_ascii=False), "utf-8")
