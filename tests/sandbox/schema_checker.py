"""Whether a value satisfies a JSON schema: a second reading of what the sandbox's maker reads."""

from __future__ import annotations

import re
from typing import Any

KINDS: dict[str, Any] = {
    "object": dict,
    "array": list,
    "string": str,
    "boolean": bool,
    "null": type(None),
    "integer": int,
    "number": (int, float),
}
FORMATS = {
    "date": r"\d{4}-\d\d-\d\d",
    "date-time": r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ",
    "email": r"[^@\s]+@[^@\s]+\.[a-z]+",
    "uuid": r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}",
    "uri": r"https?://\S+",
    "ipv4": r"\d+(\.\d+){3}",
}


def is_kind(value: Any, kind: str) -> bool:
    if isinstance(value, bool):
        return kind == "boolean"
    return isinstance(value, KINDS[kind])


def problems(value: Any, schema: Any, root: Any = None) -> list[str]:
    """What is wrong with the value; nothing, when it satisfies the schema."""
    root = schema if root is None else root
    if schema is False:
        return ["nothing is allowed here"]
    if schema is True:
        return []
    found = [*_generic(value, schema, root)]
    if isinstance(value, dict):
        found += _object(value, schema, root)
    elif isinstance(value, list):
        found += _array(value, schema, root)
    elif isinstance(value, str):
        found += _string(value, schema)
    elif isinstance(value, int | float) and not isinstance(value, bool):
        found += _number(value, schema)
    return found


def _generic(value: Any, schema: Any, root: Any) -> list[str]:
    found = []
    if "$ref" in schema:
        target = root
        for step in schema["$ref"].removeprefix("#").strip("/").split("/"):
            target = target[step] if step else target
        found += problems(value, target, root)
    kinds = schema.get("type", [])
    kinds = kinds if isinstance(kinds, list) else [kinds]
    if kinds and not any(is_kind(value, kind) for kind in kinds):
        found.append(f"{value!r} is no {kinds}")
    if "const" in schema and value != schema["const"]:
        found.append(f"{value!r} is not {schema['const']!r}")
    if "enum" in schema and value not in schema["enum"]:
        found.append(f"{value!r} is none of {schema['enum']}")
    for part in schema.get("allOf", []):
        found += problems(value, part, root)
    for word in ("anyOf", "oneOf"):
        fits = [not problems(value, part, root) for part in schema.get(word, [])]
        if fits and not any(fits):
            found.append(f"{value!r} fits no branch of {word}")
        if word == "oneOf" and sum(fits) > 1:
            found.append(f"{value!r} fits several branches")
    return found


def _object(value: dict[str, Any], schema: Any, root: Any) -> list[str]:
    known = schema.get("properties", {})
    found = [f"{name} is missing" for name in schema.get("required", []) if name not in value]
    for name, item in value.items():
        found += problems(item, known.get(name, schema.get("additionalProperties", True)), root)
    if not schema.get("minProperties", 0) <= len(value) <= schema.get("maxProperties", 999):
        found.append(f"{len(value)} properties")
    return found


def _array(value: list[Any], schema: Any, root: Any) -> list[str]:
    heads = schema.get("prefixItems", [])
    found = []
    for index, item in enumerate(value):
        of = heads[index] if index < len(heads) else schema.get("items", True)
        found += problems(item, of, root)
    if not schema.get("minItems", 0) <= len(value) <= schema.get("maxItems", 999):
        found.append(f"{len(value)} items")
    if schema.get("uniqueItems") and any(item in value[:i] for i, item in enumerate(value)):
        found.append("an item is there twice")
    if "contains" in schema and all(problems(item, schema["contains"], root) for item in value):
        found.append("no item is as it must be")
    return found


def _string(value: str, schema: Any) -> list[str]:
    found = []
    if not schema.get("minLength", 0) <= len(value) <= schema.get("maxLength", 10**6):
        found.append(f"{len(value)} characters")
    if "pattern" in schema and not re.search(schema["pattern"], value):
        found.append(f"{value!r} does not match {schema['pattern']}")
    form = FORMATS.get(schema.get("format", ""))
    if form and not re.fullmatch(form, value):
        found.append(f"{value!r} is no {schema['format']}")
    return found


def _number(value: float, schema: Any) -> list[str]:
    infinite = float("inf")
    holds = schema.get("minimum", -infinite) <= value <= schema.get(
        "maximum", infinite
    ) and schema.get("exclusiveMinimum", -infinite) < value < schema.get(
        "exclusiveMaximum", infinite
    )
    step = schema.get("multipleOf")
    whole = step is None or abs(value / step - round(value / step)) < 1e-9
    return [] if holds and whole else [f"{value} is out of bounds"]
