"""`batchd logs`: what the daemon wrote down, of all or of one job, to be read by a person."""

from __future__ import annotations

import os
import shutil
import sys
import time
from collections.abc import Callable, Iterable
from functools import partial

import click

from batchd.cli.asking import exit_of_refusal, folders_of
from batchd.cli.completing import jobs_or_files
from batchd.cli.exits import Exit, complain
from batchd.cli.local import closed, nowhere, say_so
from batchd.cli.log_shape import Fold, Shape
from batchd.cli.log_source import Journal, Lines, Source
from batchd.cli.options import reads_settings
from batchd.cli.times import moment
from batchd.configuration import Loaded
from batchd.control.client import Refused
from batchd.control.log_files import Line
from batchd.control.log_pages import MOST, Pages
from batchd.control.log_wanted import LEVELS
from batchd.control.places import NoSuchJob
from batchd.control.why import Ambiguous
from batchd.core.errors import BatchdError
from batchd.core.names import printable
from batchd.spool.folders import Folders


@click.command()
@click.argument("word", metavar="[JOB|FILE|BATCH]", required=False, shell_complete=jobs_or_files)
@click.option("--follow", "-f", is_flag=True, help="Go on with what is written from now on.")
@click.option("--since", metavar="WHEN", help="Only what was written since: 2h, 3d, 2026-11-21.")
@click.option("--level", type=click.Choice(LEVELS), default="debug", help="Only this, and worse.")
@click.option("--event", "pattern", metavar="PATTERN", help="Only such events: 'batch.*'.")
@click.option("--json", "as_json", is_flag=True, help="The lines as they were written.")
@reads_settings
def logs(
    loaded: Loaded,
    word: str | None,
    follow: bool,
    since: str | None,
    level: str,
    pattern: str | None,
    as_json: bool,
) -> int:
    """Show what the daemon wrote down, of all jobs or of one.

    A job is found by its id or the beginning of it, its file's name, its folder, or a batch. What
    comes again and again within ten minutes is shown once, with a count. docs/events.md explains
    every event.
    """
    pages = Pages(
        word=word,
        since=moment(since, time.time()) if since else 0.0,
        level=LEVELS.index(level),
        pattern=pattern,
        most=MOST,
    )
    folders = folders_of(loaded)
    try:
        lines = _lines(folders, pages, follow=follow, as_json=as_json)
    except (NoSuchJob, Ambiguous, Refused) as no:
        hint = "; batchd jobs lists them" if _is_unknown(no) else ""
        complain(f"{no}{hint}")
        return exit_of_refusal(no)
    except PermissionError as error:
        raise closed(error, folders) from error
    return _pour(lines, as_json=as_json)


def _lines(folders: Folders, pages: Pages, *, follow: bool, as_json: bool) -> Lines:
    """Find them: with the daemon, in its files, in the journal. What may still come is waited for."""
    source = Source(folders, pages)
    is_written = _is_written(source)
    journal = Journal(folders, pages)
    if not is_written and (note := nowhere(folders)):
        complain(note)
    elif not is_written and journal.is_there:
        complain(f"there is no {printable(str(folders.log))}; this is from the journal")
        return _waited_for(lambda p: journal.lines(follow=follow, is_patient=p), follow=follow)
    elif not is_written:
        complain(f"there is no {printable(str(folders.log))} yet, and no journalctl: batchd run"
                 " begins it")  # fmt: skip
    elif not as_json:
        say_so(source.note)

    def found(is_patient: bool) -> Lines:
        chosen = source.patient() if is_patient else source
        return chosen.after(chosen.first(), follow=follow)

    return _waited_for(found, follow=follow)


def _is_written(source: Source) -> bool:
    """Whether there is a log at all, whoever is asked for."""
    of_all = Source(source.folders, Pages(most=1))
    is_there = of_all.first().is_there
    source.note = of_all.note
    return is_there


def _waited_for(found: Callable[[bool], Lines], *, follow: bool) -> Lines:
    """Return the lines of what is known; with --follow also of what nobody knows yet."""
    try:
        return found(False)
    except (NoSuchJob, Refused) as nobody:
        if not (follow and _is_unknown(nobody)):
            raise
        complain(f"{nobody}; waiting")
    return found(True)


def _is_unknown(no: BatchdError) -> bool:
    return isinstance(no, NoSuchJob) or getattr(no, "code", "") == "not-found"


def _pour(lines: Lines, *, as_json: bool) -> Exit:
    try:
        if as_json:
            _as_they_are(lines)
        else:
            _for_people(lines)
        sys.stdout.flush()
    except BrokenPipeError:
        # Who reads has seen enough (`| head`). What is still buffered must not fail at the exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return Exit.OK


def _as_they_are(lines: Iterable[Line | None]) -> None:
    is_terminal = sys.stdout.isatty()
    for line in lines:
        if line is None:
            sys.stdout.flush()
        else:
            text = line.raw.decode("utf-8", "backslashreplace")
            sys.stdout.write(f"{_harmless(text) if is_terminal else text}\n")


def _harmless(text: str) -> str:
    """Spell out what would steer a terminal, as JSON does: it stays the same JSON."""
    return "".join(c if c.isprintable() else f"\\u{ord(c):04x}" for c in text)


def _for_people(lines: Iterable[Line | None]) -> None:
    is_terminal = sys.stdout.isatty()
    in_colour = is_terminal and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
    width = shutil.get_terminal_size().columns if is_terminal else None
    fold = Fold(Shape(width, in_colour=in_colour), partial(print, file=sys.stdout))
    try:
        for line in lines:
            if line is None:
                fold.pass_time(time.time())
                sys.stdout.flush()
            else:
                fold.add(line.facts)
    finally:
        fold.close()
