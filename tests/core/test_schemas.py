"""A schema that the provider would refuse is found before anything is sent."""

from typing import Any

import jsonschema_rs
import pytest

from batchd.core import schemas
from batchd.core.schemas import flaws, grouped


def an_object(**properties: Any) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


TEXT = {"type": "string"}
GOOD = an_object(
    title=TEXT | {"description": "as it stands in the posting"},
    salary={"type": ["number", "null"], "minimum": 0},
    kind={"type": "string", "enum": ["full", "part"]},
    day={"type": "string", "format": "date"},
    code={"type": "string", "pattern": "^[A-Z]{2}$"},
    tags={"type": "array", "items": TEXT, "maxItems": 5},
    boss={"anyOf": [an_object(name=TEXT), {"type": "null"}]},
)


@pytest.mark.parametrize(
    "schema",
    [
        GOOD,
        an_object(),
        {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "t", **GOOD},
        {"$defs": {"leaf": an_object(x=TEXT)}, **an_object(a={"$ref": "#/$defs/leaf"})},
        an_object(child={"anyOf": [{"$ref": "#"}, {"type": "null"}]}),
    ],
)
def test_what_strict_mode_takes_has_no_flaws(schema):
    assert flaws(schema) == []


#: A schema, where its flaw is, what is said of it, and what is to be written instead.
FLAWED = [
    ([], "", "an object in braces", ""),
    ({"type": "array", "items": TEXT}, "", "top level must be an object", '"answer"'),
    ({"anyOf": [GOOD]}, "", "top level must be an object", ""),
    ({**an_object(a=TEXT), "additionalProperties": True}, "", "additionalProperties", "false"),
    (an_object(a={"type": "object", "properties": {}}), "properties.a", "additionalProp", "Add"),
    ({**an_object(a=TEXT, b=TEXT), "required": ["a"]}, "properties.b", '"b" is not in', "null"),
    ({**an_object(a=TEXT), "required": ["a", "z"]}, "required", '"required" names "z"', "Take"),
    ({"type": "object", "additionalProperties": False}, "", '"properties"', ""),
    (an_object(a=TEXT | {"minLength": 3}), "properties.a.minLength", "minLength", "description"),
    (an_object(a=TEXT | {"default": ""}), "properties.a.default", "default", "description"),
    (an_object(a={"oneOf": [TEXT]}), "properties.a", 'no "type"', ""),
    (an_object(a=TEXT | {"oneOf": [TEXT]}), "properties.a.oneOf", "oneOf", "anyOf"),
    (an_object(a=TEXT | {"descripton": "x"}), "properties.a.descripton", "", '"description"?'),
    (an_object(a=TEXT | {"minimum": 3}), "properties.a.minimum", "does not go with", ""),
    (an_object(a=TEXT | {"format": "uri"}), "properties.a.format", '"uri"', "date-time"),
    (an_object(a=TEXT | {"pattern": "a(?=b)"}), "properties.a.pattern", "look-ahead", ""),
    (an_object(a=TEXT | {"pattern": 3}), "properties.a.pattern", "must be a text", ""),
    (an_object(a=TEXT | {"enum": []}), "properties.a.enum", "list of values", ""),
    (an_object(a={"type": "text"}), "properties.a.type", '"text"', '"string"?'),
    (an_object(a={"type": "boolan"}), "properties.a.type", '"boolan"', '"boolean"?'),
    (an_object(a={"type": "zzz"}), "properties.a.type", '"zzz"', "one of string"),
    (an_object(a={"type": []}), "properties.a", 'no "type"', ""),
    (an_object(a={"description": "x"}), "properties.a", 'no "type"', ""),
    (an_object(a="string"), "properties.a", "an object in braces", ""),
    (an_object(a={"type": "array"}), "properties.a", '"items"', ""),
    (an_object(a={"anyOf": []}), "properties.a.anyOf", "list of schemas", ""),
    (an_object(a={"anyOf": [TEXT], "enum": ["x"]}), "properties.a.enum", "anyOf", "Take"),
    (an_object(a={"$ref": "#/$defs/x"}), "properties.a.$ref", "points to", "$defs"),
    (an_object(a={"$ref": "#", "title": "x"}), "properties.a.title", "beside", "Put"),
    ({"$defs": {"x": {"type": "object"}}, **an_object()}, "$defs.x", '"properties"', ""),
    (
        an_object(a={"type": "array", "items": TEXT | {"minLength": 1}}),
        "properties.a.items.minLength",
        "minLength",
        "",
    ),
]


@pytest.mark.parametrize(("schema", "place", "message", "remedy"), FLAWED)
def test_a_flaw_says_where_and_what_and_what_to_write(schema, place, message, remedy):
    found = flaws(schema)
    assert (place or "the schema itself") in [flaw.place for flaw in found]
    flaw = next(one for one in found if one.place == (place or "the schema itself"))
    assert message in flaw.message
    assert remedy in flaw.remedy
    assert flaw.remedy


def nested(levels: int) -> dict[str, Any]:
    schema: dict[str, Any] = an_object(leaf=TEXT)
    for _ in range(levels - 2):
        schema = an_object(below=schema)
    return schema


def test_ten_levels_are_taken_and_eleven_are_not():
    assert flaws(nested(10)) == []
    assert "11 levels" in flaws(nested(11))[0].message


@pytest.mark.parametrize(
    ("schema", "message"),
    [
        (an_object(**{f"p{n}": TEXT for n in range(5_001)}), "5,001 properties"),
        (an_object(a={"type": "integer", "enum": list(range(1_001))}), "1,001 enum values"),
        (an_object(a=TEXT | {"const": "x" * 120_000}), "120,001 letters"),
        (an_object(a=TEXT | {"enum": [f"{n:0100}" for n in range(251)]}), "25,100 letters"),
    ],
)
def test_what_is_limited_in_number_is_counted(schema, message):
    assert any(message in flaw.message for flaw in flaws(schema))


# Several records


def fits(schema: dict[str, Any], value: Any) -> bool:
    return bool(jsonschema_rs.validator_for(schema).is_valid(value))


def test_a_group_answers_with_one_entry_for_each_id():
    schema = grouped(an_object(kind=TEXT))
    assert flaws(schema) == []
    assert fits(schema, {"records": [{"id": "17", "answer": {"kind": "x"}}]})
    assert not fits(schema, {"records": [{"id": "17", "answer": "x"}]})
    assert not fits(schema, {"records": [{"id": "17"}]})


def test_a_group_without_a_schema_answers_with_texts():
    assert fits(grouped(None), {"records": [{"id": "17", "answer": "x"}]})


def test_what_a_schema_refers_to_is_found_from_within_a_group():
    tree = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$defs": {"leaf": an_object(x=TEXT)},
        **an_object(
            leaf={"$ref": "#/$defs/leaf"}, next={"anyOf": [{"$ref": "#"}, {"type": "null"}]}
        ),
    }
    schema = grouped(tree)
    assert flaws(schema) == []
    one = {"leaf": {"x": "1"}, "next": {"leaf": {"x": "2"}, "next": None}}
    assert fits(schema, {"records": [{"id": "1", "answer": one}]})
    bad = {"leaf": {"x": "1"}, "next": {"records": []}}
    assert not fits(schema, {"records": [{"id": "1", "answer": bad}]})


def test_a_group_leaves_the_tasks_own_schema_as_it_is():
    mine = {"$defs": {}, **an_object(a=TEXT)}
    grouped(mine)
    assert "$defs" in mine


def test_the_numbers_are_the_providers():
    """Guide "Structured Outputs", read 2026-11: a change there is made here on purpose."""
    assert (schemas.MAX_PROPERTIES, schemas.MAX_LEVELS, schemas.MAX_CHOICES) == (5_000, 10, 1_000)
