"""`batchd submit FILE...`: drops copies of files into the inbox, as a program should."""

from __future__ import annotations

import os
import stat
from collections.abc import Sequence
from pathlib import Path

import click

from batchd.cli.asking import folders_of
from batchd.cli.exits import Exit, complain, exit_of
from batchd.cli.options import reads_settings
from batchd.cli.waiting import (
    Absent,
    Patience,
    TimedOut,
    exit_of_outcomes,
    exit_of_patience,
    jobs_called,
    newest_job,
    wait_for,
)
from batchd.configuration import Loaded
from batchd.control.presence import presence
from batchd.core.errors import BatchdError
from batchd.core.names import printable, safe_stem, shown
from batchd.core.words import size
from batchd.settings import Inbox
from batchd.spool.dropping import drop
from batchd.spool.folders import Folders
from batchd.spool.inbox import unwanted


class Unfit(BatchdError):
    """The inbox would leave it alone."""


@click.command()
@click.argument(
    "files", metavar="FILE...", nargs=-1, required=True, type=click.Path(path_type=Path)
)
@click.option("--wait", "waits", is_flag=True, help="Wait until each has been delivered.")
@click.option(
    "--timeout", metavar="SECONDS", type=click.FloatRange(min=0), help="With --wait: not longer."
)
@reads_settings
def submit(loaded: Loaded, files: tuple[Path, ...], waits: bool, timeout: float | None) -> int:
    """Drop copies of files into the inbox, whole and at once.

    Each becomes one folder in outbox/. A file that waits there under the same name stays: the new
    one gets a number. The originals stay where they are. Exits 6 for what the inbox would leave
    alone, 4 for what is not there, 3 when only some were taken; with --wait as `batchd wait` does.
    """
    if timeout is not None and not waits:
        raise click.UsageError("--timeout is of use with --wait only")
    folders = folders_of(loaded)
    newest = newest_job(folders) if waits else ""
    dropped, codes = _drop_all(files, folders, loaded.settings.inbox)
    if dropped and not presence(folders).is_running:
        complain("the daemon is not running; what was dropped waits in the inbox: batchd run")
    if waits and dropped:
        codes.append(_wait_for(dropped, folders, Patience(folders, timeout), after=newest))
    else:
        codes += [Exit.OK] * len(dropped)
    return codes[0] if len(set(codes)) == 1 else Exit.PARTLY


def _drop_all(
    files: Sequence[Path], folders: Folders, inbox: Inbox
) -> tuple[list[Path], list[Exit]]:
    """What lies in the inbox now, and a code for each that does not."""
    dropped, codes = [], []
    for file in files:
        try:
            dropped.append(_drop(file, folders, inbox))
        except Unfit as unfit:
            complain(f"{printable(str(file))}: {unfit}")
            codes.append(Exit.REFUSED)
        except FileNotFoundError:
            complain(f"{printable(str(file))}: there is no such file")
            codes.append(Exit.NOT_FOUND)
        except OSError as error:
            complain(f"{printable(str(error.filename or file))}: {error.strerror}")
            codes.append(exit_of(error))
    return dropped, codes


def _drop(file: Path, folders: Folders, inbox: Inbox) -> Path:
    if not stat.S_ISREG(file.stat().st_mode):
        raise Unfit("only files are taken; name the files in it" if file.is_dir() else "no file")
    if left_alone := unwanted(file.name, inbox.ignore, inbox.include):
        raise Unfit(left_alone.sentence)
    target = drop(file, folders)
    name, stem = shown(os.fsencode(target.name)), safe_stem(os.fsencode(target.name))
    click.echo(f"inbox/{name} ({size(file.stat().st_size)}) becomes outbox/{printable(stem)}--JOB;"
               f" on its way: batchd why {printable(target.name)}")  # fmt: skip
    return target


def _wait_for(dropped: Sequence[Path], folders: Folders, patience: Patience, *, after: str) -> Exit:
    """Names are unique in the inbox, so the first new job of a name is the file's that had it."""
    try:
        jobs = [_job_of(file, folders, patience, after=after) for file in dropped]
        return exit_of_outcomes(wait_for(jobs, folders, patience))
    except (TimedOut, Absent) as end:
        complain(str(end))
        return exit_of_patience(end)


def _job_of(file: Path, folders: Folders, patience: Patience, *, after: str) -> str:
    name = shown(os.fsencode(file.name))
    while not (new := jobs_called(name, folders, after=after)):
        patience.wait(f"{name}, which lies in the inbox,")
    return new[0]
