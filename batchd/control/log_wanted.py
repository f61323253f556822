"""Which lines of the log are wanted: about whom, since when, how loud, which events."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from fnmatch import fnmatchcase
from typing import Any

from batchd.control.log_files import Line
from batchd.control.log_subject import Subject

LEVELS = ("debug", "info", "warning", "error", "critical")


def level_of(facts: Mapping[str, Any]) -> int:
    """Return how loud a line is; what is no word of ours is information."""
    level = str(facts.get("level", "info"))
    return LEVELS.index(level) if level in LEVELS else 1


def time_of(facts: Mapping[str, Any]) -> float:
    """Return when it was written, in seconds since the epoch; 0 where it doesn't say."""
    try:
        return datetime.fromisoformat(str(facts.get("ts"))).timestamp()
    except (ValueError, OverflowError):
        return 0.0


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which lines are to be shown."""

    subject: Subject | None = None
    since: float = 0.0  #: seconds since the epoch
    level: int = 0  #: of `LEVELS`: this, and worse
    pattern: str | None = None  #: of the event

    def has(self, line: Line) -> bool:
        """Whether this is one of them. All are looked at: the subject learns from any."""
        facts = line.facts
        is_about = self.subject is None or self.subject.knows(facts)
        return (
            is_about
            and level_of(facts) >= self.level
            and (not self.since or time_of(facts) >= self.since)
            and (self.pattern is None or fnmatchcase(str(facts.get("event")), self.pattern))
        )
