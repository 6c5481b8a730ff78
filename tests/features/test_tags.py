"""Each tag on customers who have it and on customers who just have not, told by hand.

Cases stand in `tag_cases/<group>.yaml`: per tag, `has` and `not`, each a list of
`{rows: {table: [row, …]}, value: …, parts: {…}, ends: …}`. A case is one customer of a bank whose
now is 2026-07-01 02:00 UTC. Times are UTC, or relative to now: `-3d`, `-71h`, `+90m`, `-1us`.
`customers` rows are optional (born 1986-01-01, with the bank since 2020); rows of `orgs` and
`staff` are the whole bank's. `parts` lists the parts that are not missing; `ends` is when an event
tag ends.
"""

import csv
import json
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from features.catalog import load_catalog
from features.config import read_yaml
from features.sources import CONFIGS, Source, open_source
from features.spine import customers_at
from features.tables import TABLES
from features.tags.book import ALL_GROUPS, load_tag_book
from features.tags.build import building_tags, held_tags
from features.tags.packed import PublishedTag, read_tags, tag_texts
from features.tags.registry import all_tags, available_tags
from features.tags.tag import ENDS, part_column

NOW = datetime(2026, 7, 1, 2, tzinfo=UTC)
FOLDER = Path(__file__).with_name("tag_cases")
UNITS = {"d": timedelta(days=1), "h": timedelta(hours=1), "m": timedelta(minutes=1),
         "us": timedelta(microseconds=1)}  # fmt: skip
BANK = CONFIGS / "catalog" / "bank"
GROUPS = [group for group in ALL_GROUPS if (FOLDER / f"{group}.yaml").is_file()]


def moment_of(text: str) -> str:
    """A time as written in a case, as a UTC time."""
    relative = re.fullmatch(r"([+-])(\d+(?:\.\d+)?)(d|h|m|us)", str(text))
    if relative is None:
        return str(text)
    sign, number, unit = relative.groups()
    distance = float(number) * UNITS[unit]
    return str((NOW + distance if sign == "+" else NOW - distance).replace(tzinfo=None))


def cases_of(group: str):
    """(tag, customer id, whether he has it, the case) for every case of a group."""
    for code, kinds in read_yaml(FOLDER / f"{group}.yaml").items():
        assert set(kinds) == {"has", "not"}, code
        for kind, cases in kinds.items():
            for number, case in enumerate(cases):
                assert set(case) <= {"rows", "value", "parts", "ends"}, (code, case)
                yield code, f"{code}.{kind}.{number}", kind == "has", case


def bank_of(group: str, folder: Path) -> Source:
    """Open a bank with one customer per case."""
    rows = {name: [] for name in TABLES}
    contacts = 0
    for _, customer, _, case in cases_of(group):
        given = case.get("rows", {})
        for row in given.get("customers", [{}]):
            attributes = {"birth_date": "1986-01-01", "joined_at": "2020-01-01 00:00:00"}
            rows["customers"].append({"customer_id": customer, **attributes, **row})
        for table, found in given.items():
            for row in found if table != "customers" else ():
                contacts += 1
                own = {"contact_id": str(contacts)} if table == "contacts" else {}
                whole = () if table in ("orgs", "staff") else (("customer_id", customer),)
                rows[table].append({**own, **dict(whole), **row})
    selects = []
    for name, contract in TABLES.items():
        times = {column.name for column in contract.columns if column.dtype == "time"}
        names = [column.name for column in contract.columns]
        with (folder / f"{name}.csv").open("w", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, names)
            writer.writeheader()
            unique = {json.dumps(row, default=str): row for row in rows[name]}
            for row in unique.values():
                writer.writerow({k: moment_of(v) if k in times else v for k, v in row.items()})
        selects.append(f"  {name}: \"from read_csv('{{data}}/{name}.csv', all_varchar = true)\"\n")
    yaml = folder / "source.yaml"
    yaml.write_text(f"name: cases\ncatalog: bank\ntables:\n{''.join(selects)}", "utf-8")
    return open_source(yaml, folder, NOW)


@pytest.fixture(scope="module", params=GROUPS)
def group(request):
    return request.param


@pytest.fixture(scope="module")
def built(group, tmp_path_factory):
    """Rows of tags by customer, the tags, and the same as they are published."""
    source = bank_of(group, tmp_path_factory.mktemp(group))
    tags = available_tags(source, [group])
    assert tags.lost == ()
    with building_tags(customers_at(source, [NOW]), tags) as frame:
        rows, texts = source.arrow(frame).to_pylist(), tag_texts(frame, tags).to_pylist()
    by_customer = {row["customer_id"]: row for row in rows}
    return by_customer, tags, dict(zip(by_customer, texts, strict=True))


def test_each_tag_has_cases_of_both_kinds(group):
    told = {(code, has) for code, _, has, _ in cases_of(group)}
    codes = load_tag_book(BANK, (group,)).tags
    assert told == {(code, has) for code in codes for has in (True, False)}


def test_who_has_it_and_who_just_has_not(group, built):
    rows, tags, _ = built
    wrong = []
    for code, customer, has, case in cases_of(group):
        row = rows[customer]
        (tag,) = (one for one in tags.tags if one.code == code)
        held = {one.tag.code: one for one in held_tags(row, tags)}
        parts = {
            part: row[part_column(code, part)]
            for part in tag.parts
            if row[part_column(code, part)] is not None
        }
        told = (code in held, row.get(code), parts)
        expected = (has, case.get("value"), case.get("parts", {}))
        if tags.book[code].shape in ("band", "number") and tag.value is not None and not has:
            # everybody is in some band: the neighbour's value must differ, or be missing
            expected = (expected[1] is not None and told[0], *expected[1:])
        if not same(told, expected):
            wrong.append(f"{customer}: built {told}, by hand {expected}")
        if "ends" in case:
            ends = datetime.fromisoformat(moment_of(case["ends"])).replace(tzinfo=UTC)
            left = row[part_column(code, ENDS)]
            if left is None or abs((ends - NOW) / timedelta(days=1) - left) > 1e-9:
                wrong.append(f"{customer}: ends in {left} days, by hand at {ends}")
            if has and abs(held[code].expires_at - ends) > timedelta(microseconds=1):
                wrong.append(f"{customer}: expires at {held[code].expires_at}, by hand {ends}")
    assert wrong == []


def test_what_is_published_is_what_he_has(built):
    rows, tags, texts = built
    for customer, row in rows.items():
        held = [
            PublishedTag(one.tag.code, one.value, one.parts, one.expires_at)
            for one in held_tags(row, tags)
        ]
        assert read_tags(texts[customer], NOW) == held


@pytest.mark.parametrize("text", ["", "[]", "{", '{"a": 1}', '{"a": [1, {}, null]}', '{"a": [1]}'])
def test_a_damaged_text_is_told(text):
    with pytest.raises(ValueError):  # noqa: PT011 (whatever JSON says, or ours)
        read_tags(text, NOW)


def same(told, expected) -> bool:
    if isinstance(expected, dict):
        return told.keys() == expected.keys() and all(same(told[k], expected[k]) for k in expected)
    if isinstance(expected, tuple):
        return all(same(*pair) for pair in zip(told, expected, strict=True))
    if isinstance(expected, int | float) and not isinstance(expected, bool):
        return told is not None and abs(told - expected) <= 1e-9
    return told == expected


def test_having_and_not_having_differ(group, built):
    """A value that is the same on both sides of the threshold would tell nothing."""
    rows, tags, _ = built
    for tag in tags.tags:
        values = {True: set(), False: set()}
        for code, customer, has, _ in cases_of(group):
            if code == tag.code:
                row = rows[customer]
                left = row.get(part_column(code, ENDS))
                cells = [row.get(code), *(row[part_column(code, part)] for part in tag.parts)]
                values[has].add((*cells, left is not None and left > 0))
        assert not values[True] & values[False], tag.code


def test_the_standard_list_is_carried_or_told(data_folder):
    """Every tag of the standard list is declared, or named with what it lacks."""
    with (data_folder.parent / "labels.csv").open(encoding="utf-8") as file:
        standard = {row["code"]: row for row in csv.DictReader(file)}
    book = load_tag_book(BANK)
    assert set(book.tags) | set(book.not_carried) == set(standard)
    assert len(book.tags) >= 80
    for code, one in {**book.tags, **book.not_carried}.items():
        assert one.group == standard[code]["group"], code
        assert one.names.zh == standard[code]["zh"], code
        assert one.core == (standard[code]["core"] == "1"), code
    for code, one in book.tags.items():
        assert one.kind == standard[code]["type"], code
        assert one.say_to_customer == (standard[code]["say_to_customer"] == "yes"), code


def test_what_tags_read_exists():
    declared = all_tags(load_catalog(BANK))
    names = {feature.name for feature in declared.reads}
    assert all(names.issuperset(tag.inputs) for tag in declared.tags)
