"""What was served is what the next training reads: a model from a soak's export."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from experiments.demo_steps import Steps
from experiments.soak.moments import clock_of
from experiments.truth_study import SOURCE
from serving.config import WorkFolder

RELEASE_YAML = "configs/training/release.yaml"


def train_on_export(steps: Steps, work: WorkFolder, folder: Path) -> dict[str, Any]:
    """Export beside the bank's own tables, train on both; rows exported and the new metrics."""
    told: dict[str, Any] = {}

    def keep(name: str, said: dict[str, Any]) -> str:
        told[name] = said
        return ""

    served = folder / "served"
    steps.run(
        "exporting decisions and outcomes",
        ["serving", "export", "--work", str(work.path), "--source", str(SOURCE.resolve())],
        out=served,
        tell=lambda said: keep("exported", said),
    )
    steps.run(
        "training on what was served",
        [
            *("training", "run", RELEASE_YAML, "--source", str(served / "source.yaml")),
            *("--data", str(work.path / "data"), "--work", str(folder / "trained")),
            *("--clock", clock_of(work).isoformat()),
        ],
        out=folder / "trained" / "release",
        tell=lambda said: keep("metrics", said),
    )
    return told
