"""The registry: what is declared, in both languages, and what a poorer bank loses."""

import re
from collections import Counter
from dataclasses import replace

import pytest

from features.build import build
from features.catalog import load_catalog
from features.feature import GROUPS
from features.history import HISTORIES
from features.registry import all_features, available_features
from features.sources import CONFIGS, Source
from features.spine import customers_at
from features.states import customer_states
from features.tables import TABLES

OPTIONAL_COLUMNS = [
    f"{table.name}.{column.name}"
    for table in TABLES.values()
    for column in table.columns
    if not column.required
]
OPTIONAL_TABLES = [name for name, table in TABLES.items() if not table.required]


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
            assert not column or not TABLES[table].column(column).required


def tables_of(feature, by_name) -> set[str]:
    """Every table and optional column a feature reads, by way of others too."""
    own = {HISTORIES[feature.history][0]} if feature.history else set()
    own |= set(feature.needs) | {need.partition(".")[0] for need in feature.needs}
    return own.union(*(tables_of(by_name[name], by_name) for name in feature.inputs))


def expected_without(source: Source, lost: str) -> list[str]:
    features = available_features(source)
    by_name = {feature.name: feature for feature in features}
    return [one.name for one in features if lost not in tables_of(one, by_name)]


@pytest.mark.parametrize("lost", OPTIONAL_TABLES)
def test_a_bank_without_a_table(bank, example_source, lost):
    bank.without(lost)
    poorer = bank.open() if lost != "identities" else without_identities(bank)
    features = available_features(poorer)
    assert [feature.name for feature in features] == expected_without(example_source, lost)
    assert poorer.missing_tables == (lost,)
    assert (lost, TABLES[lost].lost) in poorer.losses()
    spine = customers_at(poorer, [bank.clock])
    (state,) = {state.missing for state in customer_states(spine)}
    assert state == (lost,)
    # the histories that read two tables are the ones that could break
    read_by = [f for f in features if f.history in ("attributes", "open_journey", "interactions")]
    assert build(spine, read_by).num_rows == 8


def without_identities(bank) -> Source:
    """Rows under a phone number are then nobody's, and break nothing."""
    opened = bank.open()
    assert opened.con.sql(
        "select count(*) from contacts where customer_id like '138%'"
    ).fetchall() == [(1,)]
    return opened


@pytest.mark.parametrize("lost", OPTIONAL_COLUMNS)
def test_a_bank_without_a_column(example_source, clock, lost):
    table, column = lost.split(".")
    con = example_source.con
    lacking = {**example_source.missing_columns, table: (column,)}
    poorer = replace(example_source, missing_columns=lacking)
    features = available_features(poorer)
    assert [feature.name for feature in features] == expected_without(example_source, lost)
    assert (lost, TABLES[table].column(column).lost) in poorer.losses()
    assert TABLES[table].column(column).lost
    con.begin()
    try:
        empty = "'touch'" if lost == "interactions.kind" else "null"
        con.execute(f'update "{table}" set "{column}" = {empty}')  # noqa: S608
        spine = customers_at(poorer, [clock])
        concerned = [f for f in features if f.history and HISTORIES[f.history][0] == table]
        assert build(spine, concerned).num_rows == len(spine) == 8
        assert len(list(customer_states(spine))) == 8
    finally:
        con.rollback()


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
