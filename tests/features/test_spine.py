"""Spines: whom to describe and when."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from features.build import build
from features.registry import available_features
from features.spine import (
    Spine,
    choices,
    customers_at,
    data_end,
    microseconds,
    moment,
    month_starts,
    purchase_events,
    subset,
)
from features.states import customer_states


def values_of(spine: Spine, feature: str, customer: str = "") -> list:
    """One feature of a spine, in order of its rows; of one customer only, if named."""
    chosen = [one for one in available_features(spine.source) if one.name == feature]
    table = build(spine, chosen)
    rows = zip(table["customer_id"].to_pylist(), table[feature].to_pylist(), strict=True)
    return [value for one, value in rows if customer in ("", one)]


SHANGHAI = ZoneInfo("Asia/Shanghai")


def test_months_are_cut_in_the_banks_time_zone():
    starts = month_starts(
        datetime(2025, 11, 15, tzinfo=UTC), datetime(2026, 1, 31, 16, tzinfo=UTC), "Asia/Shanghai"
    )
    assert starts == [
        datetime(2025, 11, 30, 16, tzinfo=UTC),
        datetime(2025, 12, 31, 16, tzinfo=UTC),
        datetime(2026, 1, 31, 16, tzinfo=UTC),
    ]
    assert [start.astimezone(SHANGHAI).day for start in starts] == [1, 1, 1]


def test_first_moment_of_a_month_counts_and_its_calendar_is_local(example_source):
    start = datetime(2026, 6, 30, 16, tzinfo=UTC)
    assert month_starts(start, start, "Asia/Shanghai") == [start]
    rows = customers_at(example_source, [start, start - timedelta(microseconds=1)]).arrow()
    calendar = set(zip(rows["as_of"].to_pylist(), rows["as_of_month"].to_pylist(), strict=True))
    assert calendar == {(microseconds(start), 7), (microseconds(start) - 1, 6)}
    days = {row["as_of"]: row["as_of_day"] for row in rows.to_pylist()}
    assert days[microseconds(start)] == days[microseconds(start) - 1] + 1


def test_customers_not_yet_joined_are_absent(example_source, clock):
    earlier = datetime(2026, 6, 10, tzinfo=UTC)
    rows = customers_at(example_source, [earlier, clock]).arrow().to_pylist()
    present = {
        at: [r["customer_id"] for r in rows if moment(r["as_of"]) == at] for at in (earlier, clock)
    }
    assert len(present[clock]) == 8
    assert set(present[clock]) - set(present[earlier]) == {"brand_new"}
    assert [row["row_id"] for row in rows] == list(range(1, 16))


def test_before_the_day_he_joined_a_customer_is_absent(example_source):
    joined = datetime(2021, 6, 1, 3, tzinfo=UTC)
    for at, there in ((joined - timedelta(microseconds=1), 0), (joined, 1)):
        assert len(customers_at(example_source, [at], ["refused_loan"])) == there


def test_a_customer_is_known_from_the_moment_the_bank_knows_him(example_source):
    joined = datetime(2026, 6, 30, 8, tzinfo=UTC)
    known = datetime(2026, 6, 30, 8, 30, tzinfo=UTC)
    for at, there in ((joined, 0), (known - timedelta(microseconds=1), 0), (known, 1)):
        assert len(customers_at(example_source, [at], ["brand_new"])) == there


def test_changed_attributes_give_one_row_with_those_valid_then(example_source):
    before, between, after = (
        datetime(2025, 7, 9, 23, tzinfo=UTC),
        datetime(2025, 7, 10, 3, tzinfo=UTC),  # the change is valid, but not known before 06:00
        datetime(2025, 7, 10, 6, tzinfo=UTC),
    )
    spine = customers_at(example_source, [before, after], ["young_app"])
    assert values_of(spine, "occupation") == ["student", "engineer"]
    assert len(customers_at(example_source, [between], ["young_app"])) == 0


def test_a_customer_who_left_is_absent(bank, clock):
    bank.replace("customers", "teller,O1,,,", "teller,O1,,2026-06-01 00:00:00,")
    source = bank.open()
    assert len(customers_at(source, [datetime(2026, 5, 31, tzinfo=UTC)], ["old_branch"])) == 1
    assert len(customers_at(source, [clock], ["old_branch"])) == 0
    # a purchase of the time after tells nothing of attributes that hold no more
    bank.replace("customers", "2026-06-01 00:00:00", "2026-01-01 00:00:00")
    occupations = values_of(purchase_events(bank.open()), "occupation", "old_branch")
    assert occupations == ["retired", "retired", "retired", None]


def test_an_attribute_row_without_beginning_is_the_oldest(bank, clock):
    bank.replace(
        "customers", "teller,O1,,,",
        "teller,O1,,,\nold_branch,1951-03-12,F,east,widow,48000.00,1969-05-10 02:00:00,teller,O1,"
        "1969-12-01 00:00:00,,",
    )  # fmt: skip
    spine = customers_at(bank.open(), [clock], ["old_branch"])
    assert values_of(spine, "occupation") == ["widow"]


def test_choices_take_one_a_customer_and_month(example_source):
    rows = choices(example_source).arrow().to_pylist()
    months = [
        (r["customer_id"], moment(r["as_of"]).astimezone(SHANGHAI).strftime("%Y-%m")) for r in rows
    ]
    assert len(set(months)) == len(months) == 9
    assert {row["stage"] for row in rows} <= {"application", "interview", "servicing", "inquiry"}
    managed = [row for row in rows if row["customer_id"] == "managed"]
    assert len(managed) == 1
    assert choices(example_source).arrow().equals(choices(example_source).arrow())


def test_choices_do_not_depend_on_the_order_of_rows(bank, example_source):
    bank.rewrite("interactions", lambda rows: [rows[0], *reversed(rows[1:])])
    assert choices(bank.open()).arrow().equals(choices(example_source).arrow())


def test_choices_since_a_moment(example_source):
    since = microseconds(datetime(2026, 6, 1, tzinfo=UTC))
    rows = choices(example_source, since).arrow()
    assert 0 < rows.num_rows < choices(example_source).arrow().num_rows
    assert min(rows["as_of"].to_pylist()) >= since


def test_a_choice_is_not_in_its_own_past(example_source):
    """The first choice of a customer sees no interaction at all."""
    interactions = values_of(choices(example_source), "interactions_365d", "refused_loan")
    assert interactions == [0, 2]


def test_purchase_events_stand_just_before_the_purchase(example_source):
    spine = purchase_events(example_source)
    assert len(spine) == example_source.rows["holdings"]
    assert values_of(spine, "purchases_ever", "managed") == [0, 1, 2, 3]


def test_subset_keeps_the_ids(example_source, clock):
    spine = customers_at(example_source, [clock])
    part = subset(spine, np.array([7, 2]))
    assert part.arrow()["row_id"].to_pylist() == [2, 7]
    assert values_of(part, "declared_income_cny") == [120_000.0, 84_000.0]


def test_spines_never_share_a_table(example_source, clock):
    tables = [customers_at(example_source, [clock]).table for _ in range(3)]
    tables.append(subset(customers_at(example_source, [clock]), np.array([1])).table)
    assert len(set(tables)) == 4


def test_states_are_of_one_moment(example_source, clock):
    spine = customers_at(example_source, [clock, clock - timedelta(days=1)])
    with pytest.raises(ValueError, match="one moment"):
        next(customer_states(spine))


def test_the_data_end_after_the_last_event(example_source):
    assert data_end(example_source) == datetime(2026, 7, 1, 2, 0, 0, 1, tzinfo=UTC)


def test_moments_go_there_and_back():
    for at in (datetime(1951, 3, 12, tzinfo=UTC), datetime(2026, 7, 1, 2, 0, 0, 1, tzinfo=UTC)):
        assert moment(microseconds(at)) == at
    with pytest.raises(ValueError, match="no time zone"):
        microseconds(datetime(2026, 7, 1))
