"""Schemas of answers: what the provider's strict mode takes, and one around several records.

Rules and numbers are the provider's guide "Structured Outputs", section "Supported schemas", and the
list of keywords is the one that its own SDK for Java checks against; both read 2026-11. The SDK still
has the smaller numbers of 2024.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Any

MAX_PROPERTIES = 5_000  # object properties in total
MAX_LEVELS = 10  # of nesting
MAX_LETTERS = 120_000  # of all names, enum values and const values together
MAX_CHOICES = 1_000  # enum values in total
MANY_CHOICES, MAX_MANY_LETTERS = 250, 15_000  # of one enum with more than 250 texts

TYPES = ("string", "number", "integer", "boolean", "object", "array", "null")
FORMATS = (
    "date-time", "time", "date", "duration", "email", "hostname", "ipv4", "ipv6", "uuid",
)  # fmt: skip
_ANYWHERE = ("type", "title", "description", "enum", "const")
_BY_TYPE = {
    "string": ("pattern", "format"),
    "number": ("minimum", "exclusiveMinimum", "maximum", "exclusiveMaximum", "multipleOf"),
    "integer": ("minimum", "exclusiveMinimum", "maximum", "exclusiveMaximum", "multipleOf"),
    "object": ("properties", "required", "additionalProperties"),
    "array": ("items", "minItems", "maxItems"),
}
_AT_ROOT = ("$schema", "$id", "$defs", "definitions")
_ALL = frozenset(_ANYWHERE + _AT_ROOT + ("anyOf", "$ref")).union(*_BY_TYPE.values())
_LOOKAROUND = re.compile(r"(?<!\\)(?:\\\\)*\(\?(?:=|!|<=|<!)")
_WHOLE = "batchd_answer"  #: the definition that takes the place of a schema's own top level
_INSTEAD = {
    "oneOf": 'Write "anyOf".',
    "allOf": "Write the members out in one schema.",
    "default": 'Take it out; the model always answers. Say in "description" what is usual.',
    "minLength": 'Take it out, and say in "description" how long the text shall be.',
    "maxLength": 'Take it out, and say in "description" how long the text may be.',
    "nullable": 'Write "type": ["string", "null"].',
    "uniqueItems": 'Take it out, and say in "description" that nothing shall come twice.',
    "examples": 'Take it out, and give examples in "description".',
}


@dataclass(frozen=True, slots=True)
class Flaw:
    """One thing that the provider would refuse a schema for."""

    path: tuple[str, ...]  #: of member names within the schema, to find its place
    message: str
    remedy: str

    @property
    def place(self) -> str:
        """Where, for people: `properties.items[].properties.price`."""
        return ".".join(self.path) or "the schema itself"


@dataclass(slots=True)
class _Totals:
    """What is limited over the whole schema."""

    properties: int = 0
    letters: int = 0
    choices: int = 0
    definitions: Mapping[str, Any] = field(default_factory=dict)


def flaws(schema: Any) -> list[Flaw]:
    """Return what strict mode refuses in a schema; nothing where it takes it."""
    if not isinstance(schema, dict):
        return [_flaw((), "a schema is an object in braces", 'Write {"type": "object", ...}.')]
    totals = _Totals(definitions=_definitions(schema))
    found = list(_root(schema))
    found += _of(schema, (), 1, totals)
    for name, one in totals.definitions.items():
        totals.letters += len(name)
        found += _of(one, ("$defs" if "$defs" in schema else "definitions", name), 1, totals)
    return found + list(_too_large(totals))


def grouped(schema: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return the schema of several answers, each under its record's id; None asks for texts."""
    answer: dict[str, Any] = dict(schema) if schema is not None else {"type": "string"}
    answer.pop("$schema", None)
    answer.pop("$id", None)
    definitions = {name: answer.pop(name) for name in ("$defs", "definitions") if name in answer}
    if _points_to_root(answer) or _points_to_root(definitions):
        # What pointed to the whole schema would now point to the list around it.
        inner = {**definitions.get("$defs", {}), _WHOLE: answer}
        definitions = _redirected({**definitions, "$defs": inner})
        answer = {"$ref": f"#/$defs/{_WHOLE}"}
    entry = _object({"id": {"type": "string"}, "answer": answer})
    return _object({"records": {"type": "array", "items": entry}}) | definitions


def _points_to_root(schema: Any) -> bool:
    if isinstance(schema, dict):
        return schema.get("$ref") == "#" or any(map(_points_to_root, schema.values()))
    return isinstance(schema, list) and any(map(_points_to_root, schema))


def _redirected(schema: Any) -> Any:
    if isinstance(schema, dict):
        redirected = {name: _redirected(one) for name, one in schema.items()}
        at_root = schema.get("$ref") == "#"
        return redirected | {"$ref": f"#/$defs/{_WHOLE}"} if at_root else redirected
    return [_redirected(one) for one in schema] if isinstance(schema, list) else schema


def _object(properties: dict[str, Any]) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


def _definitions(schema: Mapping[str, Any]) -> Mapping[str, Any]:
    both = (schema.get(name) for name in ("$defs", "definitions"))
    return {name: one for found in both if isinstance(found, dict) for name, one in found.items()}


def _root(schema: Mapping[str, Any]) -> Iterator[Flaw]:
    if "anyOf" in schema or "$ref" in schema or schema.get("type") != "object":
        yield _flaw(
            (),
            "its top level must be an object",
            'Write {"type": "object", "properties": {"answer": ...}, "required": ["answer"],'
            ' "additionalProperties": false} around it.',
        )


def _of(schema: Any, path: tuple[str, ...], level: int, totals: _Totals) -> Iterator[Flaw]:
    if not isinstance(schema, dict):
        yield _flaw(path, "a schema is an object in braces", 'Write {"type": "string"}, say.')
    elif level > MAX_LEVELS:
        message = f"it is nested {level} levels deep; the provider takes {MAX_LEVELS}"
        yield _flaw(path, message, "Flatten it: names with a prefix instead of an object.")
    elif "$ref" in schema:
        yield from _reference(schema, path, totals)
    elif "anyOf" in schema:
        yield from _union(schema, path, level, totals)
    else:
        yield from _typed(schema, path, level, totals)


def _reference(schema: Mapping[str, Any], path: tuple[str, ...], totals: _Totals) -> Iterator[Flaw]:
    target = schema["$ref"]
    name = re.fullmatch(r"#/(?:\$defs|definitions)/([^/]+)", str(target))
    if target != "#" and (name is None or name[1] not in totals.definitions):
        yield _flaw(
            (*path, "$ref"),
            f'"$ref" points to {target!r}, which is not in the schema\'s "$defs"',
            'Put what it means into "$defs", and point to "#/$defs/NAME".',
        )
    if len(schema) > 1 and path:
        beside = next(name for name in schema if name != "$ref")
        yield _flaw(
            (*path, beside),
            f'beside "$ref" nothing else may stand, and there is "{beside}"',
            f'Put "{beside}" into the definition that it points to.',
        )


def _union(
    schema: Mapping[str, Any], path: tuple[str, ...], level: int, totals: _Totals
) -> Iterator[Flaw]:
    options = schema["anyOf"]
    if not isinstance(options, list) or not options:
        yield _flaw((*path, "anyOf"), '"anyOf" must be a list of schemas', "Write them in [ ].")
        return
    yield from _keywords(schema, path, ("anyOf", "title", "description"), beside='"anyOf"')
    for number, option in enumerate(options):
        yield from _of(option, (*path, "anyOf", f"[{number}]"), level, totals)


def _typed(
    schema: Mapping[str, Any], path: tuple[str, ...], level: int, totals: _Totals
) -> Iterator[Flaw]:
    types = schema.get("type")
    named = types if isinstance(types, list) else [types]
    wrong = next((one for one in named if one not in TYPES), None)
    if "type" not in schema or not named:
        yield _flaw(path, 'it has no "type"', f"Give it one of {', '.join(TYPES)}.")
        return
    if wrong is not None or types == []:
        yield _flaw((*path, "type"), f'there is no type "{wrong}"', _type_meant(wrong))
        return
    allowed = _ANYWHERE + tuple(word for one in named for word in _BY_TYPE.get(str(one), ()))
    yield from _keywords(schema, path, allowed, beside=f'"type": "{named[0]}"')
    yield from _choices(schema, path, totals)
    yield from _text(schema, path)
    if "object" in named:
        yield from _members(schema, path, level, totals)
    if "array" in named:
        yield from _items(schema, path, level, totals)


def _keywords(
    schema: Mapping[str, Any], path: tuple[str, ...], allowed: tuple[str, ...], *, beside: str
) -> Iterator[Flaw]:
    if not path or path[:1] in (("$defs",), ("definitions",)):
        allowed += _AT_ROOT
    for word in schema:
        if word in allowed:
            continue
        if word in _ALL:
            yield _flaw((*path, word), f'"{word}" does not go with {beside}', "Take it out.")
            continue
        near = get_close_matches(word, _ALL, n=1, cutoff=0.8)
        remedy = f'Did you mean "{near[0]}"?' if near else _INSTEAD.get(word, "Take it out.")
        yield _flaw((*path, word), f'strict mode does not take "{word}"', remedy)


def _choices(schema: Mapping[str, Any], path: tuple[str, ...], totals: _Totals) -> Iterator[Flaw]:
    if isinstance(schema.get("const"), str):
        totals.letters += len(schema["const"])
    if "enum" not in schema:
        return
    choices = schema["enum"]
    if not isinstance(choices, list) or not choices:
        yield _flaw((*path, "enum"), '"enum" must be a list of values', "Write them in [ ].")
        return
    letters = sum(len(one) for one in choices if isinstance(one, str))
    totals.choices += len(choices)
    totals.letters += letters
    if len(choices) > MANY_CHOICES and letters > MAX_MANY_LETTERS:
        yield _flaw(
            (*path, "enum"),
            f'"enum" has {len(choices):,} values of {letters:,} letters together; of more than'
            f" {MANY_CHOICES} the provider takes {MAX_MANY_LETTERS:,} letters",
            "Use shorter values, such as codes, and explain them in the prompt.",
        )


def _text(schema: Mapping[str, Any], path: tuple[str, ...]) -> Iterator[Flaw]:
    if "format" in schema and schema["format"] not in FORMATS:
        message = f'strict mode does not know the format "{schema["format"]}"'
        yield _flaw((*path, "format"), message, f"Use one of {', '.join(FORMATS)}, or none.")
    pattern = schema.get("pattern")
    if not isinstance(pattern, str | None):
        yield _flaw((*path, "pattern"), '"pattern" must be a text', "Put it in quotes.")
    elif pattern is not None and _LOOKAROUND.search(pattern):
        message = "strict mode takes no look-ahead or look-behind in a pattern"
        yield _flaw(
            (*path, "pattern"), message, "Write the pattern without (?=, (?!, (?<= and (?<!."
        )


def _members(
    schema: Mapping[str, Any], path: tuple[str, ...], level: int, totals: _Totals
) -> Iterator[Flaw]:
    properties = schema.get("properties")
    if not isinstance(properties, dict):
        message = 'an object needs "properties": the names that it has'
        yield _flaw(path, message, 'Write "properties": {"name": {"type": "string"}}.')
        properties = {}
    if schema.get("additionalProperties") is not False:
        message = 'an object needs "additionalProperties": false'
        yield _flaw(
            path, message, 'Add "additionalProperties": false (TOML: additionalProperties = false).'
        )
    yield from _required(schema, properties, path)
    totals.properties += len(properties)
    totals.letters += sum(map(len, properties))
    for name, one in properties.items():
        yield from _of(one, (*path, "properties", name), level + 1, totals)


def _required(
    schema: Mapping[str, Any], properties: Mapping[str, Any], path: tuple[str, ...]
) -> Iterator[Flaw]:
    required = schema.get("required", [])
    given = required if isinstance(required, list) else []
    for name in properties:
        if name not in given:
            yield _flaw(
                (*path, "properties", name),
                f'"{name}" is not in "required"; strict mode has no optional members',
                f'Add "{name}" to "required"; where it may be missing, let it be null:'
                f" {_nullable(properties[name])}.",
            )
    for name in given:
        if name not in properties:
            message = f'"required" names "{name}", which is not in "properties"'
            yield _flaw((*path, "required"), message, "Take it out, or add it to the properties.")


def _nullable(schema: Any) -> str:
    type_ = schema.get("type") if isinstance(schema, dict) else None
    return f'"type": ["{type_ if isinstance(type_, str) else "string"}", "null"]'


def _items(
    schema: Mapping[str, Any], path: tuple[str, ...], level: int, totals: _Totals
) -> Iterator[Flaw]:
    if "items" not in schema:
        message = 'a list needs "items": the schema of its elements'
        yield _flaw(path, message, 'Write "items": {"type": "string"}, say.')
        return
    yield from _of(schema["items"], (*path, "items"), level + 1, totals)


def _too_large(totals: _Totals) -> Iterator[Flaw]:
    limits = (
        (totals.properties, MAX_PROPERTIES, "properties"),
        (totals.choices, MAX_CHOICES, "enum values"),
        (totals.letters, MAX_LETTERS, "letters of names and values"),
    )
    for count, limit, what in limits:
        if count > limit:
            message = f"it has {count:,} {what}; the provider takes {limit:,}"
            yield _flaw((), message, "Make it smaller, or make two tasks of it.")


def _type_meant(name: object) -> str:
    near = get_close_matches(str(name).lower(), TYPES, n=1, cutoff=0.5)
    usual = {"text": "string", "str": "string", "bool": "boolean", "int": "integer"}
    usual |= {"float": "number", "list": "array", "dict": "object", "date": "string"}
    meant = usual.get(str(name).lower()) or (near[0] if near else None)
    return f'Did you mean "{meant}"?' if meant else f"Use one of {', '.join(TYPES)}."


def _flaw(path: tuple[str, ...], message: str, remedy: str) -> Flaw:
    return Flaw(path, message, remedy)
