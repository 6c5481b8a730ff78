from __future__ import annotations

from datetime import date, timedelta

import numpy as np
import pytest

from experiments.simulated_bank.timeline import Timeline, next_business_day, utc

SHANGHAI = Timeline(2024, 1, 30, 8)
EPOCH = date(1970, 1, 1)


def test_the_data_ends_when_june_2026_ends_in_shanghai():
    assert utc(SHANGHAI.end).isoformat() == "2026-06-30T16:00:00+00:00"
    assert utc(SHANGHAI.start(0)).isoformat() == "2023-12-31T16:00:00+00:00"


def test_business_days_are_monday_to_friday_and_at_most_two_days_later():
    days = np.arange(19_000, 21_000)
    moved = next_business_day(days)
    assert {(EPOCH + timedelta(days=int(day))).weekday() for day in moved} == {0, 1, 2, 3, 4}
    assert ((moved - days) >= 0).all()
    assert ((moved - days) <= 2).all()


@pytest.mark.parametrize(
    ("opened", "months", "due"),
    [
        (date(2026, 4, 3), 3, date(2026, 7, 3)),
        (date(2024, 2, 29), 12, date(2025, 2, 28)),
        (date(2025, 11, 30), 3, date(2026, 2, 28)),
        (date(2023, 7, 3), 36, date(2026, 7, 3)),
    ],
)
def test_a_tenor_ends_on_the_same_day_of_the_month(opened, months, due):
    day = np.array([(opened - EPOCH).days])
    assert SHANGHAI.add_months(day, months)[0] == (due - EPOCH).days
