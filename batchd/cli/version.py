"""`batchd version`: what a report of a problem should begin with."""

from __future__ import annotations

import json

import click

from batchd.control.report import versions

_SCHEMA = 1


@click.command()
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
def version(as_json: bool) -> None:
    """Say which versions are at work."""
    if as_json:
        click.echo(json.dumps({"schema": _SCHEMA, **versions()}))
        return
    for name, number in versions().items():
        click.echo(f"{name:<7} {number}")
