"""What Prometheus reads: requests by route and step, what was degraded or excluded, how scores lie.

Labels are route templates, steps, reason codes, offers and release ids: few, and never a customer.
With several workers each writes its own files (`PROMETHEUS_MULTIPROC_DIR`, set by BentoML), and
whichever is asked adds them up.

A write to such a file costs as much as a hundred additions, and a decision would need some sixty.
What is counted is added up in plain numbers, and written once a second, and when this process is
asked or stops.

Score drift is a quotient that Prometheus makes, over any window, of what customers who came in
scored against the rate of starts the release saw in training (1 = as then)::

    rate(onepoint_p_start_sum[1d]) / rate(onepoint_p_start_count[1d])
      / on(offer) onepoint_p_start_trained
"""

from __future__ import annotations

import logging
import os
import threading
import time
from bisect import bisect_left
from collections import Counter as Tally
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from prometheus_client import REGISTRY, CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead

from serving.decide.record import DecisionRecord
from serving.passage import Passage

if TYPE_CHECKING:
    from training.models.release import Release

logger = logging.getLogger("onepoint.serving")
CONTENT_TYPE = CONTENT_TYPE_LATEST
FOLDER_VARIABLE = "PROMETHEUS_MULTIPROC_DIR"
WRITE_EVERY_S = 1.0
_BUCKETS = (0.001, 0.002, 0.004, 0.008, 0.015, 0.03, 0.06, 0.12, 0.3, 1.0, 5.0)


class _Times(Histogram):
    """A histogram that takes many at once."""

    def add(self, seconds: Sequence[float]) -> None:
        """Do what `observe` does for each, with one write a bucket."""
        self._sum.inc(sum(seconds))
        for bucket, number in Tally(bisect_left(self._upper_bounds, s) for s in seconds).items():
            self._buckets[bucket].inc(number)


REQUEST = _Times(
    "onepoint_request_seconds", "Answer time by route template.", ["route"], buckets=_BUCKETS
)
STEP = _Times(
    "onepoint_step_seconds", "Time in each step of a request.", ["step"], buckets=_BUCKETS
)
ANSWERS = Counter("onepoint_answers", "Answers by route template and status.", ["route", "status"])
SHED = Counter("onepoint_shed", "Requests sent away with 429.")
IN_FLIGHT = Gauge("onepoint_in_flight", "Requests inside.", multiprocess_mode="livesum")
DEGRADED = Counter("onepoint_degraded", "Degraded decisions by what was missing.", ["reason"])
EXCLUDED = Counter("onepoint_excluded", "Removed candidates by primary reason.", ["reason"])
FEATURE_AGE = Gauge(
    "onepoint_feature_age_seconds",
    "Age of the features of the newest decision.",
    multiprocess_mode="mostrecent",
)
P_START_SUM = Counter("onepoint_p_start_sum", "Sum of the models' p_start by offer.", ["offer"])
P_START_COUNT = Counter("onepoint_p_start_count", "Number of the models' p_start.", ["offer"])
P_START_TRAINED = Gauge(
    "onepoint_p_start_trained",
    "Rate of starts in training by offer.",
    ["offer"],
    multiprocess_mode="mostrecent",
)
RELEASE = Gauge(
    "onepoint_release", "Workers that serve a release.", ["release"], multiprocess_mode="livesum"
)
SHADOW = Counter(
    "onepoint_shadow_compared",
    "Decisions compared with a challenger's, by whether first offer and handle agree.",
    ["release", "same_offer", "same_handle"],
)


class _Counted:
    """What was counted since it was last written, by what it is written to."""

    def __init__(self) -> None:
        self.answers: Tally[tuple[str, int]] = Tally()
        self.request_s: defaultdict[str, list[float]] = defaultdict(list)
        self.step_s: defaultdict[str, list[float]] = defaultdict(list)
        self.shed = 0
        self.degraded: Tally[str] = Tally()
        self.excluded: Tally[str] = Tally()
        self.p_start_count: Tally[str] = Tally()
        self.p_start_sum: defaultdict[str, float] = defaultdict(float)
        self.newest: dict[Gauge, float] = {}

    def decision(self, record: DecisionRecord) -> None:
        """Count a decision."""
        inputs = record.inputs
        self.degraded.update(map(degradation, inputs.degraded))
        self.excluded.update([one.reason for one in record.decision.excluded])
        if inputs.features_as_of is not None:
            self.newest[FEATURE_AGE] = (inputs.as_of - inputs.features_as_of).total_seconds()
        scores = inputs.scores
        for offer, p_start, source in zip(
            scores.offers, scores.p_start, scores.p_start_is, strict=True
        ):
            if source == "propensity":
                self.p_start_sum[offer] += p_start
                self.p_start_count[offer] += 1

    def write(self) -> None:
        """Add all to what Prometheus reads."""
        for (route, status), number in self.answers.items():
            ANSWERS.labels(route, str(status)).inc(number)
        for route, seconds in self.request_s.items():
            REQUEST.labels(route).add(seconds)
        for step, seconds in self.step_s.items():
            STEP.labels(step).add(seconds)
        SHED.inc(self.shed)
        for series, counted in (
            (DEGRADED, self.degraded),
            (EXCLUDED, self.excluded),
            (P_START_COUNT, self.p_start_count),
            (P_START_SUM, self.p_start_sum),
        ):
            for label, amount in counted.items():
                series.labels(label).inc(amount)
        for gauge, value in self.newest.items():
            gauge.set(value)


_LOCK = threading.Lock()
_counted = _Counted()


def write() -> None:
    """Write what was counted to what Prometheus reads; who comes second waits for the first."""
    global _counted
    with _LOCK:
        counted, _counted = _counted, _Counted()
        counted.write()


def write_every_second() -> None:
    """Keep what another worker reads of this one up to date."""

    def go_on() -> None:
        while True:
            time.sleep(WRITE_EVERY_S)
            try:
                write()
            except (OSError, ValueError) as error:
                logger.error("a second's metrics were not written (%s)", type(error).__name__)

    threading.Thread(target=go_on, name="onepoint-metrics", daemon=True).start()


def show_inside(number: int) -> None:
    """Say how many requests are inside at present."""
    with _LOCK:
        _counted.newest[IN_FLIGHT] = number


def count_shed() -> None:
    """Count one request that was sent away."""
    with _LOCK:
        _counted.shed += 1


def count_shadow(release: str, same_offer: bool, same_handle: bool) -> None:
    """Count one decision that a challenger made again."""
    SHADOW.labels(release, str(same_offer).lower(), str(same_handle).lower()).inc()


def count_answer(route: str, status: int, seconds: float, passage: Passage) -> None:
    """Count one answer, and the decisions made for it."""
    with _LOCK:
        _counted.answers[route, status] += 1
        _counted.request_s[route].append(seconds)
        for step, spent in passage.seconds.items():
            _counted.step_s[step].append(spent)
        _counted.degraded.update(map(degradation, passage.lacking))
        for record in passage.records:
            _counted.decision(record)


def degradation(reason: str) -> str:
    """Shorten what was missing to its subject, so that ids in it make no new series.

    >>> degradation("features: none for this customer")
    'features'
    """
    return reason.partition(":")[0]


def serve_release(release: Release | None, instead_of: Release | None = None) -> None:
    """Say which release this worker serves from now on."""
    if instead_of is not None:
        RELEASE.labels(instead_of.id).set(0)
    if release is None:
        return
    RELEASE.labels(release.id).set(1)
    for offer in release.products:
        P_START_TRAINED.labels(offer).set(release.popularity(offer))


def exposition() -> bytes:
    """Write all series of all workers in Prometheus' text format."""
    write()
    if FOLDER_VARIABLE not in os.environ:
        return generate_latest(REGISTRY)
    registry = CollectorRegistry()
    MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
    return generate_latest(registry)


def forget_dead_workers() -> None:
    """Take the gauges of workers that were killed out of the sums."""
    folder = os.environ.get(FOLDER_VARIABLE)
    if folder is None:
        return
    written_by = {int(file.stem.rpartition("_")[2]) for file in Path(folder).glob("gauge_live*.db")}
    for pid in written_by:
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            mark_process_dead(pid)  # type: ignore[no-untyped-call]


def leave() -> None:
    """Write the rest, and take the gauges of this worker out of the sums: it stops."""
    write()
    if FOLDER_VARIABLE in os.environ:
        mark_process_dead(os.getpid())  # type: ignore[no-untyped-call]
