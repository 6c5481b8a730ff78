"""No feature and no state sees the future: the tables as known at T give the same bytes."""

from dataclasses import replace
from datetime import UTC, datetime

import pyarrow as pa
import pytest

import features.history
from features.build import build
from features.histories import HISTORIES
from features.registry import available_features
from features.sources import Source
from features.spine import customers_at
from features.states import customer_states
from features.tables import BROUGHT, TABLES

BEFORE_MUCH_WAS_KNOWN = datetime(2026, 6, 10, tzinfo=UTC)


def features_at(source: Source, as_of: datetime, table: str = "") -> bytes:
    """The bytes of all features, or of those that read one table."""
    features = [
        feature
        for feature in available_features(source)
        if not table or (feature.history and HISTORIES[feature.history][0] == table)
    ]
    table = build(customers_at(source, [as_of]), features)
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as stream:
        stream.write_table(table.combine_chunks())
    return sink.getvalue().to_pybytes()


def states_at(source: Source, as_of: datetime) -> list[str]:
    """States without the list of missing tables, which is about the bank."""
    states = customer_states(customers_at(source, [as_of]))
    return [state.model_copy(update={"missing": ()}).model_dump_json() for state in states]


def test_eight_customers_as_known_at(
    example_source, example_folder, tables_as_known_at, features_before, clock
):
    as_of = BEFORE_MUCH_WAS_KNOWN
    known = tables_as_known_at(example_folder, as_of, clock)
    assert known.rows["contacts"] < example_source.rows["contacts"]
    assert states_at(known, as_of) == states_at(example_source, as_of)
    assert features_at(known, as_of) == features_before


def test_simulated_bank_as_known_at(simulated_source, simulated_folder, tables_as_known_at):
    as_of = datetime(2026, 2, 11, 3, 4, 5, tzinfo=UTC)
    known = tables_as_known_at(simulated_folder, as_of, as_of)
    assert states_at(known, as_of) == states_at(simulated_source, as_of)
    assert features_at(known, as_of) == features_at(simulated_source, as_of)


@pytest.mark.parametrize("table", ["holdings", "contacts", "ratings"])
def test_the_check_sees_a_broken_mask(
    example_source, example_folder, tables_as_known_at, monkeypatch, clock, table
):
    """Red on purpose: with the masks of one table off, the future shows."""
    as_of = BEFORE_MUCH_WAS_KNOWN
    known = tables_as_known_at(example_folder, as_of, clock)
    assert features_at(known, as_of, table) == features_at(example_source, as_of, table)
    unmasked = tuple(replace(column, filled_at="") for column in TABLES[table].columns)
    broken = {**TABLES, table: replace(TABLES[table], columns=unmasked)}
    monkeypatch.setattr(features.history, "TABLES", broken)
    assert features_at(known, as_of, table) != features_at(example_source, as_of, table)
    assert states_at(known, as_of) != states_at(example_source, as_of)


@pytest.fixture(scope="module")
def features_before(example_source) -> bytes:
    return features_at(example_source, BEFORE_MUCH_WAS_KNOWN)


def test_planted_future_rows_change_nothing(bank, example_source, features_before):
    """Rows that happen at T or later, and rows that happened before but were known later."""
    as_of = BEFORE_MUCH_WAS_KNOWN
    for name, table in BROUGHT.items():
        if table.has_history:
            bank.rewrite(name, lambda rows: plant(rows, as_of))
    spoilt = bank.open()
    assert spoilt.rows["transactions"] == 3 * example_source.rows["transactions"]
    assert states_at(spoilt, as_of) == states_at(example_source, as_of)
    assert features_at(spoilt, as_of) == features_before


def plant(rows: list[list[str]], as_of: datetime) -> list[list[str]]:
    """Each row thrice: as it is, at T, and of before T but known a microsecond after it."""
    header, body = rows[0], rows[1:]
    time, known = header.index("event_time"), header.index("available_at")
    planted = []
    for number, row in enumerate(body):
        at_t, known_late = list(row), list(row)
        # the microseconds keep the keys apart
        at_t[time] = as_of.replace(microsecond=number).strftime("%Y-%m-%d %H:%M:%S.%f")
        at_t[known] = ""
        known_late[time] = f"2026-06-09 12:00:00.{number:06d}"
        known_late[known] = "2026-06-10 00:00:00.000001"
        if header[0] == "contact_id":
            at_t[0], known_late[0] = f"at_t_{number}", f"late_{number}"
        planted += [at_t, known_late]
    return [header, *body, *planted]
