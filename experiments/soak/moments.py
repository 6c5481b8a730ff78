"""When things happen in a soak: the service's clock is pinned, the machine's would be too late."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from serving.config import WorkFolder


def pinned(work: WorkFolder) -> Callable[[], datetime]:
    """Everything happens at the moment the work folder's clock is pinned at."""
    moment = clock_of(work)
    return lambda: moment


def clock_of(work: WorkFolder) -> datetime:
    """Read the pinned clock of a work folder; without one, the machine's now."""
    left = work.config()
    return left.clock if left and left.clock else datetime.now(UTC)


class Played:
    """A stretch of time played faster or slower: `moment()` goes on with each call, a step each."""

    def __init__(self, since: datetime, until: datetime, steps: int) -> None:
        self.now = since
        self.until = until
        self._step: timedelta = (until - since) / max(1, steps)

    def __call__(self) -> datetime:
        """Give the present, and let a little time go by."""
        self.now = min(self.until, self.now + self._step)
        return self.now
