"""`batchd logs`: what the daemon wrote down, of all or of one job, to be read by a person."""

from __future__ import annotations

import os
import shutil
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import partial

import click

from batchd.cli.asking import folders_of
from batchd.cli.exits import Exit, complain
from batchd.cli.log_files import Line, followed, is_there, written
from batchd.cli.log_journal import command, entries
from batchd.cli.log_shape import LEVELS, Fold, Shape, level_of, time_of
from batchd.cli.log_subject import Subject
from batchd.cli.options import reads_settings
from batchd.cli.times import moment
from batchd.configuration import Loaded
from batchd.control.ledger import reading
from batchd.core.errors import ConfigError
from batchd.core.names import printable
from batchd.spool.folders import Folders

Lines = Iterator[Line | None]


@click.command()
@click.argument("word", metavar="[JOB|FILE|BATCH]", required=False)
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
    folders = folders_of(loaded)
    after = moment(since, time.time()) if since else None
    source = _source(folders, since=after)
    subject = _learned(word, folders, source) if word else None
    if subject is not None and (no := _refusal(subject, is_patient=follow)):
        return no
    wanted = Wanted(subject, after or 0.0, LEVELS.index(level), pattern)
    return _pour(source(follow), wanted, as_json=as_json)


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which lines are to be shown."""

    subject: Subject | None
    since: float
    level: int
    pattern: str | None

    def has(self, line: Line) -> bool:
        """Whether this is one of them. All are looked at: the subject learns from any."""
        facts = line.facts
        is_about = self.subject is None or self.subject.knows(facts)
        return (
            is_about
            and level_of(facts) >= self.level
            and (not self.since or time_of(facts) >= self.since)
            and (self.pattern is None or fnmatchcase(str(facts.get("event")), self.pattern))
        )


def _source(folders: Folders, *, since: float | None) -> Callable[[bool], Lines]:
    """Say where the lines are: in the file, else in the journal, else nowhere yet."""
    if not is_there(folders.log) and (asked := command(since=since, follow=False)):
        complain(f"there is no {printable(str(folders.log))}; this is from the journal")
        follows = command(since=since, follow=True) or asked
        return lambda follow: entries(follows if follow else asked)
    if not is_there(folders.log):
        complain(f"there is no {printable(str(folders.log))} yet, and no journalctl: batchd run"
                 " begins it")  # fmt: skip
    return lambda follow: followed(folders.log) if follow else iter(written(folders.log))


def _learned(word: str, folders: Folders, source: Callable[[bool], Lines]) -> Subject:
    """Find what a word means: by the ledger where it can be read, else by the log's own lines."""
    subject = Subject(word)
    # A ledger that is damaged is no reason to hide the log that says so.
    with suppress(ConfigError, OSError), reading(folders.database) as reader:
        subject.ask(reader)
    if not subject.is_known:
        subject.read(line for line in source(False) if line)
    return subject


def _refusal(subject: Subject, *, is_patient: bool) -> Exit | None:
    """Say what is wrong with a word: nobody knows it, or it may mean several jobs."""
    word = printable(subject.word)
    if len(several := subject.possible) > 1:
        listed = ", ".join(sorted(several)[:5])
        complain(f"{word} is the beginning of several: {listed}; write one letter more")
        return Exit.USAGE
    if subject.is_known:
        return None
    nobody = (
        f"nothing is known of {word}: no job, file or batch of that name, neither in the ledger"
    )
    complain(f"{nobody} nor in the log; {'waiting' if is_patient else 'batchd jobs lists them'}")
    return None if is_patient else Exit.NOT_FOUND


def _pour(lines: Lines, wanted: Wanted, *, as_json: bool) -> Exit:
    try:
        if as_json:
            _as_they_are(lines, wanted)
        else:
            _for_people(lines, wanted)
        sys.stdout.flush()
    except BrokenPipeError:
        # Who reads has seen enough (`| head`). What is still buffered must not fail at the exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return Exit.OK


def _as_they_are(lines: Iterable[Line | None], wanted: Wanted) -> None:
    is_terminal = sys.stdout.isatty()
    for line in lines:
        if line is None:
            sys.stdout.flush()
        elif wanted.has(line):
            text = line.raw.decode("utf-8", "backslashreplace")
            sys.stdout.write(f"{_harmless(text) if is_terminal else text}\n")


def _harmless(text: str) -> str:
    """Spell out what would steer a terminal, as JSON does: it stays the same JSON."""
    return "".join(c if c.isprintable() else f"\\u{ord(c):04x}" for c in text)


def _for_people(lines: Iterable[Line | None], wanted: Wanted) -> None:
    is_terminal = sys.stdout.isatty()
    in_colour = is_terminal and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
    width = shutil.get_terminal_size().columns if is_terminal else None
    fold = Fold(Shape(width, in_colour=in_colour), partial(print, file=sys.stdout))
    try:
        for line in lines:
            if line is None:
                fold.pass_time(time.time())
                sys.stdout.flush()
            elif wanted.has(line):
                fold.add(line.facts)
    finally:
        fold.close()
