"""A challenger in the shadow: it scores what was answered, and only the differences are kept.

It reads a decision's record after the answer went out, in a thread of its own that is busy a tenth
of the time at most; what comes faster is left out. It stores no decision and answers nobody.
"""

from __future__ import annotations

import json
import logging
import os
import queue
import threading
import time
from collections.abc import Iterable
from dataclasses import asdict, dataclass, fields
from pathlib import Path

import numpy as np
from lightgbm.basic import LightGBMError

from features.errors import OnePointError
from serving import metrics
from serving.cores import use_every_core
from serving.decide.case import stages_for
from serving.decide.pipeline import decide
from serving.decide.record import DecisionRecord
from serving.passage import Passage
from serving.scoring import Features, Scorer
from training.models.release import Release

logger = logging.getLogger("onepoint.serving")
WAITING = 32
"""Decisions that may wait to be compared."""
BUSY_SHARE = 0.1
WRITE_S = 1.0


@dataclass
class Differences:
    """Sums over compared decisions; ``left_out`` came too fast, ``unreadable`` had no features.

    ``p_start_gap`` sums, per decision, the mean absolute difference of the models' p_start.
    """

    release: str
    compared: int = 0
    same_offer: int = 0
    same_handle: int = 0
    p_start_gap: float = 0.0
    left_out: int = 0
    unreadable: int = 0

    def add(self, other: Differences) -> None:
        """Add another worker's sums."""
        for one in fields(self):
            if one.name != "release":
                setattr(self, one.name, getattr(self, one.name) + getattr(other, one.name))


class Shadow:
    """Compares a challenger with what was answered; sums go to ``folder``, a file a worker."""

    def __init__(self, challenger: Scorer, folder: Path) -> None:
        if challenger.release is None:
            raise ValueError("a shadow needs a release")
        self.challenger = challenger
        self.release: Release = challenger.release
        self.file = folder / f"{self.release.id}-{os.getpid()}.json"
        self.differences = Differences(self.release.id)
        self._waiting: queue.Queue[DecisionRecord] = queue.Queue(WAITING)
        self._written_at = 0.0
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="onepoint-shadow", daemon=True)
        self._thread.start()

    def watch(self, passage: Passage) -> None:
        """Take what was decided for a request, if there is time for it; never waits."""
        for record in passage.records:
            try:
                self._waiting.put_nowait(record)
            except queue.Full:
                self.differences.left_out += 1

    def stop(self) -> None:
        """End the thread and write the sums; what waits is left out."""
        self._stopped.set()
        self._thread.join()
        self._write()

    def compare(self, record: DecisionRecord) -> None:
        """Decide once more with the challenger's scores, and keep what was different."""
        inputs, found = record.inputs, self.differences
        values = inputs.features
        if values is None or values.version != self.release.feature_set_version:
            found.unreadable += 1
            return
        vector = np.array([np.nan if one is None else one for one in values.values])
        features = Features(self.release.feature_names, values.version, vector)
        rules = self.challenger.rules
        stages = stages_for(inputs.intent, inputs.state, rules)
        scores = self.challenger.by_models(features, stages, inputs.intent)
        other = decide(inputs.model_copy(update={"scores": scores}), rules)
        gaps = [
            abs(theirs - ours)
            for theirs, ours, where in zip(
                scores.p_start, inputs.scores.p_start, scores.p_start_is, strict=True
            )
            if where == "propensity"
        ]
        first, second = (
            [(place.action.offer, place.action.handle) for place in one.ranked[:1]]
            for one in (record.decision, other)
        )
        same_offer = [offer for offer, _ in first] == [offer for offer, _ in second]
        found.compared += 1
        found.same_offer += same_offer
        found.same_handle += first == second
        found.p_start_gap += sum(gaps) / len(gaps) if gaps else 0.0
        metrics.count_shadow(self.release.id, same_offer, first == second)

    def _run(self) -> None:
        use_every_core()
        while not self._stopped.is_set():
            try:
                record = self._waiting.get(timeout=WRITE_S)
            except queue.Empty:
                continue
            begun = time.perf_counter()
            try:
                self.compare(record)
            except (OnePointError, LightGBMError, ValueError, ArithmeticError, LookupError) as why:
                # The challenger's trouble is nobody else's; its message could quote a customer.
                logger.error("the shadow failed: %s", type(why).__name__)
                self.differences.unreadable += 1
            if time.monotonic() > self._written_at + WRITE_S:
                self._write()
            self._stopped.wait((time.perf_counter() - begun) * (1 / BUSY_SHARE - 1))

    def _write(self) -> None:
        self._written_at = time.monotonic()
        self.file.parent.mkdir(exist_ok=True)
        temporary = self.file.with_suffix(".writing")
        temporary.write_text(json.dumps(asdict(self.differences)), "utf-8")
        temporary.replace(self.file)


def read_differences(folder: Path) -> list[Differences]:
    """Sum what the workers wrote, by challenger."""
    return _summed(
        Differences(**json.loads(file.read_text("utf-8"))) for file in sorted(folder.glob("*.json"))
    )


def _summed(found: Iterable[Differences]) -> list[Differences]:
    sums: dict[str, Differences] = {}
    for one in found:
        sums.setdefault(one.release, Differences(one.release)).add(one)
    return list(sums.values())
