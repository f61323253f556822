"""What `config check` and `doctor` find: one line each, and for whatever is wrong the way out."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

COMMAND, DAEMON = "this command", "the daemon"  #: who looks


class Result(StrEnum):
    """How it is."""

    OK = "ok"
    WARNING = "warning"  #: it works, and should be otherwise
    WRONG = "wrong"  #: it does not work


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at."""

    stage: str
    result: Result
    text: str
    fix: str | None = None  #: a command, or what to do
    by: str = COMMAND  #: who looked: as another user things may look otherwise


def ok(stage: str, text: str) -> Finding:
    """Say that it is as it should be."""
    return Finding(stage, Result.OK, text)


def warning(stage: str, text: str, fix: str) -> Finding:
    """Say that it works, and should be otherwise."""
    return Finding(stage, Result.WARNING, text, fix)


def wrong(stage: str, text: str, fix: str) -> Finding:
    """Say that it does not work."""
    return Finding(stage, Result.WRONG, text, fix)


def worst(findings: Iterable[Finding]) -> Result:
    """Return the worst of them."""
    results = {finding.result for finding in findings}
    return next((one for one in (Result.WRONG, Result.WARNING) if one in results), Result.OK)
