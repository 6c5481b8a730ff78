"""Time splits: train, stop, calibrate, test, each wholly before the next.

A row's target looks ahead by the horizon, so a row whose horizon reaches into the next split is
left out of its own: nothing learned knows what a later split still has to find out.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import pairwise
from zoneinfo import ZoneInfo

import numpy as np
import numpy.typing as npt

from features.spine import microseconds, moment
from training.config import SplitConfig
from training.errors import TrainingError

Moments = npt.NDArray[np.int64]
Rows = npt.NDArray[np.int64]
SPLITS = ("train", "stop", "calibrate", "test")
EVENT_CALENDAR_START = datetime(2000, 1, 1, tzinfo=UTC)
"""Event id n of a set without a calendar happens n minutes after this (DESIGN, section 3)."""


@dataclass(frozen=True)
class Cuts:
    """First moment of each split, and the end of the test (exclusive), microseconds."""

    train: int
    stop: int
    calibrate: int
    test: int
    end: int

    def rows(self, as_of: Moments, horizon_us: int = 0) -> dict[str, Rows]:
        """Row numbers of each split; a horizon of 0 is for targets that happen at `as_of`."""
        edges = [self.train, self.stop, self.calibrate, self.test, self.end]
        return {
            name: np.flatnonzero((as_of >= start) & (as_of + horizon_us <= end - (horizon_us == 0)))
            for name, start, end in zip(SPLITS, edges[:-1], edges[1:], strict=True)
        }

    def windows(self) -> dict[str, tuple[str, str]]:
        """First moment and end of each split, ISO 8601 UTC."""
        edges = [self.train, self.stop, self.calibrate, self.test, self.end]
        times = [moment(edge).isoformat() for edge in edges]
        return dict(zip(SPLITS, pairwise(times), strict=True))


def parse_test_from(text: str, time_zone: str) -> int:
    """The first moment of the test, from a time (in the bank's zone) or an event id.

    >>> moment(parse_test_from("39937", "Asia/Shanghai")).isoformat()
    '2000-01-28T17:38:00+00:00'
    >>> moment(parse_test_from("2026-04-01", "Asia/Shanghai")).isoformat()
    '2026-03-31T16:00:00+00:00'
    """
    if text.isascii() and text.isdigit() and len(text) != len("20260401"):
        # everything after event n is test, and it is the whole of minute n
        return microseconds(EVENT_CALENDAR_START) + (int(text) + 1) * 60_000_000
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        raise TrainingError(
            f"--test-from '{text}' is neither an event id nor a time; write 39937 or 2026-04-01"
        ) from None
    return microseconds(time if time.tzinfo else time.replace(tzinfo=ZoneInfo(time_zone)))


def month_cuts(
    months: list[datetime],
    config: SplitConfig,
    test_from: int | None,
    end: int,
    horizon_us: int = 0,
) -> Cuts:
    """Cuts at month starts, given the moments of all rows; the first months warm up features.

    A split's months are those whose horizon is over when the next split begins: February ends
    before its 30 days are over, so it makes way for January rather than leave a split empty.
    """
    starts = [microseconds(month) for month in months]
    first = config.warm_up_months

    def open_before(edge: int, count: int) -> int:
        over = [start for start in starts[first:] if start + horizon_us <= edge]
        if len(over) < count:
            raise TrainingError(
                f"{len(starts)} months of data do not hold {first} to warm up, one to train, "
                f"{config.stop_months} to stop, {config.calibrate_months} to calibrate and a "
                "test; bring more months, or change splits or --test-from"
            )
        return over[-count]

    if test_from is None:
        test_from = open_before(starts[-1] + horizon_us, config.test_months) if starts else 0
    calibrate = open_before(test_from, config.calibrate_months)
    stop = open_before(calibrate, config.stop_months)
    open_before(stop, 1)
    if starts[-1] < test_from:
        raise TrainingError(
            f"no month with a whole horizon begins after --test-from; the last one begins at "
            f"{moment(starts[-1]).isoformat()}"
        )
    return Cuts(starts[first], stop, calibrate, test_from, end)


def share_cuts(moments: Moments, config: SplitConfig, test_from: int | None, end: int) -> Cuts:
    """Cuts at shares of the distinct moments, in time order."""
    ordered = np.unique(moments)
    if test_from is None:
        last_known = ordered[round((1 - config.test_share) * (len(ordered) - 1))]
        test_from = int(last_known) + 1
    known = ordered[ordered < test_from]
    if len(known) < 100 or len(known) == len(ordered):
        raise TrainingError(
            f"{len(known)} of {len(ordered)} events lie before the test; training needs at least "
            "100 before it and one in it: change --test-from"
        )
    calibrate = known[round(len(known) * (1 - config.calibrate_share))]
    stop = known[round(len(known) * (1 - config.calibrate_share - config.stop_share))]
    return Cuts(int(known[0]), int(stop), int(calibrate), test_from, end)
