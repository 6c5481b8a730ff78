"""Built features on disk: a folder with one Parquet file per moment and bucket of customers.

Each file is whole or absent, and is never written twice: a build that was killed goes on where it
stopped, from the tables as it had staged them, and a later build adds new moments only.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from features.bank import Bank
from features.build import building
from features.config import StrictConfig, load_yaml
from features.errors import OnePointError
from features.registry import available_features
from features.source_config import load_source_config
from features.sources import Source
from features.spark import SparkSource
from features.spine import customers_at
from features.staging import Staged, open_bucket, stage, staged

Progress = Callable[[str], None]

INDEX = "build.json"
STAGING = ".staging"
NAMING = "%Y-%m-%dT%H%M%S.%fZ"


class BuildIndex(StrictConfig):
    """What a folder of built features holds; equal heads mean files that belong together."""

    source: str
    features: tuple[str, ...]
    buckets: int
    rows: dict[str, int] = {}
    """Rows of each finished moment, by its folder's name."""


@dataclass(frozen=True)
class FeatureFiles:
    """A build of a source's features into a folder.

    ``buckets`` splits the customers, so that memory stays bounded (``memory_gb`` for DuckDB's
    tables and sorts, in GB).
    """

    path: Path
    data: Path | None
    clock: datetime
    out: Path
    buckets: int = 1
    memory_gb: float = 3.0
    progress: Progress = field(default=lambda _: None)

    def finished(self) -> dict[str, int]:
        """Rows of each moment that is there, by the name of its folder."""
        index = self.out / INDEX
        return load_yaml(index, BuildIndex).rows if index.is_file() else {}

    def add(self, moments: Sequence[datetime]) -> dict[str, int]:
        """Build the moments that are not there yet; return their rows by folder name.

        Raises `OnePointError` where the folder holds features of another kind; the errors of
        `features.sources.open_source` come before anything is written.
        """
        wanted = [at for at in moments if folder_name(at) not in self.finished()]
        if not wanted:
            return {}
        name = load_source_config(self.path).name
        _hold_together(self.out, BuildIndex(source=name, features=(), buckets=self.buckets))
        mark = staged(self._staging, self.path, self.data, self.buckets)
        if mark is None:
            self._forget_unfinished()
            mark = stage(
                self.path, self.data, self.clock, self._staging, self.buckets, self.memory_gb,
                self.progress,
            )  # fmt: skip
        for bucket in range(self.buckets):
            self._build(mark, bucket, wanted)
        added = {folder_name(at): self._rows(at) for at in wanted}
        _add_rows(self.out, added)
        shutil.rmtree(self._staging)
        return added

    @property
    def _staging(self) -> Path:
        return self.out / STAGING

    def _build(self, mark: Staged, bucket: int, moments: Sequence[datetime]) -> None:
        waiting = [at for at in moments if not self._file(at, bucket).is_file()]
        if not waiting:
            self.progress(f"bucket {bucket + 1} of {self.buckets} is there already")
            return
        source = open_bucket(self._staging, mark, self.path, bucket, self.memory_gb)
        try:
            _open_index(self.out, source, self.buckets)
            for at in waiting:
                self.progress(f"bucket {bucket + 1} of {self.buckets}, {at:%Y-%m-%d}")
                write_features(source, at, self._file(at, bucket))
        finally:
            source.con.close()

    def _forget_unfinished(self) -> None:
        """Remove files of moments that were begun from tables that are no longer staged."""
        for folder in self.out.glob("as_of=*"):
            if folder.name not in self.finished():
                shutil.rmtree(folder)

    def _rows(self, at: datetime) -> int:
        files = [self._file(at, bucket) for bucket in range(self.buckets)]
        return sum(pq.read_metadata(file).num_rows for file in files)

    def _file(self, at: datetime, bucket: int) -> Path:
        return self.out / folder_name(at) / f"bucket-{bucket:04d}.parquet"


def _hold_together(out: Path, head: BuildIndex) -> None:
    """Refuse to mix what does not belong together; a head may not know its features yet."""
    if not (out / INDEX).is_file():
        return
    found = load_yaml(out / INDEX, BuildIndex)
    for what, before, now in (
        ("the source", found.source, head.source),
        ("the number of buckets", found.buckets, head.buckets),
        ("features", found.features, head.features or found.features),
    ):
        if before != now:
            told = f"{before}, now {now}" if what != "features" else "others now"
            raise OnePointError(
                f"{out} was built with other settings ({what}: {told}); "
                "give another --out, or remove that folder"
            )


def _open_index(out: Path, bank: Bank, buckets: int) -> None:
    """Write a folder's index, or hold what will be added to it against the one there is."""
    names = tuple(feature.name for feature in available_features(bank))
    head = BuildIndex(source=bank.config.name, features=names, buckets=buckets)
    _hold_together(out, head)
    if not (out / INDEX).is_file():
        _write_index(out, head)


def _add_rows(out: Path, added: dict[str, int]) -> None:
    index = load_yaml(out / INDEX, BuildIndex)
    _write_index(out, index.model_copy(update={"rows": index.rows | added}))


def _write_index(out: Path, index: BuildIndex) -> None:
    out.mkdir(parents=True, exist_ok=True)
    temporary = out / f"{INDEX}.writing"
    temporary.write_text(index.model_dump_json(indent=1), "utf-8")
    temporary.replace(out / INDEX)


def folder_name(at: datetime) -> str:
    """Name the folder of a moment.

    >>> folder_name(datetime(2026, 6, 30, 16, tzinfo=UTC))
    'as_of=2026-06-30T160000.000000Z'
    """
    return f"as_of={at.astimezone(UTC):{NAMING}}"


def write_features(
    source: Source, at: datetime, file: Path, progress: Progress = lambda _: None
) -> int:
    """Build the features of every customer at a moment into one Parquet file, whole or not at all.

    Columns: `customer_id`, `as_of` (microseconds) and the features, in order of `customer_id`.
    Returns the rows.
    """
    with building(customers_at(source, [at]), progress=progress) as frame:
        table: pa.Table = source.arrow(frame).drop_columns("row_id")
    file.parent.mkdir(parents=True, exist_ok=True)
    temporary = file.with_name(f"{file.name}.writing")
    try:
        # one chunk a column: equal tables give equal bytes, however the engine cut them
        pq.write_table(table.combine_chunks(), temporary)
        temporary.replace(file)
    finally:
        temporary.unlink(missing_ok=True)  # still there only where something failed
    return int(table.num_rows)


def build_on_spark(
    source: SparkSource, out: Path, moments: Sequence[datetime], progress: Progress
) -> dict[str, int]:
    """Build the moments that are not there yet into folders that Spark writes; return their rows.

    Files are as many as Spark makes of them, which the index tells as 0 buckets; a moment's folder
    is whole or absent. Raises `OnePointError` where the folder holds features of another kind.
    """
    _open_index(out, source, buckets=0)
    added = {}
    for at in moments:
        folder = out / folder_name(at)
        if folder.is_dir():
            continue
        progress(f"{at:%Y-%m-%d}")
        temporary = out / f".{folder.name}.writing"
        spine = customers_at(source, [at])
        with building(spine) as frame:
            source.write(frame.drop("row_id"), temporary)
        temporary.replace(folder)
        added[folder.name] = len(spine)
        _add_rows(out, {folder.name: len(spine)})
    return added


def features_in(out: Path) -> int:
    """How many features are in a file, or in every file of a folder of moments."""
    files = [out] if out.is_file() else sorted(out.glob("as_of=*/*.parquet"))
    return len(pq.read_schema(files[0])) - 2 if files else 0
