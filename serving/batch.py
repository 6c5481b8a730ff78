"""Deciding on a whole base: chunk by chunk into files beside the target, joined when all are there.

A killed run goes on where it was: a chunk's file is whole or not there, and the same run writes the
same bytes. Chunks of another run (another moment, door, version or list of customers) are removed.
"""

from __future__ import annotations

import fcntl
import gc
import hashlib
import json
import multiprocessing
import os
import threading
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import AbstractContextManager, closing, contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from multiprocessing.connection import wait
from pathlib import Path

import pyarrow.parquet as pq

from features.errors import OnePointError
from serving.base import CHUNK, Base, open_base
from serving.decision_table import SCHEMA, decision_table
from serving.errors import StartError
from serving.startup import Start

PLAN = "plan.json"


@dataclass(frozen=True)
class Batch:
    """What is to be decided: everybody in a work folder's store, or the ``customers`` of a list."""

    start: Start
    as_of: datetime
    out: Path
    channel: str | None = None
    limit: int = 3
    customers: tuple[str, ...] | None = None
    chunk: int = CHUNK

    @property
    def parts(self) -> Path:
        """The folder of the chunks that are done, until all are."""
        return self.out.with_name(self.out.name + ".parts")

    def part(self, number: int) -> Path:
        """The file of one chunk."""
        return self.parts / f"{number:06}.parquet"

    @contextmanager
    def open(self) -> Iterator[Base]:
        """Open the base that is decided on."""
        with open_base(self.start, self.as_of, self.channel, self.limit) as base:
            yield base


@dataclass(frozen=True)
class Decided:
    """What was written: customers, rows (see `decision_table`), chunks left by an earlier run."""

    customers: int
    rows: int
    chunks: int
    chunks_kept: int


def decide_base(
    batch: Batch, processes: int = 1, progress: Callable[[str], None] = lambda _: None
) -> Decided:
    """Decide on everybody and write one Parquet file, whole or not at all.

    ``processes`` work side by side, each on chunks of its own; the bytes are the same for any
    number of them. ``progress`` is called with each chunk.

    Raises
    ------
    StartError
        See `open_base`; a customer of the list is not in the store, or another run writes the same
        file.
    """
    with batch.open() as base:
        known = base.customer_ids()
        customers = batch.customers if batch.customers is not None else tuple(known)
        _check(customers, set(known))
        plan = _plan(batch, base, customers)
    batch = replace(batch, customers=customers)
    numbers = range(-(-len(customers) // batch.chunk))
    with _alone(batch):
        kept = _left_over(batch, plan)
        todo = [number for number in numbers if number not in kept]
        with closing(_decided(batch, todo, min(processes, len(todo)))) as decided:

            def ready() -> Iterator[int]:
                for number in numbers:
                    if number in kept:
                        progress("done before")
                    else:
                        next(decided)
                        progress(f"chunk {number + 1:,} of {len(numbers):,}")
                    yield number

            rows = _join(batch, ready())
    return Decided(len(customers), rows, len(numbers), len(kept))


def write_part(batch: Batch, base: Base, number: int) -> None:
    """Decide on one chunk and write its file, whole or not at all."""
    with _uncollected():
        _write_part(batch, base, number)


@contextmanager
def _uncollected() -> Iterator[None]:
    """Look for garbage when a chunk is done, and among what is new only.

    All of a chunk is needed to its end; on the way the collector would walk models and rules again
    and again.
    """
    gc.disable()
    try:
        yield
    finally:
        gc.collect(1)
        gc.enable()


def _write_part(batch: Batch, base: Base, number: int) -> None:
    customers = batch.customers or ()
    first = number * batch.chunk
    chunk = base.inputs(customers[first : first + batch.chunk])
    table = decision_table(chunk, base.decide(chunk), base.rules)
    temporary = batch.part(number).with_suffix(f".{os.getpid()}.writing")
    try:
        # read back once and soon: quick to read, not small
        pq.write_table(table, temporary, compression="lz4")
        temporary.replace(batch.part(number))
    finally:
        temporary.unlink(missing_ok=True)


class _Worker:
    """A process that holds an opened base of its own, for as long as its parent lives."""

    batch: Batch
    base: Base
    opened: AbstractContextManager[Base]
    """Kept, for what nobody holds is closed."""


def _begin(batch: Batch) -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        # a killed parent cannot stop its workers: they watch it
        threading.Thread(target=_end_with, args=(parent.sentinel,), daemon=True).start()
    _Worker.batch, _Worker.opened = batch, batch.open()
    _Worker.base = _Worker.opened.__enter__()


def _end_with(sentinel: int) -> None:
    wait([sentinel])
    os._exit(1)


def _write(number: int) -> int:
    write_part(_Worker.batch, _Worker.base, number)
    return number


def _decided(batch: Batch, todo: list[int], processes: int) -> Generator[int]:
    """Decide on chunks and give their numbers, in order, as each is done."""
    if processes <= 1:
        with batch.open() as base:
            for number in todo:
                write_part(batch, base, number)
                yield number
        return
    # spawned, for a forked LightGBM hangs
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(processes, context, _begin, (batch,)) as pool:
        yield from pool.map(_write, todo)


def _check(customers: tuple[str, ...], known: set[str]) -> None:
    if not customers:
        raise StartError("nobody to decide on: the list of customers, or the store, is empty")
    unknown = [one for one in customers if one not in known]
    if unknown:
        raise StartError(
            f"{len(unknown)} of {len(customers)} customers are not in the online store, the first "
            f"in place {customers.index(unknown[0]) + 1} of the list; give published customers"
        )
    if len(set(customers)) < len(customers):
        raise StartError("the list names a customer twice; name each once")


def _plan(batch: Batch, base: Base, customers: tuple[str, ...]) -> str:
    """Write down all that makes a run the same run."""
    return json.dumps(
        {
            "as_of": batch.as_of.astimezone(UTC).isoformat(),
            "channel": base.asked.channel,
            "limit": batch.limit,
            "chunk": batch.chunk,
            "versions": base.versions.model_dump(),
            "features": base.features_version,
            "columns": SCHEMA.names,
            "customers": hashlib.sha256("\n".join(customers).encode()).hexdigest(),
        },
        indent=1,
    )


@contextmanager
def _alone(batch: Batch) -> Iterator[None]:
    """Hold the folder of parts: of two runs that write the same file the second is told so."""
    try:
        batch.parts.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OnePointError(f"{batch.out}: cannot be written ({error.strerror})") from None
    folder = os.open(batch.parts, os.O_RDONLY)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise StartError(f"{batch.out}: another run is writing it; wait for its end") from None
    else:
        yield
    finally:
        os.close(folder)


def _left_over(batch: Batch, plan: str) -> frozenset[int]:
    """Name the chunks an earlier run of the same plan has left; what is not of it is removed."""
    path = batch.parts / PLAN
    same = path.is_file() and path.read_text("utf-8") == plan
    for file in batch.parts.iterdir():
        if not same or file.suffix == ".writing":
            file.unlink()
    if not same:
        temporary = path.with_suffix(".writing")
        temporary.write_text(plan, "utf-8")
        temporary.replace(path)
    return frozenset(int(file.stem) for file in batch.parts.glob("*.parquet"))


def _join(batch: Batch, numbers: Iterator[int]) -> int:
    """Put the chunks together in order, as they come, under a temporary name until all are there.

    Chunks are kept to the end: a killed run joins them again.
    """
    temporary, rows = batch.parts / "all.writing", 0
    joined = []
    with temporary.open("wb") as file:
        with pq.ParquetWriter(file, SCHEMA, compression="zstd") as writer:
            for number in numbers:
                table = pq.read_table(batch.part(number), schema=SCHEMA)
                writer.write_table(table)
                rows += table.num_rows
                joined.append(number)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(batch.out)
    for number in joined:
        batch.part(number).unlink()
    (batch.parts / PLAN).unlink()
    batch.parts.rmdir()
    return rows
