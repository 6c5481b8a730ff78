"""The OpenAPI document is true: whatever is sent, the service answers as the document says."""

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    negative_data_rejection,
    response_schema_conformance,
    status_code_conformance,
)

ROUTES = [
    ("POST", "/v1/recommend"),
    ("POST", "/v1/outcomes"),
    ("POST", "/v1/interactions"),
    ("GET", "/v1/decisions/{decision_id}"),
    ("GET", "/v1/customers/{customer_id}"),
    ("GET", "/v1/about"),
]
TRUE_TO_THE_DOCUMENT = [
    not_a_server_error,
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
]


@pytest.fixture(scope="module")
def document(service):
    # The document is for who has a key that may read it.
    with service.client("staff") as client:
        address = f"{service.url}/openapi.json"
        return schemathesis.openapi.from_url(address, headers=dict(client.headers))


def read_document(service) -> dict:
    with service.client("staff") as client:
        return client.get("/openapi.json").json()


@pytest.mark.parametrize(("method", "path"), ROUTES)
@pytest.mark.parametrize("mode", list(GenerationMode))
def test_answers_are_those_of_the_document(service, document, method, path, mode):
    operation = document[path][method]
    headers = {"Authorization": f"Bearer {service.bank.keys['staff']}"}
    checks = [
        *TRUE_TO_THE_DOCUMENT,
        *([negative_data_rejection] if mode == GenerationMode.NEGATIVE else []),
    ]

    @settings(
        max_examples=25,
        deadline=None,
        derandomize=True,
        database=None,
        phases=[Phase.explicit, Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=operation.as_strategy(generation_mode=mode))
    def fuzz(case):
        case.call_and_validate(headers=headers, checks=checks)

    fuzz()


def test_every_route_says_its_errors_as_problem_bodies(service):
    document = read_document(service)
    assert set(document["paths"]) == {path for _, path in ROUTES}
    for method, path in ROUTES:
        responses = document["paths"][path][method.lower()]["responses"]
        body = {"400", "408", "409", "413", "415"} if method == "POST" else {"404"}
        body |= {"404"} if path == "/v1/recommend" else set()
        assert {"200", "401", "403", "422", "429", "503"} | body == set(responses)
        for status, response in responses.items():
            kind = "application/json" if status == "200" else "application/problem+json"
            assert list(response["content"]) == [kind]
    assert document["security"] == [{"key": []}]


def test_the_two_meanings_of_propensity_are_told_apart(service):
    schemas = read_document(service)["components"]["schemas"]
    fields = schemas["Recommendation"]["properties"]
    assert "exploration" in fields["propensity"]["description"]
    assert "model's estimate" in fields["p_start_is"]["description"]


def test_a_real_answer_is_what_the_document_says(service, document):
    with service.client("staff") as client:
        answer = client.post(
            "/v1/recommend", json={"customer_id": "C_MATURES", "channel": "teller"}
        )
    document["/v1/recommend"]["POST"].validate_response(answer)
