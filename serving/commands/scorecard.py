"""`python -m serving scorecard`: check it, show it, and hold it against what happened."""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime, timedelta
from pathlib import Path
from typing import Annotated, Optional

import typer
from rich.console import Console

from features.catalog import STAGES
from features.config import load_yaml
from features.errors import OnePointError, did_you_mean
from features.journeys import COMPLETION_DAYS
from features.sources import open_source
from features.spine import data_end
from features.terminal import parse_clock, print_json
from serving.config import CATALOGS
from serving.decide.calendar_days import local_day
from serving.decide.policy import Policy
from serving.decide.rulebook import Rulebook, load_rulebook
from serving.decide.scorecard import OTHERS
from serving.options import ClockOption, JsonOption
from serving.scorecard.checking import LEVELS, check_scorecard
from serving.scorecard.design import StageDesign, design
from serving.scorecard.design_page import design_page
from serving.scorecard.evaluation import evaluate
from serving.scorecard.evaluation_page import evaluation_page
from serving.scorecard.evaluation_terminal import as_json as evaluation_json
from serving.scorecard.evaluation_terminal import print_evaluation
from serving.scorecard.evidence import By, gather
from serving.scorecard.terminal import print_design, print_findings

app = typer.Typer(
    no_args_is_help=True, help="The scorecard: check it, show it, hold it against what happened."
)

WIDTH = 160
EVALUATION_WIDTH = 200
DEFAULT_DAYS = 365

CatalogArgument = Annotated[
    str, typer.Argument(help="name under configs/catalog, or a folder of that form")
]
HtmlOption = Annotated[
    Optional[Path],  # noqa: UP045 (typer reads it)
    typer.Option("--html", help="write a page that opens offline"),
]


@app.command()
def check(
    catalog: CatalogArgument = "bank",
    clock: ClockOption = None,
    notes: Annotated[bool, typer.Option("--notes", help="cells nobody fills, too")] = False,
    as_json: JsonOption = False,
) -> None:
    """Find what is wrong with a scorecard: exit code 1 on any error."""
    folder = catalog_folder(catalog)
    zone = load_yaml(folder / "policy.yaml", Policy).zone
    day = local_day(parse_clock(clock), zone)
    findings = check_scorecard(folder, day)
    counts = {level: sum(one.level == level for one in findings) for level in LEVELS}
    if as_json:
        told = [asdict(one) for one in findings]
        print_json({"catalog": catalog, "day": day.isoformat(), **counts, "findings": told})
    else:
        print_findings(findings, notes, _console())
    if counts["error"]:
        raise typer.Exit(1)


@app.command()
def show(
    catalog: CatalogArgument = "bank",
    offer: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option("--offer", help="this offer only"),
    ] = None,
    stage: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option("--stage", help="this stage only"),
    ] = None,
    segment: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option("--segment", help="as customers of this segment find it"),
    ] = None,
    clock: ClockOption = None,
    html: HtmlOption = None,
    as_json: JsonOption = False,
) -> None:
    """Say which channel fits which stage of which offer, and by which criteria."""
    rules = load_rulebook(catalog_folder(catalog))
    card = rules.scorecard
    _must_be("--offer", offer, rules.catalog.offer_ids)
    _must_be("--stage", stage, STAGES)
    _must_be("--segment", segment, card.segment_ids)
    day = local_day(parse_clock(clock), rules.zone)
    designs = [
        one
        for one in design(card, rules.cells, rules.catalog, day)
        if offer in (None, one.offer.id) and stage in (None, one.stage)
    ]
    if segment is not None:
        designs = _as_found_by(segment, designs)
    if html is not None:
        write_page(html, design_page(card, designs, rules.catalog, day))
    if as_json:
        print_json({"day": day.isoformat(), "stages": [_as_json(rules, one) for one in designs]})
    else:
        print_design(card, designs, rules.catalog, _console())


@app.command("evaluate")
def evaluate_command(
    source: Annotated[Path, typer.Option("--source", help="source YAML of the bank's tables")],
    data: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option("--data", help="folder that {data} stands for in the source"),
    ] = None,
    since: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option("--since", help="journeys begun from here on; default: a year before --until"),
    ] = None,
    until: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option("--until", help="what was known then; default: now, or the data's end"),
    ] = None,
    by: Annotated[str, typer.Option("--by", help="offer or category")] = "offer",
    clock: ClockOption = None,
    html: HtmlOption = None,
    as_json: JsonOption = False,
) -> None:
    """Hold the scorecard against what happened, and name the cells the evidence contradicts."""
    _must_be("--by", by, ("offer", "category"))
    grouped: By = "category" if by == "category" else "offer"
    now = parse_clock(clock)
    begin, end = _window(since, until, now)  # what is wrong is said before tables are read
    opened = open_source(source, data, now)
    if until is None:
        begin, end = _window(since, min(now, data_end(opened)).isoformat(), now)
    rules = load_rulebook(CATALOGS / opened.config.catalog)
    told = evaluate(gather(opened, rules.scorecard, begin, end, grouped), rules)
    if html is not None:
        write_page(html, evaluation_page(told, rules.catalog))
    if as_json:
        print_json(evaluation_json(told))
    else:
        print_evaluation(told, rules.catalog, Console(width=max(EVALUATION_WIDTH, Console().width)))


def _window(since: str | None, until: str | None, now: datetime) -> tuple[datetime, datetime]:
    end = parse_clock(until) if until else now
    begin = parse_clock(since) if since else end - timedelta(days=DEFAULT_DAYS)
    if end > now:
        raise OnePointError(f"--until {end.isoformat()} has not come yet; give a moment by now")
    if end - begin < timedelta(days=COMPLETION_DAYS):
        raise OnePointError(
            f"--since {begin.isoformat()}: a journey has {COMPLETION_DAYS} days to complete; "
            f"begin at least so long before {end.isoformat()}"
        )
    return begin, end


def catalog_folder(name: str) -> Path:
    """Find a catalog by its name under configs/catalog, or by its folder."""
    if (CATALOGS / name).is_dir():
        return CATALOGS / name
    if Path(name).is_dir():
        return Path(name)
    known = [one.name for one in CATALOGS.iterdir() if one.is_dir()]
    raise OnePointError(f"no catalog '{name}'; {did_you_mean(name, known)}")


def write_page(file: Path, text: str) -> None:
    """Write a page whole or not at all, and say where."""
    if not file.parent.is_dir():
        raise OnePointError(f"--html {file}: no folder {file.parent}; make it first")
    temporary = file.with_name(f".{file.name}.writing")
    temporary.write_text(text, "utf-8")
    temporary.replace(file)
    typer.echo(f"wrote {file}", err=True)


def _as_found_by(segment: str, designs: list[StageDesign]) -> list[StageDesign]:
    """Keep of each stage what customers of a segment find: their own cells, or everybody's."""
    own = {(one.offer.id, one.stage) for one in designs if one.segment == segment}
    return [
        one
        for one in designs
        if one.segment == segment
        or (one.segment == OTHERS and (one.offer.id, one.stage) not in own)
    ]


def _must_be(option: str, given: str | None, known: tuple[str, ...]) -> None:
    if given is not None and given not in known:
        raise OnePointError(f"{option} '{given}' is not known; {did_you_mean(given, known)}")


def _console() -> Console:
    return Console(width=max(WIDTH, Console().width))


def _as_json(rules: Rulebook, one: StageDesign) -> dict[str, object]:
    card = rules.scorecard
    return {
        "offer": one.offer.id,
        "stage": one.stage,
        "segment": one.segment,
        "best": [fit.handle for fit in one.best],
        "leads_by": dict(one.leads),
        "ranked": [asdict(fit) for fit in one.ranked],
        "cells": {
            handle: asdict(cell)
            | {
                "feasibility_points": _points(card.rules[cell.rule - 1].feasibility),
                "necessity_points": _points(card.rules[cell.rule - 1].necessity),
            }
            for handle, cell in one.cells.items()
        },
    }


def _points(criteria: object) -> dict[str, float] | None:
    return None if criteria is None else dict(vars(criteria))
