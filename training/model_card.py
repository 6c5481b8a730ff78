"""The model card: what a reviewer reads before signing (Mitchell et al., FAT* 2019)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from features.catalog import Names
from features.quality.limits import Limits
from training.about import INTENDED, LIMITS, NOT_INTENDED, group_metric, surely_worse
from training.breakdown import SEGMENT_POINTS
from training.provenance import data_hash, git_commit, versions
from training.report import HeadReport, rules_table
from training.run import TrainingRun

HEAD_TITLES = {
    "next_product": "Next product: which product is started within the horizon",
    "channel_preference": "Channel preference: which channel the customer would choose",
    "expected_amount": "Expected amount: for how much he buys, if he buys",
    "completion": "Completion: of what is begun at a channel, the share that gets done",
}
CARD_TABLES = ("products", "channels", "offers", "completion cells")
"""Tables shown whole in the card; the others are CSV files beside the pictures of each head."""

LARGEST_DRIFTS = 10
CALIBRATION_GAP = 0.15


def model_card(run: TrainingRun) -> str:
    """The card of a run as Markdown."""
    lines = [
        f"# Model card: {run.config.name}, release {run.release.id}",
        "",
        *_identity(run),
        *_section("Intended use", _bullets(INTENDED)),
        *_section("Not intended", _bullets(NOT_INTENDED)),
        *_section("Data and time windows (UTC)", _data(run)),
    ]
    for head, report in run.reports.items():
        lines += _section(HEAD_TITLES[head], _head(report))
    lines += _section("Fairness: groups served worse", _fairness(run))
    lines += _section("Explanations: stability and faithfulness", _explanations(run))
    lines += _section("Drift of the training window", _drift(run))
    lines += _section("Limits", _bullets(LIMITS))
    lines += _section("Monitoring plan", _monitoring(run))
    lines += _section("Reproducibility", _reproducibility(run))
    return "\n".join(lines) + "\n"


def _identity(run: TrainingRun) -> list[str]:
    manifest = run.release.manifest
    return [
        f"- **Owner**: {run.config.owner}",
        f"- **Purpose**: {run.config.purpose}",
        f"- **Data**: source `{run.source}`, catalog `{manifest.catalog}`,"
        f" horizon {_horizon(manifest.horizon)}",
        f"- **Features**: {len(run.release.feature_names)} (set `{manifest.feature_set_version}`),"
        " as known at the moment of each row; ids are never features",
        f"- **Models**: LightGBM, calibrated on time that training never saw; heads"
        f" {', '.join(manifest.heads)}",
    ]


def _data(run: TrainingRun) -> list[str]:
    windows = _table(
        ("split", "from", "to", "rows"),
        (
            (name, start, end, run.rows[name])
            for name, (start, end) in run.release.manifest.windows.items()
        ),
    )
    tables = _table(
        ("table", "rows", "hash"),
        ((name, one["rows"], one["hash"]) for name, one in run.release.manifest.data.items()),
    )
    return [*windows, "", "### Data fingerprint", "", *tables]


def _head(report: HeadReport) -> list[str]:
    names, rules = rules_table(report.metrics)
    lines = ["On the test, beside every naive rule:", ""]
    lines += _table(("rule", *names), ((rule, *values) for rule, values in rules))
    for name in CARD_TABLES:
        if report.tables.get(name):
            lines += ["", f"### {name}", "", *_rows(report.tables[name])]
    if "periods" in report.tables:
        lines += ["", "### over the time of the test", "", *_rows(report.tables["periods"])]
    return lines


def _heads(run: TrainingRun) -> dict[str, HeadReport]:
    """Reports of the heads that are reviewed by segment and drift: those the run names."""
    return {head: run.reports[head] for head in run.config.heads}


def _fairness(run: TrainingRun) -> list[str]:
    lines = [
        "Each group's metric against that of all others of its kind; a group is *surely* worse"
        " where its whole 95 % interval lies below the mean of all.",
    ]
    for head, report in _heads(run).items():
        table = report.tables["segments"]
        lines += ["", f"### {head}", ""]
        if not table:
            lines += ["The source tells neither age, gender nor region: fairness cannot be read."]
            continue
        metric = group_metric(report)
        mean = report.metrics[metric]
        lines += _table(
            ("segment", "group", metric, "95 % interval", "gap to all", "rows", "verdict"),
            (
                (
                    row["segment"], row["group"], row[metric],
                    f"{row['low']:.4f} – {row['high']:.4f}", f"{row[metric] - mean:+.4f}",
                    row["rows"], "surely worse" if row["high"] < mean else "",
                )
                for row in table
            ),
        )  # fmt: skip
        worse = [f"{one['segment']} {one['group']}" for one in surely_worse(report)]
        lines += ["", f"Surely worse: {', '.join(worse) if worse else 'none'}."]
    return lines


def _explanations(run: TrainingRun) -> list[str]:
    lines = [
        "Exact TreeSHAP, summed into feature groups. *Stability*: agreement (Jaccard) of the top 3"
        " over five seeds. *Deletion*: log-odds the score moves when the top 3 groups are taken"
        " away (more is better); *sufficiency*: log-odds it misses with them alone (less is"
        " better). Reference: three picked at random; low and high are the 95 % interval of value"
        " less reference. Groups are measured where a model uses more than three.",
    ]
    for head, report in run.reports.items():
        table = report.tables.get("explanations")
        if table:
            lines += ["", f"### {head}", "", *_rows(table)]
        if report.tables.get("stability"):
            lines += ["", *_rows(report.tables["stability"])]
    return lines


def _drift(run: TrainingRun) -> list[str]:
    floor = Limits().psi_floor
    lines = [
        f"PSI between training and test; an alarm is above {floor:g} and above what chance could"
        " do. The month of the year, and counts and times since the data begin, drift by nature.",
    ]
    for head, report in _heads(run).items():
        table = report.tables["drift"]
        alarms = sum(row["level"] == "alarm" for row in table)
        lines += ["", f"### {head}: {alarms} of {len(table)} beyond both bounds", ""]
        lines += _rows(table[:LARGEST_DRIFTS])
    return lines


def _monitoring(run: TrainingRun) -> list[str]:
    limits, owner = Limits(), run.config.owner
    horizon = _horizon(run.release.manifest.horizon)
    metrics_ = {head: _headline(report) for head, report in _heads(run).items()}
    watched = [
        ("data: missing, ranges, freshness (`features check`)", "any alarm", "daily",
         "data engineering; no scoring until mended"),
        ("features and scores against this release's training window",
         f"PSI > {limits.psi_floor:g} and beyond chance", "monthly",
         f"{owner}: explain it or retrain"),
        ("mean probability ÷ rate, by product and by channel",
         f"outside {1 - CALIBRATION_GAP:.2f}–{1 + CALIBRATION_GAP:.2f}",
         f"monthly, once the horizon is over ({horizon})", f"{owner}: recalibrate"),
        *(
            (f"{head}: {name} on served customers",
             f"below the best naive rule ({rule:.4f}; here {value:.4f})", "monthly",
             f"{owner}: retrain; reviewer: roll back")
            for head, (name, value, rule) in metrics_.items()
        ),
        ("the same by age band, gender and region",
         f"a group more than {100 * SEGMENT_POINTS:g} points worse than at release", "monthly",
         "reviewer: stop promotion, ask for a cause"),
        ("opt-outs, refusals and complaints by channel", "above the policy's caps", "weekly",
         "business line: lower the caps"),
    ]  # fmt: skip
    return _table(("what is watched", "bound", "when", "who acts"), watched)


def _headline(report: HeadReport) -> tuple[str, float, float]:
    """The head's first metric, its value, and the best naive rule's."""
    names, rules = rules_table(report.metrics)
    (_, own), *others = rules
    return names[0], own[0] or 0.0, max(values[0] or 0.0 for _, values in others)


def _reproducibility(run: TrainingRun) -> list[str]:
    told = {
        "seed": run.config.seed,
        "release": run.release.id,
        "data": data_hash(run.release.manifest.data),
        "code": git_commit(),
        **versions(),
    }
    return [
        "The same seed, data, code and packages give the same release id.",
        "",
        *_table(("what", "which"), ((name, str(value)) for name, value in told.items())),
    ]


def _section(title: str, lines: Iterable[str]) -> list[str]:
    return ["", f"## {title}", "", *lines]


def _bullets(texts: Iterable[Names]) -> list[str]:
    return [f"- {text.en}" for text in texts]


def _horizon(text: str) -> str:
    return "the customer's next event" if text == "next_event" else text.replace("=", " ")


def _rows(rows: list[dict[str, Any]]) -> list[str]:
    return _table(tuple(rows[0]), (tuple(row.values()) for row in rows))


def _table(head: Iterable[str], rows: Iterable[Iterable[Any]]) -> list[str]:
    names = list(head)
    return [
        f"| {' | '.join(names)} |",
        f"|{'---|' * len(names)}",
        *(f"| {' | '.join(_cell(cell) for cell in row)} |" for row in rows),
    ]


def _cell(value: Any) -> str:
    if value is None:
        return "–"
    if isinstance(value, float):
        return f"{value:.4f}"
    return f"{value:,}" if isinstance(value, int) else str(value)
