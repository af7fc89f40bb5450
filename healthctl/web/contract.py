"""The OpenAPI document, from the declarations of `api.py`."""

from typing import Any

from healthctl.web.api import BASE, ENDPOINTS, Endpoint
from healthctl.web.problem import PROBLEM
from healthd import protocol

_REFUSALS = {
    "400": "A parameter can't be used.",
    "401": "A token is wanted, and shown as `Authorization: Bearer TOKEN`.",
    "404": "There is none of that name.",
    "421": "The name in `Host` is none of this machine.",
    "429": "This was asked too often; `Retry-After` says when to come back.",
    "503": "healthd can't be reached, or does not answer.",
}


def document() -> dict[str, Any]:
    """Return the document, OpenAPI 3.1."""
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "healthd",
            "version": protocol.VERSION,
            "summary": "How this machine is: read only.",
            "license": {"name": "MIT", "identifier": "MIT"},
        },
        "servers": [{"url": BASE}],
        "security": [{}, {"token": []}],
        "paths": {endpoint.path: {"get": _operation(endpoint)} for endpoint in ENDPOINTS},
        "components": {
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
            "schemas": {"Problem": _PROBLEM},
            "responses": {
                status: {
                    "description": words,
                    "content": {PROBLEM: {"schema": {"$ref": "#/components/schemas/Problem"}}},
                }
                for status, words in _REFUSALS.items()
            },
        },
    }


def _operation(endpoint: Endpoint) -> dict[str, Any]:
    kind = "application/json" if endpoint.handle else "text/event-stream"
    answers: dict[str, Any] = {"200": {"description": "So it is.", "content": {kind: {"schema": endpoint.schema}}}}
    if endpoint.handle:
        answers["304"] = {"description": "It is as `If-None-Match` names it."}
    return {
        "operationId": endpoint.path.strip("/").replace("/{", "_").replace("}", "").replace("-", "_"),
        "summary": endpoint.summary,
        "parameters": [
            {
                "name": parameter.name, "in": parameter.place, "required": parameter.required,
                "description": parameter.summary, "schema": parameter.schema,
            }
            for parameter in endpoint.parameters
        ],
        "responses": {**answers, **{status: {"$ref": f"#/components/responses/{status}"} for status in _REFUSALS}},
    }  # fmt: skip


_PROBLEM = {
    "type": "object",
    "description": "RFC 9457.",
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
    },
    "required": ["type", "title", "status", "detail"],
}
