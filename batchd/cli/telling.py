"""How what was looked at is shown: a line each as it comes, or all of it as one JSON object."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence

import click

from batchd.control.views import findings_as_dict
from batchd.core.findings import COMMAND, Finding
from batchd.core.names import printable

_MARKS = {"ok": ("ok", "green"), "warning": ("warn", "yellow"), "wrong": ("WRONG", "red")}


def tell(findings: Iterable[Finding], *, as_json: bool) -> Sequence[Finding]:
    """Show each as it comes (the next may take a while), or all of them as one JSON object."""
    told: list[Finding] = []
    for finding in findings:
        if not as_json:
            _show(finding, before=told[-1].by if told else COMMAND)
        told.append(finding)
    if as_json:
        click.echo(json.dumps(findings_as_dict(told)))
    return told


def _show(finding: Finding, *, before: str) -> None:
    if finding.by != before:
        click.echo(f"{finding.by} finds:")
    word, colour = _MARKS[finding.result]
    mark = click.style(f"{word:<6}", fg=colour)  # click takes the colour away off a terminal
    click.echo(f"{mark}{finding.stage:<12}{printable(finding.text)}")
    if finding.fix:
        click.echo(f"{'':<18}{printable(finding.fix)}")
