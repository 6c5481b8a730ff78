"""Built features on disk: bounded, resumable, incremental; every file whole and written once."""

import hashlib
import shutil
import signal
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from features.build import build
from features.errors import ContractError, OnePointError
from features.feature_files import INDEX, STAGING, FeatureFiles, folder_name
from features.registry import available_features
from features.sources import open_source
from features.spine import customers_at
from features.staging import BUCKET, newest_event, open_bucket, stage, staged

ROOT = Path(__file__).resolve().parents[2]
YAML = ROOT / "configs" / "sources" / "simulated_bank.yaml"
CLOCK = datetime(2027, 1, 1, tzinfo=UTC)
MARCH, APRIL = datetime(2026, 3, 1, tzinfo=UTC), datetime(2026, 4, 1, tzinfo=UTC)
BUCKETS = 3


@pytest.fixture(scope="module")
def small_folder(simulated_folder, tmp_path_factory) -> Path:
    """The simulated bank's tables, of few customers: these tests build them often."""
    folder = tmp_path_factory.mktemp("few") / "tables"
    folder.mkdir()
    keep = pa.array(
        pq.read_table(simulated_folder / "customers.parquet")["customer_id"].unique()[:40]
    )
    for file in simulated_folder.glob("*.parquet"):
        table = pq.read_table(file)
        if "customer_id" in table.column_names:
            table = table.filter(pa.compute.is_in(table["customer_id"], value_set=keep))
        pq.write_table(table, folder / file.name)
    return folder


@pytest.fixture(scope="module")
def whole(small_folder):
    """The same features built in one piece, in memory."""
    table = build(customers_at(open_source(YAML, small_folder, CLOCK), [MARCH]))
    return table.drop_columns("row_id").sort_by("customer_id")


@pytest.fixture(scope="module")
def built(small_folder, whole, tmp_path_factory) -> FeatureFiles:
    """March in three buckets, built without a break."""
    files = FeatureFiles(YAML, small_folder, CLOCK, tmp_path_factory.mktemp("built"), BUCKETS)
    assert files.add([MARCH]) == {folder_name(MARCH): whole.num_rows}
    return files


def digest(folder: Path) -> str:
    """Hash of all Parquet files of a folder: equal builds have equal digests."""
    found = hashlib.sha256()
    for file in sorted(folder.glob("as_of=*/*.parquet")):
        found.update(file.relative_to(folder).as_posix().encode() + b"\0" + file.read_bytes())
    return found.hexdigest()


def read(folder: Path) -> pa.Table:
    tables = [pq.ParquetFile(file).read() for file in sorted(folder.glob("*.parquet"))]
    return pa.concat_tables(tables).sort_by("customer_id")


def test_buckets_together_are_the_whole(built, whole):
    assert read(built.out / folder_name(MARCH)).equals(whole)
    assert len(list(built.out.glob("as_of=*/*"))) == BUCKETS
    assert not (built.out / STAGING).exists()


def test_what_is_done_is_neither_read_nor_built_again(built, monkeypatch):
    monkeypatch.setattr("features.feature_files.stage", None)  # calling it would fail
    assert built.add([MARCH]) == {}


def test_another_moment_is_added_beside_the_first(built, small_folder, tmp_path):
    out = tmp_path / "grown"
    shutil.copytree(built.out, out)
    before = digest(out)
    files = FeatureFiles(YAML, small_folder, CLOCK, out, BUCKETS)
    assert files.add([MARCH, APRIL]).keys() == {folder_name(APRIL)}
    assert set(files.finished()) == {folder_name(MARCH), folder_name(APRIL)}
    shutil.rmtree(out / folder_name(APRIL))
    assert digest(out) == before


@pytest.mark.parametrize(("buckets", "yaml"), [(2, YAML), (BUCKETS, "other")])
def test_settings_that_differ_are_not_mixed(built, small_folder, tmp_path, buckets, yaml):
    if yaml == "other":
        yaml = tmp_path / "other.yaml"
        yaml.write_text(YAML.read_text("utf-8").replace("name: simulated_bank", "name: x"), "utf-8")
    files = FeatureFiles(yaml, small_folder, CLOCK, built.out, buckets)
    before = digest(built.out)
    with pytest.raises(OnePointError, match="was built with other settings"):
        files.add([APRIL])
    assert digest(built.out) == before


def test_a_bank_that_lost_a_table_gives_other_features(built, small_folder, tmp_path):
    out, poorer = tmp_path / "out", tmp_path / "poorer.yaml"
    shutil.copytree(built.out, out)
    lines = YAML.read_text("utf-8").splitlines(keepends=True)
    poorer.write_text("".join(line for line in lines if "ratings" not in line), "utf-8")
    with pytest.raises(OnePointError, match="features: others now"):
        FeatureFiles(poorer, small_folder, CLOCK, out, BUCKETS).add([APRIL])


KILLED = """
import sys
from datetime import datetime, UTC
from pathlib import Path
from features.feature_files import FeatureFiles
yaml, data, out = map(Path, sys.argv[1:4])
march = datetime(2026, 3, 1, tzinfo=UTC)
FeatureFiles(yaml, data, datetime(2027, 1, 1, tzinfo=UTC), out, 3).add([march])
"""


def test_killed_in_the_middle_it_goes_on(built, small_folder, tmp_path):
    out = tmp_path / "out"
    command = [sys.executable, "-c", KILLED, YAML, small_folder, out]
    process = subprocess.Popen(list(map(str, command)), cwd=ROOT)
    first = out / folder_name(MARCH) / "bucket-0000.parquet"
    deadline = time.monotonic() + 120
    while not first.is_file() and time.monotonic() < deadline:
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    done = {file: file.stat().st_mtime_ns for file in (out / folder_name(MARCH)).glob("*.parquet")}
    assert 1 <= len(done) < BUCKETS
    assert FeatureFiles(YAML, small_folder, CLOCK, out, BUCKETS).finished() == {}
    steps = []
    files = FeatureFiles(YAML, small_folder, CLOCK, out, BUCKETS, progress=steps.append)
    assert files.add([MARCH]) == built.finished()
    assert [step for step in steps if "reading" in step or "checking" in step] == []
    kept = [step for step in steps if step.endswith("is there already")]
    assert len(kept) == len(done)
    built_now = [step for step in steps if step.startswith("bucket") and step not in kept]
    assert len(built_now) == BUCKETS - len(done)
    assert {file: file.stat().st_mtime_ns for file in done} == done
    assert digest(out) == digest(built.out)
    assert list(out.rglob("*.writing")) == []


def test_buckets_of_tables_that_are_gone_are_not_kept(built, small_folder, tmp_path):
    """Without the staged tables nobody knows what a half-built moment was built from."""
    out = tmp_path / "out"
    half = out / folder_name(MARCH)
    shutil.copytree(built.out / folder_name(MARCH), half)
    (half / "bucket-0001.parquet").unlink()
    (half / "bucket-0000.parquet").write_bytes(b"from other tables")
    FeatureFiles(YAML, small_folder, CLOCK, out, BUCKETS).add([MARCH])
    assert digest(out) == digest(built.out)


def test_a_breach_in_any_bucket_leaves_nothing(small_folder, tmp_path):
    tables = tmp_path / "tables"
    shutil.copytree(small_folder, tables)
    holdings = pq.read_table(tables / "holdings.parquet")
    amounts = holdings["amount_cny"].to_pylist()
    amounts[-1] = -1
    column = holdings.column_names.index("amount_cny")
    field = holdings.schema.field("amount_cny")
    broken = holdings.set_column(column, field, pa.array(amounts, field.type))
    pq.write_table(broken, tables / "holdings.parquet")
    out = tmp_path / "out"
    with pytest.raises(ContractError, match=r"'holdings', column 'amount_cny': 1 values are below"):
        FeatureFiles(YAML, tables, CLOCK, out, BUCKETS).add([MARCH])
    assert list(out.glob("as_of=*")) == []
    assert staged(out / STAGING, YAML, tables, BUCKETS) is None


def test_rows_under_an_identity_come_to_their_customer(
    example_yaml, example_folder, example_source, clock, tmp_path
):
    """A row under a phone number lies in the bucket of the customer it belongs to."""
    mark = stage(example_yaml, example_folder, clock, tmp_path / "staged", 3, 1.0)
    kept = {}
    for bucket in range(3):
        opened = open_bucket(tmp_path / "staged", mark, example_yaml, bucket, 1.0)
        assert opened.missing_columns == example_source.missing_columns
        assert opened.rows["orgs"] == example_source.rows["orgs"]
        for row in opened.con.sql(
            "select customer_id, count(*) from contacts group by 1"
        ).fetchall():
            kept[row[0]] = row[1]
    whole = example_source.con.sql("select customer_id, count(*) from contacts group by 1")
    assert kept == dict(whole.fetchall())
    assert mark.rows == example_source.rows
    assert f"{BUCKET}=0" in {one.name for one in (tmp_path / "staged" / "contacts").iterdir()}


def test_the_newest_event_needs_no_opened_bank(small_folder, simulated_folder):
    from features.spine import data_end

    opened = open_source(YAML, small_folder, CLOCK)
    assert newest_event(YAML, small_folder) == data_end(opened)
    assert len(available_features(opened)) > 200


def test_the_index_tells_what_the_folder_holds(built):
    index = (built.out / INDEX).read_text("utf-8")
    assert '"source": "simulated_bank"' in index
    assert folder_name(MARCH) in index
