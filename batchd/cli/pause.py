"""`batchd pause [intake|submission]`."""

from __future__ import annotations

import click

from batchd.cli.asking import folders_of, needs_daemon, say
from batchd.cli.options import reads_settings
from batchd.configuration import Loaded


@click.command()
@click.argument("what", type=click.Choice(["intake", "submission", "all"]), default="all")
@reads_settings
def pause(loaded: Loaded, what: str) -> int:
    """Let intake, submission or both rest; everything else goes on.

    Intake takes files out of inbox/, submission creates batches. It is remembered over a restart.
    """
    folders = folders_of(loaded)
    return needs_daemon(lambda: say(folders, "pause", {"what": what}), folders)
