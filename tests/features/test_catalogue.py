"""The catalogue: what is told of a feature and a tag, and how much of it is true."""

import base64
import hashlib
import re
from html.parser import HTMLParser

import numpy as np
import pyarrow as pa
import pytest

from features.catalog import load_catalog
from features.catalogue.catalogue import (
    Catalogue,
    Described,
    catalogue_of,
    features_described,
    tags_described,
    with_importance,
    with_spreads,
)
from features.catalogue.entries import FeatureEntry, needs_of
from features.catalogue.page import catalogue_page
from features.catalogue.spread import Spread, spread_of
from features.page import element, histogram, number, page, percent, share_bar
from features.page_assets import SCRIPT, STYLE
from features.registry import all_features
from features.sources import CONFIGS
from features.spine import customers_at
from features.tables import BROUGHT
from features.tags.build import build_tags, held_tags
from features.tags.registry import available_tags
from features.tags.tag import ENDS, part_column


@pytest.fixture(scope="module")
def bank_catalogue() -> Catalogue:
    return catalogue_of(load_catalog(CONFIGS / "catalog" / "bank"))


@pytest.fixture(scope="module")
def example_tags(example_source, clock):
    """Tags the eight customers can have, and the table of them."""
    tags = available_tags(example_source)
    return tags, build_tags(customers_at(example_source, [clock]), tags)


@pytest.fixture(scope="module")
def described(bank_catalogue, example_features, example_tags) -> Catalogue:
    """The catalogue with the spreads of the eight customers."""
    tags, table = example_tags
    return bank_catalogue.model_copy(
        update={
            "features": features_described(bank_catalogue.features, example_features),
            "tags": tags_described(bank_catalogue.tags, table, tags),
            "described": Described(
                source="example", as_of="2026-07-01T10:00+08:00", customers=8, all_customers=8
            ),
        }
    )


# --- what a feature needs


def test_needs_go_through_what_a_feature_is_made_from(bank_catalogue):
    features = all_features(load_catalog(CONFIGS / "catalog" / "bank"))
    by_name = {feature.name: feature for feature in features}
    assert needs_of(["demand_share"], by_name) == ("balances",)
    assert needs_of(["salary_to_declared_income"], by_name) == (
        "customers.income_cny", "transactions",
    )  # fmt: skip
    assert all(one.needs or not one.inputs for one in bank_catalogue.features)


def test_every_feature_and_tag_is_told_in_both_languages(bank_catalogue):
    for one in (*bank_catalogue.features, *bank_catalogue.tags):
        assert re.search(r"[\u4e00-\u9fff]", one.zh), one.name
        assert one.en, one.name
        assert len(one.group_names) == 2
    assert sum(count for *_, count in bank_catalogue.groups()) == len(
        bank_catalogue.features
    ) + len(bank_catalogue.tags)


# --- distributions


def numbers(*values) -> Spread:
    return spread_of(pa.chunked_array([pa.array(values, pa.float64())]))


def test_whole_numbers_of_a_small_range_have_a_bar_each():
    spread = numbers(0, 0, 1, 3, None)
    assert (spread.edges, spread.counts) == ((0, 1, 2, 3, 4), (2, 1, 0, 1))
    assert (spread.missing, spread.missing_share) == (1, 0.2)
    assert spread.quantiles == (0, 0, 0, 3, 3)


def test_a_constant_is_one_bar():
    assert numbers(2.5, 2.5).counts == (2,)
    assert numbers(7, 7, 7).counts == (3,)


def test_nothing_but_missing():
    assert numbers(None, None) == Spread(rows=2, missing=2)


def test_a_long_tail_has_a_log_scale_and_its_zeros_apart():
    random = np.random.default_rng(1)
    values = np.concatenate([np.zeros(500), np.exp(random.normal(8, 2, 500))])
    spread = numbers(*values)
    assert spread.log
    assert spread.zeros == 500
    assert sum(spread.counts) == 500
    assert max(spread.counts) < 200
    steps = np.diff(np.log(spread.edges))
    assert steps == pytest.approx(steps[0])


def test_a_long_tail_on_both_sides_shows_its_middle():
    random = np.random.default_rng(1)
    spread = numbers(*random.standard_t(1, 2_000))
    assert not spread.log
    assert sum(spread.counts) == 2_000
    assert max(spread.counts) < 1_200


def test_bars_are_those_numpy_counts():
    random = np.random.default_rng(2)
    values = random.normal(50, 10, 1_000)
    spread = numbers(*values)
    inner = [np.sum((values >= a) & (values < b)) for a, b in zip(
        spread.edges[1:-2], spread.edges[2:-1], strict=True)]  # fmt: skip
    assert spread.counts[1:-1] == tuple(inner)
    assert spread.counts[0] == np.sum(values < spread.edges[1])
    assert spread.counts[-1] == np.sum(values >= spread.edges[-2])


def test_words_are_the_commonest():
    words = [f"w{number}" for number in range(10) for _ in range(10 - number)]
    spread = spread_of(pa.chunked_array([pa.array([*words, None])]))
    assert spread.words[:2] == ("w0", "w1")
    assert spread.counts[:2] == (10, 9)
    assert sum(spread.counts) + spread.other + spread.missing == spread.rows == 56


def test_spreads_are_of_the_built_features(described, example_features):
    names = {one.name for one in described.features if one.spread is not None}
    assert names == set(example_features.column_names[3:])
    for one in described.features:
        assert one.spread.rows == 8
        assert one.spread.missing == example_features[one.name].null_count, one.name
        known = sum(one.spread.counts) + one.spread.other + one.spread.zeros
        assert known + one.spread.missing == 8, one.name


def test_held_shares_are_those_of_the_customers(described, example_tags):
    tags, table = example_tags
    held = [{one.tag.code for one in held_tags(row, tags)} for row in table.to_pylist()]
    for one in described.tags:
        share = None if one.lost else np.mean([one.name in had for had in held])
        assert one.held_share == share, one.name
    assert {one.name for one in described.tags if one.lost} == set(tags.lost)
    assert any(0 < (one.held_share or 0) < 1 for one in described.tags)


def test_an_event_that_has_ended_is_held_by_nobody(bank_catalogue, example_tags):
    tags, table = example_tags
    for one in tags.tags:
        if one.ends is not None:
            place = table.column_names.index(part_column(one.code, ENDS))
            table = table.set_column(place, table.field(place), pa.array([0.0] * 8))
    held = tags_described(bank_catalogue.tags, table, tags)
    events = [one for one in held if one.event and not one.lost]
    assert len(events) > 5
    assert {one.held_share for one in events} == {0}


def test_values_of_a_band_are_its_words(described):
    (tier,) = [one for one in described.tags if one.name == "tier_aum"]
    assert set(tier.spread.words) <= set(tier.words)
    assert sum(tier.spread.counts) == tier.held_share * 8


def test_what_a_bank_lacks_is_lost_and_not_zero(bank, bank_catalogue):
    for name in set(BROUGHT) - {"customers", "interactions"}:
        bank.without(name)
    poorer = with_spreads(bank_catalogue, bank.open(), bank.clock)
    lost = {one.name for one in poorer.features if one.spread is None}
    assert "total_assets_cny" in lost
    assert lost == {one.name for one in poorer.features if any(
        need.split(".")[0] not in ("customers", "interactions") for need in one.needs)}  # fmt: skip
    for one in poorer.tags:
        assert one.lost == (one.held_share is None)
    assert 0 < sum(one.lost for one in poorer.tags) < len(poorer.tags)
    told = poorer.described
    assert (told.source, told.customers, told.all_customers) == ("example", 8, 8)
    assert told.as_of.isoformat() == "2026-07-01T10:00:00+08:00"


def test_many_customers_are_sampled_always_the_same_ones(monkeypatch, example_source):
    from features.catalogue import spread

    everybody = spread.some_customers(example_source)
    assert len(everybody) == 8
    monkeypatch.setattr(spread, "MOST_CUSTOMERS", 3)
    assert spread.some_customers(example_source) == everybody[:3]


# --- the page


class Reader(HTMLParser):
    """Texts and tags of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict]] = []
        self.texts: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data):
        self.texts.append(data)


@pytest.fixture(scope="module")
def written(described) -> str:
    shares = {one.name: 0.01 for one in described.features[:5]}
    return catalogue_page(with_importance(described, "r1", shares))


def test_a_row_for_every_entry(written, described):
    rows = [found for tag, found in Reader(written).tags if tag == "tr" and "data-text" in found]
    entries = [*described.features, *described.tags, *described.tags_not_carried]
    assert len(rows) == len(entries)
    for row, one in zip(rows, entries, strict=True):
        assert one.name in row["data-text"]
        assert one.zh in row["data-text"]
        assert one.en in row["data-text"]
    texts = set(Reader(written).texts)
    for one in entries:
        assert {one.name, one.zh, one.en} <= texts


def test_a_page_asks_for_nothing_from_outside(written):
    assert not re.search(r"https?:|//[a-z]|url\(|@import|<link|<img|<iframe|srcset", written)
    tags = Reader(written).tags
    assert not [found for _, found in tags if {"src", "href", "style"} & set(found)]
    assert not [name for _, found in tags for name in found if name.startswith("on")]


def test_the_policy_allows_the_pages_own_style_and_script_only(written):
    (policy,) = [found["content"] for tag, found in Reader(written).tags
                 if found.get("http-equiv") == "Content-Security-Policy"]  # fmt: skip
    rules = dict(rule.strip().split(" ", 1) for rule in policy.split(";"))
    assert rules["default-src"] == "'none'"
    assert rules["base-uri"] == rules["form-action"] == "'none'"
    for name, text in (("style-src", STYLE), ("script-src", SCRIPT)):
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        assert rules[name] == f"'sha256-{digest}'"
        assert text in written


def test_what_a_bank_writes_is_escaped():
    evil = """<script>alert("1")</script>' & <b>"""
    entry = FeatureEntry(
        name=evil, group="holdings", group_names=(evil, evil), zh=evil, en=evil, unit=evil,
        low=0, high=None, category=True, table=None, inputs=(), needs=(evil,),
        spread=Spread(rows=1, missing=0, words=(evil,), counts=(1,)),
    )  # fmt: skip
    text = catalogue_page(
        Catalogue(catalog=evil, features=(entry,), tags=(), tags_not_carried=(), release=evil)
    )
    read = Reader(text)
    assert [tag for tag, _ in read.tags].count("script") == 1
    assert "b" not in [tag for tag, _ in read.tags]
    assert evil in read.texts


def test_an_element_escapes_texts_and_keeps_markup():
    inner = element("b", "<&>")
    assert element("p", inner, ["x<", inner], None, title='"') == (
        '<p title="&quot;"><b>&lt;&amp;&gt;</b>x&lt;<b>&lt;&amp;&gt;</b></p>'
    )
    assert "<title>&lt;i&gt; · e</title>" in page("<i>", "e")


def test_bars_are_as_long_as_their_shares():
    assert 'width="25.0"' in share_bar(0.25)
    assert 'width="50.0"' in share_bar(0.25, of=0.5)
    heights = re.findall(r'height="([\d.]+)"><title>', histogram((0, 5, 10), ("a", "b", "c")))
    assert heights == ["0.0", "14.0", "28.0"]


@pytest.mark.parametrize(
    ("value", "told"),
    [(0.0, "0"), (-0.00001, "−1.0e-05"), (999.96, "1,000"), (12_345_678.9, "12,345,679"),
     (0.5, "0.5"), (-1234.5, "−1,234")],
)  # fmt: skip
def test_numbers_are_written_for_people(value, told):
    assert number(value) == told


def test_shares_are_never_rounded_to_nothing_or_all():
    assert percent(1e-9) == "< 0.1 %"
    assert percent(1 - 1e-9) == "> 99.9 %"
