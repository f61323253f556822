"""What a log line may say: no key, nothing endless, and only what JSON can hold."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import isfinite
from typing import Any

from structlog.types import EventDict, Processor, WrappedLogger

from batchd.core.hiding import redact

MOST_CHARACTERS = 8_000  # of one value; the journal cuts an entry at 48 kB


def cleaner(secrets: Sequence[str]) -> Processor:
    """A processor that cleans every value of an event."""

    def clean(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
        # structlog's own keys carry objects until its formatter takes them away.
        return {
            key: value if key.startswith("_") else _clean(value, secrets)
            for key, value in event.items()
        }

    return clean


def _clean(value: Any, secrets: Sequence[str]) -> Any:
    if value is None or isinstance(value, int) or (isinstance(value, float) and isfinite(value)):
        return value
    if isinstance(value, Mapping):
        return {_text(key, secrets): _clean(below, secrets) for key, below in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_clean(below, secrets) for below in value]
    return _text(value, secrets)


def _text(value: object, secrets: Sequence[str]) -> str:
    """A file's name may be no UTF-8 at all: what cannot be encoded is spelled out."""
    text = redact(str(value), secrets).encode("utf-8", "backslashreplace").decode()
    if len(text) <= MOST_CHARACTERS:
        return text
    return f"{text[:MOST_CHARACTERS]}… ({len(text)} characters)"
