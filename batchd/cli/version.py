"""`batchd version`: what a report of a problem should begin with."""

from __future__ import annotations

import json
import platform
import sqlite3
from importlib.metadata import version as version_of

import click

from batchd import __version__


def versions() -> dict[str, str]:
    return {
        "batchd": __version__,
        "python": platform.python_version(),
        "openai": version_of("openai"),
        "sqlite": sqlite3.sqlite_version,
    }


@click.command()
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
def version(as_json: bool) -> None:
    """Say which versions are at work."""
    if as_json:
        click.echo(json.dumps(versions()))
        return
    for name, number in versions().items():
        click.echo(f"{name:<7} {number}")
