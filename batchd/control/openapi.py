"""The control API's description, drawn from its routes and messages: /openapi.json."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from batchd.control.messages import Refusal
from batchd.control.routes import Parameter, Route

JSON, LINES, BYTES = "application/json", "application/jsonl", "application/octet-stream"
_REF = "#/components/schemas/{name}"

#: What a refusal's HTTP status is.
STATUS = {
    "invalid": 400,
    "refused": 403,
    "not-found": 404,
    "ambiguous": 409,
    "impossible": 409,
    "too-large": 413,
    "unusable": 422,
    "denied": 502,
    "unavailable": 503,
}
_IN_PATHS = (
    Parameter("id", "A job's id, or a beginning that no other has.", {"type": "string"}),
    Parameter("name", "A task's name.", {"type": "string"}),
)


def document(routes: Sequence[Route]) -> dict[str, Any]:
    """Describe the routes (OpenAPI 3.1)."""
    kinds: set[type[msgspec.Struct]] = {Refusal}
    for route in routes:
        kinds |= {kind for kind in (route.answer, route.body) if kind}
    ordered = sorted(kinds, key=_named)
    _, components = msgspec.json.schema_components(ordered, ref_template=_REF)
    paths: dict[str, dict[str, Any]] = {}
    for route in routes:
        paths.setdefault(route.path, {})[route.method.lower()] = _operation(route)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "batchd",
            "version": "1",
            "description": "HTTP over var/batchd.sock. Whoever may drop files reads; a job's owner,"
            " the daemon's user and root write. It only ever grows.",
        },
        "paths": paths,
        "components": {"schemas": components},
    }


def _named(kind: type[msgspec.Struct]) -> str:
    return kind.__name__


def _operation(route: Route) -> dict[str, Any]:
    said: dict[str, Any] = {
        "operationId": route.name,
        "summary": route.sentence,
        "responses": {
            "200": _content("It is so.", route.answer, LINES if route.in_lines else JSON),
            "default": _content("Nothing was done.", Refusal),
        },
    }
    parameters = [_parameter(one, "query") for one in route.parameters]
    parameters[:0] = [
        _parameter(one, "path") for one in _IN_PATHS if f"{{{one.name}}}" in route.path
    ]
    if parameters:
        said["parameters"] = parameters
    if route.body is not None:
        said["requestBody"] = {"content": _in(JSON, route.body)}
    if route.takes_file:
        said["requestBody"] = {"required": True, "content": {BYTES: {"schema": {}}}}
    return said


def _parameter(one: Parameter, where: str) -> dict[str, Any]:
    return {
        "name": one.name,
        "in": where,
        "required": where == "path",
        "description": one.sentence,
        "schema": one.schema,
    }


def _content(sentence: str, kind: type[msgspec.Struct], form: str = JSON) -> dict[str, Any]:
    return {"description": sentence, "content": _in(form, kind)}


def _in(form: str, kind: type[msgspec.Struct]) -> dict[str, Any]:
    return {form: {"schema": {"$ref": _REF.format(name=kind.__name__)}}}
