"""The same definitions on a real Spark session: every feature and tag agrees with DuckDB."""

import math
import shutil
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from features.build import building
from features.catalog import load_catalog
from features.errors import ContractError, OnePointError, SourceError
from features.feature_files import INDEX, build_on_spark, folder_name
from features.registry import all_features, available_features
from features.sources import Source, open_source
from features.spine import customers_at
from features.tags.registry import available_tags

pytestmark = [
    pytest.mark.needs("java"),
    # hundreds of small jobs: minutes on a machine that others use too
    pytest.mark.timeout(1500),
    # PySpark looks at pandas when it starts; tables move as Arrow
    pytest.mark.filterwarnings("ignore::FutureWarning:pyspark"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
]

ROOT = Path(__file__).resolve().parents[2]
YAML = ROOT / "configs" / "sources" / "simulated_bank.yaml"
CATALOG = ROOT / "configs" / "catalog" / "bank"
CLOCK = datetime(2027, 1, 1, tzinfo=UTC)
# the middle of a day, and the midnight of the bank's calendar at a month's end
MOMENTS = [
    datetime(2026, 3, 15, 4, 5, 6, 789, tzinfo=UTC),
    datetime(2025, 10, 31, 16, tzinfo=UTC),
]


# for a few hundred rows, compiling takes longer than running
QUICK = {
    "spark.sql.adaptive.enabled": "false",
    "spark.sql.codegen.wholeStage": "false",
    "spark.sql.codegen.factoryMode": "NO_CODEGEN",
    "spark.sql.shuffle.partitions": "1",
    # on hundreds of columns the optimizer would look for constraints longer than all else takes
    "spark.sql.constraintPropagation.enabled": "false",
    "spark.sql.parquet.compression.codec": "uncompressed",
}


@pytest.fixture(scope="module")
def session():
    from features.spark import SETTINGS, spark_session

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("JDK_JAVA_OPTIONS", "-XX:+UseSerialGC")
        with spark_session(memory_gb=3, settings=SETTINGS | QUICK) as session:
            yield session


def yaml_of(folder: Path, *tables: str) -> Path:
    """The simulated bank's source, of a few tables only: each takes Spark some jobs to check."""
    path = folder / "few.yaml"
    kept = "".join(
        f"  {name}: \"from read_parquet('{{data}}/{name}.parquet')\"\n" for name in tables
    )
    path.write_text(f"name: few\ncatalog: bank\ntables:\n{kept}", "utf-8")
    return path


def everything(spine) -> pa.Table:
    """Features, facts and tags of a spine in one table."""
    tags = available_tags(spine.source)
    columns = [one for tag in tags.tags for one in tag.columns(tags.book[tag.code])]
    features = {one.name: one for one in available_features(spine.source)}
    features |= {one.name: one for one in tags.reads}
    with building(spine, [*features.values(), *columns]) as frame:
        return spine.source.arrow(frame)


@pytest.fixture(scope="module")
def whole_bank(simulated_folder, tmp_path_factory) -> tuple[Path, Path]:
    """Source YAML and tables of a bank that brings all: the simulated one reports no demand."""
    folder = tmp_path_factory.mktemp("whole")
    tables = shutil.copytree(simulated_folder, folder / "tables")
    reports = [(datetime(2025, month, 1, tzinfo=UTC), month / 50) for month in (8, 9, 10)]
    offers = [offer.id for offer in load_catalog(CATALOG).offers if offer.kind == "product"]
    rows = [
        {"product": one, "event_time": at, "recent_share": share, "usual_share": share / 2}
        for at, share in reports
        for one in offers
    ]
    pq.write_table(pa.Table.from_pylist(rows), tables / "demand.parquet")
    return yaml_of(folder, *(path.stem for path in sorted(tables.glob("*.parquet")))), tables


@pytest.fixture(scope="module")
def on_duckdb(whole_bank) -> tuple[Source, pa.Table]:
    source = open_source(*whole_bank, CLOCK)
    return source, everything(customers_at(source, MOMENTS))


@pytest.fixture(scope="module")
def spark_source(session, whole_bank):
    from features.spark import open_spark_source

    with open_spark_source(*whole_bank, CLOCK, session) as source:
        yield source


def differing(left: pa.ChunkedArray, right: pa.ChunkedArray) -> list[tuple[object, object]]:
    return [
        (a, b)
        for a, b in zip(left.to_pylist(), right.to_pylist(), strict=True)
        if a != b
        and not (
            isinstance(a, float)
            and isinstance(b, float)
            and math.isclose(a, b, rel_tol=1e-9, abs_tol=1e-9)
        )
    ]


def test_every_feature_and_tag_agrees(spark_source, on_duckdb):
    source, expected = on_duckdb
    found = everything(customers_at(spark_source, MOMENTS))
    assert found.num_rows == expected.num_rows > 500
    assert found.column_names == expected.column_names
    assert set(expected.column_names) >= {one.name for one in all_features(source.catalog)}
    wrong = {
        name: pairs[:3]
        for name in expected.column_names
        if name != "row_id" and (pairs := differing(found[name], expected[name]))
    }
    assert wrong == {}
    # columns that are empty everywhere would agree whatever the engine does
    told = [name for name in expected.column_names if expected[name].null_count < len(expected)]
    assert len(told) > 0.9 * expected.num_columns
    # rows of a spine are numbered in its order on both engines
    assert pc.all(pc.greater(pc.pairwise_diff(found["row_id"].combine_chunks())[1:], 0)).as_py()


def test_what_the_bank_brings_is_the_same(spark_source, on_duckdb):
    source, _ = on_duckdb
    assert spark_source.rows == source.rows
    assert spark_source.missing_columns == source.missing_columns


def test_a_breach_is_told_in_the_same_words(session, simulated_folder, tmp_path):
    from features.spark import open_spark_source

    tables = tmp_path / "tables"
    shutil.copytree(simulated_folder, tables)
    ratings = pq.read_table(tables / "ratings.parquet")
    scores = ratings["score"].to_pylist()
    scores[3] = 9
    column = ratings.column_names.index("score")
    field = ratings.schema.field("score")
    pq.write_table(
        ratings.set_column(column, field, pa.array(scores, field.type)), tables / "ratings.parquet"
    )
    told, yaml = [], yaml_of(tmp_path, "customers", "holdings", "ratings")
    for open_it in (
        lambda: open_source(yaml, tables, CLOCK),
        lambda: open_spark_source(yaml, tables, CLOCK, session).__enter__(),
    ):
        with pytest.raises(ContractError) as caught:
            open_it()
        told.append(str(caught.value).split(";")[0])
    assert told == ["table 'ratings', column 'score': 1 values are above 5"] * 2


def test_files_that_spark_does_not_read(session, example_yaml, example_folder, tmp_path):
    from features.spark import open_spark_source

    with (
        pytest.raises(
            SourceError, match="Spark reads Parquet files; write the CSV file as Parquet"
        ),
        open_spark_source(example_yaml, example_folder, CLOCK, session),
    ):
        pass
    with (
        pytest.raises(SourceError, match="table 'customers' cannot be read"),
        open_spark_source(YAML, tmp_path, CLOCK, session),
    ):
        pass


def test_a_moment_is_written_once(session, simulated_folder, tmp_path):
    from features.spark import open_spark_source

    yaml, out = yaml_of(tmp_path, "customers", "holdings"), tmp_path / "out"
    with open_spark_source(yaml, simulated_folder, CLOCK, session) as source:
        rows = build_on_spark(source, out, MOMENTS[:1], lambda _: None)
        folder = out / folder_name(MOMENTS[0])
        built = pq.read_table(folder, partitioning=None)
        assert rows == {folder.name: built.num_rows}
        wanted = [one.name for one in available_features(source)]
        assert built.column_names == ["customer_id", "as_of", *wanted]
        assert build_on_spark(source, out, MOMENTS[:1], lambda _: None) == {}
        index = out / INDEX
        index.write_text(index.read_text("utf-8").replace('"few"', '"another"'), "utf-8")
        with pytest.raises(OnePointError, match="was built with other settings"):
            build_on_spark(source, out, MOMENTS, lambda _: None)
    assert list(out.glob(".*")) == []


def test_without_pyspark_it_says_what_to_install(monkeypatch):
    import sys

    from features.spark import spark_session

    monkeypatch.setitem(sys.modules, "pyspark.sql", None)
    with pytest.raises(OnePointError, match="its extra `spark`"), spark_session():
        pass


def test_without_java_it_says_what_to_install(monkeypatch):
    from features.spark import spark_session

    monkeypatch.setattr("features.spark.shutil.which", lambda name: None)
    with pytest.raises(OnePointError, match="needs Java 17"), spark_session():
        pass
