"""A service that is told to stop drops nobody who asks whether it is ready."""

import os
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

RESTARTS = 20 if os.environ.get("ONEPOINT_FULL") else 1
ASK = {"customer_id": "C_PLAIN", "channel": "teller"}


@pytest.fixture
def own(bank, tmp_path):
    own = bank.copy(tmp_path / "own")
    (own.folder / "service.yaml").write_text(
        "service: {deadline_s: 10, read_budget_s: 5, drain_s: 6, workers: 1}\n"
    )
    return own


def restart_under_load(service) -> tuple[list[int], list[str]]:
    """Stop a service while callers ask it as a balancer would let them: as long as it is ready."""
    ready = threading.Event()
    ready.set()
    answers, lost = [], []

    def balance() -> None:
        with service.client(None) as prober:
            try:
                while prober.get("/readyz").status_code == 200:
                    time.sleep(0.05)
            finally:
                ready.clear()

    def call() -> None:
        with service.client("staff") as client:
            while ready.is_set():
                try:
                    answers.append(client.post("/v1/recommend", json=ASK).status_code)
                except httpx.TransportError as error:
                    lost.append(repr(error))

    with ThreadPoolExecutor(3) as crowd:
        watching = crowd.submit(balance)
        calling = [crowd.submit(call) for _ in range(2)]
        time.sleep(1)
        service.process.terminate()
        for one in (watching, *calling):
            one.result()
    return answers, lost


def test_restarts_under_load_drop_nothing(own, serve):
    for _ in range(RESTARTS):
        service = serve(own)
        answers, lost = restart_under_load(service)
        assert not lost
        assert answers
        assert set(answers) == {200}
        # It is not ready any more and yet alive, and who comes late is answered and sent away.
        with service.client("staff") as late:
            assert late.get("/livez").status_code == 200
            answer = late.post("/v1/recommend", json=ASK)
            assert (answer.status_code, answer.headers["connection"]) == (200, "close")
        service.process.wait(timeout=60)
