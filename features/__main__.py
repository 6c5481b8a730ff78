"""`python -m features`: check a source, build, describe and publish features."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Optional

import typer
from rich.console import Console
from rich.table import Table

from features.build import build as build_features
from features.catalog import load_catalog
from features.config import load_yaml
from features.errors import OnePointError
from features.feature import GROUPS, Feature
from features.feature_files import (
    FeatureFiles,
    build_on_spark,
    folder_name,
    write_features,
)
from features.feature_set import FeatureSet
from features.histories import HISTORIES
from features.online import publish as publish_store
from features.registry import all_features, available_features
from features.sources import CONFIGS, Source, load_source_config, open_source
from features.spark import open_spark_source, spark_session
from features.spine import customers_at, data_end, moment, month_starts
from features.staging import newest_event
from features.states import customer_states
from features.tables import TABLES
from features.terminal import parse_clock, print_gaps, print_json, run, steps


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
AsOfOption = Annotated[str, typer.Option("--as-of", help="a time with zone, or `end` of the data")]


def _open(source: Path, data: Path | None, clock: str | None) -> Source:
    opened = open_source(source, data, parse_clock(clock))
    print_gaps(*opened.gaps)
    return opened


def _print_losses(source: Source) -> None:
    """Say once, one line a table, what the bank does not bring and what is lost with it."""
    console = Console()
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
    as_json: JsonOption = False,
) -> None:
    """Read every table of a source and hold it to the data contract."""
    with steps("checking the source"):
        opened = open_source(source, data, parse_clock(clock))
    table = Table("table", "rows", title=f"{opened.config.name}: every table keeps the contract")
    for name, rows in opened.rows.items():
        table.add_row(name, f"{rows:,}")
    Console().print(table)
    _print_losses(opened)
    if as_json:
        print_json(
            {
                "source": opened.config.name,
                "tables": opened.rows,
                "missing": dict(opened.losses()),
                "ok": True,
            }
        )


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
        print_json({"out": str(out), "engine": engine.value, "rows": rows})


@app.command()
def describe(
    source: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option("--source", help="only what this source's catalog gives; default: the bank's"),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """List every feature: group, unit, range, what it needs, meaning in zh and en."""
    name = load_source_config(source).catalog if source else "bank"
    features = all_features(load_catalog(CONFIGS / "catalog" / name))
    table = Table(title=f"{len(features)} features", box=None)
    table.add_column("feature", no_wrap=True)
    for heading in ("group", "unit", "range"):
        table.add_column(heading)
    table.add_column("meaning", min_width=40)
    for feature in features:
        meaning = f"{feature.zh}; {feature.en}"
        table.add_row(feature.name, feature.group, feature.unit, _range(feature), meaning)
    console = Console()
    if not console.is_terminal:
        # in a pipe a name is never cut, so that it can be searched for
        console = Console(width=PIPE_WIDTH)
    console.print(table)
    if as_json:
        print_json({"catalog": name, "features": [_described(feature) for feature in features]})


def _range(feature: Feature) -> str:
    if feature.category:
        return "words"
    low = "−∞" if feature.low is None else f"{feature.low:g}"
    high = "∞" if feature.high is None else f"{feature.high:g}"
    return f"{low} … {high}"


def _described(feature: Feature) -> dict[str, Any]:
    return {
        "name": feature.name,
        "group": feature.group,
        "group_names": GROUPS[feature.group],
        "unit": feature.unit,
        "low": feature.low,
        "high": feature.high,
        "category": feature.category,
        "table": HISTORIES[feature.history][0] if feature.history else None,
        "inputs": feature.inputs,
        "zh": feature.zh,
        "en": feature.en,
    }


@app.command()
def publish(
    source: SourceOption,
    release: Annotated[
        Path, typer.Option("--release", help="release whose feature set to publish")
    ],
    out: Annotated[Path, typer.Option("--out", help="SQLite file the service reads")],
    data: DataOption = None,
    as_of: AsOfOption = "end",
    clock: ClockOption = None,
    as_json: JsonOption = False,
) -> None:
    """Write one packed vector and the state of every customer for the service."""
    file = release / "features.json"
    if not file.is_file():
        raise OnePointError(f"{file}: no such file; --release names a folder that training wrote")
    feature_set = load_yaml(file, FeatureSet)  # JSON is YAML
    opened = _open(source, data, clock)
    at = data_end(opened) if as_of == "end" else parse_clock(as_of)
    missing = set(feature_set.names) - {feature.name for feature in available_features(opened)}
    if missing:
        raise OnePointError(
            "the release reads features this source cannot give: "
            f"{', '.join(sorted(missing)[:5])}; train on this source, or bring the tables"
        )
    spine = customers_at(opened, [at])
    with steps("publishing features", total=len(HISTORIES) + 1) as progress:
        table = build_features(spine, progress=progress)
        progress("states")
        matrix = feature_set.encode(table)
        ids = table["customer_id"].to_pylist()
        records = zip(ids, matrix, customer_states(spine), strict=True)
        at = moment(spine.arrow()["as_of"][0].as_py()) if ids else at
        written = publish_store(out, feature_set, at, records)
    Console().print(f"{out}: {written:,} customers, feature set {feature_set.version}, as of {at}")
    if as_json:
        print_json({"out": str(out), "customers": written, "version": feature_set.version})


if __name__ == "__main__":
    run(app)
