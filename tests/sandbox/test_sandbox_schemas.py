"""Answers that satisfy the schema they were asked for."""

from __future__ import annotations

import json

import pytest

from batchd.sandbox.answers import answer_for
from batchd.sandbox.digests import Draws
from batchd.sandbox.patterns import text_matching
from batchd.sandbox.schemas import satisfy
from tests.sandbox.schema_checker import problems

SCHEMAS = {
    "what the guide asks for": {
        "type": "object",
        "properties": {
            "categories": {"type": "array", "items": {"type": "string"}},
            "summary": {"type": "string"},
        },
        "required": ["categories", "summary"],
        "additionalProperties": False,
    },
    "scalars": {
        "type": "object",
        "properties": {
            "b": {"type": "boolean"},
            "i": {"type": "integer", "minimum": 3, "maximum": 5},
            "n": {"type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 1},
            "s": {"type": "string", "minLength": 5, "maxLength": 12},
            "z": {"type": "null"},
        },
    },
    "negative numbers": {"type": "integer", "maximum": -10},
    "steps": {"type": "number", "multipleOf": 0.25, "minimum": 1, "maximum": 2},
    "steps of integers": {"type": "integer", "multipleOf": 7, "minimum": 20},
    "narrow bounds": {"type": "number", "minimum": 0.001, "maximum": 0.002},
    "one integer": {"type": "integer", "exclusiveMinimum": 4, "exclusiveMaximum": 6},
    "enum": {"enum": ["red", 7, None]},
    "const": {"const": {"a": [1]}},
    "nullable": {"type": ["string", "null"]},
    "items": {"type": "array", "items": {"type": "integer"}, "minItems": 4, "maxItems": 4},
    "no more items": {"type": "array", "items": {"type": "string"}, "maxItems": 0},
    "many items": {"type": "array", "items": {"type": "boolean"}, "minItems": 20},
    "unique items": {"type": "array", "items": {"enum": [1, 2, 3]}, "uniqueItems": True},
    "tuple": {
        "type": "array",
        "prefixItems": [{"type": "string"}, {"type": "integer"}],
        "items": False,
        "minItems": 2,
    },
    "contains": {"type": "array", "items": {"type": "integer"}, "contains": {"const": 5}},
    "anyOf": {"anyOf": [{"type": "integer"}, {"type": "object", "required": ["x"]}]},
    "oneOf": {
        "oneOf": [
            {"type": "object", "properties": {"k": {"const": "a"}}, "required": ["k"]},
            {"type": "object", "properties": {"k": {"const": "b"}}, "required": ["k"]},
        ]
    },
    "allOf": {
        "allOf": [
            {"type": "object", "properties": {"a": {"type": "number", "minimum": 2}}},
            {"properties": {"a": {"type": "integer", "maximum": 3}}, "required": ["a"]},
        ]
    },
    "references": {
        "$defs": {"name": {"type": "string", "maxLength": 9}, "alias": {"$ref": "#/$defs/name"}},
        "type": "object",
        "properties": {"n": {"$ref": "#/$defs/alias"}},
        "required": ["n"],
    },
    "a list of itself": {
        "$defs": {
            "node": {
                "type": "object",
                "properties": {
                    "value": {"type": "string"},
                    "next": {"anyOf": [{"$ref": "#/$defs/node"}, {"type": "null"}]},
                },
                "required": ["value", "next"],
            }
        },
        "$ref": "#/$defs/node",
    },
    "a tree of itself": {
        "type": "object",
        "properties": {
            "label": {"type": "string"},
            "children": {"type": "array", "items": {"$ref": "#"}},
        },
        "required": ["label", "children"],
    },
    "nullable itself": {
        "type": ["object", "null"],
        "properties": {"next": {"$ref": "#"}},
        "required": ["next"],
    },
    "required but not described": {
        "type": "object",
        "required": ["x", "y"],
        "additionalProperties": {"type": "integer"},
    },
    "a map": {"type": "object", "additionalProperties": {"type": "number"}, "minProperties": 3},
    "no type": {"properties": {"a": {"minimum": 4}, "b": {"items": {"const": 1}}}},
    "anything": {},
    **{f"format {name}": {"type": "string", "format": name} for name in ("date", "date-time")},
    **{f"format {name}": {"type": "string", "format": name} for name in ("email", "uuid")},
    **{f"format {name}": {"type": "string", "format": name} for name in ("uri", "ipv4", "odd")},
    "pattern and lengths": {
        "type": "string",
        "pattern": "^[a-z]+$",
        "minLength": 12,
        "maxLength": 40,
    },
}
PATTERNS = [
    r"^\d{4}-\d{2}$",
    r"^[A-Z]{2,3}-[0-9]+$",
    r"^(red|green|blue)$",
    r"^[^a-z]{3}$",
    r"^\w+@\w+\.(com|org)$",
    r"^(ab)?c*\s?x.$",
    r"abc",
    r"^(\d)\1$",
    r"^$",
]


@pytest.mark.parametrize("name", SCHEMAS)
@pytest.mark.parametrize("digest", ["a", "b", "c", "d", "e"])
def test_a_value_satisfies_its_schema(name, digest):
    schema = SCHEMAS[name]
    value = satisfy(schema, Draws(digest), "Good Quality Dog Food")

    assert problems(value, schema) == []
    assert satisfy(schema, Draws(digest), "Good Quality Dog Food") == value


@pytest.mark.parametrize("pattern", PATTERNS)
def test_a_text_matches_its_pattern(pattern):
    schema = {"type": "string", "pattern": pattern}
    assert problems(satisfy(schema, Draws("x"), "text"), schema) == []


@pytest.mark.parametrize("pattern", ["(", "(?P<x", r"^(?!a)b$"])
def test_a_pattern_that_is_not_understood_falls_back_to_text(pattern):
    assert text_matching(pattern, Draws("x")) is None
    assert "hello" in satisfy({"type": "string", "pattern": pattern}, Draws("x"), "hello")


def test_texts_carry_the_users_words():
    value = satisfy(SCHEMAS["what the guide asks for"], Draws("x"), "Good Quality Dog Food")
    assert value["summary"].startswith("Good Quality Dog Food")


def test_an_enum_of_sentiments_is_chosen_by_the_text():
    schema = {"enum": ["positive", "neutral", "negative"]}
    good = satisfy(schema, Draws("x"), "Great taste, my dog loved it")
    bad = satisfy(schema, Draws("x"), "Terrible and stale")

    assert (good, bad) == ("positive", "negative")


@pytest.mark.parametrize("schema", list(SCHEMAS.values())[:3])
def test_both_text_endpoints_answer_with_the_schema(schema):
    chat = answer_for(
        "/v1/chat/completions",
        {
            "model": "gpt-4o-mini",
            "messages": [{"role": "user", "content": "hi"}],
            "response_format": {
                "type": "json_schema",
                "json_schema": {"name": "x", "strict": False, "schema": schema},
            },
        },
    )
    response = answer_for(
        "/v1/responses",
        {
            "model": "gpt-4o-mini",
            "input": "hi",
            "text": {"format": {"type": "json_schema", "name": "x", "schema": schema}},
        },
    )

    assert problems(json.loads(chat["choices"][0]["message"]["content"]), schema) == []
    assert problems(json.loads(response["output"][0]["content"][0]["text"]), schema) == []


def test_a_json_object_is_one():
    body = {
        "model": "gpt-4o-mini",
        "messages": [{"role": "user", "content": "hi there"}],
        "response_format": {"type": "json_object"},
    }
    content = answer_for("/v1/chat/completions", body)["choices"][0]["message"]["content"]

    assert "hi there" in json.loads(content)["answer"]
