"""The table of scores: OnePoint writes it itself, and reads it as it reads any other."""

from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from features.errors import ContractError, SourceError
from features.sources import open_source
from features.tables import BROUGHT, TABLES

COLUMNS = [column.name for column in TABLES["scores"].columns]
ROW = {
    "customer_id": "managed", "event_time": datetime(2026, 6, 30), "head": "start",
    "product": "fund_r2", "stage": None, "channel": None, "probability": 0.25, "release": "r1",
}  # fmt: skip


def file_of(path: Path, *rows: dict) -> Path:
    pq.write_table(pa.Table.from_pylist([{**ROW, **row} for row in rows]), path)
    return path


@pytest.fixture
def opened(example_yaml, example_folder, clock, tmp_path):
    def open_with(*rows: dict):
        scores = file_of(tmp_path / "it's scored.parquet", *rows)
        return open_source(example_yaml, example_folder, clock, scores=scores)

    return open_with


def test_no_bank_is_asked_for_it():
    assert set(TABLES) - set(BROUGHT) == {"scores"}
    assert [name for name, table in TABLES.items() if table.own] == ["scores"]


def test_a_file_of_scores_becomes_the_table(opened, example_source):
    source = opened({}, {"product": "fund_r3"})
    assert source.con.table("scores").columns == COLUMNS
    assert source.rows["scores"] == 2
    assert source.has("scores.stage")
    assert not example_source.has("scores")
    for one in (source, example_source):
        assert one.missing_tables == ()
        assert one.gaps == (0, 0)
        assert one.losses() == []


def test_scores_are_held_to_the_contract(opened):
    for row, said in (
        ({"product": "fund_r22"}, "did you mean 'fund_r2'"),
        ({"probability": 1.5}, "are above 1"),
        ({"head": "begin"}, "allowed: completion, preference, start"),
        ({"event_time": datetime(2026, 7, 2)}, "lie in the future"),
        ({"release": None}, "are null and may not be"),
    ):
        with pytest.raises(ContractError, match=said):
            opened(row)
    with pytest.raises(ContractError, match="stand more than once"):
        opened({}, {"probability": 0.5})


def test_a_missing_file_is_named(example_yaml, example_folder, clock, tmp_path):
    with pytest.raises(SourceError, match=r"absent.parquet: table 'scores' cannot be read"):
        open_source(example_yaml, example_folder, clock, scores=tmp_path / "absent.parquet")


def test_a_source_may_name_its_own_scores_but_not_two(bank, tmp_path):
    path = file_of(tmp_path / "scores.parquet", {})
    text = bank.yaml.read_text("utf-8")
    bank.yaml.write_text(f"{text}\n  scores: \"from read_parquet('{path}')\"\n", "utf-8")
    assert bank.open().rows["scores"] == 1
    with pytest.raises(SourceError, match="has a table 'scores' already"):
        open_source(bank.yaml, bank.folder, datetime(2026, 7, 1, 2, tzinfo=UTC), scores=path)
    select = f"select * exclude (stage) from read_parquet('{path}')"  # noqa: S608
    bank.yaml.write_text(f'{text}\n  scores: "{select}"\n', "utf-8")
    poorer = bank.open()
    assert poorer.gaps == (0, 0)
    assert poorer.losses() == []
