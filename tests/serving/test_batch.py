"""The whole base in one file: complete, the same bytes every time, and killed it goes on."""

import os
import signal
import subprocess
import sys
from dataclasses import asdict

import pyarrow.parquet as pq
import pytest

from serving.batch import Batch, decide_base
from serving.config import ROOT
from serving.errors import StartError
from serving.startup import choose_start

pytestmark = pytest.mark.usefixtures("environment_of_the_work_folder")

KILLED = """
import os, signal, sys
from datetime import datetime
from pathlib import Path
from serving.batch import Batch, decide_base
from serving.startup import choose_start
work, out, as_of = Path(sys.argv[1]), Path(sys.argv[2]), datetime.fromisoformat(sys.argv[3])
def kill(step):
    if step.startswith("chunk 2"):
        os.kill(os.getpid(), signal.SIGKILL)
decide_base(Batch(choose_start(work, None, as_of, False), as_of, out, chunk=2), progress=kill)
"""


@pytest.fixture
def batch(recommender, tmp_path):
    now = recommender.clock.now()
    start = choose_start(recommender.customers.path.parent, None, now, False)
    return Batch(start, now, tmp_path / "out" / "decided.parquet", chunk=2)


def test_everybody_has_a_row_and_every_term_is_there(batch):
    found = decide_base(batch)
    table = pq.read_table(batch.out).to_pylist()
    with batch.open() as base:
        customers = base.customer_ids()
        inputs = base.inputs(customers)
        decisions = base.decide(inputs)
    assert [row["customer_id"] for row in table if row["rank"] in (None, 1)] == customers
    assert (found.customers, found.rows) == (len(customers), len(table))
    rows = iter(table)
    for decision in decisions:
        for place in decision.ranked:
            row = next(rows)
            assert row["decision_id"] == decision.decision_id
            action = asdict(place.action)
            assert {term: row[term] for term in action} == action
            assert row["reasons"] == [reason.code for reason in place.reasons]
            if place.contributions is not None:
                parts = [v for k, v in row.items() if k.startswith("contribution_") and v]
                assert row["bias"] + sum(parts) == pytest.approx(row["raw_score"])
        # what was removed is told once a decision
    told = [row["excluded"] for row in table]
    assert all((row["excluded"] is not None) == (row["rank"] in (None, 1)) for row in table)
    assert any("risk_assessment_missing" in line for lines in told if lines for line in lines)
    assert not batch.parts.exists()


def test_killed_it_goes_on_where_it_was_and_writes_the_same_bytes(batch, tmp_path):
    whole = Batch(batch.start, batch.as_of, tmp_path / "whole.parquet", chunk=2)
    assert decide_base(whole).chunks_kept == 0
    work = str(batch.start.work.path)
    command = [sys.executable, "-c", KILLED, work, str(batch.out), batch.as_of.isoformat()]
    killed = subprocess.run(command, cwd=ROOT, env=os.environ, check=False)
    assert killed.returncode == -signal.SIGKILL
    assert not batch.out.exists()
    done = {path: path.stat().st_mtime_ns for path in batch.parts.glob("*.parquet")}
    assert 1 <= len(done) < 3
    # what a crash may leave, and a part of another plan, do no harm
    (batch.parts / "000002.1.writing").write_bytes(b"half")
    again = decide_base(batch)
    assert again.chunks_kept == len(done)
    assert batch.out.read_bytes() == whole.out.read_bytes()
    assert decide_base(batch).chunks_kept == 0
    assert batch.out.read_bytes() == whole.out.read_bytes()


def test_chunks_of_another_run_are_not_taken_up(batch):
    batch.parts.mkdir(parents=True)
    (batch.parts / "plan.json").write_text("{}")
    (batch.parts / "000000.parquet").write_bytes(b"of another day")
    assert decide_base(batch).chunks_kept == 0
    assert pq.read_metadata(batch.out).num_rows >= 6


def test_a_list_is_decided_on_in_its_order_and_what_is_off_is_told(batch):
    chosen = ("C_PLAIN", "C_CAUTIOUS")
    listed = Batch(batch.start, batch.as_of, batch.out, "teller", 1, chosen)
    decide_base(listed)
    table = pq.read_table(batch.out)
    assert table["customer_id"].to_pylist() == list(chosen)
    assert set(table["channel"].to_pylist()) == {"teller"}
    for wrong, says in (
        (("C_PLAIN", "NOBODY"), "not in the online store.*place 2"),
        (("C_PLAIN", "C_PLAIN"), "twice"),
        ((), "nobody"),
    ):
        before = batch.out.read_bytes()
        with pytest.raises(StartError, match=says):
            decide_base(Batch(batch.start, batch.as_of, batch.out, customers=wrong))
        assert batch.out.read_bytes() == before
        assert not batch.parts.exists()
