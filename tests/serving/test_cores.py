"""A worker keeps to one core, and what would hold its requests up there does not."""

import os
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import psutil
import pytest

from serving.config import WorkFolder
from serving.cores import keep_to_one_core, use_every_core
from serving.following import Follower
from serving.releases import open_scorer
from serving.shadow import Shadow
from serving.stores.decisions import DecisionStore

linux = pytest.mark.needs("linux")
ALLOWED = os.sched_getaffinity(0) if sys.platform == "linux" else set()


def in_a_thread(work):
    """What a thread of its own gives: threads have cores, and this one's must stay as they are."""
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(work).result()


def core_of(worker: int, service: str = "a") -> set[int]:
    def keep() -> set[int]:
        keep_to_one_core(worker, service)
        # what a thread starts keeps to the same core
        return in_a_thread(lambda: os.sched_getaffinity(0))

    return in_a_thread(keep)


@linux
def test_workers_are_spread_over_the_cores_there_are():
    cores = [core_of(worker) for worker in range(1, len(ALLOWED) + 1)]
    assert all(len(one) == 1 for one in cores)
    assert set().union(*cores) == ALLOWED
    assert core_of(1) == core_of(1 + len(ALLOWED))


@linux
def test_services_do_not_all_begin_at_the_same_core():
    assert set().union(*(core_of(1, f"bank {n}") for n in range(20 * len(ALLOWED)))) == ALLOWED


@linux
def test_a_thread_may_leave_the_core():
    def leave() -> set[int]:
        keep_to_one_core(1, "a")
        use_every_core()
        return os.sched_getaffinity(0)

    assert in_a_thread(leave) == ALLOWED


@linux
def test_what_holds_no_answer_up_leaves_the_core(recommender, challenger, tmp_path):
    work = WorkFolder(tmp_path / "own")
    scorer = open_scorer(challenger, recommender.rules, recommender.config)

    def cores_by_thread() -> dict[str, int]:
        return {
            one.name: len(psutil.Process(one.native_id).cpu_affinity())
            for one in threading.enumerate()
            if one.name in expected and one not in before
        }

    def start_and_look() -> dict[str, int]:
        keep_to_one_core(1, "a")
        store = DecisionStore.open(tmp_path / "other.sqlite")
        follower, shadow = Follower(recommender, work), Shadow(scorer, work.shadows)
        follower.start()
        until = time.monotonic() + 10
        while (cores := cores_by_thread()) != expected and time.monotonic() < until:
            time.sleep(0.01)
        shadow.stop()
        follower.stop()
        store.close()
        return cores

    before, every = threading.enumerate(), len(ALLOWED)
    expected = {
        "onepoint-journal": 1,
        "onepoint-checkpoints": every,
        "onepoint-follower": every,
        "onepoint-shadow": every,
    }
    assert in_a_thread(start_and_look) == expected


@linux
@pytest.mark.parametrize(
    ("settings", "number", "cores"),
    [("workers: 2", 2, 1), ("workers: 1, one_core: false", 1, len(ALLOWED))],
)
def test_each_worker_answers_on_a_core_of_its_own(bank, tmp_path, serve, settings, number, cores):
    own = bank.copy(tmp_path / "own")
    (own.folder / "service.yaml").write_text(
        f"service: {{deadline_s: 10, read_budget_s: 5, drain_s: 0, {settings}}}\n"
    )
    service = serve(own)
    try:
        # of a process, its main thread, which answers
        found = service.loaded(number)
        answering = [frozenset(psutil.Process(pid).cpu_affinity()) for pid in found]
        assert list(map(len, answering)) == [cores] * number
        assert len(set(answering)) == min(number, len(ALLOWED))
    finally:
        service.kill()
