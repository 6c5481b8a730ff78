"""What Prometheus reads: requests by route and step, what was degraded or excluded, how scores lie.

Labels are route templates, steps, reason codes, offers and release ids: few, and never a customer.
With several workers each writes its own files (`PROMETHEUS_MULTIPROC_DIR`, set by BentoML), and
whichever is asked adds them up.

Score drift is a quotient that Prometheus makes, over any window, of what customers who came in
scored against the rate of starts the release saw in training (1 = as then)::

    rate(onepoint_p_start_sum[1d]) / rate(onepoint_p_start_count[1d])
      / on(offer) onepoint_p_start_trained
"""

from __future__ import annotations

import os
from collections import Counter as Tally
from pathlib import Path
from typing import TYPE_CHECKING

from prometheus_client import REGISTRY, CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead

from serving.decide.record import DecisionRecord
from serving.passage import Passage

if TYPE_CHECKING:
    from training.models.release import Release

CONTENT_TYPE = CONTENT_TYPE_LATEST
FOLDER_VARIABLE = "PROMETHEUS_MULTIPROC_DIR"
_BUCKETS = (0.001, 0.002, 0.004, 0.008, 0.015, 0.03, 0.06, 0.12, 0.3, 1.0, 5.0)

REQUEST = Histogram(
    "onepoint_request_seconds", "Answer time by route template.", ["route"], buckets=_BUCKETS
)
STEP = Histogram(
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


def count_shadow(release: str, same_offer: bool, same_handle: bool) -> None:
    """Count one decision that a challenger made again."""
    SHADOW.labels(release, str(same_offer).lower(), str(same_handle).lower()).inc()


def count_answer(route: str, status: int, seconds: float, passage: Passage) -> None:
    """Count one answer, and the decisions made for it."""
    REQUEST.labels(route).observe(seconds)
    ANSWERS.labels(route, str(status)).inc()
    for step, spent in passage.seconds.items():
        STEP.labels(step).observe(spent)
    for reason in passage.lacking:
        DEGRADED.labels(degradation(reason)).inc()
    for record in passage.records:
        _count_decision(record)


def _count_decision(record: DecisionRecord) -> None:
    inputs = record.inputs
    for reason in inputs.degraded:
        DEGRADED.labels(degradation(reason)).inc()
    for code, number in Tally(one.reason for one in record.decision.excluded).items():
        EXCLUDED.labels(code).inc(number)
    if inputs.features_as_of is not None:
        FEATURE_AGE.set((inputs.as_of - inputs.features_as_of).total_seconds())
    scores = inputs.scores
    for offer, p_start, source in zip(
        scores.offers, scores.p_start, scores.p_start_is, strict=True
    ):
        if source == "propensity":
            P_START_SUM.labels(offer).inc(p_start)
            P_START_COUNT.labels(offer).inc()


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
    """Take the gauges of this worker out of the sums: it stops."""
    if FOLDER_VARIABLE in os.environ:
        mark_process_dead(os.getpid())  # type: ignore[no-untyped-call]
