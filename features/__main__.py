"""`python -m features`: check a source, build, describe and publish features."""

from __future__ import annotations

from datetime import UTC
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Optional

import typer
from rich.console import Console

from features.catalog import load_catalog
from features.catalogue.catalogue import catalogue_of, with_importance, with_spreads
from features.catalogue.importance import importance
from features.catalogue.page import catalogue_page
from features.catalogue.terminal import print_catalogue
from features.config import load_yaml
from features.errors import OnePointError
from features.feature_files import (
    FeatureFiles,
    build_on_spark,
    features_in,
    folder_name,
    write_features,
)
from features.feature_set import FeatureSet
from features.histories import HISTORIES
from features.online import location, part_count, publish_customers
from features.quality.limits import Limits
from features.quality.page import quality_page
from features.quality.profile import load_profile, save_profile, write_text
from features.quality.report import check_quality, may_be_reference
from features.quality.terminal import print_report
from features.registry import available_features
from features.sources import CONFIGS, Source, load_source_config, open_source
from features.spark import open_spark_source, spark_session
from features.spine import customers_at, data_end, month_starts
from features.staging import newest_event
from features.tables import TABLES
from features.tags.one_customer import open_customer
from features.tags.registry import available_tags
from features.tags.show import TagHolders, ToldCustomer, holders_of_tag, tags_of_customer
from features.tags.terminal import Lang, print_customer, print_holders
from features.terminal import parse_clock, print_gaps, print_json, run, stderr, steps


class Engine(StrEnum):
    """Where features are computed."""

    duckdb = "duckdb"
    spark = "spark"


app = typer.Typer(no_args_is_help=True, help="The customer at a moment: tables → features.")

PIPE_WIDTH = 200

SourceOption = Annotated[Path, typer.Option("--source", help="source YAML")]
DataOption = Annotated[
    Optional[Path],  # noqa: UP045 (typer reads it)
    typer.Option("--data", help="folder that {data} stands for"),
]
ClockOption = Annotated[
    Optional[str],  # noqa: UP045
    typer.Option("--clock", help="now, as in 2026-07-01T10:00+08:00; default: the real clock"),
]
JsonOption = Annotated[bool, typer.Option("--json", help="print one JSON object last")]
HtmlOption = Annotated[
    Optional[Path],  # noqa: UP045
    typer.Option("--html", help="also write a page that opens without a network"),
]
ScoresOption = Annotated[
    Optional[Path],  # noqa: UP045
    typer.Option("--scores", help="Parquet of `python -m training score`, for model tags"),
]
AsOfOption = Annotated[str, typer.Option("--as-of", help="a time with zone, or `end` of the data")]


def _open(source: Path, data: Path | None, clock: str | None, scores: Path | None = None) -> Source:
    opened = open_source(source, data, parse_clock(clock), scores=scores)
    print_gaps(*opened.gaps)
    return opened


def _console() -> Console:
    """Give the terminal; a pipe is wide, so that no name in it is cut and each can be found."""
    console = Console()
    return console if console.is_terminal else Console(width=PIPE_WIDTH)


def _print_losses(source: Source) -> None:
    """Say once, one line a table, what the bank does not bring and what is lost with it."""
    console = _console()
    for name in source.missing_tables:
        console.print(f"no table [bold]{name}[/bold]; lost: {TABLES[name].lost}", highlight=False)
    for name, lacking in source.missing_columns.items():
        lost = ", ".join(f"{column} ({TABLES[name].column(column).lost})" for column in lacking)
        if lost:
            console.print(f"[bold]{name}[/bold] without {lost}", highlight=False)


@app.command()
def check(
    source: SourceOption,
    data: DataOption = None,
    clock: ClockOption = None,
    reference: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option("--reference", help="what an earlier check saved: drift is told against it"),
    ] = None,
    save_reference: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option("--save-reference", help="JSON file of counts to write for later checks"),
    ] = None,
    limits: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option("--limits", help="YAML of what is tolerated (features/quality/limits.py)"),
    ] = None,
    html: HtmlOption = None,
    as_json: JsonOption = False,
) -> None:
    """Hold a source to the data contract; report missing shares, ranges, drift and freshness.

    Exit code 0: nothing graver than warnings; 1: an alarm; 2: an error, and nothing is written.
    """
    now = parse_clock(clock)
    tolerated = load_yaml(limits, Limits) if limits else Limits()
    before = load_profile(reference) if reference else None
    with steps("checking the source") as progress:
        opened = open_source(source, data, now)
        report, profile = check_quality(opened, now, tolerated, before, progress)
    print_report(report, _console())
    _print_losses(opened)
    if html is not None:
        write_text(html, quality_page(report))
    if save_reference is not None and may_be_reference(report):
        save_profile(profile, save_reference)
    elif save_reference is not None:
        said = f"{save_reference}: not written, since the data differ from --reference; "
        stderr.print(said + "if the bank is like that now, save without it", soft_wrap=True)
    if as_json:
        print_json(
            {
                "source": opened.config.name,
                "tables": opened.rows,
                "missing": dict(opened.losses()),
                "ok": report.level != "alarm",
                "quality": report.model_dump(mode="json"),
            }
        )
    raise typer.Exit(1 if report.level == "alarm" else 0)


@app.command()
def build(
    source: SourceOption,
    out: Annotated[Path, typer.Option("--out", help="a .parquet file, or a folder of moments")],
    data: DataOption = None,
    as_of: AsOfOption = "end",
    since: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option("--since", help="every start of a month from then on that is not in --out"),
    ] = None,
    buckets: Annotated[
        int,
        typer.Option("--buckets", min=1, help="split customers by hash: less memory, resumable"),
    ] = 1,
    memory_gb: Annotated[
        float, typer.Option("--memory-gb", min=0.5, help="what DuckDB may use; more goes to disk")
    ] = 3.0,
    engine: Annotated[Engine, typer.Option("--engine", help="where it runs")] = Engine.duckdb,
    clock: ClockOption = None,
    as_json: JsonOption = False,
) -> None:
    """Build the features of every customer at one moment, or at each month's start."""
    now = parse_clock(clock)
    whole_file = out.suffix == ".parquet"
    if whole_file and (since or buckets > 1 or engine is Engine.spark):
        raise OnePointError(
            f"{out}: --since, --buckets and --engine spark write a folder; give --out a folder"
        )
    if engine is Engine.spark and buckets > 1:
        raise OnePointError("--buckets is for the engine duckdb; Spark splits customers by itself")
    if whole_file:
        opened = _open(source, data, clock)
        at = data_end(opened) if as_of == "end" else parse_clock(as_of)
        with steps("building features", total=len(HISTORIES)) as progress:
            rows = {folder_name(at): write_features(opened, at, out, progress)}
    else:
        end = newest_event(source, data)
        zone = load_source_config(source).time_zone
        if since is not None:
            moments = month_starts(parse_clock(since), min(now, end), zone)
        else:
            moments = [end if as_of == "end" else parse_clock(as_of)]
        with steps("building features") as progress:
            if engine is Engine.spark:
                with (
                    spark_session() as session,
                    open_spark_source(source, data, now, session) as on_spark,
                ):
                    rows = build_on_spark(on_spark, out, moments, progress)
            else:
                files = FeatureFiles(source, data, now, out, buckets, memory_gb, progress)
                rows = files.add(moments)
    for name, count in rows.items():
        Console().print(f"{out}: {count:,} customers at {name.removeprefix('as_of=')}")
    if not rows:
        Console().print(f"{out}: every moment asked for is there; nothing to add")
    if as_json:
        print_json(
            {
                "out": str(out),
                "engine": engine.value,
                "features": features_in(out),
                "rows": rows,
            }
        )


@app.command()
def describe(
    source: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option("--source", help="only what this source's catalog gives; default: the bank's"),
    ] = None,
    data: DataOption = None,
    clock: ClockOption = None,
    as_of: AsOfOption = "end",
    release: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option("--release", help="folder of a release: tell each feature's importance in it"),
    ] = None,
    html: HtmlOption = None,
    as_json: JsonOption = False,
) -> None:
    """List every feature and tag: group, unit, range, what it needs, meaning in zh and en.

    With --data also how each is distributed over the customers at a moment.
    """
    name = load_source_config(source).catalog if source else "bank"
    catalogue = catalogue_of(load_catalog(CONFIGS / "catalog" / name))
    if data is not None:
        if source is None:
            raise OnePointError("--data needs the source YAML that reads it; give --source")
        opened = _open(source, data, clock)
        at = data_end(opened) if as_of == "end" else parse_clock(as_of)
        with steps("describing customers") as progress:
            catalogue = with_spreads(catalogue, opened, at, progress)
    if release is not None:
        catalogue = with_importance(catalogue, *importance(release))
    print_catalogue(catalogue, _console())
    if html is not None:
        write_text(html, catalogue_page(catalogue))
    if as_json:
        print_json(catalogue.model_dump(mode="json"))


@app.command()
def publish(
    source: SourceOption,
    release: Annotated[
        Path, typer.Option("--release", help="release whose feature set to publish")
    ],
    out: Annotated[
        str,
        typer.Option(
            "--out",
            help="SQLite file, redis://host:6379/0#prefix, or env:NAME of a variable with either",
        ),
    ],
    data: DataOption = None,
    as_of: AsOfOption = "end",
    clock: ClockOption = None,
    scores: ScoresOption = None,
    as_json: JsonOption = False,
) -> None:
    """Write one packed vector, the state and the tags of every customer for the service."""
    store = location(out)
    file = release / "features.json"
    if not file.is_file():
        raise OnePointError(f"{file}: no such file; --release names a folder that training wrote")
    feature_set = load_yaml(file, FeatureSet)  # JSON is YAML
    opened = _open(source, data, clock, scores)
    at = data_end(opened) if as_of == "end" else parse_clock(as_of)
    missing = set(feature_set.names) - {feature.name for feature in available_features(opened)}
    if missing:
        raise OnePointError(
            "the release reads features this source cannot give: "
            f"{', '.join(sorted(missing)[:5])}; train on this source, or bring the tables"
        )
    spine = customers_at(opened, [at])
    with steps("publishing", total=part_count(spine) * (len(HISTORIES) + 1)) as progress:
        written = publish_customers(store, feature_set, spine, at, available_tags(opened), progress)
    version = feature_set.version
    # a file name may hold brackets that rich would take for markup
    print(f"{store}: {written:,} customers, feature set {version}, as of {at.astimezone(UTC)}")
    if as_json:
        print_json({"out": str(store), "customers": written, "version": version})


@app.command()
def tags(
    source: SourceOption,
    data: DataOption = None,
    customer: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option("--customer", help="id of the customer whose tags to tell"),
    ] = None,
    tag: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option("--tag", help="code of the tag whose holders to list"),
    ] = None,
    as_of: AsOfOption = "end",
    clock: ClockOption = None,
    scores: ScoresOption = None,
    lang: Annotated[Lang, typer.Option("--lang", help="language of the page")] = Lang.both,
    as_json: JsonOption = False,
) -> None:
    """Tell a customer's tags as a manager reads them, or list who has a tag."""
    if (customer is None) == (tag is None):
        raise OnePointError("give --customer ID or --tag CODE, one of the two")
    now = parse_clock(clock)
    with steps("building tags") as progress:
        progress("reading the source")
        at = newest_event(source, data) if as_of == "end" else parse_clock(as_of)
        told: ToldCustomer | TagHolders
        if customer is not None:
            opened = open_customer(source, data, now, customer, scores)
            told = tags_of_customer(opened, at, customer, progress)
        else:
            opened = open_source(source, data, now, scores=scores)
            told = holders_of_tag(opened, at, str(tag), progress)
    print_gaps(*opened.gaps)
    if isinstance(told, TagHolders):
        print_holders(told, lang)
    else:
        print_customer(told, lang, _console())
    if as_json:
        print_json(told.json())


if __name__ == "__main__":
    run(app)
