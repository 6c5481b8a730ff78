"""Pictures for the reviewer: each answers the question that is its title."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import matplotlib
import numpy as np
import numpy.typing as npt
import shap
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from training.breakdown import MODEL
from training.explanations import group_sums
from training.models.channel_preference import CONTEXT
from training.models.release import Release
from training.report import RULES, HeadReport
from training.window_drift import SCORE

matplotlib.use("Agg")

Matrix = npt.NDArray[np.float64]
Table = list[dict[str, Any]]
BLUE, GREY, RED = "#2f6db5", "#a9b4c0", "#b3261e"
RULE_STYLES = ("-", "--", "-.", ":", (0, (1, 3)), (0, (6, 1, 1, 1, 1, 1)))
WIDTH = 11.0
SHOWN_CLASSES = 9
SHOWN_FEATURES = 20
SHOWN_DRIFT = 15
MOST_PSI = 0.5
RANKING = ("hit_rate_at_3", "mrr_at_3", "map_at_7", "accuracy")


def pictures(head: str, report: HeadReport, release: Release) -> Iterator[tuple[str, Figure]]:
    """Name and figure of each picture of a head, in the order a reviewer reads.

    A picture is left out where there is nothing to draw: no ages, genders or regions, say.
    """
    tables = report.tables
    if "gains" not in tables:  # completion and amounts rank nothing: they have tables only
        return
    yield "baselines", baselines(head, report)
    yield "gains", gains(head, tables["gains"])
    if tables["lift"]:
        yield "lift", lift(head, tables["lift"], busiest(report))
    if report.curves:
        yield "calibration", calibration(head, report)
    if tables["segments"]:
        yield "segments", segments(head, tables["segments"])
    yield "periods", periods(head, tables["periods"])
    yield "shap_groups", shap_groups(head, report, release)
    yield "shap_features", shap_features(head, report, release)
    if tables.get("explanations"):
        yield "explanations", explanations(head, tables["explanations"])
    yield "drift", drift(head, tables["drift"])


def busiest(report: HeadReport) -> list[str]:
    """Products or channels, those with most starts or choices first."""
    kind, events = ("product", "starts") if "products" in report.tables else ("channel", "choices")
    table: Table = report.tables[f"{kind}s"]
    return [str(row[kind]) for row in sorted(table, key=lambda row: -int(row[events]))]


def baselines(head: str, report: HeadReport) -> Figure:
    """The model's metrics beside those of every naive rule."""
    names = [name for name in RANKING if name in report.metrics]
    figure = _figure(f"{head}: is it better than every naive rule?", 3.2)
    for place, name in enumerate(names):
        axes = figure.add_subplot(1, len(names), place + 1)
        bars = {MODEL: report.metrics[name]}
        for rule in RULES:
            if f"{rule}_{name}" in report.metrics:
                bars[rule] = report.metrics[f"{rule}_{name}"]
        colours = [BLUE] + [GREY] * (len(bars) - 1)
        drawn = axes.barh([_plain(one) for one in bars], list(bars.values()), color=colours)
        axes.bar_label(drawn, fmt="%.3f", fontsize=9, padding=2)
        axes.set_xlim(0, max(bars.values()) * 1.25)
        axes.invert_yaxis()
        _named(axes, f"{_plain(name)} (test; higher is better)")
    return figure


def gains(head: str, table: Table) -> Figure:
    """Share of rows whose event is in the list, by its length, for the model and every rule."""
    figure = _figure(f"{head}: how long must the list be to hold what happens?", 4.2)
    axes = figure.add_subplot()
    depths = [row["depth"] for row in table]
    rules = [name for name in table[0] if name not in ("depth", MODEL)]
    for rule, style in zip(rules, RULE_STYLES, strict=False):
        values = [row[rule] for row in table]
        axes.plot(depths, values, linestyle=style, color="0.45", linewidth=1.3, label=_plain(rule))
    values = [row[MODEL] for row in table]
    axes.plot(depths, values, "o-", color=BLUE, linewidth=2, label=MODEL)
    axes.set_xticks(depths)
    axes.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    axes.legend(fontsize=9, loc="lower right")
    _named(axes, "", "places in the list, best first", "test rows whose event is in it (higher)")
    return figure


def lift(head: str, table: Table, order: list[str]) -> Figure:
    """Rate by tenth of score over the mean rate, for the classes with most positives."""
    classes = {row["class"] for row in table}
    shown = [name for name in order if name in classes][:SHOWN_CLASSES]
    figure = _figure(
        f"{head}: do those scored highest do it most? (1 = tenth with the highest scores)",
        2.4 * _lines(len(shown)) + 0.4,
    )
    for number, name in enumerate(shown):
        axes = figure.add_subplot(_lines(len(shown)), 3, number + 1)
        rows = [row for row in table if row["class"] == name]
        tenths = [row["tenth"] for row in rows]
        axes.bar(tenths, [row["lift"] for row in rows], color=BLUE)
        axes.axhline(1, color="0.3", linewidth=0.8)
        axes.set_xticks(tenths)
        _named(axes, name, "tenth of test rows", "rate ÷ mean rate")
    return figure


def calibration(head: str, report: HeadReport) -> Figure:
    """Observed rate against mean probability on the test, for the classes with most positives."""
    curves = [(name, report.curves[name]) for name in busiest(report) if name in report.curves]
    curves = curves[:SHOWN_CLASSES]
    figure = _figure(
        f"{head}: does what is given p happen p of the time? (test, 95 % intervals)",
        2.8 * _lines(len(curves)) + 0.4,
    )
    for number, (name, bins) in enumerate(curves):
        axes = figure.add_subplot(_lines(len(curves)), 3, number + 1)
        p = np.array([one["mean_p"] for one in bins])
        rate = np.array([one["rate"] for one in bins])
        rows = np.array([one["rows"] for one in bins])
        error = 1.96 * np.sqrt(rate * (1 - rate) / rows)
        most = max(p.max(), (rate + error).max()) * 1.05
        axes.plot([0, most], [0, most], color="0.7", linewidth=1)
        below = np.minimum(error, rate)
        axes.errorbar(p, rate, yerr=[below, error], fmt="o", color=BLUE, markersize=4, linewidth=1)
        axes.set_xlim(0, most)
        axes.set_ylim(0, most)
        _named(axes, name, "mean probability", "observed rate")
    return figure


def segments(head: str, table: Table) -> Figure:
    """The metric by age band, gender and region, with 95 % intervals and the mean of all."""
    metric = _metric(table)
    kinds = list(dict.fromkeys(row["segment"] for row in table))
    longest = max(sum(row["segment"] == kind for row in table) for kind in kinds)
    figure = _figure(
        f"{head}: is any group served worse? ({_plain(metric)}, test, 95 % intervals)",
        0.32 * longest + 1.4,
    )
    for place, kind in enumerate(kinds):
        axes = figure.add_subplot(1, len(kinds), place + 1)
        rows = [row for row in table if row["segment"] == kind]
        mean = sum(row[metric] * row["rows"] for row in rows) / sum(row["rows"] for row in rows)
        names = [f"{row['group']} ({row['rows']:,})" for row in rows]
        values = np.array([row[metric] for row in rows])
        reach = [
            np.maximum(values - [row["low"] for row in rows], 0),
            np.maximum([row["high"] for row in rows] - values, 0),
        ]
        colours = [RED if row["high"] < mean else BLUE for row in rows]
        axes.barh(names, values, xerr=reach, color=colours, error_kw={"linewidth": 1})
        axes.axvline(mean, color="0.2", linewidth=1, linestyle="--")
        axes.invert_yaxis()
        axes.set_xlim(0, max(row["high"] for row in rows) * 1.03)
        _named(axes, f"{kind} (rows)", "dashed: all; red: surely below it")
    return figure


def periods(head: str, table: Table) -> Figure:
    """The metric over the time of the test, for the model and every rule."""
    metric = _metric(table)
    figure = _figure(f"{head}: does it stay good over time?", 4.0)
    axes = figure.add_subplot()
    labels = [f"{row['period']}\n{row['rows']:,} rows" for row in table]
    rules = list(table[0])[list(table[0]).index("high") + 1 :]
    for rule, style in zip(rules, RULE_STYLES, strict=False):
        values = [row[rule] for row in table]
        axes.plot(labels, values, linestyle=style, color="0.45", linewidth=1.3, label=_plain(rule))
    own = np.array([row[metric] for row in table])
    reach = [own - [row["low"] for row in table], [row["high"] for row in table] - own]
    axes.errorbar(labels, own, yerr=reach, fmt="o-", color=BLUE, capsize=3, label=MODEL)
    axes.margins(x=0.1)
    axes.legend(fontsize=9, loc="center left", bbox_to_anchor=(1.01, 0.5))
    _named(axes, "", "time of the test", f"{_plain(metric)} (higher is better)")
    return figure


def shap_groups(head: str, report: HeadReport, release: Release) -> Figure:
    """Mean size of each feature group's contribution, for the classes with most positives."""
    shown = busiest(report)[:SHOWN_CLASSES]
    size: list[Matrix] = []
    groups: list[str] = []
    for name in shown:
        values, _, _, groups = _contributions(head, report, release, name)
        size.append(np.abs(group_sums(values[:, :-1], groups)).mean(axis=0))
    names = list(dict.fromkeys(groups))
    table = np.array(size).T
    figure = _figure(
        f"{head}: which kinds of features move the scores?\n"
        f"mean |SHAP| of a group, log-odds, {len(report.sample)} test rows",
        0.42 * len(names) + 2.0,
    )
    axes = figure.add_subplot()
    axes.imshow(table, cmap="Blues", aspect="auto", vmin=0, vmax=table.max() * 1.3)
    axes.set_xticks(range(len(shown)), shown, rotation=20, ha="right", fontsize=9)
    axes.set_yticks(range(len(names)), [_plain(one) for one in names], fontsize=9)
    for row, column in np.ndindex(*table.shape):
        axes.text(column, row, f"{table[row, column]:.2f}", ha="center", va="center", fontsize=9)
    return figure


def shap_features(head: str, report: HeadReport, release: Release) -> Figure:
    """SHAP summary of the class with most positives: what moves its score, and which way."""
    name = busiest(report)[0]
    values, x, names, _ = _contributions(head, report, release, name)
    explanation = shap.Explanation(values[:, :-1], values[:, -1], x, feature_names=names)
    figure = Figure(figsize=(WIDTH, 8), layout="constrained")
    axes = figure.add_subplot()
    shap.plots.beeswarm(
        explanation, max_display=SHOWN_FEATURES, show=False, ax=axes, plot_size=None
    )
    axes.set_title(f"{head}: what moves the score of {name}, and which way? ({len(x)} test rows)")
    axes.set_xlabel("SHAP value: log-odds added to the score")
    axes.tick_params(axis="y", labelsize=9)
    return figure


def explanations(head: str, table: Table) -> Figure:
    """Stability and faithfulness of the reasons, beside picking them at random."""
    told = {
        "stability_groups": ("top 3 groups, five seeds", "Jaccard (higher is better)"),
        "stability_features": ("top 3 features, five seeds", "Jaccard (higher is better)"),
        "deletion": ("without the top 3 groups", "log-odds moved (higher is better)"),
        "sufficiency": ("with the top 3 groups alone", "log-odds missed (lower is better)"),
    }
    figure = _figure(f"{head}: can the reasons be relied on? ({table[0]['rows']} test rows)", 3.4)
    for place, row in enumerate(table):
        axes = figure.add_subplot(1, len(table), place + 1)
        title, unit = told[row["measure"]]
        drawn = axes.bar(["reasons", "at random"], [row["value"], row["reference"]], width=0.6,
                         color=[BLUE, GREY])  # fmt: skip
        axes.bar_label(drawn, fmt="%.3f", fontsize=9, padding=2)
        axes.margins(y=0.15)
        _named(axes, title, "", unit)
    return figure


def drift(head: str, table: Table) -> Figure:
    """The largest shifts of features and of scores between training and test."""
    features = [row for row in table if row["group"] != SCORE][:SHOWN_DRIFT]
    scores = [row for row in table if row["group"] == SCORE][:SHOWN_DRIFT]
    figure = _figure(
        f"{head}: do the test's customers look like those of training?",
        0.28 * max(len(features), len(scores)) + 1.5,
    )
    for place, (rows, what) in enumerate(((features, "features"), (scores, "scores"))):
        axes = figure.add_subplot(1, 2, place + 1)
        names = [row["column"] for row in rows]
        values = [row["psi"] or 0.0 for row in rows]
        colours = [RED if row["level"] == "alarm" else BLUE for row in rows]
        # a month of the year shifts by 4: cut off, or nobody could read the others
        drawn = axes.barh(names, [min(value, MOST_PSI) for value in values], color=colours)
        axes.axvline(0.1, color="0.2", linewidth=1, linestyle="--")
        paper = {"facecolor": "white", "edgecolor": "none", "pad": 0.8}
        labels = [f"{value:.3f}" for value in values]
        axes.bar_label(drawn, labels, fontsize=8, padding=3, bbox=paper)
        axes.set_xlim(0, min(max(*values, 0.1), MOST_PSI) * 1.2)
        axes.invert_yaxis()
        _named(axes, f"the {len(rows)} {what} that shifted most", "PSI (dashed: 0.1; red: alarm)")
    return figure


def _contributions(
    head: str, report: HeadReport, release: Release, name: str
) -> tuple[Matrix, Matrix, list[str], list[str]]:
    """TreeSHAP of a class (m, F + 1), what it is of (m, F), names and groups of the columns."""
    names = [*release.feature_names]
    groups = [release.feature_set.groups[one] for one in names]
    if head == "next_product":
        return release.next_product.contributions(report.sample, name), report.sample, names, groups
    model = release.channel_preference
    asked = (
        report.sample, report.sample_offers, report.sample_stages, report.sample_amounts
    )  # fmt: skip
    values, x = model.contributions(*asked, name), model.matrix(*asked)
    return values, x, [*names, *CONTEXT], [*groups, *("context" for _ in CONTEXT)]


def _metric(table: Table) -> str:
    """The metric of a table by segment or month: the one that is also drawn against the rules."""
    return next(name for name in RANKING if name in table[0])


def _figure(question: str, height: float) -> Figure:
    figure = Figure(figsize=(WIDTH, height), layout="constrained")
    figure.suptitle(question, fontsize=13)
    return figure


def _named(axes: Axes, title: str, across: str = "", up: str = "") -> None:
    axes.set_title(title, fontsize=10)
    axes.set_xlabel(across, fontsize=9)
    axes.set_ylabel(up, fontsize=9)
    axes.tick_params(labelsize=9)
    axes.spines[["top", "right"]].set_visible(False)


def _lines(pictures_: int) -> int:
    return (pictures_ + 2) // 3


def _plain(name: str) -> str:
    return name.replace("_", " ")
