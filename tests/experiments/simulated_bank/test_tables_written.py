"""What is on disk: the contract, the end of the data, equal bytes for equal seeds."""

from __future__ import annotations

# ruff: noqa: S608 - the names come from the contract
import hashlib
import json
from pathlib import Path

import pytest

from experiments.simulated_bank.bank import simulate
from experiments.simulated_bank.parameters import CATALOGS
from experiments.simulated_bank.table_log import UNWRITTEN
from features.catalog import load_catalog
from features.errors import ConfigError
from features.reading import DUCKDB
from features.tables import BROUGHT, TABLES

END = "2026-06-30 16:00:00"
WRITTEN = [name for name in BROUGHT if name not in UNWRITTEN]
CATALOG = load_catalog(CATALOGS / "bank")


def digests(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def one(connection, sql: str):
    return connection.execute(sql).fetchone()[0]


@pytest.fixture(scope="module")
def small(settings, tmp_path_factory) -> Path:
    return simulate(settings, 300, 1, tmp_path_factory.mktemp("small") / "a")


def test_equal_seeds_give_equal_bytes(settings, small, tmp_path):
    again = digests(simulate(settings, 300, 1, tmp_path / "b"))
    assert again == digests(small)
    assert len(again) == len(WRITTEN) + 2


def test_another_seed_gives_another_bank(settings, small, tmp_path):
    first, other = digests(small), digests(simulate(settings, 300, 2, tmp_path / "b"))
    # Seven outlets more or less may be laid out alike; nothing else may.
    alike = {name for name in first if first[name] == other[name]}
    assert alike <= {"orgs.parquet", "staff.parquet"}


@pytest.mark.parametrize("name", WRITTEN)
def test_columns_and_types_are_those_of_the_contract(bank, name):
    found = bank.execute(f"describe {name}").fetchall()
    assert [(row[0], row[1]) for row in found] == [
        (column.name, DUCKDB.types[column.dtype]) for column in TABLES[name].columns
    ]
    assert one(bank, f"select count(*) from {name}") > 0


@pytest.mark.parametrize("name", WRITTEN)
def test_values_are_those_of_the_contract(bank, name):
    for column in TABLES[name].columns:
        quoted = f'"{column.name}"'
        if column.required:
            assert one(bank, f"select count(*) from {name} where {quoted} is null") == 0, quoted
        for bound, sign in ((column.low, "<"), (column.high, ">")):
            if bound is not None:
                outside = f"select count(*) from {name} where {quoted} {sign} {bound}"
                assert one(bank, outside) == 0, quoted
        words = set(column.allowed)
        for vocabulary in column.vocabulary:
            words |= set(CATALOG.channel_ids if vocabulary == "channels" else CATALOG.offer_ids)
        if words:
            found = bank.execute(f"select distinct {quoted} from {name}").fetchall()
            assert {row[0] for row in found} - {None} <= words, quoted


@pytest.mark.parametrize("name", WRITTEN)
def test_keys_are_unique(bank, name):
    key = ", ".join(f'"{column}"' for column in TABLES[name].key)
    doubled = f"select count(*) from (select {key} from {name} group by all having count(*) > 1)"
    assert one(bank, doubled) == 0


@pytest.mark.parametrize("name", WRITTEN)
def test_nothing_lies_at_or_after_the_end(bank, name):
    for column in TABLES[name].columns:
        if column.dtype == "time" and not (column.future and not column.filled_at):
            late = f"select count(*) from {name} where \"{column.name}\" >= '{END}'"
            assert one(bank, late) == 0, column.name


@pytest.mark.parametrize(
    "name", [name for name in WRITTEN if TABLES[name].has_history and name != "orgs"]
)
def test_no_row_is_known_before_it_happened(bank, name):
    assert one(bank, f"select count(*) from {name} where available_at < event_time") == 0
    known = one(bank, f"select count(*) from {name} where available_at is null")
    assert known == 0


def test_most_rows_are_known_within_the_hour_and_some_days_later(bank):
    late = one(
        bank, "select avg((available_at > event_time + interval 1 day)::int) from interactions"
    )
    prompt = one(
        bank, "select avg((available_at < event_time + interval 1 hour)::int) from interactions"
    )
    assert 0.001 < late < 0.02
    assert prompt > 0.9


def test_every_row_is_about_a_customer_who_has_joined(bank):
    for name in WRITTEN:
        columns = [column.name for column in TABLES[name].columns]
        if "customer_id" not in columns or "event_time" not in columns:
            continue
        early = f"""select count(*) from {name} join
            (select customer_id, min(joined_at) joined from customers group by 1)
            using (customer_id) where event_time < joined"""
        assert one(bank, early) == 0, name
        lost = f"select count(*) from {name} anti join customers using (customer_id)"
        assert one(bank, lost) == 0, name


def test_ids_have_their_form(bank):
    for sql, form in (
        ("select customer_id from customers", "C[0-9]{7}"),
        ("select org_id from orgs", "O[0-9]{4}"),
        ("select staff_id from staff", "S[0-9]{5}"),
    ):
        wrong = f"select count(*) from ({sql}) t(id) where not regexp_full_match(id, '{form}')"
        assert one(bank, wrong) == 0


def test_agencies_do_not_sell_funds_or_loans(bank):
    scopes = bank.execute(
        "select distinct business_scope from orgs where kind = 'agency'"
    ).fetchall()
    assert scopes
    categories = {offer.category for offer in CATALOG.offers}
    for (scope,) in scopes:
        assert set(scope.split(";")) <= categories
        assert {"fund", "loan"}.isdisjoint(scope.split(";"))


def test_staff_work_at_an_outlet_and_look_after_its_customers(bank):
    assert one(bank, "select count(*) from staff anti join orgs using (org_id)") == 0
    stranger = """select count(*) from assignments join staff using (staff_id)
        join customers using (customer_id) where staff.org_id <> customers.org_id"""
    assert one(bank, stranger) == 0
    assert one(bank, 'select count(*) from assignments where "to" is not null') > 0


def test_a_folder_with_other_files_is_not_touched(settings, tmp_path):
    (tmp_path / "thesis.txt").write_text("mine")
    with pytest.raises(ConfigError, match="holds other files"):
        simulate(settings, 300, 1, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


def test_a_failure_leaves_the_earlier_simulation_whole(settings, tmp_path, monkeypatch):
    out = simulate(settings.model_copy(update={"months": 2}), 60, 1, tmp_path / "bank")
    before = digests(out)

    def fail(*_: object) -> None:
        raise OSError("disk full")

    monkeypatch.setattr("experiments.simulated_bank.bank.World._write_truth", fail)
    with pytest.raises(OSError, match="disk full"):
        simulate(settings.model_copy(update={"months": 2}), 60, 2, out)
    assert digests(out) == before
    assert [path.name for path in tmp_path.iterdir()] == ["bank"]


def test_the_truth_names_what_made_the_bank(bank_folder):
    world = json.loads((bank_folder / "truth" / "world.json").read_text("utf-8"))
    assert (world["seed"], world["customers"]) == (7, 1_500)
    assert world["config"]["signal"] == 1.0


def test_no_other_room_mentions_the_truth():
    root = CATALOGS.parents[1]
    files = [
        path for room in ("features", "training", "serving") for path in (root / room).rglob("*.py")
    ]
    files += sorted((root / "configs" / "sources").glob("*.yaml"))
    assert len(files) > 5
    telling = ("truth/", "/truth", "latents.parquet", "world.json", "simulated_bank.truth")
    guilty = [
        f"{path}: {word}" for path in files for word in telling if word in path.read_text("utf-8")
    ]
    assert guilty == []
