"""The registry: what is declared, in both languages, and what a poorer bank loses."""

import re
from collections import Counter
from dataclasses import replace

import pytest

from features.build import build
from features.catalog import load_catalog
from features.groups import GROUPS
from features.histories import HISTORIES
from features.registry import all_features, available_features
from features.sources import CONFIGS, Source
from features.spine import customers_at
from features.states import customer_states
from features.tables import BROUGHT

OPTIONAL_COLUMNS = [
    f"{table.name}.{column.name}"
    for table in BROUGHT.values()
    for column in table.columns
    if not column.required
]
OPTIONAL_TABLES = [name for name, table in BROUGHT.items() if not table.required]


@pytest.fixture(scope="module", params=["bank", "insurance"])
def declared(request):
    return all_features(load_catalog(CONFIGS / "catalog" / request.param))


def test_sixty_features_of_six_groups(declared):
    assert len(declared) >= 60
    assert {feature.group for feature in declared} == set(GROUPS)


def test_names_are_unique_and_plain(declared):
    names = [feature.name for feature in declared]
    assert [name for name, times in Counter(names).items() if times > 1] == []
    assert all(re.fullmatch(r"[a-z][a-z0-9_]*", name) for name in names)


def test_every_feature_has_a_unit_and_says_what_it_means(declared):
    for feature in declared:
        assert feature.unit, feature.name
        assert re.search(r"[\u4e00-\u9fff]", feature.zh), feature.name
        assert re.search(r"[a-z]{3}", feature.en), feature.name
        assert not re.search(r"[\u4e00-\u9fff]", feature.en), feature.name


def test_no_two_features_have_the_same_meaning(declared):
    for language in ("zh", "en"):
        meanings = Counter(getattr(feature, language) for feature in declared)
        assert [text for text, times in meanings.items() if times > 1] == []


def test_what_is_declared_exists(declared):
    names = {feature.name for feature in declared}
    for feature in declared:
        assert not feature.history or feature.history in HISTORIES
        assert names.issuperset(feature.inputs)
        for need in feature.needs:
            table, _, column = need.partition(".")
            assert not column or not BROUGHT[table].column(column).required


def tables_of(feature, by_name) -> set[str]:
    """Every table and optional column a feature reads, by way of others too."""
    own = {HISTORIES[feature.history][0]} if feature.history else set()
    own |= set(feature.needs) | {need.partition(".")[0] for need in feature.needs}
    return own.union(*(tables_of(by_name[name], by_name) for name in feature.inputs))


def expected_without(source: Source, lost: str) -> list[str]:
    features = available_features(source)
    by_name = {feature.name: feature for feature in features}
    return [one.name for one in features if lost not in tables_of(one, by_name)]


def assert_unchanged(spine, features, example_features):
    """What a poorer bank keeps means what it meant; else it needed what was lost."""
    kept = build(spine, features)
    for feature in features:
        before = example_features[feature.name].to_pylist()
        assert kept[feature.name].to_pylist() == before, feature.name


@pytest.mark.parametrize("lost", [name for name in OPTIONAL_TABLES if name != "identities"])
def test_a_bank_without_a_table(bank, example_source, example_features, lost):
    bank.without(lost)
    poorer = bank.open()
    features = available_features(poorer)
    assert [feature.name for feature in features] == expected_without(example_source, lost)
    assert poorer.missing_tables == (lost,)
    assert (lost, BROUGHT[lost].lost) in poorer.losses()
    spine = customers_at(poorer, [bank.clock])
    (missing,) = {state.missing for state in customer_states(spine)}
    assert missing == (lost,)
    # the histories that read two tables are the ones that could break
    joined = [f for f in features if f.history in ("attributes", "open_journey", "contacts")]
    assert_unchanged(spine, joined, example_features)


def test_without_identities_such_rows_are_nobodys(bank):
    bank.without("identities")
    poorer = bank.open()
    strangers = "select customer_id from contacts where customer_id like '138%'"
    assert poorer.con.sql(strangers).fetchall() == [("13800000001",)]
    assert len(available_features(poorer)) == len(all_features(poorer.catalog))


MEANT_DIFFERENTLY = ("available_at", "valid_from", "valid_to", "closed_at", "to")
"""Columns without which a feature still has a meaning, but not the same."""


@pytest.fixture
def poorer_by(example_source):
    """Empty columns of a table until the test ends, as reading a bank without them does."""
    con = example_source.con
    con.begin()

    def empty(table: str, columns: tuple[str, ...]) -> Source:
        for column in columns:
            value = "'touch'" if (table, column) == ("interactions", "kind") else "null"
            con.execute(f'update "{table}" set "{column}" = {value}')  # noqa: S608
        lacking = {**example_source.missing_columns, table: columns}
        return replace(example_source, missing_columns=lacking)

    yield empty
    con.rollback()


def reading(features, table: str):
    return [one for one in features if one.history and HISTORIES[one.history][0] == table]


@pytest.mark.parametrize("lost", OPTIONAL_COLUMNS)
def test_a_bank_without_a_column(example_source, example_features, poorer_by, clock, lost):
    table, column = lost.split(".")
    poorer = poorer_by(table, (column,))
    features = available_features(poorer)
    assert [feature.name for feature in features] == expected_without(example_source, lost)
    assert BROUGHT[table].column(column).lost
    assert (lost, BROUGHT[table].column(column).lost) in poorer.losses()
    concerned = reading(features, table)
    if concerned and column not in MEANT_DIFFERENTLY:
        assert_unchanged(customers_at(poorer, [clock]), concerned, example_features)


@pytest.mark.parametrize("table", sorted({name.split(".")[0] for name in OPTIONAL_COLUMNS}))
def test_a_bank_with_nothing_but_the_required_columns(poorer_by, clock, table):
    columns = tuple(column.name for column in BROUGHT[table].columns if not column.required)
    poorer = poorer_by(table, columns)
    spine = customers_at(poorer, [clock])
    assert len(list(customer_states(spine))) == len(spine) == 8
    assert build(spine, reading(available_features(poorer), table)).num_rows == 8


def test_a_bank_without_closings_still_knows_who_holds_what(example_source):
    lacking = {**example_source.missing_columns, "holdings": ("closed_at",)}
    names = {f.name for f in available_features(replace(example_source, missing_columns=lacking))}
    assert "holds_credit_card" in names
    assert "purchases_deposit_1y" in names
    assert "holds_deposit_1y" not in names  # it would be purchases_deposit_1y again


def test_two_declarations_of_one_name_are_refused(monkeypatch, example_source):
    from features import registry

    monkeypatch.setattr(registry, "_GROUP_MODULES", (registry.activity, registry.activity))
    with pytest.raises(ValueError, match="declared twice"):
        all_features(example_source.catalog)
