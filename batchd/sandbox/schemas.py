"""A value that satisfies a JSON schema: deterministic, and recognisable where it is text.

Understood: type (one or several), properties, required, additionalProperties, minProperties,
enum, const, items, prefixItems, contains, minItems, maxItems, uniqueItems, all bounds of numbers,
multipleOf, minLength, maxLength, pattern, format, anyOf, oneOf, allOf, $ref and $defs. Not
understood: `not`, `if`; of `oneOf` the value fits one branch, and is not held against the others.
"""

from __future__ import annotations

from typing import Any

from batchd.sandbox.digests import Draws
from batchd.sandbox.scalars import number_within, text_within
from batchd.sandbox.schema_tools import alternatives, kind_of, merged, resolved
from batchd.sandbox.sentiment import label_for

_ENOUGH = 6  # levels down, from where everything optional is left out and every end is welcome
_TRIES = 50  # for another item that has not been there yet
_MORE_ITEMS = 2

Schema = dict[str, Any]


def satisfy(schema: Schema, draws: Draws, asked: str, root: Schema | None = None) -> Any:
    """A value for `schema`. `asked` is the user's text: material for strings and sentiments.

    `root` is where references point into, where `schema` is only a part of it.
    """
    return _Maker(schema if root is None else root, draws, asked).make(schema, 0)


class _Maker:
    def __init__(self, root: Schema, draws: Draws, asked: str) -> None:
        self._root, self._draws, self._asked = root, draws, asked

    def make(self, given: object, depth: int) -> Any:
        schema = self._settled(given, depth)
        if "const" in schema:
            return schema["const"]
        if "enum" in schema:
            return self._one_of(schema["enum"])
        return self._by_kind(schema, depth)

    def _settled(self, given: object, depth: int) -> Schema:
        """References followed, `allOf` merged in, one alternative chosen."""
        schema = resolved(given, self._root)
        options = alternatives(schema, self._root, at_an_end=depth >= _ENOUGH)
        if not options:
            return schema
        option = options[self._draws.number(0, len(options) - 1)]
        rest = {k: v for k, v in schema.items() if k not in ("anyOf", "oneOf")}
        return self._settled(merged(rest, option), depth)

    def _one_of(self, values: list[Any]) -> Any:
        label = label_for(" ".join(str(value) for value in values), self._asked)
        if label in values:
            return label
        return values[self._draws.number(0, len(values) - 1)]

    def _by_kind(self, schema: Schema, depth: int) -> Any:
        kind = kind_of(schema, at_an_end=depth >= _ENOUGH)
        if kind == "object":
            return self._object(schema, depth)
        if kind == "array":
            return self._array(schema, depth)
        if kind in ("integer", "number"):
            return number_within(schema, kind, self._draws)
        if kind == "boolean":
            return bool(self._draws.number(0, 1))
        return None if kind == "null" else text_within(schema, self._draws, self._asked)

    def _object(self, schema: Schema, depth: int) -> dict[str, Any]:
        known = schema.get("properties") or {}
        required = schema.get("required") or []
        wanted = [name for name in known if name in required or depth < _ENOUGH]
        wanted += [name for name in required if name not in known]
        others = schema.get("additionalProperties", True)
        value = {name: self.make(known.get(name, others), depth + 1) for name in wanted}
        for number in range(len(value), schema.get("minProperties", 0)):
            value[f"key_{number + 1}"] = self.make(others, depth + 1)
        return value

    def _array(self, schema: Schema, depth: int) -> list[Any]:
        heads = schema.get("prefixItems") or []
        rest = schema.get("items", True)
        count = self._count(schema, depth, has_room=rest is not False, heads=len(heads))
        items: list[Any] = []
        for index in range(count):
            of = heads[index] if index < len(heads) else rest
            if not self._add(items, of, depth, unique=bool(schema.get("uniqueItems"))):
                break
        if "contains" in schema:
            items.append(self.make(schema["contains"], depth + 1))
        return items

    def _count(self, schema: Schema, depth: int, *, has_room: bool, heads: int) -> int:
        least = int(schema.get("minItems", 0))
        if depth >= _ENOUGH:
            return max(least, 0)
        most: int = min(
            schema.get("maxItems", least + _MORE_ITEMS), max(least, heads) + _MORE_ITEMS
        )
        most = most if has_room else min(most, heads)
        return self._draws.number(min(max(least, heads, 1), most), most)

    def _add(self, items: list[Any], schema: object, depth: int, *, unique: bool) -> bool:
        """One item more; False when no other than those that are there can be found."""
        for _ in range(_TRIES):
            item = self.make(schema, depth + 1)
            if not unique or item not in items:
                items.append(item)
                return True
        return False
