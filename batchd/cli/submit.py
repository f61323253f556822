"""`batchd submit FILE...`: drops copies of files into the inbox, as a program should."""

from __future__ import annotations

import os
import stat
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import click

from batchd.cli.asking import folders_of, recipes_of
from batchd.cli.exits import Exit, complain, exit_of
from batchd.cli.local import for_whom
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
from batchd.control.inbox import names_in
from batchd.control.presence import presence
from batchd.core.errors import BatchdError
from batchd.core.names import printable, safe_stem, shown
from batchd.core.reasons import ReasonCode
from batchd.core.words import size
from batchd.spool.dropping import drop
from batchd.spool.folders import Folders
from batchd.spool.wanted import Names


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
@click.option("--task", metavar="NAME", help="Into this task's folder: tables, row by row.")
@reads_settings
def submit(
    loaded: Loaded, files: tuple[Path, ...], waits: bool, timeout: float | None, task: str | None
) -> int:
    """Drop copies of files into the inbox, whole and at once.

    Each becomes one folder in outbox/. Files of request lines need no task; a table goes to the one
    that knows what to ask of its rows. A file that waits there under the same name stays: the new
    one gets a number. The originals stay where they are. Exits 6 for what the inbox would leave
    alone, 4 for what is not there, 3 when only some were taken; with --wait as `batchd wait` does.
    """
    if timeout is not None and not waits:
        raise click.UsageError("--timeout is of use with --wait only")
    folders = folders_of(loaded)
    newest = newest_job(folders) if waits else ""
    try:
        place = Place.of(loaded, task)
    except Unfit as unfit:
        complain(str(unfit))
        return Exit.REFUSED
    dropped, codes = _drop_all(files, folders, place)
    if dropped and not presence(folders).is_running:
        complain("the daemon is not running; what was dropped waits in the inbox: batchd run")
    if waits and dropped:
        codes.append(_wait_for(dropped, folders, Patience(folders, timeout), after=newest))
    else:
        codes += [Exit.OK] * len(dropped)
    return codes[0] if len(set(codes)) == 1 else Exit.PARTLY


@dataclass(frozen=True, slots=True)
class Place:
    """Where files are dropped, and which names are taken from there."""

    names: Names
    task: str = ""

    @classmethod
    def of(cls, loaded: Loaded, task: str | None) -> Place:
        """The inbox itself, or the folder of a task. Raises `Unfit` where there is none."""
        inbox, recipes = loaded.settings.inbox, recipes_of(loaded)
        if task is None:
            return cls(Names.of_inbox(inbox, recipes.names()))
        names, hindrance = names_in(task, inbox, recipes)
        if hindrance is None:
            return cls(names, task)
        if hindrance.code is not ReasonCode.TASK_BROKEN:
            told = hindrance.facts.get("tasks", "a task's folder lies right in inbox/")
            raise Unfit(f"there is no task {task} ({told})")
        complain(hindrance.sentence)
        return cls(names, task)


def _drop_all(
    files: Sequence[Path], folders: Folders, place: Place
) -> tuple[list[Path], list[Exit]]:
    """What lies in the inbox now, and a code for each that does not."""
    dropped, codes = [], []
    for file in files:
        try:
            dropped.append(_drop(file, folders, place))
        except Unfit as unfit:
            complain(f"{printable(str(file))}: {unfit}")
            codes.append(Exit.REFUSED)
        except FileNotFoundError:
            complain(f"{printable(str(file))}: there is no such file")
            codes.append(Exit.NOT_FOUND)
        except OSError as error:
            complain(f"{printable(str(error.filename or file))}: {_no(error, folders)}")
            codes.append(exit_of(error))
    return dropped, codes


def _no(error: OSError, folders: Folders) -> str:
    """What the disk says; of a place that is closed, who may."""
    is_ours = error.filename and Path(str(error.filename)).is_relative_to(folders.root)
    is_closed = isinstance(error, PermissionError) and is_ours
    return f"it {for_whom(folders)}" if is_closed else str(error.strerror)


def _drop(file: Path, folders: Folders, place: Place) -> Path:
    if not stat.S_ISREG(file.stat().st_mode):
        raise Unfit("only files are taken; name the files in it" if file.is_dir() else "no file")
    left_alone = place.names.why_not(file.name)
    if left_alone and left_alone.code is ReasonCode.LIBRARY_MISSING:
        complain(left_alone.sentence)  # it waits there; the daemon may have it, besides
    elif left_alone:
        here = "; here: --task TASK" if left_alone.code is ReasonCode.TABLE_WITHOUT_TASK else ""
        raise Unfit(left_alone.sentence + here)
    target = drop(file, folders, task=place.task)
    below = str(target.relative_to(folders.inbox))
    name, stem = shown(os.fsencode(below)), safe_stem(os.fsencode(target.name))
    click.echo(f"inbox/{name} ({size(file.stat().st_size)}) becomes outbox/{printable(stem)}--JOB;"
               f" on its way: batchd why {name}")  # fmt: skip
    return target


def _wait_for(dropped: Sequence[Path], folders: Folders, patience: Patience, *, after: str) -> Exit:
    """Names are unique in a folder, so the first new job of a name is the file's that had it."""
    try:
        jobs = [_job_of(file, folders, patience, after=after) for file in dropped]
        return exit_of_outcomes(wait_for(jobs, folders, patience))
    except (TimedOut, Absent) as end:
        complain(str(end))
        return exit_of_patience(end)


def _job_of(file: Path, folders: Folders, patience: Patience, *, after: str) -> str:
    name = shown(os.fsencode(file.name))
    task = "" if file.parent == folders.inbox else file.parent.name
    while not (new := jobs_called(name, folders, after=after, task=task)):
        patience.wait(f"{name}, which lies in the inbox,")
    return new[0]
