"""Waits until jobs have ended: their outcomes, and one exit code for all of them."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import click
import msgspec

from batchd.cli.exits import Exit
from batchd.cli.local import from_ledger
from batchd.control.client import ask
from batchd.control.ledger import Reader
from batchd.control.listing import MOST, Filter, job_of, jobs_of, listed
from batchd.control.places import job_meant
from batchd.control.presence import presence
from batchd.core.errors import BatchdError
from batchd.spool.folders import Folders

_SHORTEST, _LONGEST = 0.1, 2.0  #: seconds between two looks; one asks the daemon a small question
_ABSENT_SECONDS = 15.0  #: a daemon that restarts is back by then
_EXITS = {"completed": Exit.OK, "partial": Exit.PARTLY}


class TimedOut(BatchdError):
    """It has waited long enough."""


class Absent(BatchdError):
    """No daemon is there, so that waiting is of no use."""


class Patience:
    """How long is waited, and how often is looked."""

    def __init__(self, folders: Folders, timeout: float | None) -> None:
        now = time.monotonic()
        self._folders = folders
        self._ends = None if timeout is None else now + timeout
        self._pause = _SHORTEST
        self._seen = now if presence(folders).is_running else now - _ABSENT_SECONDS

    def wait(self, what: str) -> None:
        """Sleep until the next look. Raises `TimedOut` and `Absent`."""
        now = time.monotonic()
        if self._ends is not None and now >= self._ends:
            raise TimedOut(f"still on its way: {what}")
        if presence(self._folders).is_running:
            self._seen = now
        elif now - self._seen >= _ABSENT_SECONDS:
            raise Absent(f"the daemon is not running, so {what} gets no further; start it:"
                         " batchd run, or systemctl start batchd where it is a service")  # fmt: skip
        left = self._pause if self._ends is None else max(self._ends - now, 0.0)
        time.sleep(min(self._pause, left))
        self._pause = min(self._pause * 1.5, _LONGEST)


def job_in_line(word: str, folders: Folders) -> dict[str, Any]:
    """Return what is known of a job, in short. Raises `Refused`, `NoSuchJob` and `Ambiguous`."""

    def asked() -> dict[str, Any]:
        found: dict[str, Any] = ask(folders, "GET", "jobs", job_meant(word))["job"]
        return found

    def read(reader: Reader) -> dict[str, Any]:
        found: dict[str, Any] = msgspec.to_builtins(listed(job_of(job_meant(word), reader)))
        return found

    return from_ledger(asked, read, folders)[0]


def say_ended(found: Mapping[str, Any]) -> None:
    """Tell a person of one job that has been delivered."""
    click.echo(f"{found['job']}  {found['outcome']}  outbox/{found['folder']}")


def wait_for(
    jobs: Sequence[str],
    folders: Folders,
    patience: Patience,
    *,
    tell: Callable[[Mapping[str, Any]], None] = say_ended,
) -> list[str]:
    """Wait until each has been delivered, and tell of each as it comes; return the outcomes."""
    left, outcomes = list(dict.fromkeys(jobs)), []
    while True:
        for job in tuple(left):
            found = job_in_line(job, folders)
            if found["outcome"] and found["state"] == "delivered":
                left.remove(job)
                outcomes.append(found["outcome"])
                tell(found)
        if not left:
            return outcomes
        patience.wait(f"job{'' if len(left) == 1 else 's'} {', '.join(left)}")


def newest_job(folders: Folders) -> str:
    """Return the youngest job's id; ids sort by age, and "" before all of them."""
    found = jobs_listed(Filter(most=1), folders)
    return str(found[0]["job"]) if found else ""


def jobs_called(file: str, folders: Folders, *, after: str, task: str = "") -> list[str]:
    """Return the jobs of a task younger than one whose file was called so, the oldest first."""
    found = jobs_listed(Filter(most=MOST), folders)
    called = (job for job in found if (job["file"], job["task"] or "") == (file, task))
    return sorted(job["job"] for job in called if job["job"] > after)


def jobs_listed(asked: Filter, folders: Folders) -> list[dict[str, Any]]:
    """Return jobs, the youngest first, as the daemon lists them, or the ledger."""
    found, _ = from_ledger(
        lambda: ask(folders, "GET", "jobs", limit=asked.most),
        lambda reader: msgspec.to_builtins(jobs_of(asked, reader, source="the ledger")),
        folders,
    )
    jobs: list[dict[str, Any]] = found["jobs"]
    return jobs


def exit_of_outcomes(outcomes: Iterable[str]) -> Exit:
    """All completed, some of it, or none."""
    codes = {_EXITS.get(outcome, Exit.FAILED) for outcome in outcomes}
    return codes.pop() if len(codes) == 1 else Exit.PARTLY if codes else Exit.OK


def exit_of_patience(error: BatchdError) -> Exit:
    """What the end of patience means for the shell."""
    return Exit.STILL_RUNNING if isinstance(error, TimedOut) else Exit.NOT_RUNNING
