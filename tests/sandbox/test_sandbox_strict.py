"""What strict mode refuses, and what it doesn't."""

from __future__ import annotations

from typing import Any

import pytest

from batchd.sandbox.answers import outcome_of
from batchd.sandbox.strict import refusal_of
from tests.sandbox.support import CHAT

TEXT = {"type": "string"}


def an_object(properties: dict[str, Any] | None = None, **changes: Any) -> dict[str, Any]:
    known = {"a": TEXT} if properties is None else properties
    strict = {"type": "object", "properties": known, "required": list(known)}
    return {**strict, "additionalProperties": False, **changes}


def nested(levels: int) -> dict[str, Any]:
    schema = an_object()
    for _ in range(levels - 1):
        schema = an_object({"a": schema})
    return schema


TAKEN = {
    "an object": an_object(),
    "a nullable member": an_object({"a": {"type": ["string", "null"]}}),
    "lists of objects": an_object({"a": {"type": "array", "items": an_object(), "maxItems": 3}}),
    "alternatives": an_object({"a": {"anyOf": [an_object(), {"type": "null"}]}}),
    "references": an_object({"a": {"$ref": "#/$defs/x"}}, **{"$defs": {"x": an_object()}}),
    "bounds": an_object({"a": {"type": "number", "minimum": 0, "maximum": 1}}),
    "patterns": an_object({"a": {"type": "string", "pattern": "^x", "format": "date"}}),
    "a property of a refused name": an_object({"not": TEXT, "allOf": TEXT}),
    "ten levels": nested(10),
}
REFUSED = {
    "a list at the top": ({"type": "array", "items": TEXT}, 'type: "object"'),
    "no additionalProperties": (an_object(additionalProperties=True), "'additionalProperties'"),
    "a member left out": (an_object(required=[]), "Missing 'a'."),
    "one deep down": (
        an_object({"b": {"type": "array", "items": {"type": "object", "properties": {}}}}),
        "('properties', 'b', 'items')",
    ),
    "one in a definition": (
        an_object(**{"$defs": {"x": {"type": "object", "properties": {"y": TEXT}}}}),
        "('$defs', 'x')",
    ),
    "allOf": (an_object({"a": {"allOf": [TEXT]}}), "'allOf' is not permitted"),
    "minLength": (an_object({"a": {**TEXT, "minLength": 1}}), "'minLength' is not permitted"),
    "one of several": (
        an_object({"a": {"anyOf": [TEXT, {"type": "array", "items": TEXT, "uniqueItems": True}]}}),
        "'uniqueItems' is not permitted",
    ),
    "too deep": (nested(12), "exceed the limit of 10"),
    "too many": (an_object({f"a{n}": TEXT for n in range(5001)}), "exceed the limit of 5000"),
}


@pytest.mark.parametrize("name", TAKEN)
def test_strict_mode_takes(name):
    assert refusal_of(TAKEN[name]) is None


@pytest.mark.parametrize("name", REFUSED)
def test_strict_mode_refuses(name):
    schema, words = REFUSED[name]
    assert words in (refusal_of(schema) or "")


@pytest.mark.parametrize("strict", [True, False])
def test_a_request_is_refused_where_it_asks_for_strict_mode(strict):
    form = {"name": "mine", "strict": strict, "schema": an_object(required=[])}
    chat = {
        "model": "gpt-4o-mini",
        "messages": [{"role": "user", "content": "hi"}],
        "response_format": {"type": "json_schema", "json_schema": form},
    }
    response = {"model": "gpt-4o-mini", "input": "hi"} | {
        "text": {"format": {"type": "json_schema", **form}}
    }
    for status, body in (outcome_of(CHAT, chat), outcome_of("/v1/responses", response)):
        assert status == (400 if strict else 200)
        if strict:
            message = body["error"]["message"]
            assert message.startswith("Invalid schema for response_format 'mine': In context=()")
