"""Studies: a protocol, its metrics, and the naive and published numbers beside them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from experiments.studies import (
    insurance,
    payments_diary,
    purchase_ranking,
    simulated_bank,
    telemarketing,
)
from experiments.studies.study import Progress, StudyResult
from features.errors import ConfigError, did_you_mean

STUDIES: dict[str, Callable[[Path | None, str | None, Progress], StudyResult]] = {
    "insurance": insurance.insurance,
    "payments_diary": payments_diary.payments_diary,
    "telemarketing": telemarketing.telemarketing,
    "purchase_ranking": purchase_ranking.purchase_ranking,
    "simulated_bank": simulated_bank.simulated_bank,
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
