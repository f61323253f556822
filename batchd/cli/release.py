"""`batchd release JOB...`: what is held goes on, whatever the budget says."""

from __future__ import annotations

import click

from batchd.cli.asking import folders_of, needs_daemon, wish
from batchd.cli.completing import job_ids
from batchd.cli.exits import Exit
from batchd.cli.options import reads_settings
from batchd.configuration import Loaded
from batchd.control.client import ask
from batchd.spool.folders import Folders


@click.command()
@click.argument("jobs", metavar="JOB...", nargs=-1, shell_complete=job_ids)
@click.option("--all", "all_held", is_flag=True, help="Every job that is held.")
@reads_settings
def release(loaded: Loaded, jobs: tuple[str, ...], all_held: bool) -> int:
    """Release held jobs: they go on, whatever the budget says.

    JOB is an id or its beginning, or the folder of a job.
    """
    if bool(jobs) is all_held:
        raise click.UsageError("name the jobs to release, or --all of them")
    folders = folders_of(loaded)
    if all_held:
        return needs_daemon(lambda: _release_all(folders), folders)
    return needs_daemon(lambda: wish(folders, "release", jobs), folders)


def _release_all(folders: Folders) -> int:
    found = ask(folders, "GET", "jobs", state="held", limit=1000)["jobs"]
    if not found:
        click.echo("no job is held")
        return Exit.OK
    return wish(folders, "release", [job["job"] for job in found])
