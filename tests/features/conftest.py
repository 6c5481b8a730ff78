"""A copy of the eight customers that a test may spoil."""

import csv
import shutil
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import duckdb
import pytest

from features.__main__ import app
from features.build import build
from features.sources import Source, open_source
from features.spine import Spine, customers_at, event_range, moment, month_starts
from features.tables import BROUGHT


@dataclass
class Bank:
    """CSV files and their source YAML in a folder of the test's own."""

    folder: Path
    clock: datetime

    @property
    def yaml(self) -> Path:
        return self.folder / "source.yaml"

    def open(self) -> Source:
        return open_source(self.yaml, self.folder, self.clock)

    def file(self, table: str) -> Path:
        return self.folder / f"{table}.csv"

    def replace(self, name: str, old: str, new: str) -> None:
        """Put `new` for the first `old` in a table's file, or in the YAML (`source`)."""
        file = self.yaml if name == "source" else self.file(name)
        text = file.read_text("utf-8")
        assert old in text
        file.write_text(text.replace(old, new, 1), "utf-8")

    def append(self, table: str, *lines: str) -> None:
        with self.file(table).open("a", encoding="utf-8") as file:
            file.writelines(f"{line}\n" for line in lines)

    def without(self, table: str) -> None:
        """Take a table out of the YAML."""
        lines = self.yaml.read_text("utf-8").splitlines(keepends=True)
        kept = [line for line in lines if not line.startswith(f"  {table}:")]
        assert len(kept) == len(lines) - 1
        self.yaml.write_text("".join(kept), "utf-8")

    def rewrite(self, table: str, change) -> None:
        """Give the rows of a table (header first) to `change` and write what it returns."""
        with self.file(table).open(encoding="utf-8", newline="") as file:
            rows = change(list(csv.reader(file)))
        with self.file(table).open("w", encoding="utf-8", newline="") as file:
            csv.writer(file).writerows(rows)

    def drop_column(self, table: str, column: str) -> None:
        def drop(rows):
            at = rows[0].index(column)
            return [row[:at] + row[at + 1 :] for row in rows]

        self.rewrite(table, drop)


@pytest.fixture
def features(typed):
    """Run the command line as a person does; gives exit code, stdout and stderr."""

    def call(*words: object) -> tuple[int, str, str]:
        return typed(app, "features", *words)

    return call


@pytest.fixture
def bank(tmp_path, example_folder, clock) -> Bank:
    folder = tmp_path / "bank"
    shutil.copytree(example_folder, folder)
    return Bank(folder, clock)


@pytest.fixture(scope="session")
def raw_views():
    """Open the files of a folder as views raw_<table>, as they are, at a moment."""

    def open_views(folder: Path, as_of: datetime) -> duckdb.DuckDBPyConnection:
        con = duckdb.connect()
        con.execute(f"set variable as_of = timestamp '{as_of.replace(tzinfo=None)}'")
        for name in BROUGHT:
            csv_file, parquet = folder / f"{name}.csv", folder / f"{name}.parquet"
            if csv_file.is_file():
                rows = con.read_csv(str(csv_file), all_varchar=True)
            elif parquet.is_file():
                rows = con.from_parquet(str(parquet))
            else:
                columns = ", ".join(f"'' as \"{one.name}\"" for one in BROUGHT[name].columns)
                rows = con.sql(f"select {columns} where false")
            rows.create_view(f"raw_{name}")
        return con

    return open_views


@pytest.fixture
def tables_as_known_at(tmp_path, raw_views):
    """Write the tables of a folder as they stood at a moment, and open them as a source."""
    sql = Path(__file__).with_name("known_at.sql").read_text("utf-8")

    def rebuild(folder: Path, as_of: datetime, clock: datetime) -> Source:
        out = tmp_path / "known"
        out.mkdir()
        raw_views(folder, as_of).execute(sql.replace("{out}", str(out)))
        brought = [name for name in BROUGHT if any(folder.glob(f"{name}.*"))]
        tables = "".join(f"  {name}: from '{out}/{name}.parquet'\n" for name in brought)
        yaml = out / "source.yaml"
        yaml.write_text(f"name: known\ncatalog: bank\ntables:\n{tables}", "utf-8")
        return open_source(yaml, None, clock)

    return rebuild


@pytest.fixture(scope="session")
def example_spine(example_source, clock) -> Spine:
    return customers_at(example_source, [clock])


@pytest.fixture(scope="session")
def example_features(example_spine):
    """All features of the eight customers, now."""
    return build(example_spine)


@pytest.fixture(scope="session")
def simulated_features(simulated_source):
    """All features of the simulated bank at every month of its log."""
    first, last = (moment(us) for us in event_range(simulated_source))
    months = [one for one in month_starts(first, last, "Asia/Shanghai") if one.year >= 2024]
    return build(customers_at(simulated_source, months))
