"""`batchd wait JOB...`: returns when the jobs have ended, with an exit code that says how."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

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
    say_ended,
    wait_for,
)
from batchd.configuration import Loaded
from batchd.control.client import Refused
from batchd.control.places import NoSuchJob
from batchd.control.why import Ambiguous
from batchd.spool.folders import Folders

_SCHEMA = 1
_TOLD = ("job", "file", "state", "outcome", "folder")


@click.command()
@click.argument("jobs", metavar="JOB...", nargs=-1, required=True, shell_complete=job_ids)
@click.option(
    "--timeout",
    metavar="SECONDS",
    type=click.FloatRange(min=0),
    help="Give up waiting after so long (exit 7); the jobs go on.",
)
@click.option("--json", "as_json", is_flag=True, help="One JSON object, at the end.")
@reads_settings
def wait(loaded: Loaded, jobs: tuple[str, ...], timeout: float | None, as_json: bool) -> int:
    """Wait until jobs are delivered, and exit by how they ended.

    JOB is an id or its beginning. Exits 0 when all were completed, 3 when only a part of it was,
    1 when all failed, were rejected or cancelled, 7 when the time was over, 5 when no daemon runs.
    """
    folders = folders_of(loaded)
    try:
        ids = [job_in_line(job, folders)["job"] for job in jobs]
        code = _waited(ids, folders, Patience(folders, timeout), as_json=as_json)
        if as_json:
            click.echo(json.dumps(_as_dict(job_in_line(job, folders) for job in ids)))
    except (Refused, NoSuchJob, Ambiguous) as no:
        complain(str(no))
        return exit_of_refusal(no)
    return code


def _waited(ids: list[str], folders: Folders, patience: Patience, *, as_json: bool) -> int:
    tell = _say_nothing if as_json else say_ended
    try:
        return exit_of_outcomes(wait_for(ids, folders, patience, tell=tell))
    except (TimedOut, Absent) as end:
        complain(str(end))
        return exit_of_patience(end)


def _say_nothing(_: object) -> None:
    """A program is told of all at the end."""


def _as_dict(found: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """Return what is known of each now: one that is still on its way has no outcome."""
    return {"schema": _SCHEMA, "jobs": [{name: job[name] for name in _TOLD} for job in found]}
