"""Tags of value, life, relationship and belonging at moments that the hand-told cases do not see.

Those all stand on the first of a month.
"""

from datetime import UTC, date, datetime, timedelta

import duckdb
import narwhals.stable.v2 as nw
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from features.catalog import load_catalog
from features.errors import ConfigError
from features.sources import CONFIGS
from features.spine import customers_at
from features.tags import value, value_facts
from features.tags.age import whole_years
from features.tags.book import TagBook, load_tag_book
from features.tags.build import build_tags
from features.tags.registry import available_tags
from features.tags.tag import part_column

GROUPS = ("value", "life", "cycle", "org")
EPOCH = date(1970, 1, 1)
BANK = CONFIGS / "catalog" / "bank"


def tags_at(source, as_of, customers=()):
    tags = available_tags(source, GROUPS)
    rows = build_tags(customers_at(source, [as_of], customers), tags).to_pylist()
    return {row["customer_id"]: row for row in rows}


def test_the_months_average_is_of_this_month_only(example_source):
    """old_branch had 236,000.20 from 31 March on; on 30 June 238,000.30."""
    midday = datetime(2026, 6, 16, 4, tzinfo=UTC)
    (row,) = tags_at(example_source, midday, ["old_branch"]).values()
    assert row["aum_month_avg"] == pytest.approx(236_000.20, abs=1e-6)
    # on 1 April in Shanghai the month has no day yet: of 2 to 31 March, only the 31st closed with
    # the new balances, known since 09:00; before, 205,000.10
    first = datetime(2026, 4, 1, 3, tzinfo=UTC)
    (row,) = tags_at(example_source, first, ["old_branch"]).values()
    assert row["aum_month_avg"] == pytest.approx((29 * 205_000.10 + 236_000.20) / 30, abs=1e-6)
    # a day later the month is one day long
    (row,) = tags_at(example_source, first + timedelta(days=1), ["old_branch"]).values()
    assert row["aum_month_avg"] == pytest.approx(236_000.20, abs=1e-6)


def test_no_tag_sees_the_future(example_source, example_folder, tables_as_known_at, clock):
    as_of = datetime(2026, 6, 10, tzinfo=UTC)
    known = tables_as_known_at(example_folder, as_of, clock)
    assert tags_at(known, as_of) == tags_at(example_source, as_of)


def test_a_manager_who_is_known_late(example_source):
    """managed has S2 since 8 June, which the bank knows from the 11th; S1 left on the 20th."""
    before = tags_at(example_source, datetime(2026, 6, 10, tzinfo=UTC), ["managed"])["managed"]
    assert before["managed_by"] == "S1"
    assert before[part_column("managed_by", "others")] is None
    between = tags_at(example_source, datetime(2026, 6, 12, tzinfo=UTC), ["managed"])["managed"]
    assert between["managed_by"] == "S2"
    assert between[part_column("managed_by", "others")] == 1


DAYS = st.dates(date(1900, 3, 1), date(2099, 12, 31))


@given(st.lists(st.tuples(DAYS, DAYS), min_size=1, max_size=200))
@settings(max_examples=20, deadline=None)
def test_age_counts_birthdays(pairs):
    pairs = [(min(pair), max(pair)) for pair in pairs]
    # the day before a birthday, and the birthday, are where counting days goes wrong
    pairs += [(born, same_day(born, until.year) - timedelta(days=back)) for born, until in pairs
              for back in (0, 1) if until.year > born.year]  # fmt: skip
    table = pa.table(
        {
            "born": [(born - EPOCH).days for born, _ in pairs],
            "today": [(today - EPOCH).days for _, today in pairs],
        }
    )
    frame = nw.from_native(duckdb.connect().from_arrow(table))
    years = frame.select(whole_years(nw.col("born"), nw.col("today")).alias("years"))
    assert years.to_native().to_arrow_table()["years"].to_pylist() == [
        today.year - born.year - ((today.month, today.day) < (born.month, born.day))
        for born, today in pairs
    ]


def same_day(born: date, year: int) -> date:
    """The birthday in a year; 1 March for a leap day."""
    leap_day = (born.month, born.day) == (2, 29)
    return date(year, 3, 1) if leap_day else born.replace(year=year)


def book_with(code: str, **thresholds) -> TagBook:
    book = load_tag_book(BANK, ("value",))
    changed = book[code].model_copy(update={"thresholds": book[code].thresholds | thresholds})
    return book.model_copy(update={"tags": {**book.tags, code: changed}})


@pytest.mark.parametrize(
    ("code", "thresholds"),
    [("idle_cash", {"days": 181.0}), ("idle_cash", {"days": 30.5}), ("churn_risk", {"days": 0.0}),
     ("downgrade_risk", {"periods": 7.0})],
)  # fmt: skip
def test_a_window_longer_than_balances_are_read_is_refused(code, thresholds):
    catalog = load_catalog(BANK)
    with pytest.raises(ConfigError, match="whole days"):
        value_facts.facts(catalog, book_with(code, **thresholds))


@pytest.mark.parametrize("shares", [(0.5, 0.5), (0.5, 0.2, 0.2, 0.2, 0.2)])
def test_a_target_allocation_that_is_none_is_refused(shares):
    with pytest.raises(ConfigError, match="target_c3 needs one share for each of deposit"):
        value.tags(load_catalog(BANK), book_with("allocation_gap", target_c3=shares))
