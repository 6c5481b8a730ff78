"""Stopping without dropping anybody: first not ready, then no longer listening."""

from __future__ import annotations

import asyncio
import signal
from types import FrameType


class Drain:
    """On SIGTERM the service says for a while that it is not ready, and answers as before.

    Whoever shares out the requests asks `/readyz`, sends them elsewhere and opens no connection
    that nobody would take up; answers given meanwhile close theirs. Then the server stops as it
    would have, and what is inside is answered. A second SIGTERM stops it at once.
    """

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.begun = False

    def take_over(self) -> None:
        """Stand in front of the server's own handler; call it in the main thread's event loop."""
        loop = asyncio.get_running_loop()
        stop = signal.getsignal(signal.SIGTERM)

        def on_signal(number: int, frame: FrameType | None) -> None:
            if not callable(stop):
                return
            if self.begun:
                stop(number, frame)
                return
            self.begun = True
            loop.call_soon_threadsafe(loop.call_later, self.seconds, stop, number, frame)

        signal.signal(signal.SIGTERM, on_signal)
