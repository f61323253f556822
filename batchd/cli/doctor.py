"""`batchd doctor`: everything that can be wrong around batchd, each with the command that mends it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from itertools import chain
from pathlib import Path

import click

from batchd.cli.exits import Exit
from batchd.cli.house import found_by_daemon
from batchd.cli.options import settings_options
from batchd.cli.telling import tell
from batchd.configuration.checks import Checks
from batchd.control import doctor as looks
from batchd.core.findings import Finding, Result, worst
from batchd.spool.folders import Folders


@click.command()
@click.option("--offline", is_flag=True, help="Do not ask the provider.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
@settings_options
def doctor(config: Path | None, overrides: tuple[str, ...], offline: bool, as_json: bool) -> int:
    """Look at everything around batchd, and say for each thing that is wrong what mends it.

    The configuration in stages, versions, file systems, limits, permissions, clock, disk, unit,
    ledger and daemon. Where a daemon runs it looks, as its own user and with its key, and this
    command at the rest; else this command at all (permissions as the daemon's user, when root
    asks). Exits 1 when something is wrong.
    """
    checks = Checks(config, overrides, os.environ, Path.cwd())
    result = worst(tell(findings(checks, is_offline=offline), as_json=as_json))
    return Exit.FAILED if result is Result.WRONG else Exit.OK


def findings(checks: Checks, *, is_offline: bool) -> Iterator[Finding]:
    """Find everything; of a root only what can be said once it is known which."""
    list(checks.values())  # what loads the settings, and says whose root it is
    folders = None
    if checks.loaded is not None:
        folders = Folders(checks.loaded.settings.folders.root.resolve())
        found = found_by_daemon(folders, "doctor", is_offline=is_offline)
        if found is not None:
            return chain(found, looks.by_asker(folders, found))
    return looks.alone(checks, folders, is_offline=is_offline)
