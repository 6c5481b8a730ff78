"""The completion head: fitted on the journeys before the test, tested on those begun in it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from sklearn.metrics import log_loss

from features.sources import Source
from training import targets
from training.calibration_report import Forecasts, calibrations
from training.models.completion import CompletionModel
from training.report import HeadReport
from training.splits import Cuts

LEAST_JOURNEYS = 500
"""Journeys that a cell (stage, handle) needs for its calibration to be told."""


@dataclass
class CompletionHead:
    """Journeys, fitting and evaluation of the completion model."""

    source: Source
    cuts: Cuts

    def __post_init__(self) -> None:
        self.known = targets.journeys(self.source, 0, self.cuts.test)
        self.test = targets.journeys(self.source, self.cuts.test, self.cuts.end)

    def fit(self) -> CompletionModel:
        """Learn from the journeys that were over before the test."""
        return CompletionModel.fit(one[1:] for one in self.known)

    def evaluate(self, model: CompletionModel) -> HeadReport:
        """Compare with the plain rates of all journeys and of the cells (stage, handle)."""
        if not self.test or not self.known:
            return HeadReport()
        forecasts = self.forecasts(model)
        report = HeadReport(metrics={"test_journeys": len(self.test)}, forecasts=forecasts)
        happened = forecasts.happened
        report.metrics["completion_log_loss"] = _log_loss(happened, forecasts.p)
        done = np.array([one[-1] for one in self.known], dtype=np.float64)
        overall = float(done.mean())
        by_cell: dict[tuple[str, str], list[bool]] = {}
        for _, _, stage, handle, completed in self.known:
            by_cell.setdefault((stage, handle), []).append(completed)
        rates = {cell: float(np.mean(all_done)) for cell, all_done in by_cell.items()}
        for rule, p in {
            "overall_rate": np.full(len(happened), overall),
            "handle_rate": np.array([rates.get((one[2], one[3]), overall) for one in self.test]),
        }.items():
            report.metrics[f"{rule}_completion_log_loss"] = _log_loss(happened, p)
        report.tables["completion cells"] = [
            one.row() for one in calibrations(forecasts, least_rows=LEAST_JOURNEYS)
        ]
        return report

    def forecasts(self, model: CompletionModel) -> Forecasts:
        """Completion foretold for the journeys of the test, by stage and handle."""
        cells = [f"{stage} at {handle}" for _, _, stage, handle, _ in self.test]
        groups = tuple(sorted(set(cells)))
        place = {cell: number for number, cell in enumerate(groups)}
        number = {one: n for n, one in enumerate(sorted({one[0] for one in self.test}))}
        return Forecasts(
            groups,
            np.array([place[cell] for cell in cells], dtype=np.int64),
            np.array([model.rate(*one[1:4]) for one in self.test], dtype=np.float64),
            np.array([one[-1] for one in self.test], dtype=np.float64),
            np.array([number[one[0]] for one in self.test], dtype=np.int64),
        )


def _log_loss(happened: np.ndarray, p: np.ndarray) -> float:
    return float(log_loss(happened, np.clip(p, 1e-12, 1 - 1e-12), labels=[0, 1]))
