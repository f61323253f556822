"""Numbers and texts within the bounds of a schema."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from typing import Any

from batchd.sandbox.digests import Draws
from batchd.sandbox.patterns import text_matching

_SPAN = 100  # how far a number goes from the one bound it has
_WORDS = 48  # characters of the user's text in a string
_PATTERN_TRIES = 20

Schema = dict[str, Any]

_FORMATS: dict[str, Callable[[Draws], str]] = {
    "date": lambda draws: _date(draws),
    "time": lambda draws: f"{_time(draws)}Z",
    "date-time": lambda draws: f"{_date(draws)}T{_time(draws)}Z",
    "duration": lambda draws: f"P{draws.number(1, 30)}D",
    "email": lambda draws: f"{draws.word()}@example.com",
    "hostname": lambda draws: f"{draws.word()}.example.com",
    "uri": lambda draws: f"https://example.com/{draws.word()}",
    "ipv4": lambda draws: f"192.0.2.{draws.number(1, 254)}",
    "ipv6": lambda draws: f"2001:db8::{draws.word(4)}",
    "uuid": lambda draws: _uuid(draws.word(32)),
}


def number_within(schema: Schema, kind: str, draws: Draws) -> float | int:
    step = schema.get("multipleOf") or (1 if kind == "integer" else 0.01)
    low, high = _bounds(schema, step)
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    if first > last:
        return _between(low, high, kind)
    value = draws.number(first, last) * step
    return int(value) if kind == "integer" else round(value, 10)


def _between(low: float, high: float, kind: str) -> float | int:
    """No multiple of the step lies between the bounds; their middle does."""
    return math.ceil(low) if kind == "integer" else (low + high) / 2


def _bounds(schema: Schema, step: float) -> tuple[float, float]:
    lows = [schema["minimum"]] if "minimum" in schema else []
    highs = [schema["maximum"]] if "maximum" in schema else []
    if "exclusiveMinimum" in schema:
        lows.append(schema["exclusiveMinimum"] + step)
    if "exclusiveMaximum" in schema:
        highs.append(schema["exclusiveMaximum"] - step)
    if not lows and not highs:
        return 0, _SPAN
    low = max(lows) if lows else min(highs) - _SPAN
    return low, min(highs) if highs else low + _SPAN


def text_within(schema: Schema, draws: Draws, asked: str) -> str:
    if schema.get("format") in _FORMATS:
        return _FORMATS[schema["format"]](draws)
    least, most = schema.get("minLength", 0), schema.get("maxLength")
    if "pattern" in schema:
        found = _matching(schema["pattern"], draws, least, most)
        if found is not None:
            return found
    return _fitted(f"{' '.join(asked.split())[:_WORDS]} {draws.word()}".strip(), least, most)


def _matching(pattern: str, draws: Draws, least: int, most: int | None) -> str | None:
    """Longer and longer, until it is long enough."""
    for more in range(_PATTERN_TRIES):
        text = text_matching(pattern, draws, more=more + least // 4)
        fits = text is not None and len(text) >= least and (most is None or len(text) <= most)
        if fits and re.search(pattern, text or ""):
            return text
    return None


def _fitted(text: str, least: int, most: int | None) -> str:
    padded = text + "." * (least - len(text))
    return padded if most is None else padded[:most]


def _date(draws: Draws) -> str:
    return f"{draws.number(2000, 2030)}-{draws.number(1, 12):02}-{draws.number(1, 28):02}"


def _time(draws: Draws) -> str:
    return f"{draws.number(0, 23):02}:{draws.number(0, 59):02}:{draws.number(0, 59):02}"


def _uuid(digits: str) -> str:
    return f"{digits[:8]}-{digits[8:12]}-4{digits[13:16]}-8{digits[17:20]}-{digits[20:32]}"
