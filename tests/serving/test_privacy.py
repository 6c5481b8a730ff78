"""A planted name, phone number and customer id are in no log, metric or file but the stores."""

import json
import shutil
import sqlite3

import pytest

PLANTED, PLANTED_NAME = "C_13912345678", "Zhuge.Qiandao"
WORDS = (PLANTED, "13912345678", PLANTED_NAME, "Qiandao")
ASK = {"customer_id": PLANTED, "channel": "teller"}
STORES = ("online.sqlite", "decisions.sqlite")


def attempts(staff, reviewer) -> None:
    """Requests, sound and otherwise, that bring the planted words to every door."""
    answer = staff.post("/v1/recommend", json={**ASK, "session_id": PLANTED_NAME})
    assert answer.status_code == 200
    assert PLANTED in answer.text
    decision = answer.json()["decision_id"]
    for change in (
        {"customer_id": f"{PLANTED}x"},
        {"channel": PLANTED_NAME},
        {"placement": PLANTED_NAME, "request_id": PLANTED},
        {"limit": PLANTED},
        {PLANTED_NAME: PLANTED},
        {"as_of": PLANTED},
        {"intent": {"offer": PLANTED_NAME}},
    ):
        staff.post("/v1/recommend", json={**ASK, **change})
    staff.post("/v1/recommend", content=json.dumps(ASK)[:-3], headers={"X-Name": PLANTED_NAME})
    outcome = {"rank": 1, "kind": "shown", "occurred_at": "2026-07-01T02:00:30Z"}
    for told in (decision, PLANTED):
        staff.post("/v1/outcomes", json={**outcome, "outcome_id": PLANTED, "decision_id": told})
    for path in (f"/v1/decisions/{PLANTED}", f"/v1/customers/{PLANTED}", f"/{PLANTED_NAME}"):
        for caller in (staff, reviewer):
            caller.get(path, params={"name": PLANTED_NAME})
    reviewer.get(f"/v1/decisions/{decision}")
    staff.get("/v1/decisions/x", headers={"Authorization": f"Bearer {PLANTED}"})
    staff.request(PLANTED_NAME, "/v1/recommend")


@pytest.fixture(scope="module")
def metrics(service) -> str:
    """All doors were tried, and the customer's own record was broken for a while."""
    online = service.bank.folder / "online.sqlite"
    whole, damaged = (online.with_suffix(one) for one in (".whole", ".damaged"))
    shutil.copy(online, whole)
    shutil.copy(online, damaged)
    with sqlite3.connect(damaged) as store:
        state = json.dumps({PLANTED_NAME: PLANTED})
        store.execute("update customers set state = ? where customer_id = ?", (state, PLANTED))
    store.close()
    with service.client("staff") as staff, service.client("reviewer") as reviewer:
        attempts(staff, reviewer)
        damaged.replace(online)
        answer = staff.post("/v1/recommend", json=ASK)
        whole.replace(online)
        assert answer.json()["degraded"] is True
        return staff.get("/metrics").text


def test_neither_log_nor_metrics_show_what_was_planted(service, metrics):
    log = service.log.read_text()
    assert "degraded" in log
    assert "/v1/decisions/{decision_id}" in log
    for word in WORDS:
        assert word not in log
        assert word not in metrics


def test_no_file_but_the_stores_holds_what_was_planted(service, metrics):
    files = [one for one in service.bank.folder.rglob("*") if one.is_file()]
    assert {"service.log", "keys.yaml", "channel_preference.txt"} <= {one.name for one in files}
    for file in files:
        if not file.name.startswith(STORES):
            content = file.read_bytes()
            assert not [word for word in WORDS if word.encode() in content], file
    # The words do arrive where they belong; else nothing above would prove anything.
    assert PLANTED.encode() in (service.bank.folder / "online.sqlite").read_bytes()


def test_a_customer_hears_at_most_three_reasons_and_no_figure_of_his(service):
    with service.client("customer") as customer:
        answer = customer.post("/v1/recommend", json={**ASK, "customer_id": "C_MATURES"}).json()
    for place in answer["recommendations"]:
        assert len(place["reasons"]) <= 3
        for reason in place["reasons"]:
            for figure in ("100,000", "100000", "80,000", "300,000", "10 万"):
                assert figure not in reason["text"]["zh"] + reason["text"]["en"]
