"""Studies: a protocol, its metrics, and the naive and published numbers beside them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from experiments.studies.insurance import insurance
from experiments.studies.payments_diary import payments_diary
from experiments.studies.purchase_ranking import purchase_ranking
from experiments.studies.simulated_bank import simulated_bank
from experiments.studies.study import Progress, StudyResult
from experiments.studies.telemarketing import telemarketing
from features.errors import ConfigError, did_you_mean

STUDIES: dict[str, Callable[[Path | None, str | None, Progress], StudyResult]] = {
    "insurance": insurance,
    "payments_diary": payments_diary,
    "telemarketing": telemarketing,
    "purchase_ranking": purchase_ranking,
    "simulated_bank": simulated_bank,
}
"""By name: a function of the set's folder and the cut (None: the default ones)."""


def run_study(
    name: str,
    data: Path | None = None,
    test_from: str | None = None,
    progress: Progress = lambda _: None,
) -> StudyResult:
    """Run one study; `ConfigError` lists the known ones where there is none of that name."""
    if name not in STUDIES:
        raise ConfigError(f"no study '{name}'; {did_you_mean(name, STUDIES)}")
    return STUDIES[name](data, test_from, progress)
