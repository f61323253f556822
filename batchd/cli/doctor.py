"""`batchd doctor`: everything that can be wrong around batchd, each with the command that mends it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import click

from batchd.cli import machine
from batchd.cli.config_checks import Checks
from batchd.cli.exits import Exit
from batchd.cli.findings import Finding, Result, tell, worst
from batchd.cli.options import settings_options
from batchd.cli.trying import permissions
from batchd.spool.folders import Folders


@click.command()
@click.option("--offline", is_flag=True, help="Do not ask the provider.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
@settings_options
def doctor(config: Path | None, overrides: tuple[str, ...], offline: bool, as_json: bool) -> int:
    """Look at everything around batchd, and say for each thing that is wrong what mends it.

    The configuration in stages, versions, file systems, limits, permissions (as the daemon's user,
    when root asks), clock, disk, unit, ledger and daemon. Exits 1 when something is wrong.
    """
    checks = Checks(config, overrides, os.environ)
    result = worst(tell(findings(checks, is_offline=offline), as_json=as_json))
    return Exit.FAILED if result is Result.WRONG else Exit.OK


def findings(checks: Checks, *, is_offline: bool) -> Iterator[Finding]:
    """Find everything; of a root only what can be said once it is known which."""
    yield from machine.versions()
    yield from checks.all(is_offline=is_offline)
    yield from machine.inotify()
    yield from machine.unit()
    if checks.loaded is None:
        return
    folders = Folders(checks.loaded.settings.folders.root.resolve())
    yield from machine.file_systems(folders)
    yield from permissions(folders)
    yield from machine.groups(folders)
    yield from machine.clocks(folders)
    yield from machine.ledger(folders)
    yield from machine.daemon(folders)
