"""A text that matches a regular expression, for the simple ones that schemas carry."""

from __future__ import annotations

import importlib
import re
import string
from typing import Any

from batchd.sandbox.digests import Draws

# Naughty: Python's own parser is private. A second parser of regular expressions would be worse,
# and when this one moves, patterns fall back to plain text and a test says so.
_parser: Any = importlib.import_module("re._parser")

_CATEGORIES = {
    "CATEGORY_DIGIT": string.digits,
    "CATEGORY_WORD": string.ascii_lowercase + string.digits + "_",
    "CATEGORY_SPACE": " ",
    "CATEGORY_NOT_DIGIT": string.ascii_lowercase,
    "CATEGORY_NOT_WORD": " -.",
    "CATEGORY_NOT_SPACE": string.ascii_lowercase,
}
_PLAIN = string.ascii_lowercase + string.ascii_uppercase + string.digits + " -_.,:;!?/@#"


def text_matching(pattern: str, draws: Draws, *, more: int = 0) -> str | None:
    """Repetitions take `more` rounds than they must. None for what is not understood."""
    try:
        return _Writer(draws, more).write(_parser.parse(pattern))
    except (re.error, KeyError, IndexError):
        return None


class _Writer:
    def __init__(self, draws: Draws, more: int) -> None:
        self._draws, self._more = draws, more
        self._groups: dict[int, str] = {}

    def write(self, tokens: Any) -> str:
        return "".join(self._token(str(kind), value) for kind, value in tokens)

    def _token(self, kind: str, value: Any) -> str:
        """One node of the parsed pattern. A KeyError means it is not understood."""
        writers = {
            "LITERAL": chr,
            "NOT_LITERAL": lambda code: self._pick(_PLAIN.replace(chr(code), "")),
            "ANY": lambda _: self._pick(string.ascii_lowercase),
            "IN": self._in,
            "AT": lambda _: "",
            "BRANCH": lambda branches: self.write(self._one(branches[1])),
            "SUBPATTERN": self._group,
            "GROUPREF": lambda number: self._groups[number],
            "MAX_REPEAT": self._repeat,
            "MIN_REPEAT": self._repeat,
            "POSSESSIVE_REPEAT": self._repeat,
        }
        return writers[kind](value)

    def _group(self, value: Any) -> str:
        number, _, _, tokens = value
        text = self.write(tokens)
        if number is not None:
            self._groups[number] = text
        return text

    def _repeat(self, value: Any) -> str:
        least, most, tokens = value
        rounds = min(int(most), int(least) + self._more)
        return "".join(self.write(tokens) for _ in range(rounds))

    def _in(self, items: Any) -> str:
        negated = str(items[0][0]) == "NEGATE"
        allowed = "".join(_characters(str(kind), value) for kind, value in items[negated:])
        if negated:
            allowed = "".join(each for each in _PLAIN if each not in allowed)
        return self._pick(allowed)

    def _one(self, choices: Any) -> Any:
        return choices[self._draws.number(0, len(choices) - 1)]

    def _pick(self, characters: str) -> str:
        return str(self._one(characters))


def _characters(kind: str, value: Any) -> str:
    if kind == "LITERAL":
        return chr(value)
    if kind == "RANGE":
        return "".join(chr(code) for code in range(value[0], min(value[1], value[0] + 255) + 1))
    return _CATEGORIES[str(value)]
