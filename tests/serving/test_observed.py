"""What is seen of requests: lines of JSON and Prometheus series, without a customer in either."""

import json
import logging
import os
import re
import subprocess
import sys
import time

import pytest

from serving import metrics
from serving.config import ROOT, WorkFolder, load_service_config
from serving.logs import JsonLines, Pseudonyms, pseudonym_key
from serving.metrics import degradation

ASK = {"customer_id": "C_MATURES", "channel": "teller"}
WRITTEN_S = 2.0


def lines(service) -> list[dict]:
    """All that the workers and their supervisor logged, after our own line of greeting."""
    return [json.loads(line) for line in service.log.read_text().splitlines()[1:]]


def series(service) -> dict[str, float]:
    with service.client("staff") as client:
        text = client.get("/metrics").text
    found = (line.rsplit(" ", 1) for line in text.splitlines() if not line.startswith("#"))
    return {name: float(value) for name, value in found}


@pytest.fixture(scope="module")
def asked(service):
    """Metrics before and after one answer, one refusal and one decision read."""
    # a worker writes its numbers once a second, and whichever is asked reads those of all
    time.sleep(WRITTEN_S)
    before = series(service)
    with service.client("staff") as client:
        answer = client.post("/v1/recommend", json=ASK)
        client.post("/v1/recommend", json={**ASK, "customer_id": "C_NOBODY"})
        client.get(f"/v1/decisions/{answer.json()['decision_id']}")
        client.post("/v1/recommend", json={**ASK, "customer_id": "C_NO_FEATURES"})
        client.get("/v1/nowhere/C_MATURES")
    time.sleep(WRITTEN_S)
    after = series(service)
    grown = {name: value - before.get(name, 0.0) for name, value in after.items()}
    return answer, {name: value for name, value in grown.items() if value}, after


def test_a_request_is_one_line_with_its_decision_and_its_steps(service, asked):
    decision = asked[0].json()["decision_id"]
    assert asked[0].headers["onepoint-decision-id"] == decision
    told = [one for one in lines(service) if one.get("decisions") == [decision]]
    assert len(told) == 1
    line = told[0]
    assert (line["event"], line["level"], line["method"]) == ("request", "info", "POST")
    assert (line["route"], line["status"], line["key"]) == ("/v1/recommend", 200, "trial-staff")
    assert list(line["step_ms"]) == ["read", "score", "decide", "explain", "store"]
    assert 0 < sum(line["step_ms"].values()) <= line["ms"]
    assert re.fullmatch(r"p-[0-9a-f]{16}", line["customers"][0])


def test_every_line_is_an_object_with_time_level_and_event(service, asked):
    for line in lines(service):
        assert {"time", "level", "event"} <= set(line)


def test_routes_are_counted_by_their_template(asked):
    grown = asked[1]
    assert grown['onepoint_answers_total{route="/v1/recommend",status="200"}'] == 2
    assert grown['onepoint_answers_total{route="/v1/recommend",status="404"}'] == 1
    assert grown['onepoint_answers_total{route="/v1/decisions/{decision_id}",status="200"}'] == 1
    assert grown['onepoint_answers_total{route="none",status="404"}'] == 1
    assert grown['onepoint_request_seconds_count{route="/v1/recommend"}'] == 3


def test_steps_exclusions_and_what_was_missing_are_counted(asked):
    answer, grown, _ = asked
    for name, times in {"read": 3, "score": 1, "decide": 2, "explain": 1, "store": 2}.items():
        assert grown[f'onepoint_step_seconds_count{{step="{name}"}}'] == times
    assert grown['onepoint_degraded_total{reason="features"}'] == 1
    reasons = {one["reason"] for one in answer.json()["excluded"]}
    assert all(grown[f'onepoint_excluded_total{{reason="{one}"}}'] > 0 for one in reasons)


def test_gauges_tell_release_feature_age_and_score_level(service, asked):
    answer, grown, after = asked
    release = answer.json()["versions"]["release"]
    settings = load_service_config(WorkFolder(service.bank.folder))
    assert after[f'onepoint_release{{release="{release}"}}'] == settings.workers
    assert after["onepoint_feature_age_seconds"] == 10 * 3600
    assert after["onepoint_in_flight"] == 1  # the one who asks for the metrics
    assert after['onepoint_p_start_trained{offer="fund_r2"}'] == 0.02
    assert grown['onepoint_p_start_count_total{offer="fund_r2"}'] == 1
    assert 0 < grown['onepoint_p_start_sum_total{offer="fund_r2"}'] < 1


def test_neither_log_nor_metrics_name_a_customer(service, asked):
    with service.client("staff") as client:
        seen = client.get("/metrics").text + service.log.read_text()
    for word in ("C_MATURES", "C_NOBODY", "C_NO_FEATURES", "C_PLAIN", *service.bank.keys.values()):
        assert word not in seen


def test_what_was_counted_is_written_within_a_second_and_at_a_stop(tmp_path):
    """Another worker that is asked, and who asks after a stop, reads the files."""
    counting = """
import os, time
from prometheus_client import CollectorRegistry
from prometheus_client.multiprocess import MultiProcessCollector
from serving import metrics
from serving.passage import Passage

def in_files():
    registry = CollectorRegistry()
    MultiProcessCollector(registry)
    labels = {"route": "/v1/x", "status": "200"}
    return registry.get_sample_value("onepoint_answers_total", labels)

metrics.WRITE_EVERY_S = 0.2
metrics.write_every_second()
for _ in range(3):
    metrics.count_answer("/v1/x", 200, 0.001, Passage())
until = time.monotonic() + 10
while in_files() != 3 and time.monotonic() < until:
    time.sleep(0.05)
metrics.WRITE_EVERY_S = 60
time.sleep(0.5)
metrics.count_answer("/v1/x", 200, 0.001, Passage())
before = in_files()
metrics.leave()
print(before, in_files())
"""
    done = subprocess.run(
        [sys.executable, "-c", counting],
        env={**os.environ, "PROMETHEUS_MULTIPROC_DIR": str(tmp_path)},
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.split() == ["3.0", "4.0"]


def test_metrics_need_their_verb(service):
    for scope, status in ((None, 401), ("staff", 200), ("reviewer", 200)):
        with service.client(scope) as client:
            assert client.get("/metrics").status_code == status


def test_a_traceback_is_its_places_without_what_the_exception_says():
    try:
        raise ValueError("C_SECRET 13800138000")
    except ValueError as error:
        record = logging.LogRecord("x", logging.ERROR, "f", 1, "failed: %s", ("/v1/x",), None)
        record.exc_info = (type(error), error, error.__traceback__)
    line = json.loads(JsonLines().format(record))
    assert (line["event"], line["error"]) == ("failed: /v1/x", "ValueError")
    assert "test_observed.py" in line["places"][0]
    assert "SECRET" not in json.dumps(line)
    assert "13800138000" not in json.dumps(line)


def test_pseudonyms_are_steady_keyed_and_kept_in_the_folder(tmp_path, monkeypatch):
    monkeypatch.delenv("ONEPOINT_PSEUDONYM_KEY", raising=False)
    file = tmp_path / "pseudonym.key"
    first = Pseudonyms(pseudonym_key(file)).of("C1")
    assert file.stat().st_mode & 0o777 == 0o600
    assert Pseudonyms(pseudonym_key(file)).of("C1") == first
    assert Pseudonyms(pseudonym_key(file)).of("C2") != first
    assert Pseudonyms(pseudonym_key(tmp_path / "other.key")).of("C1") != first
    monkeypatch.setenv("ONEPOINT_PSEUDONYM_KEY", "k" * 32)
    assert Pseudonyms(pseudonym_key(file)).of("C1") != first
    assert sorted(one.name for one in tmp_path.iterdir()) == ["other.key", "pseudonym.key"]
    monkeypatch.setenv("ONEPOINT_PSEUDONYM_KEY", "short")
    with pytest.raises(Exception, match="ONEPOINT_PSEUDONYM_KEY: a pseudonym key has 32"):
        pseudonym_key(file)


@pytest.mark.parametrize(
    "reason",
    ["features: none for this customer", "release: none", "models: failed", "online store: x"],
)
def test_what_was_missing_is_counted_by_its_subject(reason):
    assert degradation(reason) == reason.split(":")[0]


def test_many_times_at_once_are_what_they_are_one_by_one():
    one_by_one = metrics._Times("once", "", buckets=metrics._BUCKETS, registry=None)
    at_once = metrics._Times("together", "", buckets=metrics._BUCKETS, registry=None)
    seconds = [0.0, 0.001, 0.0011, 0.3, 0.31, 5.0, 7.0]
    for one in seconds:
        one_by_one.observe(one)
    at_once.add(seconds)
    told = [
        [(one.name.rpartition("_")[2], one.labels, one.value) for one in sample.samples]
        for histogram in (one_by_one, at_once)
        for sample in histogram.collect()
    ]
    told = [[one for one in samples if one[0] != "created"] for samples in told]
    assert told[0] == told[1]
    assert len(told[0]) > len(metrics._BUCKETS)
