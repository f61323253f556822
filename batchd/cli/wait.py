"""`batchd wait JOB...`: returns when the jobs have ended, with an exit code that says how."""

from __future__ import annotations

import click

from batchd.cli.asking import exit_of_refusal, folders_of
from batchd.cli.completing import job_ids
from batchd.cli.exits import complain
from batchd.cli.options import reads_settings
from batchd.cli.waiting import (
    Absent,
    Patience,
    TimedOut,
    exit_of_outcomes,
    exit_of_patience,
    job_in_line,
    wait_for,
)
from batchd.configuration import Loaded
from batchd.control.client import Refused
from batchd.control.places import NoSuchJob
from batchd.control.why import Ambiguous


@click.command()
@click.argument("jobs", metavar="JOB...", nargs=-1, required=True, shell_complete=job_ids)
@click.option(
    "--timeout",
    metavar="SECONDS",
    type=click.FloatRange(min=0),
    help="Give up waiting after so long (exit 7); the jobs go on.",
)
@reads_settings
def wait(loaded: Loaded, jobs: tuple[str, ...], timeout: float | None) -> int:
    """Wait until jobs are delivered, and exit by how they ended.

    JOB is an id or its beginning. Exits 0 when all were completed, 3 when only a part of it was,
    1 when all failed, were rejected or cancelled, 7 when the time was over, 5 when no daemon runs.
    """
    folders = folders_of(loaded)
    try:
        ids = [job_in_line(job, folders)["job"] for job in jobs]
        return exit_of_outcomes(wait_for(ids, folders, Patience(folders, timeout)))
    except (Refused, NoSuchJob, Ambiguous) as no:
        complain(str(no))
        return exit_of_refusal(no)
    except (TimedOut, Absent) as end:
        complain(str(end))
        return exit_of_patience(end)
