"""The scorecard in a terminal: findings, and which channel fits which stage."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from features.catalog import Catalog
from serving.decide.scorecard import OTHERS, Scorecard
from serving.scorecard.checking import LEVELS, Finding, Level
from serving.scorecard.design import (
    CRITERIA,
    CRITERIA_NAMES,
    STAGE_NAMES,
    StageDesign,
    segment_names,
)

STYLES: dict[Level, str] = {"error": "bold red", "warning": "yellow", "note": "dim"}


def print_findings(findings: Sequence[Finding], notes: bool, console: Console) -> None:
    """Print findings, the gravest first; notes only where asked for, else their number."""
    shown = [one for one in findings if notes or one.level != "note"]
    if shown:
        table = Table(box=None)
        table.add_column("level", no_wrap=True)
        table.add_column("what", no_wrap=True)
        table.add_column("rules", max_width=24)
        table.add_column("found", overflow="fold")
        for one in shown:
            level = f"[{STYLES[one.level]}]{one.level}[/{STYLES[one.level]}]"
            rules = _numbers(one.rules)
            table.add_row(level, one.code, rules, escape(one.text))
        console.print(table)
    counts = {level: sum(one.level == level for one in findings) for level in LEVELS}
    told = ", ".join(
        f"{count} {level}{'' if count == 1 else 's'}" for level, count in counts.items()
    )
    more = "" if notes or not counts["note"] else "; --notes prints them"
    console.print(f"{told}{more}", highlight=False, soft_wrap=True)


def _numbers(rules: Sequence[int]) -> str:
    """Write rule numbers short: runs as first–last.

    >>> _numbers((1, 2, 3, 7))
    '1–3, 7'
    """
    runs: list[list[int]] = []
    for number in rules:
        if runs and number == runs[-1][-1] + 1:
            runs[-1].append(number)
        else:
            runs.append([number])
    return ", ".join(f"{run[0]}–{run[-1]}" if len(run) > 1 else str(run[0]) for run in runs)


def print_design(
    card: Scorecard, designs: Sequence[StageDesign], catalog: Catalog, console: Console
) -> None:
    """Print the best channel of each stage and why; a single stage with all its cells."""
    weights = card.weights.model_dump()
    told = ", ".join(f"{CRITERIA_NAMES[one][1]} {weights[one]:g}" for one in CRITERIA)
    console.print(
        f"fit = mean of feasibility and necessity (0–100), weighted by {told}",
        highlight=False, soft_wrap=True,
    )  # fmt: skip
    table = Table(box=None)
    for heading in ("offer", "stage", "customers", "best", "fit", "leads", "by"):
        table.add_column(heading, justify="right" if heading == "fit" else "left")
    for one in designs:
        best = ", ".join(_name(catalog, fit.handle) for fit in one.best)
        table.add_row(
            one.offer.names.en,
            STAGE_NAMES[one.stage][1],
            "" if one.segment == OTHERS else segment_names(card, one.segment)[1],
            best or ("all alike" if one.ranked else "[red]none: done nowhere[/red]"),
            f"{one.ranked[0].points:.0f}" if one.ranked else "",
            _name(catalog, one.runner_up.handle) if one.runner_up else "",
            ", ".join(f"{CRITERIA_NAMES[name][1]} {lead:+.1f}" for name, lead in one.leads),
        )
    console.print(table)
    if len({(one.offer.id, one.stage) for one in designs}) == 1:
        for one in designs:
            console.print(_cells(card, one, catalog))


def _name(catalog: Catalog, handle: str) -> str:
    return catalog.channel_by_id[handle].names.en


def _cells(card: Scorecard, one: StageDesign, catalog: Catalog) -> Table:
    who = segment_names(card, one.segment)[1]
    table = Table(box=None, title=f"{one.offer.id}, {one.stage}: {who}", title_justify="left")
    for heading in ("channel", "", "fit", "feasibility", "necessity", "until", "rule"):
        table.add_column(heading, no_wrap=True)
    table.add_column("basis · owner · evidence", overflow="fold")
    fits = {fit.handle: fit for fit in one.ranked}
    for handle, cell in one.cells.items():
        rule, known = card.rules[cell.rule - 1], fits.get(handle)
        verdict = "forbidden" if not cell.allowed else "allowed" if known else "expired"
        table.add_row(
            _name(catalog, handle),
            f"[{'green' if known else 'red'}]{verdict}[/]",
            f"{known.points:.1f}" if known else "",
            _points(rule.feasibility, cell.feasibility),
            _points(rule.necessity, cell.necessity),
            cell.expires.isoformat(),
            str(cell.rule),
            escape(f"{cell.basis} · {cell.owner or '–'} · {cell.evidence or '–'}"),
        )
    return table


def _points(criteria: object, weighted: float | None) -> str:
    if criteria is None or weighted is None:
        return ""
    return " ".join(f"{getattr(criteria, one):.0f}" for one in CRITERIA) + f" → {weighted:.0f}"
