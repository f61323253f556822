"""What `config check` and `doctor` find: one line each, and for whatever is wrong the way out."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

import click

from batchd.core.names import printable

SCHEMA = 1
_MARKS = {"ok": ("ok", "green"), "warning": ("warn", "yellow"), "wrong": ("WRONG", "red")}


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


def ok(stage: str, text: str) -> Finding:
    """Say that it is as it should be."""
    return Finding(stage, Result.OK, text)


def warning(stage: str, text: str, fix: str) -> Finding:
    """Say that it works, and should be otherwise."""
    return Finding(stage, Result.WARNING, text, fix)


def wrong(stage: str, text: str, fix: str) -> Finding:
    """Say that it does not work."""
    return Finding(stage, Result.WRONG, text, fix)


def tell(findings: Iterable[Finding], *, as_json: bool) -> Sequence[Finding]:
    """Show each as it comes (the next may take a while), or all of them as one JSON object."""
    told = []
    for finding in findings:
        told.append(finding)
        if not as_json:
            _show(finding)
    if as_json:
        click.echo(json.dumps(as_dict(told)))
    return told


def as_dict(findings: Sequence[Finding]) -> dict[str, Any]:
    """`--json`."""
    return {
        "schema": SCHEMA,
        "result": str(worst(findings)),
        "findings": [asdict(finding) for finding in findings],
    }


def worst(findings: Iterable[Finding]) -> Result:
    """Return the worst of them."""
    results = {finding.result for finding in findings}
    return next((one for one in (Result.WRONG, Result.WARNING) if one in results), Result.OK)


def _show(finding: Finding) -> None:
    word, colour = _MARKS[finding.result]
    mark = click.style(f"{word:<6}", fg=colour)  # click takes the colour away off a terminal
    click.echo(f"{mark}{finding.stage:<12}{printable(finding.text)}")
    if finding.fix:
        click.echo(f"{'':<18}{printable(finding.fix)}")
