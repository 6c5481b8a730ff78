"""The core of the machine that a worker keeps to.

The interpreter lets one thread of a process work at a time, so a worker gains nothing from a second
core; but a request wakes one thread after the other, and the kernel likes to wake a thread on the
core that sleeps: each time it has to come out of its sleep, and its caches are cold.
"""

from __future__ import annotations

import os
import sys
import zlib

_ALLOWED = frozenset(os.sched_getaffinity(0) if sys.platform == "linux" else ())


def keep_to_one_core(worker: int, service: str) -> None:
    """Keep this thread, and those it starts from now on, to one core; only Linux can.

    Parameters
    ----------
    worker
        Which worker of the service this is, from 1: each has its own core while there are as many.
    service
        What tells this service from others, so that not all begin at the same core.
    """
    if sys.platform == "linux":
        cores = sorted(_ALLOWED)
        first = zlib.crc32(f"{os.uname().nodename} {service}".encode())
        os.sched_setaffinity(0, {cores[(first + worker) % len(cores)]})


def use_every_core() -> None:
    """Let this thread run anywhere again: one that works beside the requests, not for one."""
    if sys.platform == "linux":
        os.sched_setaffinity(0, _ALLOWED)
