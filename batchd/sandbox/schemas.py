"""A value that satisfies a JSON schema. (Grows.)"""

from __future__ import annotations

from typing import Any

from batchd.sandbox.digests import Draws


def satisfy(schema: dict[str, Any], draws: Draws, echo: str) -> object:
    if "properties" in schema:
        return {k: satisfy(v, draws, echo) for k, v in schema["properties"].items()}
    if "enum" in schema:
        return schema["enum"][draws.number(0, len(schema["enum"]) - 1)]
    if schema.get("type") == "array":
        return [satisfy(schema.get("items") or {}, draws, echo)]
    return {"integer": 1, "number": 1.0, "boolean": True}.get(schema.get("type", ""), echo)
