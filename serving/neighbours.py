"""How many requests each worker of a service has inside, as all of them see it.

A connection belongs to the worker that accepts it, and one worker takes all that are opened at
once: the others would stay idle for as long as callers keep their connections. So a worker that has
clearly more inside than another closes the connection of an answer; who opens it again is let in by
a worker that has nothing better to do.
"""

from __future__ import annotations

import mmap
from pathlib import Path


class Neighbours:
    """A file of a byte a worker that all of them have in their memory: 0 while one is not there.

    ``worker`` counts from 1 to ``workers``. What a killed worker had inside stays until it is
    started again; nothing but needlessly opened connections comes of it.
    """

    def __init__(self, file: Path, worker: int, workers: int) -> None:
        file.parent.mkdir(exist_ok=True)
        with file.open("ab") as opened:
            # written and not only announced: a disk that is full says so here, not by a signal
            opened.write(bytes(max(0, mmap.PAGESIZE - opened.tell())))
        with file.open("r+b") as opened:
            self._inside = mmap.mmap(opened.fileno(), 0)
        self._own, self._others = worker - 1, [one for one in range(workers) if one != worker - 1]
        self.show(0)

    def show(self, inside: int) -> None:
        """Let the others see how many requests are inside here."""
        self._inside[self._own] = min(inside + 1, 255)

    def less_busy(self) -> bool:
        """Say whether another worker would have at most half of this one's with one more.

        What matters is that none is idle; who shares out more evenly opens connections for nothing.
        """
        half = (self._inside[self._own] - 1) // 2
        return any(0 < self._inside[one] <= half for one in self._others)

    def leave(self) -> None:
        """Be gone for the others."""
        self._inside[self._own] = 0
