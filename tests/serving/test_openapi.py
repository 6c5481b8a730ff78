"""The OpenAPI document is true: whatever is sent, the service answers as the document says.

At full size with ONEPOINT_FULL=1: 10,000 requests drawn at random, and more of schemathesis' own.
"""

import difflib
import json
import os
import time
from pathlib import Path
from urllib.parse import quote

import jsonschema_rs
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    negative_data_rejection,
    response_schema_conformance,
    status_code_conformance,
)

from serving.app import build_app

GOLDEN = Path(__file__).with_name("openapi.json")
FULL = bool(os.environ.get("ONEPOINT_FULL"))
EXAMPLES, REQUESTS = (200, 10_000) if FULL else (8, 200)
HANG_S = 1.0
ROUTES = [
    ("POST", "/v1/recommend"),
    ("POST", "/v1/outcomes"),
    ("POST", "/v1/interactions"),
    ("GET", "/v1/decisions/{decision_id}"),
    ("GET", "/v1/customers/{customer_id}"),
    ("GET", "/v1/about"),
]
BESIDES = {"/metrics", "/livez", "/readyz", "/openapi.json"}
TRUE_TO_THE_DOCUMENT = [
    not_a_server_error,
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
]
DRAWN = {
    "deadline": None,
    "derandomize": True,
    "database": None,
    "phases": [Phase.explicit, Phase.generate],
    "suppress_health_check": list(HealthCheck),
}


@pytest.fixture(scope="module")
def document() -> dict:
    """What the app says of itself, without a service."""
    return build_app(None).openapi()


@pytest.fixture(scope="module")
def described(service):
    """The same, as read from the running service by who has a key that may."""
    with service.client("staff") as client:
        address = f"{service.url}/openapi.json"
        return schemathesis.openapi.from_url(address, headers=dict(client.headers))


def test_it_is_the_golden_one(document, tmp_path):
    now = json.dumps(document, indent=1, ensure_ascii=False, sort_keys=True) + "\n"
    before = GOLDEN.read_text("utf-8")
    if now == before:
        return
    renewed = tmp_path / GOLDEN.name
    renewed.write_text(now, "utf-8")
    changes = difflib.unified_diff(before.splitlines(), now.splitlines(), lineterm="", n=2)
    pytest.fail(
        "the API is not what channel apps were told; where the change is meant, tell them, and "
        f"copy {renewed} over {GOLDEN}\n" + "\n".join([*changes][:60]),
        pytrace=False,
    )


def test_the_running_service_says_the_same(service, document):
    with service.client("staff") as client:
        assert client.get("/openapi.json").json() == json.loads(json.dumps(document))


def test_every_route_says_its_errors_as_problem_bodies(document):
    assert set(document["paths"]) == {path for _, path in ROUTES} | BESIDES
    for method, path in ROUTES:
        operation = document["paths"][path][method.lower()]
        responses = operation["responses"]
        body = {"400", "408", "409", "413", "415"} if method == "POST" else set()
        body |= {"422"} if path != "/v1/about" else set()
        body |= {"404"} if "{" in path or path == "/v1/recommend" else set()
        assert {"200", "401", "403", "429", "503"} | body == set(responses)
        for status, response in responses.items():
            kind = "application/json" if status == "200" else "application/problem+json"
            assert list(response["content"]) == [kind]
    assert document["security"] == [{"key": []}]


def test_every_example_is_what_its_schema_says(document):
    examples = 0
    for method, path in ROUTES:
        operation = document["paths"][path][method.lower()]
        contents = [one["content"] for one in operation["responses"].values()]
        if "requestBody" in operation:
            contents.append(operation["requestBody"]["content"])
        given = [one for content in contents for one in content.values()]
        given += [one for one in operation.get("parameters", ()) if one["in"] == "path"]
        for one in given:
            schema = {**one["schema"], "components": document["components"]}
            named = one.get("examples", {}).values()
            values = [example["value"] for example in named] or [one["example"]]
            for value in values:
                jsonschema_rs.Draft202012Validator(schema).validate(value)
                examples += 1
    assert examples > 60


def test_the_two_meanings_of_propensity_are_told_apart(document):
    fields = document["components"]["schemas"]["Recommendation"]["properties"]
    assert "exploration" in fields["propensity"]["description"]
    assert "model's estimate" in fields["p_start_is"]["description"]


@pytest.mark.parametrize(("method", "path"), ROUTES)
@pytest.mark.parametrize("mode", list(GenerationMode))
def test_answers_are_those_of_the_document(service, described, method, path, mode):
    operation = described[path][method]
    headers = {"Authorization": f"Bearer {service.bank.keys['staff']}"}
    if path == "/v1/about":  # it takes nothing that could be wrong
        operation.Case().call_and_validate(headers=headers, checks=TRUE_TO_THE_DOCUMENT)
        return
    checks = [
        *TRUE_TO_THE_DOCUMENT,
        *([negative_data_rejection] if mode == GenerationMode.NEGATIVE else []),
    ]

    @settings(max_examples=EXAMPLES, **DRAWN)
    @given(case=operation.as_strategy(generation_mode=mode))
    def fuzz(case):
        case.call_and_validate(headers=headers, checks=checks)

    fuzz()


@pytest.mark.parametrize("caller", ["customer", "staff", "reviewer"])
def test_real_answers_are_what_the_document_says(service, described, caller):
    with service.client("staff") as staff, service.client(caller) as client:
        ask = {"customer_id": "C_MATURES", "channel": "teller"}
        asking = staff if caller == "reviewer" else client
        answer = asking.post("/v1/recommend", json=ask)
        described["/v1/recommend"]["POST"].validate_response(answer)
        path = "/v1/decisions/{decision_id}"
        record = client.get(path.format(decision_id=answer.json()["decision_id"]))
        described[path]["GET"].validate_response(record)
        path = "/v1/customers/{customer_id}"
        for customer in ("C_MATURES", "C_OPTED_OUT", "C_CAUTIOUS"):
            described[path]["GET"].validate_response(client.get(path.format(customer_id=customer)))
        described["/v1/about"]["GET"].validate_response(client.get("/v1/about"))


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner),
    max_leaves=6,
)
customers = st.sampled_from(["C_MATURES", "C_PLAIN", "C_NO_FEATURES", "C_OPTED_OUT"])
channels = st.sampled_from(["teller", "mobile_bank", "human_call", "sms"])
offers = st.sampled_from(["fund_r2", "deposit_1y", "mortgage", "complaint_care"])
names = st.from_regex(r"[A-Za-z0-9_.:\-]{6,12}", fullmatch=True)
times = st.sampled_from(["2026-07-01T02:00:30Z", "2026-07-01T10:00:00+08:00"])


def bodies(thing):
    """Bodies by path, where `thing` makes each object from its fields."""
    outcome = thing(
        outcome_id=names,
        decision_id=names,
        rank=st.integers(1, 20),
        kind=st.sampled_from(["shown", "started", "refused", "opted_out"]),
        occurred_at=times,
    )
    event = {"event_id": names, "customer_id": customers, "event_time": times}
    return {
        "/v1/recommend": thing(
            customer_id=customers,
            channel=channels,
            direction=st.sampled_from(["inbound", "outbound"]),
            limit=st.integers(1, 20),
            intent=thing(offer=offers, amount_cny=st.floats(0.01, 1e12)),
            as_of=times | st.none(),
            request_id=names,
        ),
        "/v1/outcomes": outcome | thing(outcomes=st.lists(outcome, min_size=1, max_size=3)),
        "/v1/interactions": thing(
            interactions=st.lists(thing(**event, channel=channels), min_size=1, max_size=2),
            contacts=st.lists(thing(**event, channel=channels, offer=offers), max_size=2),
            holdings=st.lists(thing(**event, product=offers, closed_at=times), max_size=2),
            consents=st.lists(thing(**event, channel=channels, allowed=st.booleans()), max_size=2),
        ),
    }


def sound(**fields):
    return st.fixed_dictionaries(fields)


def spoilt(**fields):
    """Some of the fields, some of them anything."""
    loose = {name: st.one_of(one, one, one, anything) for name, one in fields.items()}
    return st.fixed_dictionaries(loose) | st.fixed_dictionaries({}, optional=loose)


def posts(thing):
    return st.one_of(
        st.tuples(st.just("POST"), st.just(path), body.map(json.dumps))
        for path, body in bodies(thing).items()
    )


junk = st.tuples(
    st.just("POST"), st.sampled_from(sorted(bodies(sound))), st.binary() | anything.map(json.dumps)
)
gets = st.tuples(
    st.just("GET"),
    st.builds(
        lambda root, name: root + quote(name, safe=""),
        st.sampled_from(["/v1/customers/", "/v1/decisions/", "/v1/about", "/v1/", "/"]),
        customers | st.text(max_size=40),
    ),
    st.none(),
)
requests = st.one_of(posts(sound), posts(sound), posts(spoilt), gets, junk)


@pytest.mark.timeout(3600)  # 10,000 requests
def test_whatever_is_sent_is_answered_soon_and_never_by_a_5xx(service):
    clients = [service.client(scope) for scope in ("customer", "staff", "staff", "reviewer", None)]
    seen = {}

    def send(client, request):
        method, path, body = request
        begun = time.perf_counter()
        kind = {"Content-Type": "application/json"} if body is not None else {}
        return client.request(method, path, content=body, headers=kind), time.perf_counter() - begun

    @settings(max_examples=REQUESTS, **DRAWN)
    @given(request=requests, client=st.sampled_from(clients))
    def draw(request, client):
        answer, seconds = send(client, request)
        if seconds > HANG_S:  # a hang hangs again; a machine that was busy does not
            seconds = min(send(client, request)[1] for _ in range(2))
        assert seconds <= HANG_S, request
        assert answer.status_code < 500, (request, answer.text)
        told = answer.json()
        if answer.status_code >= 400:
            assert answer.headers["content-type"] == "application/problem+json"
            assert told["status"] == answer.status_code
            assert told["detail"]
        seen[answer.status_code] = seen.get(answer.status_code, 0) + 1

    draw()
    for client in clients:
        client.close()
    # Sound requests are among them, or nothing would have been tried.
    assert seen[200] >= REQUESTS / 10, seen
    assert {401, 422} | ({400, 403, 404, 409} if FULL else set()) <= set(seen), seen
