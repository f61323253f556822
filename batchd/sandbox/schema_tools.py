"""Taking JSON schemas apart: references, merging, alternatives, the kind of value they want."""

from __future__ import annotations

from typing import Any

Schema = dict[str, Any]

_LARGER = ("minimum", "exclusiveMinimum", "minLength", "minItems", "minProperties")
_SMALLER = ("maximum", "exclusiveMaximum", "maxLength", "maxItems", "maxProperties")
#: What a schema without a `type` must mean, by what it says.
_HINTS = (
    ("object", ("properties", "required", "additionalProperties", "minProperties")),
    ("array", ("items", "prefixItems", "contains", "minItems", "maxItems")),
    ("number", ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf")),
)
_LEAVES = ("null", "boolean", "string", "integer", "number")


def resolved(given: object, root: Schema) -> Schema:
    """The schema itself: `$ref` followed, `allOf` merged in. `true` and its like allow anything."""
    schema = given if isinstance(given, dict) else {}
    seen: set[str] = set()
    while (ref := schema.get("$ref")) is not None and ref not in seen:
        seen.add(ref)
        rest = {key: value for key, value in schema.items() if key != "$ref"}
        schema = merged(pointed_at(root, ref), rest)
    for part in schema.get("allOf") or []:
        rest = {key: value for key, value in schema.items() if key != "allOf"}
        schema = merged(rest, resolved(part, root)) | {"allOf": []}
    return schema


def pointed_at(root: Schema, ref: str) -> Schema:
    """What `#/$defs/name` points at; nothing, where it points at nothing."""
    found: Any = root
    for step in ref.removeprefix("#").strip("/").split("/") if ref != "#" else []:
        name = step.replace("~1", "/").replace("~0", "~")
        found = found.get(name, {}) if isinstance(found, dict) else {}
    return found if isinstance(found, dict) else {}


def merged(one: Schema, other: Schema) -> Schema:
    """A schema that asks for what both ask for."""
    both = dict(one)
    for key, value in other.items():
        both[key] = _joined(key, one[key], value) if key in one else value
    return both


def _joined(key: str, one: Any, other: Any) -> Any:
    if key == "properties":
        return {**one, **{k: merged(one[k], v) if k in one else v for k, v in other.items()}}
    if key == "required":
        return list(dict.fromkeys([*one, *other]))
    if key == "enum":
        return [value for value in one if value in other]
    if key == "type":
        return _common_types(one, other)
    if key in _LARGER:
        return max(one, other)
    return min(one, other) if key in _SMALLER else other


def _common_types(one: Any, other: Any) -> Any:
    mine, theirs = _listed(one), _listed(other)
    if "integer" in mine + theirs and "number" in mine + theirs:
        return "integer"  # the two share no name, but the narrower is meant
    return [kind for kind in mine if kind in theirs] or other


def _listed(kinds: Any) -> list[str]:
    return kinds if isinstance(kinds, list) else [kinds]


def alternatives(schema: Schema, root: Schema, *, at_an_end: bool) -> list[Schema]:
    """The branches to choose from; deep down only those that lead no deeper, if there are any."""
    branches = schema.get("anyOf") or schema.get("oneOf") or []
    options = [resolved(branch, root) for branch in branches]
    if not at_an_end:
        return options
    return [option for option in options if _is_leaf(option)] or options


def _is_leaf(schema: Schema) -> bool:
    return "const" in schema or "enum" in schema or schema.get("type") in _LEAVES


def kind_of(schema: Schema, *, at_an_end: bool) -> str:
    """The type to make. Of several, not null, except where an end is welcome."""
    if "type" not in schema:
        return _guessed(schema)
    kinds = _listed(schema["type"])
    if at_an_end and "null" in kinds:
        return "null"
    return next((kind for kind in kinds if kind != "null"), "null")


def _guessed(schema: Schema) -> str:
    for kind, hints in _HINTS:
        if any(hint in schema for hint in hints):
            return kind
    return "string"
