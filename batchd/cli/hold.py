"""`batchd hold JOB...`: nothing more of a job is sent, until it is released."""

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
def hold(loaded: Loaded, jobs: tuple[str, ...], because: str) -> int:
    """Hold jobs: nothing more of them is sent, until they are released.

    What is at the provider already goes on. JOB is an id or its beginning, or the folder of a job.
    """
    folders = folders_of(loaded)
    return needs_daemon(lambda: wish(folders, "hold", jobs, because), folders)
