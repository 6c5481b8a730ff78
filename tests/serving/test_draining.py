"""A service that is told to stop drops nobody who asks whether it is ready."""

import os
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

RESTARTS = 20 if os.environ.get("ONEPOINT_FULL") else 2
ASK = {"customer_id": "C_PLAIN", "channel": "teller"}


@pytest.fixture
def own(bank, tmp_path):
    own = bank.copy(tmp_path / "own")
    (own.folder / "service.yaml").write_text("service: {deadline_s: 10, drain_s: 1.5}\n")
    return own


def restart_under_load(service) -> tuple[list[int], list[str]]:
    """Stop a service while three callers ask it, as a balancer would let them."""
    ready, stopped = threading.Event(), threading.Event()
    ready.set()
    answers, lost = [], []

    def balance() -> None:
        while not stopped.is_set():
            if httpx.get(f"{service.url}/readyz").status_code != 200:
                ready.clear()
                return
            time.sleep(0.05)

    def call() -> None:
        with service.client("staff") as client:
            while ready.is_set():
                try:
                    answers.append(client.post("/v1/recommend", json=ASK).status_code)
                except httpx.TransportError as error:
                    lost.append(repr(error))

    with ThreadPoolExecutor(4) as crowd:
        watching = crowd.submit(balance)
        calling = [crowd.submit(call) for _ in range(3)]
        time.sleep(1)
        service.process.terminate()
        watching.result()
        for one in calling:
            one.result()
        stopped.set()
    assert service.process.wait(timeout=30) is not None
    return answers, lost


def test_restarts_under_load_drop_nothing(own, serve):
    for _ in range(RESTARTS):
        answers, lost = restart_under_load(serve(own))
        assert not lost
        assert set(answers) == {200}


def test_a_caller_who_was_let_in_is_answered_while_the_service_stops(own, serve):
    service = serve(own)
    with service.client("staff") as client, service.client(None) as prober:
        client.post("/v1/recommend", json=ASK)
        service.process.terminate()
        until = time.monotonic() + 10
        while prober.get("/readyz").status_code == 200:
            assert time.monotonic() < until
        answer = client.post("/v1/recommend", json=ASK)
        assert answer.status_code == 200
        assert answer.headers["connection"] == "close"
        assert prober.get("/livez").status_code == 200
    service.process.wait(timeout=30)
