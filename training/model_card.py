"""The model card: what a reviewer reads before signing."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from training.report import rules_table
from training.run import TrainingRun

HEAD_TITLES = {
    "next_product": "Next product: which product is started within the horizon",
    "channel_preference": "Channel preference: which channel the customer would choose",
    "expected_amount": "Expected amount: for how much he buys, if he buys",
    "completion": "Completion: of what is begun at a channel, the share that gets done",
}
LIMITS = (
    "Probabilities are propensities under the contacts and channels of the training window, not"
    " effects of showing an offer.",
    "Completion is a rate per (offer, stage, handle), not a model of the single customer.",
    "The expected amount is a median, not a mean; where no features are, that of the asset tier.",
    "Products with fewer than 200 starts before the test share one pooled model.",
    "Whether an offer is suitable is decided by rules after scoring, never by these models.",
)


def model_card(run: TrainingRun) -> str:
    """The card of a run as Markdown."""
    manifest = run.release.manifest
    lines = [
        f"# Model card: {run.config.name}, release {run.release.id}",
        "",
        f"- **Purpose**: {run.config.purpose}",
        f"- **Owner**: {run.config.owner}",
        f"- **Data**: source `{run.source}`, catalog `{manifest.catalog}`,"
        f" horizon {_horizon(manifest.horizon)}",
        f"- **Features**: {len(run.release.feature_names)} (set `{manifest.feature_set_version}`),"
        " as known at the moment of each row",
        f"- **Rows**: {', '.join(f'{name} {count:,}' for name, count in run.rows.items())}",
        "",
        "## Time windows (UTC)",
        "",
        *_table(
            ("split", "from", "to"),
            ((name, start, end) for name, (start, end) in manifest.windows.items()),
        ),
    ]
    for head, report in run.reports.items():
        lines += ["", f"## {HEAD_TITLES[head]}", "", "On the test, beside every naive rule:", ""]
        names, rules = rules_table(report.metrics)
        lines += _table(("rule", *names), ((rule, *values) for rule, values in rules))
        for name, rows in report.tables.items():
            if rows:
                lines += ["", f"### {name.replace('_', ' ')}", ""]
                lines += _table(tuple(rows[0]), (tuple(row.values()) for row in rows))
    lines += ["", "## Limits", "", *(f"- {limit}" for limit in LIMITS)]
    lines += [
        "",
        "## Data fingerprint",
        "",
        *_table(
            ("table", "rows", "hash"),
            ((name, one["rows"], one["hash"]) for name, one in manifest.data.items()),
        ),
    ]
    return "\n".join(lines) + "\n"


def _horizon(text: str) -> str:
    return "the customer's next event" if text == "next_event" else text.replace("=", " ")


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
