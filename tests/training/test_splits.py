"""Splits: each wholly before the next, and no row whose horizon looks into a later one."""

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from features.spine import MICROSECONDS_A_DAY, microseconds, moment, month_starts
from training.config import SplitConfig
from training.errors import TrainingError
from training.splits import SPLITS, Cuts, month_cuts, parse_test_from, share_cuts

ZONE = "Asia/Shanghai"
HORIZON = 30 * MICROSECONDS_A_DAY
DEFAULT = SplitConfig()


def months(first: datetime, count: int) -> list[datetime]:
    return month_starts(first, first + timedelta(days=31 * count + 20), ZONE)[:count]


THIRTY = months(datetime(2023, 12, 31, 16, tzinfo=UTC), 30)  # January 2024 to June 2026
END = microseconds(THIRTY[-1]) + 31 * MICROSECONDS_A_DAY


def local(us: int) -> str:
    return (moment(us) + timedelta(hours=8)).date().isoformat()


def test_months_by_default():
    cuts = month_cuts(THIRTY, DEFAULT, None, END, HORIZON)
    assert [local(edge) for edge in (cuts.train, cuts.stop, cuts.calibrate, cuts.test)] == [
        "2025-01-01", "2026-01-01", "2026-02-01", "2026-04-01",
    ]  # fmt: skip
    assert cuts.end == END


def test_rows_of_months():
    cuts = month_cuts(THIRTY, DEFAULT, None, END, HORIZON)
    as_of = np.array([microseconds(one) for one in THIRTY])
    rows = cuts.rows(as_of, HORIZON)
    named = {name: [local(as_of[row]) for row in ids] for name, ids in rows.items()}
    assert named["stop"] == ["2026-01-01"]
    assert named["calibrate"] == ["2026-02-01", "2026-03-01"]
    assert named["test"] == ["2026-04-01", "2026-05-01", "2026-06-01"]
    assert named["train"] == [local(us) for us in as_of[12:24]]


def test_a_short_february_leaves_its_split_rather_than_emptying_it():
    """30 days from 1 February reach into March: as the only month to stop on it would be purged."""
    cut = microseconds(datetime(2026, 4, 30, 16, tzinfo=UTC))  # 1 May in Shanghai
    cuts = month_cuts(THIRTY, DEFAULT, cut, END, HORIZON)
    as_of = np.array([microseconds(one) for one in THIRTY])
    rows = cuts.rows(as_of, HORIZON)
    assert [local(as_of[row]) for row in rows["stop"]] == ["2026-01-01"]
    assert [local(as_of[row]) for row in rows["calibrate"]] == ["2026-03-01", "2026-04-01"]
    assert [local(as_of[row]) for row in rows["test"]] == ["2026-05-01", "2026-06-01"]


def test_a_cut_within_a_month_keeps_everything_after_it_out_of_training():
    cut = microseconds(datetime(2026, 4, 10, tzinfo=UTC))
    cuts = month_cuts(THIRTY, DEFAULT, cut, END, HORIZON)
    assert cuts.test == cut
    as_of = np.array([microseconds(one) for one in THIRTY])
    rows = cuts.rows(as_of, HORIZON)
    before = np.concatenate([rows[name] for name in ("train", "stop", "calibrate")])
    assert (as_of[before] + HORIZON <= cut).all()
    assert local(as_of[rows["calibrate"][-1]]) == "2026-03-01"
    assert [local(as_of[row]) for row in rows["test"]] == ["2026-05-01", "2026-06-01"]


@pytest.mark.parametrize(
    ("count", "test_from", "said"),
    [
        (0, None, "0 months of data do not hold 12 to warm up"),
        (14, None, "14 months of data do not hold 12 to warm up"),
        (30, datetime(2024, 6, 1, tzinfo=UTC), "or change splits or --test-from"),
        (30, datetime(2026, 6, 2, tzinfo=UTC), "no month with a whole horizon begins after"),
    ],
)
def test_too_few_months_say_what_is_needed(count, test_from, said):
    cut = None if test_from is None else microseconds(test_from)
    with pytest.raises(TrainingError, match=said):
        month_cuts(THIRTY[:count], DEFAULT, cut, END, HORIZON)


def test_shares_of_moments():
    moments = np.repeat(np.arange(1_000), 2) * 60
    cuts = share_cuts(moments, DEFAULT, None, 60_001)
    rows = cuts.rows(moments)
    # the last fifth of 1,000 moments is test: 0.8 of the way lies moment 799, and it is known
    assert cuts.test == 799 * 60 + 1
    assert {name: len(ids) // 2 for name, ids in rows.items()} == {
        "train": 640, "stop": 80, "calibrate": 80, "test": 200,
    }  # fmt: skip


def test_shares_with_a_given_cut():
    moments = np.arange(1_000) * 60
    cuts = share_cuts(moments, DEFAULT, 900 * 60, 60_000)
    assert len(cuts.rows(moments)["test"]) == 100
    for wrong in (99 * 60, 60_000):
        with pytest.raises(TrainingError, match="change --test-from"):
            share_cuts(moments, DEFAULT, wrong, 60_000)


@given(
    st.lists(st.integers(0, 10**6), min_size=150, max_size=400, unique=True),
    st.integers(0, 5_000),
    st.floats(0.05, 0.5),
)
def test_no_row_is_in_two_splits_nor_looks_into_a_later_one(moments, horizon, share):
    as_of = np.array(moments)
    config = SplitConfig(test_share=share)
    try:
        cuts = share_cuts(as_of, config, None, 10**6 + 1)
    except TrainingError:
        return
    rows = cuts.rows(as_of, horizon)
    found = np.concatenate(list(rows.values()))
    assert len(np.unique(found)) == len(found)
    edges = [cuts.train, cuts.stop, cuts.calibrate, cuts.test, cuts.end]
    for name, start, end in zip(SPLITS, edges[:-1], edges[1:], strict=True):
        assert (as_of[rows[name]] >= start).all()
        assert (as_of[rows[name]] < end).all()
        assert (as_of[rows[name]] + horizon <= end).all()
    if horizon == 0:
        assert len(found) == len(moments)


@given(st.integers(20, 48), st.integers(0, 11), st.integers(0, 400))
def test_monthly_splits_never_overlap_and_are_never_empty(count, shift, back):
    all_months = months(THIRTY[shift], count)
    as_of = np.array([microseconds(one) for one in all_months])
    end = int(as_of[-1]) + HORIZON
    cut = None if back % 2 else end - back * MICROSECONDS_A_DAY
    config = SplitConfig(warm_up_months=3)
    try:
        cuts = month_cuts(all_months, config, cut, end, HORIZON)
    except TrainingError:
        # refused only where there is too little before the cut, or no month after it
        assert cut is not None
        assert cut > as_of[-1] or (as_of < cut).sum() < 3 + 4 + 4
        return
    rows = cuts.rows(as_of, HORIZON)
    assert all(len(ids) for ids in rows.values())
    found = np.concatenate(list(rows.values()))
    assert (np.diff(found) > 0).all()
    assert len(rows["stop"]) == config.stop_months
    assert len(rows["calibrate"]) == config.calibrate_months


def test_a_cut_is_an_event_id_a_date_or_a_time():
    after = parse_test_from("39937", ZONE)
    assert moment(after) == datetime(2000, 1, 1, tzinfo=UTC) + timedelta(minutes=39_938)
    midnight = datetime(2026, 3, 31, 16, tzinfo=UTC)
    assert moment(parse_test_from("2026-04-01", ZONE)) == midnight
    assert moment(parse_test_from("20260401", ZONE)) == midnight
    assert moment(parse_test_from("2026-03-31T16:00:00Z", ZONE)) == midnight
    assert moment(parse_test_from("2026-04-01T00:00:00+08:00", ZONE)) == midnight
    assert moment(parse_test_from("2026-04-01", "UTC")) == datetime(2026, 4, 1, tzinfo=UTC)


@pytest.mark.parametrize("text", ["tomorrow", "", "2026-13-01", "-5", "3.5", "²"])
def test_what_is_no_cut_is_said_with_an_example(text):
    with pytest.raises(TrainingError, match="neither an event id nor a time; write 39937 or 2026"):
        parse_test_from(text, ZONE)


def test_windows_are_iso_times_that_follow_each_other():
    edges = [microseconds(one) for one in THIRTY[:5]]
    windows = Cuts(*edges).windows()
    assert list(windows) == list(SPLITS)
    assert windows["train"] == ("2023-12-31T16:00:00+00:00", "2024-01-31T16:00:00+00:00")
    assert [windows[a][1] for a in SPLITS[:-1]] == [windows[b][0] for b in SPLITS[1:]]
