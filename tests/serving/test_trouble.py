"""What breaks under a running service: it answers in time, says what it lacks, and vetoes hold.

The disk is full by `RLIMIT_FSIZE`, which a running process can be given: what it writes beyond the
limit fails as on a full disk, and SQLite hears of it from the kernel.
"""

import json
import resource
import shutil
import sqlite3
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from datetime import timedelta
from pathlib import Path

import pytest

from features.catalog import load_catalog
from features.feature_set import FeatureSet
from features.online import OnlineStore, publish
from serving.config import CATALOGS

PRESSED = 250
ASK = {"customer_id": "C_MATURES", "channel": "teller"}
DEADLINE_S = 5.0
SETTINGS = f"service: {{deadline_s: {DEADLINE_S}, read_budget_s: 0.5, drain_s: 0, workers: 1}}\n"
"""Both are what a machine keeps that runs tests on all its cores."""


class Watched:
    """A running service, and how its metrics and its log have grown."""

    def __init__(self, service, client):
        self.service, self.client = service, client
        self.folder: Path = service.bank.folder

    def ask(self, **fields) -> dict:
        begun = time.monotonic()
        answer = self.client.post("/v1/recommend", json={**ASK, **fields})
        assert answer.status_code == 200, answer.text
        assert time.monotonic() - begun < DEADLINE_S
        return answer.json()

    def series(self, name: str) -> float:
        lines = self.client.get("/metrics").text.splitlines()
        return sum(float(line.rsplit(" ", 1)[1]) for line in lines if line.startswith(name))

    def line_of(self, answer) -> dict:
        """The log's line of an answer; it is written after the answer went out."""
        found = []

        def written() -> bool:
            lines = self.service.log.read_text().splitlines(keepends=True)
            told = (json.loads(one) for one in lines if one[0] == "{" and one[-1] == "\n")
            found[:] = [one for one in told if one.get("decisions") == [answer["decision_id"]]]
            return bool(found)

        self.until(written)
        (line,) = found
        return line

    def until(self, well, patience_s: float = 30.0) -> None:
        until = time.monotonic() + patience_s
        while not well():
            assert time.monotonic() < until, self.service.log.read_text()[-3000:]
            time.sleep(0.1)


def excluded(answer, handles, offers) -> set[tuple[str, str]]:
    """Excluded (offer, handle) pairs, `*` written out."""
    return {
        (one["offer"], handle)
        for one in answer["excluded"]
        if one["offer"] in offers
        for handle in (handles if one["handle"] == "*" else [one["handle"]])
    }


@pytest.fixture(scope="module")
def begun(bank, serve, tmp_path_factory):
    """A service that was started on a corrupt release, and what it answered until it was mended."""
    own = bank.copy(tmp_path_factory.mktemp("troubled") / "work")
    (own.folder / "service.yaml").write_text(SETTINGS)
    part = own.folder / "release" / "channel_preference.txt"
    whole = part.read_bytes()
    part.write_bytes(whole[: len(whole) // 2])
    service = serve(own, probe="/livez")
    try:
        with service.client("staff") as client:
            watched = Watched(service, client)
            first = watched.ask()
            told = {
                "answer": first,
                "line": watched.line_of(first),
                "metric": watched.series('onepoint_degraded_total{reason="release"}'),
                "ready": client.get("/readyz").status_code,
                "about": client.get("/v1/about").json(),
                "log": service.log.read_text(),
            }
            part.write_bytes(whole)
            watched.until(lambda: client.get("/readyz").status_code == 200)
            yield watched, told
    finally:
        service.kill()


@pytest.fixture(scope="module")
def watched(begun):
    return begun[0]


@pytest.fixture(scope="module")
def sound(watched):
    """An answer while nothing is broken."""
    answer = watched.ask(limit=20)
    assert answer["degraded"] is False
    return answer


@pytest.fixture
def looked_at(watched, sound):
    """Hold a degraded answer against the sound one."""
    catalog = load_catalog(CATALOGS / "bank")

    def look(answer, *because: str) -> None:
        assert answer["degraded"] is True
        assert answer["degraded_because"] == list(because)
        assert {one["p_start_is"] for one in answer["recommendations"]} <= {"popularity"}
        # No product that a veto kept from him comes back because something is broken.
        kept = [excluded(one, catalog.handle_ids, catalog.product_ids) for one in (sound, answer)]
        assert kept[0] <= kept[1]
        line = watched.line_of(answer)
        assert line["degraded"] == sorted({one.partition(":")[0] for one in because})
        assert line["status"] == 200

    return look


def test_started_on_a_corrupt_release_rules_and_popularity_answer(begun):
    watched, told = begun
    answer = told["answer"]
    assert answer["degraded_because"] == ["release: none, popularity instead of models"]
    assert answer["recommendations"]
    assert {one["p_start_is"] for one in answer["recommendations"]} == {"popularity"}
    assert told["line"]["degraded"] == ["release"]
    assert told["metric"] == 1
    assert told["ready"] == 503, "a balancer that has a better one takes that"
    assert told["about"]["degraded"] is True
    assert "models" not in told["about"]
    assert "degraded until this is mended" in told["log"]
    assert "channel_preference.txt: its sha256" in told["log"]
    assert watched.ask()["versions"]["release"], "mended, it was taken up by itself"


@contextmanager
def locked(path: Path):
    """Lock a SQLite file as a slow disk would: readers wait."""
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("begin exclusive")
        yield
        other.execute("rollback")


def test_a_slow_feature_store_is_not_waited_for(watched, looked_at):
    name = 'onepoint_degraded_total{reason="online store"}'
    before = watched.series(name)
    with locked(watched.folder / "online.sqlite"):
        answers = [watched.ask(limit=20) for _ in range(3)]
        page = watched.client.get("/v1/customers/C_MATURES").json()
    for answer in answers:
        looked_at(answer, "online store: too slow")
    assert watched.series(name) == before + 4
    assert page["degraded_because"] == ["online store: too slow"]
    watched.until(lambda: not watched.ask()["degraded"])


@pytest.mark.parametrize("content", [None, b"not a database, by any means" * 100])
def test_a_feature_store_that_is_down_or_damaged_is_done_without(watched, looked_at, content):
    online = watched.folder / "online.sqlite"
    aside = online.rename(online.with_suffix(".aside"))
    if content is not None:
        online.write_bytes(content)
    answers = [watched.ask(limit=20) for _ in range(2)]
    aside.replace(online)
    for answer in answers:
        looked_at(answer, "online store: unreadable")
    watched.until(lambda: not watched.ask()["degraded"])


def test_stale_features_are_not_believed(watched, looked_at):
    online = watched.folder / "online.sqlite"
    shutil.copy(online, online.with_suffix(".aside"))
    with OnlineStore(online) as store:
        record, as_of = store.read("C_MATURES"), store.as_of - timedelta(days=10)
        groups = dict.fromkeys(store.feature_names, "activity")
        old = FeatureSet(names=store.feature_names, groups=groups, vocabularies={})
    state = record.state.model_copy(update={"as_of": as_of})
    publish(online, old, as_of, [("C_MATURES", record.vector, state)])
    answer = watched.ask(limit=20)
    page = watched.client.get("/v1/customers/C_MATURES").json()
    online.with_suffix(".aside").replace(online)
    looked_at(answer, "features: stale, 10 days old")
    assert answer["features_as_of"] == as_of.isoformat().replace("+00:00", "Z")
    assert page["channels"]["preference_is"] == "popularity"
    assert page["products"], "what he holds is told as it was"
    watched.until(lambda: not watched.ask()["degraded"])


def files_of(process: int) -> tuple[int, int]:
    return resource.prlimit(process, resource.RLIMIT_FSIZE)


def test_on_a_full_disk_nothing_is_answered_that_was_not_stored(watched):
    folder, client = watched.folder, watched.client
    workers = [one.pid for one in watched.service.processes()[1:]]
    before = {pid: files_of(pid) for pid in workers}
    # a reader of what was there keeps the log from beginning again, as a full disk does
    reader = sqlite3.connect(folder / "decisions.sqlite", isolation_level=None)
    reader.execute("begin")
    reader.execute("select count(*) from decisions").fetchone()
    full = (folder / "decisions.sqlite-wal").stat().st_size + 100_000
    acknowledged: dict[str, bytes] = {}
    told: list[str] = []

    def press(number: int) -> int:
        answer = client.post("/v1/recommend", json={**ASK, "request_id": f"R-full-{number}"})
        if answer.status_code == 200:
            acknowledged[answer.headers["onepoint-decision-id"]] = answer.content
        else:
            assert answer.headers["retry-after"] == "1"
            assert answer.headers["content-type"] == "application/problem+json"
        return answer.status_code

    def outcome(number: int, decision: str) -> int:
        body = {"outcome_id": f"O-full-{number}", "decision_id": decision, "rank": 1}
        body |= {"kind": "shown", "occurred_at": "2026-07-01T02:00:30Z"}
        status = client.post("/v1/outcomes", json=body).status_code
        if status == 200:
            told.append(body["outcome_id"])
        return status

    for pid, (_, hard) in before.items():
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (full, hard))
    try:
        with ThreadPoolExecutor(4) as crowd:
            statuses = list(crowd.map(press, range(PRESSED)))
        some = next(iter(acknowledged))
        assert set(statuses) - {429} == {200, 503}
        assert statuses[-1] != 200
        assert outcome(1, some) in (200, 503)  # a small row may still find room
        time.sleep(1.1)
        assert client.get("/readyz").status_code == 503
        assert client.get("/livez").status_code == 200
        assert client.get(f"/v1/decisions/{some}").status_code == 200, "reading goes on"
    finally:
        reader.close()
        for pid, limits in before.items():
            resource.prlimit(pid, resource.RLIMIT_FSIZE, limits)
    watched.until(lambda: client.get("/readyz").status_code == 200)
    assert press(1000) == 200
    assert outcome(2, some) == 200
    with closing(sqlite3.connect(folder / "decisions.sqlite")) as log:
        stored = dict(log.execute("select decision_id, answer from decisions"))
        outcomes = {row[0] for row in log.execute("select outcome_id from outcomes")}
        assert log.execute("pragma integrity_check").fetchone() == ("ok",)
    assert len(acknowledged) > 1
    assert {name: stored.get(name) for name in acknowledged} == acknowledged
    assert set(told) <= outcomes
    assert "the decision store cannot be written" in watched.service.log.read_text()
