"""The OpenAPI document: every route with its examples, its problems and the key it needs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.models import Example
from fastapi.openapi.utils import get_openapi

from serving.contract import Problem
from serving.errors import PROBLEM_TYPE, TITLES
from serving.examples import problem_example

Responses = dict[int | str, dict[str, Any]]


def answers(examples: Mapping[str, Example], *refusals: int) -> Responses:
    """Describe a route's answer by examples, and the problems it may tell instead."""
    content = {"application/json": {"examples": dict(examples)}}
    return {200: {"description": "The answer", "content": content}, **problems(*refusals)}


def problems(*statuses: int) -> Responses:
    """Describe the problems a route may tell, by status."""
    return {
        status: {
            "model": Problem,
            "description": TITLES[status],
            "content": {"application/json": {"example": problem_example(status, TITLES[status])}},
        }
        for status in statuses
    }


def _probe(summary: str, name: str, *refusals: int) -> dict[str, Any]:
    """Describe a probe: no key is asked for, and the answer is its status."""
    told = {str(status): {"description": TITLES[status]} for status in refusals}
    responses = {"200": {"description": "Yes"}, **told}
    return {
        "get": {"summary": summary, "operationId": name, "security": [], "responses": responses}
    }


_BESIDES = {
    "/livez": _probe("Does the process answer? A broken disk is no reason to kill it", "livez"),
    "/readyz": _probe("Could a decision be stored right now?", "readyz", 503),
    "/openapi.json": {
        "get": {
            "summary": "This document",
            "operationId": "openapi",
            "responses": {
                "200": {
                    "description": "OpenAPI 3.1",
                    "content": {"application/json": {"schema": {"type": "object"}}},
                }
            },
        }
    },
}
"""What BentoML and FastAPI answer by themselves."""


def document(app: FastAPI) -> dict[str, Any]:
    """Describe the routes: errors are problem bodies, every route needs a key."""
    if app.openapi_schema is None:
        made = get_openapi(
            title=app.title, version=app.version, summary=app.summary, routes=app.routes
        )
        for path in made["paths"].values():
            for operation in path.values():
                for status, response in operation["responses"].items():
                    if int(status) >= 400:
                        response["content"] = {
                            PROBLEM_TYPE: response["content"]["application/json"]
                        }
        made["paths"] |= _BESIDES
        made["components"]["securitySchemes"] = {"key": {"type": "http", "scheme": "bearer"}}
        made["security"] = [{"key": []}]
        app.openapi_schema = made
    return app.openapi_schema
