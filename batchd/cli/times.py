"""When: `2h`, `3d`, `2026-11-21`, `2026-11-21T10:00:00Z`."""

from __future__ import annotations

import re
from datetime import datetime

import click

_AGO = re.compile(r"(\d+(?:\.\d+)?)\s*(s|min|h|d|w)")
_SECONDS = {"s": 1, "min": 60, "h": 3_600, "d": 86_400, "w": 604_800}


def moment(text: str, now: float) -> float:
    """Read a moment, in seconds since the epoch; one without a zone is this machine's."""
    if ago := _AGO.fullmatch(text.strip()):
        return now - float(ago[1]) * _SECONDS[ago[2]]
    try:
        return datetime.fromisoformat(text.strip()).timestamp()
    except (ValueError, OverflowError, OSError):
        raise click.UsageError(
            f"{text} is no moment; write 30min, 2h, 3d, 2026-11-21 or 2026-11-21T10:00:00Z"
        ) from None


def epoch(text: str | None) -> float:
    """Read what --json says of a time, in seconds since the epoch; 0 where it says nothing."""
    return datetime.fromisoformat(text).timestamp() if text else 0.0


def clock(text: str | None) -> str:
    """Show what --json says of a time as the clock on the wall does; `?` where it says nothing."""
    if not text:
        return "?"
    return datetime.fromisoformat(text).astimezone().strftime("%Y-%m-%d %H:%M:%S")
