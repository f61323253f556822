"""What strict mode refuses in a schema, in the API's words (the guide "Structured outputs").

Where nobody has seen a refusal, none is made: a stand-in that is stricter than its server teaches
people things that are not so.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

#: Listed as not supported by the guide (read 2026-11), or seen refused: 'oneOf' and 'minLength' in
#: many reports (as lately as 2025-12), 'uniqueItems' 2026-09. Bounds of numbers and of arrays,
#: `pattern` and `format` were refused in 2024 and are supported since 2025.
_REFUSED = (
    "allOf",
    "oneOf",
    "not",
    "if",
    "then",
    "else",
    "dependentRequired",
    "dependentSchemas",
    "minLength",
    "maxLength",
    "uniqueItems",
    "contains",
    "minContains",
    "maxContains",
    "patternProperties",
    "propertyNames",
    "minProperties",
    "maxProperties",
    "unevaluatedProperties",
    "unevaluatedItems",
)
_DEEPEST = 10  # levels of nesting; the guide, "Limitations on nesting depth and size"
_MOST_PROPERTIES = 5000  # over all objects of a schema; likewise

Path = tuple[str, ...]


def refusal_of(schema: dict[str, Any]) -> str | None:
    """The first thing that is wrong with it; None where strict mode takes it."""
    if schema.get("type") != "object":
        return (
            f"schema must be a JSON Schema of 'type: \"object\"', got 'type: \"{_shown(schema)}\"'."
        )
    found = next(_refusals(schema, (), 0), None)
    if found is None and (count := _properties(schema)) > _MOST_PROPERTIES:
        return f"{count} properties exceed the limit of {_MOST_PROPERTIES}."
    return found


def _shown(schema: dict[str, Any]) -> str:
    return str(schema.get("type", "None"))


def _refusals(schema: dict[str, Any], path: Path, depth: int) -> Iterator[str]:
    for keyword in _REFUSED:
        if keyword in schema:
            yield f"In context={path}, '{keyword}' is not permitted."
    if depth > _DEEPEST:
        yield f"{depth} levels of nesting exceed the limit of {_DEEPEST}."
    if _is_object(schema):
        yield from _of_object(schema, path)
    for step, part, deeper in _parts(schema):
        yield from _refusals(part, path + step, depth + deeper)


def _is_object(schema: dict[str, Any]) -> bool:
    kinds = schema.get("type")
    return "properties" in schema or "object" in (kinds if isinstance(kinds, list) else [kinds])


def _of_object(schema: dict[str, Any], path: Path) -> Iterator[str]:
    if schema.get("additionalProperties") is not False:
        yield (
            f"In context={path}, 'additionalProperties' is required to be supplied and to be false."
        )
    required = schema.get("required") or []
    for name in schema.get("properties") or {}:
        if name not in required:
            yield (
                f"In context={path}, 'required' is required to be supplied and to be an array "
                f"including every key in properties. Missing '{name}'."
            )


def _parts(schema: dict[str, Any]) -> Iterator[tuple[Path, dict[str, Any], int]]:
    """Every schema inside this one: the way to it, and how many levels deeper it lies."""
    for holder, deeper in (("properties", 1), ("$defs", 0), ("definitions", 0)):
        for name, part in (schema.get(holder) or {}).items():
            if isinstance(part, dict):
                yield (holder, name), part, deeper
    if isinstance(items := schema.get("items"), dict):
        yield ("items",), items, 1
    for index, part in enumerate(schema.get("anyOf") or []):
        if isinstance(part, dict):
            yield ("anyOf", str(index)), part, 0


def _properties(schema: dict[str, Any]) -> int:
    own = len(schema.get("properties") or {})
    return own + sum(_properties(part) for _, part, _ in _parts(schema))
