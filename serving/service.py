"""The BentoML service: the one FastAPI app behind the gate, and how well it is."""

from __future__ import annotations

import gc
import logging
import os
import signal
import threading
import time
from pathlib import Path
from typing import Any

# Before bentoml is imported: its telemetry is on unless this says otherwise.
os.environ.setdefault("BENTOML_DO_NOT_TRACK", "true")

import bentoml
from starlette.exceptions import HTTPException

from features.errors import OnePointError
from serving import metrics
from serving.app import build_app
from serving.config import WorkFolder, load_service_config
from serving.cores import keep_to_one_core
from serving.draining import Drain
from serving.errors import StoreError
from serving.following import Follower
from serving.keys import KeyRing
from serving.logs import Pseudonyms, pseudonym_key, write_json_lines
from serving.middleware import PROBES, App, Gate, Receive, Room, Send
from serving.neighbours import Neighbours
from serving.observed import Observed
from serving.passage import Passage
from serving.startup import (
    SUPERVISOR_VARIABLE,
    WORK_VARIABLE,
    open_recommender,
    start_from_environment,
)

write_json_lines()
logger = logging.getLogger("onepoint.serving")
_WORK = os.environ.get(WORK_VARIABLE)
CONFIG = load_service_config(WorkFolder(Path(_WORK)) if _WORK else None)
PROBE_EVERY_S = 1.0
# Told by who starts it: the parent of a worker whose supervisor was killed while it was still
# importing is already another. Without that word (a bare `bentoml serve`) the parent it is.
SUPERVISOR = int(os.environ.get(SUPERVISOR_VARIABLE) or os.getppid())


def leave_with(supervisor: int) -> None:
    """Stop this worker once its supervisor is gone, even if that was killed.

    BentoML gives each worker a session of its own: an orphan would go on listening at the port,
    with the models of yesterday, next to the service that was started in its place.
    """

    def watch() -> None:
        while os.getppid() == supervisor:
            time.sleep(PROBE_EVERY_S)
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=watch, name="onepoint-supervisor-watch", daemon=True).start()


def _watch_nothing(_: Passage) -> None:
    """Without a release there is nothing to compare a challenger with."""


class Door:
    """In front of everything BentoML has: its probes pass to it, all else to our app.

    BentoML's own pages (`/schema.json`) know no keys, its mount matches no path with a line break,
    and its layers cost more than sending a request away does.
    """

    def __init__(self) -> None:
        self.bentoml: App | None = None
        self.ours: App | None = None

    async def __call__(self, scope: Any, receive: Receive, send: Send) -> None:
        """Pass a request on."""
        ours = scope["type"] == "http" and scope["path"] not in PROBES
        behind = self.ours if ours else self.bentoml
        if behind is None:
            raise RuntimeError("a request before the service was initialised")
        await behind(scope, receive, send)


DOOR = Door()


class Served(bentoml.Service[Any]):  # type: ignore[misc]
    """A BentoML service that is entered by the `Door`."""

    def to_asgi(self, is_main: bool = True) -> App:
        """Give the application that its server calls."""
        DOOR.bentoml = super().to_asgi(is_main)
        return DOOR


@bentoml.service(
    name="onepoint",
    service_class=Served,
    workers=CONFIG.workers,
    # What it would tell of is only probes.
    metrics={"enabled": False},
    monitoring={"enabled": False},
    logging={"access": {"enabled": False}},
)
class OnePointService:
    """Recommendations for a retail bank: what, where, by whom, and why."""

    def __init__(self) -> None:
        leave_with(SUPERVISOR)
        try:
            start = start_from_environment()
            worker = bentoml.server_context.worker_index or 1
            if CONFIG.one_core:
                keep_to_one_core(worker, str(start.work.path))
            keys = KeyRing(start.work.keys)
            pseudonyms = Pseudonyms(pseudonym_key(start.work.pseudonym_key))
            self._recommender = open_recommender(start, CONFIG)
        except OnePointError as error:
            logger.error("not started: %s", error)
            raise
        self._drain = Drain(CONFIG.drain_s)
        self._drain.take_over()
        metrics.forget_dead_workers()
        metrics.write_every_second()
        if self._recommender.unsound:
            logger.error("degraded: rules and popularity answer: %s", self._recommender.unsound)
        gate = Gate(build_app(self._recommender), keys, CONFIG.max_body_bytes, CONFIG.deadline_s)
        self._follower = None if start.without_release else Follower(self._recommender, start.work)
        watch = self._follower.watch if self._follower else _watch_nothing
        self._neighbours = Neighbours(start.work.neighbours, worker, CONFIG.workers)
        observed = Observed(gate, pseudonyms, self._drain, self._neighbours, watch)
        DOOR.ours = Room(observed, CONFIG.max_concurrency, CONFIG.deadline_s, self._neighbours)
        # A full collection stops every request for 80-200 ms; what is loaded now is never garbage.
        gc.collect()
        gc.freeze()
        if self._follower:
            self._follower.start()
        self._probed_at = -PROBE_EVERY_S
        self._unwell: str | None = None

    @bentoml.on_shutdown  # type: ignore[untyped-decorator]
    def stop(self) -> None:
        """Write what waits, then close the files."""
        if self._follower:
            self._follower.stop()
        self._neighbours.leave()
        self._recommender.close()
        metrics.leave()

    async def __is_alive__(self) -> bool:
        """Say yes: the process answers, and a broken disk is no reason to kill it."""
        return True

    async def __is_ready__(self) -> bool:
        """Say whether a release scores its golden rows, and a decision could be stored right now.

        The disk is asked once a second. Who is not ready still answers, as well as it can.
        """
        if self._drain.begun:
            raise HTTPException(503, "stopping; send requests elsewhere")
        if time.monotonic() >= self._probed_at + PROBE_EVERY_S:
            self._probed_at = time.monotonic()
            try:
                await self._recommender.store.prove_writable()
                self._unwell = None
            except StoreError as error:
                logger.error("not ready: %s", error)
                self._unwell = "the decision store cannot be written; look into the service's log"
        if self._recommender.unsound is not None:
            raise HTTPException(503, "no sound release to serve; look into the service's log")
        if self._unwell is not None:
            raise HTTPException(503, self._unwell)
        return True
