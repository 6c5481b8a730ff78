"""Pictures for the reviewer: calibration, ranking against the baselines, SHAP by feature."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import numpy.typing as npt
import shap
from matplotlib.figure import Figure

from training.models.channel_preference import CONTEXT
from training.report import HeadReport
from training.run import TrainingRun

matplotlib.use("Agg")

Matrix = npt.NDArray[np.float64]
SHOWN_CURVES = 9
SHOWN_FEATURES = 20


def draw_all(run: TrainingRun, folder: Path) -> list[Path]:
    """Write every picture of a run into `folder` as PNG; returns the files."""
    drawn = []
    for head, report in run.reports.items():
        if head not in run.config.heads:  # completion and amounts have tables only
            continue
        drawn.append(_save(calibration(head, report), folder / f"{head}_calibration.png"))
        drawn.append(_save(comparison(head, report), folder / f"{head}_baselines.png"))
        drawn.append(_save(shap_summary(head, run), folder / f"{head}_shap.png"))
    return drawn


def _save(figure: Figure, path: Path) -> Path:
    figure.savefig(path, dpi=110, bbox_inches="tight")
    return path


def calibration(head: str, report: HeadReport) -> Figure:
    """Observed rate against mean probability on the test, for the classes with most positives."""
    curves = sorted(
        report.curves.items(), key=lambda one: -sum(b["rate"] * b["rows"] for b in one[1])
    )[:SHOWN_CURVES]
    figure = Figure(figsize=(10, 3 * max(1, (len(curves) + 2) // 3)))
    for number, (name, bins) in enumerate(curves):
        axes = figure.add_subplot((len(curves) + 2) // 3, 3, number + 1)
        p = np.array([one["mean_p"] for one in bins])
        rate = np.array([one["rate"] for one in bins])
        rows = np.array([one["rows"] for one in bins])
        error = 1.96 * np.sqrt(rate * (1 - rate) / rows)
        top = max(p.max(), (rate + error).max()) * 1.05
        axes.plot([0, top], [0, top], color="0.7", linewidth=1)
        axes.errorbar(p, rate, yerr=error, fmt="o", markersize=3, linewidth=1)
        axes.set_title(name, fontsize=9)
        axes.set_xlim(0, top)
        axes.set_ylim(0, top)
        axes.tick_params(labelsize=7)
    figure.suptitle(f"{head}: does p happen p of the time? (test; mean p across, rate up, 95 %)")
    figure.tight_layout()
    return figure


def comparison(head: str, report: HeadReport) -> Figure:
    """The model's metrics beside those of every naive rule."""
    shown = ("hit_rate_at_3", "mrr_at_3", "map_at_7", "accuracy")
    names = [name for name in shown if name in report.metrics]
    figure = Figure(figsize=(10, 3.2))
    for place, name in enumerate(names):
        axes = figure.add_subplot(1, len(names), place + 1)
        bars = {"model": report.metrics[name]}
        for key, value in report.metrics.items():
            if key.endswith(f"_{name}"):
                bars[key.removesuffix(f"_{name}")] = value
        colours = ["#1f6fb4"] + ["0.75"] * (len(bars) - 1)
        drawn = axes.barh(list(bars), list(bars.values()), color=colours)
        axes.bar_label(drawn, fmt="%.3f", fontsize=7, padding=2)
        axes.set_xlim(0, max(bars.values()) * 1.2)
        axes.invert_yaxis()
        axes.set_title(name, fontsize=9)
        axes.tick_params(labelsize=7)
    figure.suptitle(f"{head}: better than a naive rule? (test)")
    figure.tight_layout()
    return figure


def shap_summary(head: str, run: TrainingRun) -> Figure:
    """SHAP summary of the class with most positives: what moves its score, and which way."""
    report, release = run.reports[head], run.release
    names = [*release.feature_names]
    busiest = _busiest(report)
    if head == "next_product":
        values = release.next_product.contributions(report.sample, busiest)
        x = report.sample
    else:
        model = release.channel_preference
        context = (report.sample_offers, report.sample_stages, report.sample_amounts)
        values = model.contributions(report.sample, *context, busiest)
        x = model.matrix(report.sample, *context)
        names += [f"{name} (context)" for name in CONTEXT]
    explanation = shap.Explanation(values[:, :-1], values[:, -1], x, feature_names=names)
    figure = Figure(figsize=(9, 8))
    axes = figure.add_subplot()
    shap.plots.beeswarm(
        explanation, max_display=SHOWN_FEATURES, show=False, ax=axes, plot_size=None
    )
    axes.set_title(f"{head}: what moves the score of {busiest} (log-odds, {len(x)} test rows)")
    return figure


def _busiest(report: HeadReport) -> str:
    table: list[dict[str, Any]] = report.tables.get("products") or report.tables["channels"]
    best = max(table, key=lambda row: row.get("starts", row.get("choices", 0)))
    return str(best.get("product", best.get("channel")))
