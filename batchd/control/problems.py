"""The last problem that the log tells of."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

_LEVELS = ("warning", "error", "critical")
_TAIL = 256 * 1024  #: bytes looked at: a log that is quiet for so long has no news


def last_problem(log: Path) -> dict[str, Any] | None:
    """Return the youngest warning or error; None where the end of the log has none."""
    for file in (log, log.with_name(f"{log.name}.1")):  # it may just have been put aside
        problem = next((line for line in _backwards(file) if line.get("level") in _LEVELS), None)
        if problem is not None:
            return problem
    return None


def _backwards(file: Path) -> Iterator[dict[str, Any]]:
    for line in reversed(_tail(file).splitlines()):
        try:
            event = msgspec.json.decode(line)
        except ValueError:
            continue  # the first and the last may be half a line
        if isinstance(event, dict):
            yield event


def _tail(file: Path) -> bytes:
    try:
        with file.open("rb") as log:
            size = log.seek(0, 2)
            log.seek(max(size - _TAIL, 0))
            return log.read()
    except FileNotFoundError:
        return b""
