"""The real service over HTTP: answers, and every bad input told by place and remedy."""

import json
import socket
import sqlite3
import time
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

ASK = {"customer_id": "C_MATURES", "channel": "teller"}
PROBLEM = "application/problem+json"
JSON = {"Content-Type": "application/json"}


@pytest.fixture(scope="module")
def staff(service):
    with service.client("staff") as client:
        yield client


@pytest.fixture(scope="module")
def reviewer(service):
    with service.client("reviewer") as client:
        yield client


@pytest.fixture(scope="module")
def customer(service):
    with service.client("customer") as client:
        yield client


def problem_of(response: httpx.Response, status: int) -> dict:
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == PROBLEM
    problem = response.json()
    assert problem["status"] == status
    assert problem["title"]
    return problem


def test_a_customer_at_the_counter_gets_an_answer_with_reasons(staff):
    response = staff.post("/v1/recommend", json=ASK)
    assert response.status_code == 200
    assert response.headers["cache-control"] == "no-store"
    answer = response.json()
    assert answer["degraded"] is False
    assert answer["as_of"] == "2026-07-01T02:00:00Z"
    assert answer["features_as_of"] == "2026-06-30T16:00:00Z"
    assert [place["rank"] for place in answer["recommendations"]] == [1, 2, 3]
    for place in answer["recommendations"]:
        assert place["reach"] == "teller"
        assert place["reasons"]
        assert all(reason["text"]["zh"] and reason["text"]["en"] for reason in place["reasons"])


def test_contributions_of_a_returned_offer_add_up_to_its_raw_score(staff):
    places = staff.post("/v1/recommend", json=ASK).json()["recommendations"]
    explained = [place for place in places if place.get("p_start_is") == "propensity"]
    assert explained
    for place in explained:
        found = place["explanation"]
        parts = sum(group["contribution"] for group in found["groups"])
        assert found["bias"] + parts == pytest.approx(found["raw_score"], abs=1e-9)


def test_a_customers_answer_holds_nothing_of_the_banks(customer):
    answer = customer.post("/v1/recommend", json=ASK).json()
    assert {"excluded", "considered"}.isdisjoint(answer)
    inside = {"p_start", "preference", "completion", "value_cny", "score", "propensity"}
    for place in answer["recommendations"]:
        assert (inside | {"explanation", "experience", "expected_amount_cny"}).isdisjoint(place)


@pytest.mark.parametrize(
    ("change", "place", "says"),
    [
        ({"channel": "telller"}, "channel", "did you mean 'teller'"),
        ({"intent": {"offer": "fund_r9"}}, "intent.offer", "did you mean 'fund_r"),
        ({"chanel": "teller"}, "chanel", "did you mean 'channel'"),
        (
            {"intent": {"ofer": "x", "offer": "fund_r2"}},
            "intent.ofer",
            "did you mean 'offer'? allowed: amount_cny, offer, stage",
        ),
        ({"limt": 3}, "limt", "unknown field; did you mean 'limit'? allowed: as_of, channel"),
        ({"zzz": 3}, "zzz", "remove it; allowed: as_of"),
        ({"limit": "3"}, "limit", "a whole number, such as 3"),
        ({"limit": 0}, "limit", "send 1 or more"),
        ({"limit": 21}, "limit", "send 20 or less"),
        ({"limit": True}, "limit", "integer"),
        ({"customer_id": 42}, "customer_id", "send text"),
        ({"customer_id": ""}, "customer_id", "at least 1"),
        ({"customer_id": "C 1"}, "customer_id", "use only letters"),
        ({"customer_id": "C\u0000"}, "customer_id", "pattern"),
        ({"customer_id": None}, "customer_id", "string"),
        ({"as_of": "2026-07-01T10:00:00"}, "as_of", "as in 2026-07-01T10:00+08:00"),
        ({"as_of": "2026-07-01T25:00:00Z"}, "as_of", "send a time with its zone"),
        ({"as_of": 1_782_900_000}, "as_of", "text with a zone"),
        ({"as_of": "1782900000"}, "as_of", "text with a zone"),
        ({"as_of": "9999-12-31T23:59:59-12:00"}, "as_of", "1900 to 9000"),
        ({"as_of": "2026-06-30T15:59:59Z"}, "as_of", "before the customer's features"),
        ({"as_of": "2026-07-01T02:05:00Z"}, "as_of", "in the future"),
        (
            {"intent": {"offer": "fund_r2", "stage": "dance"}},
            "intent.stage",
            "one of the allowed words",
        ),
        ({"intent": 3}, "intent", "send a JSON object"),
    ],
)
def test_a_wrong_field_is_422_with_place_and_remedy(staff, change, place, says):
    problem = problem_of(staff.post("/v1/recommend", json={**ASK, **change}), 422)
    found = [error for error in problem["errors"] if error["place"] == place]
    assert found, problem
    assert says in problem["detail"]
    assert all(error["problem"] and error["remedy"] for error in found)
    assert "openapi.json" not in problem["detail"]


def test_a_missing_field_is_422(staff):
    problem = problem_of(staff.post("/v1/recommend", json={"channel": "teller"}), 422)
    assert problem["errors"] == [
        {"place": "customer_id", "problem": "Field required", "remedy": "add it"}
    ]


def test_an_unknown_customer_is_404_and_told_where_customers_come_from(staff):
    problem = problem_of(staff.post("/v1/recommend", json={**ASK, "customer_id": "C_NOBODY"}), 404)
    assert problem["errors"][0]["place"] == "customer_id"
    assert "C_NOBODY" in problem["detail"]
    assert "publication" in problem["detail"]


@pytest.mark.parametrize(
    "body", [b"{", b"nonsense", b"\xff\xfe", b"[" * 30_000, b'{"customer_id": "C", }']
)
def test_what_is_not_json_is_400(staff, body):
    problem_of(staff.post("/v1/recommend", content=body, headers=JSON), 400)


@pytest.mark.parametrize("body", [b"", b"null", b"[]", b'"text"', b"1e999", b"NaN"])
def test_json_that_is_no_object_is_422(staff, body):
    problem_of(staff.post("/v1/recommend", content=body, headers=JSON), 422)


@pytest.mark.parametrize(
    "kind", [None, "text/plain", "application/xml", "application/json; charset=gbk", "json"]
)
def test_another_content_type_is_415(staff, kind):
    headers = {} if kind is None else {"Content-Type": kind}
    response = staff.post("/v1/recommend", content=json.dumps(ASK).encode(), headers=headers)
    assert "application/json" in problem_of(response, 415)["detail"]


def test_ten_megabytes_are_413_and_the_service_goes_on(staff):
    body = json.dumps({**ASK, "placement": "x" * 10_000_000}).encode()
    assert (
        "65,536"
        in problem_of(staff.post("/v1/recommend", content=body, headers=JSON), 413)["detail"]
    )
    assert staff.post("/v1/recommend", json=ASK).status_code == 200


def test_a_long_body_of_unsaid_length_is_413(staff):
    pieces = (b" " * 10_000 for _ in range(1000))
    problem_of(staff.post("/v1/recommend", content=pieces, headers=JSON), 413)


def test_a_body_just_within_the_limit_is_read(staff):
    body = json.dumps(ASK).encode()
    padded = body + b" " * (65_536 - len(body))
    assert staff.post("/v1/recommend", content=padded, headers=JSON).status_code == 200
    problem_of(staff.post("/v1/recommend", content=padded + b" ", headers=JSON), 413)


def test_413_is_said_before_the_body_is_sent(service):
    host, port = service.url.removeprefix("http://").split(":")
    head = (
        f"POST /v1/recommend HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\n"
        f"Authorization: Bearer {service.bank.keys['staff']}\r\nContent-Length: 10000000\r\n\r\n"
    )
    with socket.create_connection((host, int(port)), timeout=10) as caller:
        caller.sendall(head.encode())
        assert caller.recv(4096).startswith(b"HTTP/1.1 413")


@pytest.mark.parametrize(
    "header", [None, "", "Bearer", "Bearer wrong", "Basic abc", "Bearer \xff", "Bearer a b"]
)
def test_without_a_key_there_is_no_answer(service, header):
    headers = [] if header is None else [(b"Authorization", header.encode("latin-1"))]
    with service.client(None) as client:
        for method, path in (("POST", "/v1/recommend"), ("GET", "/v1/decisions/D1"), ("GET", "/")):
            response = client.request(method, path, headers=headers)
            assert "Authorization" in problem_of(response, 401)["detail"]
            assert response.headers["www-authenticate"] == "Bearer"


@pytest.mark.parametrize(
    ("header", "says"), [("Bearer", "an empty Bearer"), ("Bearer a", "is not a key")]
)
def test_an_empty_key_is_called_empty(service, header, says):
    with service.client(None) as client:
        response = client.get("/v1/decisions/D1", headers={"Authorization": header})
    assert says in problem_of(response, 401)["detail"]


def test_probes_need_no_key(service):
    with service.client(None) as client:
        assert client.get("/livez").status_code == 200
        assert client.get("/readyz").status_code == 200
        problem_of(client.get("/openapi.json"), 401)


def test_no_path_slips_past_the_gate(service, staff):
    for path in (
        "/",
        "/schema.json",
        "/docs.json",
        "/v1/a%0Ab",
        "/%0Alivez",
        "//livez",
    ):
        with service.client(None) as stranger:
            problem_of(stranger.get(path), 401)
        problem_of(staff.get(path), 404)


def test_a_path_that_is_not_there_is_404_and_a_wrong_method_405(staff):
    problem_of(staff.get("/v1/nothing"), 404)
    response = staff.get("/v1/recommend")
    problem_of(response, 405)
    assert response.headers["allow"] == "POST"


def test_a_decision_is_shown_whole_to_reviewers_and_to_others_as_their_answer(
    staff, reviewer, customer
):
    asked = customer.post("/v1/recommend", json=ASK).json()
    path = f"/v1/decisions/{asked['decision_id']}"
    record = reviewer.get(path).json()
    assert record["inputs"]["audience"] == "customer"
    features = record["inputs"]["features"]
    assert len(features["values"]) == 6
    assert features["version"], "which names them"
    assert record["inputs"]["state"]["holdings"][0]["offer"] == "deposit_1y"
    seen = staff.get(path).json()
    assert seen["decision_id"] == asked["decision_id"]
    assert "inputs" not in seen
    assert seen["recommendations"][0]["score"] is not None
    assert customer.get(path).json() == asked


def test_an_unknown_decision_is_404(reviewer):
    problem_of(reviewer.get("/v1/decisions/D_nowhere"), 404)
    problem_of(reviewer.get("/v1/decisions/" + "D" * 200), 422)


def test_the_same_request_again_gives_the_same_answer(staff, service):
    ask = {**ASK, "request_id": "R-same"}
    first = staff.post("/v1/recommend", json=ask)
    assert staff.post("/v1/recommend", json=ask).content == first.content
    conflict = problem_of(staff.post("/v1/recommend", json={**ask, "limit": 1}), 409)
    assert conflict["errors"][0]["place"] == "request_id"
    with service.client("customer") as customer:
        # The same words from another audience are another request: its answer shows less.
        problem_of(customer.post("/v1/recommend", json=ask), 409)


def test_the_same_request_at_the_same_time_is_decided_once(service):
    def ask(_: int) -> bytes:
        with service.client("staff") as client:
            return client.post("/v1/recommend", json={**ASK, "request_id": "R-race"}).content

    with ThreadPoolExecutor(8) as callers:
        assert len(set(callers.map(ask, range(8)))) == 1


def test_an_outcome_is_stored_once_and_never_changed(staff):
    decision = staff.post("/v1/recommend", json=ASK).json()["decision_id"]
    outcome = {
        "outcome_id": "O-1",
        "decision_id": decision,
        "rank": 1,
        "kind": "started",
        "occurred_at": "2026-07-01T10:00:30+08:00",
    }
    first = staff.post("/v1/outcomes", json=outcome)
    assert (first.status_code, first.json()) == (
        200,
        {"outcome_id": "O-1", "stored": True, "orphaned": False},
    )
    again = staff.post("/v1/outcomes", json={**outcome, "occurred_at": "2026-07-01T02:00:30Z"})
    assert (again.status_code, again.json()["stored"]) == (200, False)
    conflict = problem_of(staff.post("/v1/outcomes", json={**outcome, "kind": "refused"}), 409)
    assert "kind" in conflict["detail"]


@pytest.mark.parametrize(
    ("change", "status", "place"),
    [
        ({"rank": 9}, 422, "rank"),
        ({"rank": 0}, 422, "rank"),
        ({"kind": "liked"}, 422, "kind"),
        ({"occurred_at": "yesterday"}, 422, "occurred_at"),
        ({"occurred_at": "2026-07-01T01:58:00Z"}, 422, "occurred_at"),
        ({"occurred_at": "2999-07-01T01:58:00Z"}, 422, "occurred_at"),
        ({"staff": "me"}, 422, "staff"),
    ],
)
def test_a_wrong_outcome_is_told(staff, change, status, place):
    decision = staff.post("/v1/recommend", json=ASK).json()["decision_id"]
    outcome = {
        "outcome_id": "O-wrong",
        "decision_id": decision,
        "rank": 1,
        "kind": "shown",
        "occurred_at": "2026-07-01T02:00:30Z",
    }
    problem = problem_of(staff.post("/v1/outcomes", json={**outcome, **change}), status)
    assert problem["errors"][0]["place"] == place
    several = {"outcomes": [{**outcome, "outcome_id": "O-right"}, {**outcome, **change}]}
    problem = problem_of(staff.post("/v1/outcomes", json=several), status)
    assert problem["errors"][0]["place"] == f"outcomes.1.{place}"


def test_an_outcome_of_a_decision_nobody_knows_is_kept_as_orphaned(staff):
    outcome = {
        "outcome_id": "O-orphan",
        "decision_id": "D_nowhere",
        "rank": 1,
        "kind": "shown",
        "occurred_at": "2026-07-01T02:00:30Z",
    }
    for stored in (True, False):
        receipt = staff.post("/v1/outcomes", json=outcome).json()
        assert receipt == {"outcome_id": "O-orphan", "stored": stored, "orphaned": True}


def test_more_than_a_hundred_at_once_are_refused_with_the_limit(staff):
    outcome = {
        "decision_id": "D_nowhere",
        "rank": 1,
        "kind": "shown",
        "occurred_at": "2026-07-01T02:00:30Z",
    }
    many = {"outcomes": [{**outcome, "outcome_id": f"O-{n}"} for n in range(101)]}
    problem = problem_of(staff.post("/v1/outcomes", json=many), 422)
    assert "send at most 100 at once" in problem["detail"]
    event = {"customer_id": "C_PLAIN", "event_time": "2026-07-01T02:00:00Z", "channel": "teller"}
    events = {"interactions": [{**event, "event_id": f"E-{n}"} for n in range(101)]}
    problem = problem_of(staff.post("/v1/interactions", json=events), 422)
    assert "interactions" in problem["detail"]
    assert "send at most 100 at once" in problem["detail"]


@pytest.mark.parametrize(
    ("event", "place", "says"),
    [
        ({"chanel": "teller"}, "interactions.0.chanel", "did you mean 'channel'"),
        ({"channel": "telller"}, "interactions.0.channel", "did you mean 'teller'"),
        ({"kind": "dance"}, "interactions.0.kind", "one of the allowed words"),
        ({"amount_cny": "7"}, "interactions.0.amount_cny", "send a number"),
        ({"amount_cny": -7}, "interactions.0.amount_cny", "send 0.0 or more"),
    ],
)
def test_a_wrong_event_is_told_by_place_and_remedy(staff, event, place, says):
    right = {"event_id": "E", "customer_id": "C_PLAIN", "event_time": "2026-07-01T02:00:00Z"}
    body = {"interactions": [{**right, "channel": "teller", **event}]}
    problem = problem_of(staff.post("/v1/interactions", json=body), 422)
    assert place in [error["place"] for error in problem["errors"]]
    assert says in problem["detail"]


def test_an_event_counts_in_the_next_answer(staff):
    ask = {**ASK, "customer_id": "C_FUTURE"}
    before = staff.post("/v1/recommend", json=ask).json()
    told = {
        "holdings": [
            {"event_id": "E-held", "customer_id": "C_FUTURE", "product": "payroll_account",
             "event_time": "2026-07-01T02:00:00Z"}
        ]
    }  # fmt: skip
    assert staff.post("/v1/interactions", json=told).json() == {"stored": 1, "known": 0}
    assert staff.post("/v1/interactions", json=told).json() == {"stored": 0, "known": 1}
    after = staff.post("/v1/recommend", json=ask).json()
    held = [
        {one["reason"] for one in answer["excluded"] if one["offer"] == "payroll_account"}
        for answer in (before, after)
    ]
    assert "already_holds" not in held[0]
    assert held[1] == {"already_holds"}


@pytest.mark.parametrize(
    ("name", "degraded"),
    [("C_NO_FEATURES", True), ("C_OPTED_OUT", False), ("C_PLAIN", False)],
)
def test_who_has_no_features_gets_rules_and_popularity(staff, name, degraded):
    answer = staff.post("/v1/recommend", json={**ASK, "customer_id": name}).json()
    assert answer["degraded"] is degraded
    popular = {place["p_start_is"] for place in answer["recommendations"]}
    assert answer["recommendations"]
    if name != "C_PLAIN":
        assert popular == {"popularity"}
    assert answer["personalised"] is (name != "C_OPTED_OUT")


def test_a_store_that_cannot_be_written_means_503_and_not_ready_until_it_can(service, staff):
    blocker = sqlite3.connect(
        service.bank.folder / "decisions.sqlite", isolation_level=None, timeout=10
    )
    blocker.execute("begin immediate")
    response = staff.post("/v1/recommend", json=ASK)
    problem_of(response, 503)
    assert response.headers["retry-after"] == "1"
    assert staff.get("/readyz").status_code == 503
    assert staff.get("/livez").status_code == 200
    blocker.execute("rollback")
    blocker.close()
    assert staff.post("/v1/recommend", json=ASK).status_code == 200
    time.sleep(1.1)  # readiness is asked of the disk once a second
    assert staff.get("/readyz").status_code == 200


def test_the_log_names_no_customer(service, staff):
    staff.post("/v1/recommend", json=ASK)
    staff.post("/v1/recommend", json={**ASK, "customer_id": "C_NOBODY"})
    log = service.log.read_text()
    assert "/v1/recommend" in log
    for word in ("C_MATURES", "C_NOBODY", "C_PLAIN", *service.bank.keys.values()):
        assert word not in log
