"""`batchd cancel JOB...`: what is open is called off, what was answered is delivered."""

from __future__ import annotations

import click

from batchd.cli.asking import folders_of, needs_daemon, wish
from batchd.cli.completing import job_ids
from batchd.cli.options import reads_settings
from batchd.configuration import Loaded


@click.command()
@click.argument("jobs", metavar="JOB...", nargs=-1, required=True, shell_complete=job_ids)
@click.option("--because", metavar="TEXT", default="", help="Shown wherever the job is.")
@reads_settings
def cancel(loaded: Loaded, jobs: tuple[str, ...], because: str) -> int:
    """Cancel jobs: nothing more of them is sent, and what was answered is delivered.

    JOB is an id or its beginning, or the folder of a job. Cancelling what is cancelled or delivered changes nothing and
    says so. An empty file inbox/JOB.cancel, with the whole id, does the same.
    """
    folders = folders_of(loaded)
    return needs_daemon(lambda: wish(folders, "cancel", jobs, because), folders)
