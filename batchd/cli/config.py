"""`batchd config check` and `batchd config show`: is it right, and what counts?"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from batchd.cli.asking import folders_of, needs_daemon
from batchd.cli.config_checks import Checks
from batchd.cli.exits import Exit
from batchd.cli.findings import Result, tell, worst
from batchd.cli.options import reads_settings, settings_options
from batchd.configuration import Loaded
from batchd.control.client import ask
from batchd.control.views import config_as_dict
from batchd.core.names import printable


@click.group()
def config() -> None:
    """Check the configuration in stages, or show every setting and where it comes from."""


@config.command()
@click.option("--offline", is_flag=True, help="Do not ask the provider.")
@click.option("--deny-warnings", is_flag=True, help="Let warnings count, too.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
@settings_options
def check(
    config: Path | None,
    overrides: tuple[str, ...],
    offline: bool,
    deny_warnings: bool,
    as_json: bool,
) -> int:
    """Check in stages: syntax, values, folders, key, API. Exits 78 when something is wrong.

    A file is really renamed from the inbox through var/work to the outbox, and the provider is
    really asked; nothing is sent and nothing costs.
    """
    checks = Checks(config, overrides, os.environ)
    result = worst(tell(checks.all(is_offline=offline), as_json=as_json))
    fails = (Result.WRONG, Result.WARNING) if deny_warnings else (Result.WRONG,)
    return Exit.CONFIGURATION if result in fails else Exit.OK


@config.command()
@click.option("--running", is_flag=True, help="What the daemon runs with, as it was read last.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
@reads_settings
def show(loaded: Loaded, running: bool, as_json: bool) -> int:
    """Show every setting that counts, and where it comes from. Never a key.

    These are what a command or a new daemon goes by; --running asks the one that runs, which may
    have read them before they were changed (batchd reload).
    """
    if not running:
        return _show(shown_settings(loaded), as_json=as_json)
    folders = folders_of(loaded)

    def asked() -> int:
        return _show(ask(folders, "GET", "config"), as_json=as_json)

    return needs_daemon(asked, folders)


def _show(told: dict[str, Any], *, as_json: bool) -> int:
    click.echo(json.dumps(told) if as_json else "\n".join(_lines(told)))
    return Exit.OK


def shown_settings(loaded: Loaded) -> dict[str, Any]:
    """`batchd config show --json`."""
    return config_as_dict(loaded.settings, loaded.provenance(os.environ))


def _lines(told: dict[str, Any]) -> Iterator[str]:
    yield f"# {told['file'] or 'no file'}; the key: {told['key_from'] or 'there is none'}"
    section = ""
    for setting in told["settings"]:
        of, _, _ = setting["name"].partition(".")
        if of != section:
            yield ""
            section = of
        assigned = f"{setting['name']} = {json.dumps(setting['value'])}"
        yield printable(f"{assigned:<44}  # {setting['origin']}")
