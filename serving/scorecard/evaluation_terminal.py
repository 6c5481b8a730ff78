"""The evaluation in a terminal and as JSON."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict

from rich.console import Console
from rich.table import Table

from features.catalog import Catalog
from features.page import number, percent
from serving.scorecard.evaluation import Contradiction, Evaluation, Kind, Row
from serving.scorecard.evidence import METRICS, SHARES, Sums

KIND_NAMES: dict[Kind, tuple[str, str]] = {
    "scored_high_does_badly": ("评分高、表现差", "scored high, does badly"),
    "scored_low_does_well": ("评分低、表现好", "scored low, does well"),
    "forbidden_but_done": ("禁止或未列却有办理", "forbidden or not listed, yet done"),
}
METRIC_NAMES: dict[str, tuple[str, str]] = {
    "completion": ("办成率", "completion"),
    "abandonment": ("放弃率", "abandonment"),
    "hand_over": ("跨渠道转办率", "hand-over"),
    "errors": ("报错率", "errors"),
    "complaints": ("评价中投诉占比", "complaints per rating"),
    "wait_s": ("等候(秒)", "waiting (s)"),
    "duration_s": ("时长(秒)", "duration (s)"),
    "rating": ("评分(1–5)", "rating (1–5)"),
    "journeys": ("件数", "journeys"),
}
SHOWN = 20


def print_evaluation(told: Evaluation, catalog: Catalog, console: Console) -> None:
    """Print what is lacking, the contradictions, and the largest rows."""
    evidence = told.evidence
    for lack in evidence.lacking:
        console.print(f"[yellow]not in the source:[/] {lack}", highlight=False, soft_wrap=True)
    journeys = sum(row.journeys for row in told.rows)
    console.print(
        f"{journeys:,} journeys from {evidence.since.isoformat(' ', 'minutes')}, over by "
        f"{evidence.until.isoformat(' ', 'minutes')}; {told.tests:,} comparisons at a false "
        "discovery rate of 5 %",
        highlight=False, soft_wrap=True,
    )  # fmt: skip
    if told.contradictions:
        tested = [one for one in told.contradictions if one.p is not None]
        rest = told.contradictions[len(tested) :]
        console.print(_contradictions([*tested, *rest[:SHOWN]], catalog))
        if len(rest) > SHOWN:
            console.print(f"{len(rest) - SHOWN} cells more that should not be used, but are")
    if told.rows:
        console.print(_rows(sorted(told.rows, key=lambda row: -row.journeys)[:SHOWN], catalog))
    left = len(told.rows) - SHOWN
    if left > 0:
        console.print(f"{left} rows of fewer journeys more: --json and --html tell all")


def _contradictions(found: Sequence[Contradiction], catalog: Catalog) -> Table:
    table = Table(box=None, title="evidence against the scorecard", title_justify="left")
    for heading in ("what", "offer", "stage", "channel", "by", "here", "elsewhere", "p"):
        table.add_column(heading, no_wrap=True)
    for one in found:
        counted = one.metric == "journeys"
        table.add_row(
            KIND_NAMES[one.kind][1],
            one.group,
            one.stage,
            catalog.channel_by_id[one.channel].names.en,
            METRIC_NAMES[one.metric][1],
            f"{one.value:,.0f}" if counted else percent(one.value),
            "" if one.others is None else percent(one.others),
            "" if one.p is None else f"{one.p:.1e}",
        )
    return table


def _rows(rows: Sequence[Row], catalog: Catalog) -> Table:
    table = Table(box=None, title="most journeys", title_justify="left")
    for heading in ("offer", "stage", "channel"):
        table.add_column(heading, no_wrap=True)
    for heading in ("journeys", "feasible", "necessary"):
        table.add_column(heading, justify="right")
    for name in METRICS:
        table.add_column(METRIC_NAMES[name][1], justify="right")
    table.add_column("CNY/done", justify="right")
    table.add_column("staff min/done", justify="right")
    for row in rows:
        table.add_row(
            row.group, row.stage, catalog.channel_by_id[row.channel].names.en,
            f"{row.journeys:,}", number(row.feasibility), number(row.necessity),
            *(figure(name, row.metrics.get(name)) for name in METRICS),
            number(row.cost_cny), number(row.staff_minutes),
        )  # fmt: skip
    return table


def figure(name: str, sums: Sums | None) -> str:
    """Write a share or a mean; a dash where nothing is known."""
    if sums is None or not sums.d:
        return "–"
    return percent(sums.ratio) if name in SHARES else number(sums.ratio)


def interval(name: str, sums: Sums | None) -> str:
    """Write the 95 % interval of a share or a mean, empty where there is none."""
    if sums is None or sums.customers < 2:
        return ""
    low, high = sums.interval(name in SHARES)
    if name in SHARES:
        return f"{100 * low:.0f}–{100 * high:.0f} %"
    return f"{low:.1f}–{high:.1f}" if name == "rating" else f"{max(low, 0):,.0f}–{high:,.0f}"


def as_json(told: Evaluation) -> dict[str, object]:
    """Give the evaluation as one JSON object: rows, contradictions, what is lacking."""
    evidence = told.evidence
    return {
        "since": evidence.since.isoformat(),
        "until": evidence.until.isoformat(),
        "by": evidence.by,
        "lacking": list(evidence.lacking),
        "tests": told.tests,
        "contradictions": [asdict(one) for one in told.contradictions],
        "rows": [asdict(row) | {"metrics": _metrics(row)} for row in told.rows],
    }


def _metrics(row: Row) -> dict[str, dict[str, float]]:
    told = {}
    for name, sums in row.metrics.items():
        if sums.d:
            low, high = sums.interval(name in SHARES)
            told[name] = {"value": sums.ratio, "low": low, "high": high, "of": sums.d}
    return told
