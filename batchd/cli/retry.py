"""`batchd retry JOB | --all-failed`: what failed of a delivered job is dropped again."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import click
import msgspec

from batchd.cli.asking import exit_of_refusal, folders_of, recipes_of
from batchd.cli.completing import job_ids
from batchd.cli.exits import Exit, complain
from batchd.cli.local import SOURCE, from_ledger
from batchd.cli.options import reads_settings
from batchd.cli.waiting import job_in_line
from batchd.configuration import Loaded
from batchd.control.checking import Checked, check
from batchd.control.client import Refused, ask
from batchd.control.listing import MOST, Filter, jobs_of
from batchd.control.messages import Jobs, Listed
from batchd.control.places import NoSuchJob
from batchd.control.presence import presence
from batchd.control.why import Ambiguous
from batchd.core.errors import BatchdError
from batchd.core.model import JobState
from batchd.core.names import printable, safe_stem
from batchd.core.tasks import Task
from batchd.core.words import money
from batchd.meters.prices import Prices
from batchd.meters.tokens import counter
from batchd.spool.dropping import drop
from batchd.spool.folders import Folders
from batchd.spool.work import digest

_RETRY = "retry"  #: retry.jsonl, or retry.csv and the like: it has the kind of the dropped file
_FAILED = ("partial", "failed")  #: somebody wanted what was cancelled to end: only by its name
_AGAIN = "-retry"


class Nothing(BatchdError):
    """There is nothing to drop again, or it was dropped already."""


@click.command()
@click.argument("jobs", metavar="JOB...", nargs=-1, shell_complete=job_ids)
@click.option("--all-failed", is_flag=True, help="Every delivered job of which something failed.")
@click.option("--again", is_flag=True, help="Also what was dropped again already.")
@click.option("--dry-run", is_flag=True, help="Only say what would be dropped, and its cost.")
@reads_settings
def retry(
    loaded: Loaded, jobs: tuple[str, ...], all_failed: bool, again: bool, dry_run: bool
) -> int:
    """Drop again what failed of delivered jobs.

    JOB is an id or its beginning. The retry file of its folder becomes a new file in the inbox, or
    in its task's folder there, and a job of its own. Exits 6 where there is nothing to try again, or where it was tried
    already; 3 when only some were dropped.
    """
    if bool(jobs) is all_failed:
        raise click.UsageError("name the jobs to try again, or --all-failed")
    folders = folders_of(loaded)
    words = [job.job for job in _failed(folders)] if all_failed else list(jobs)
    again_of = Again(loaded, folders, again=again, dry_run=dry_run)
    codes = list(_tried(words, again_of, is_all=all_failed))
    if not codes:
        click.echo("no delivered job has anything left to try again")
    if Exit.OK in codes and not dry_run and not presence(folders).is_running:
        complain("the daemon is not running; what was dropped waits in the inbox: batchd run")
    return codes[0] if len(set(codes)) == 1 else Exit.PARTLY if codes else Exit.OK


def _failed(folders: Folders) -> Iterator[Listed]:
    """The oldest first; what somebody took out of the outbox is theirs."""
    found = [job for one in _FAILED for job in _listed(Filter(state=one, most=MOST), folders)]
    for job in sorted(found, key=lambda job: job.job):
        if _retry_file(folders.outbox / (job.folder or "")) is not None:
            yield job


def _listed(asked: Filter, folders: Folders) -> tuple[Listed, ...]:
    """Ask the daemon which jobs there are; where none answers, the ledger."""
    query: dict[str, Any] = {"state": asked.state, "limit": asked.most, "sha256": asked.sha256}
    found, _ = from_ledger(
        lambda: msgspec.convert(
            ask(folders, "GET", "jobs", after=asked.after or None, **query), Jobs
        ),
        lambda reader: jobs_of(asked, reader, source=SOURCE),
        folders,
    )
    return found.jobs


def _retry_file(folder: Path) -> Path | None:
    """What failed of a job, in the kind in which it was dropped."""
    return next((path for path in sorted(folder.glob(f"{_RETRY}.*")) if path.is_file()), None)


def _tried(words: Sequence[str], again_of: Again, *, is_all: bool) -> Iterator[Exit]:
    for word in dict.fromkeys(words):
        try:
            click.echo(printable(again_of.drop(word)))
        except Nothing as nothing:
            if not is_all:
                complain(f"{printable(word)}: {nothing}")
                yield Exit.REFUSED
        except (NoSuchJob, Ambiguous, Refused) as no:
            complain(str(no))
            yield exit_of_refusal(no)
        else:
            yield Exit.OK


class Again:
    """Drops what failed of a job."""

    def __init__(self, loaded: Loaded, folders: Folders, *, again: bool, dry_run: bool) -> None:
        settings = loaded.settings
        self._settings = settings
        self._recipes = recipes_of(loaded)
        self._folders = folders
        self._again = again
        self._dry_run = dry_run
        self._prices = Prices(settings.prices)
        self._count = counter(settings.batches.count_tokens)

    def drop(self, word: str) -> str:
        """Drop it, and say what and for how much. Raises `Nothing`, `NoSuchJob`, `Ambiguous`."""
        job = msgspec.convert(job_in_line(word, self._folders), Listed)
        file, task = self._file_of(job), job.task or ""
        if not self._again:
            self._must_be_new(job, file)
        cost = self._cost_of(task, file)
        name = f"{safe_stem(os.fsencode(job.file)).removesuffix(_AGAIN)}{_AGAIN}{file.suffix}"
        if self._dry_run:
            return f"{job.job}: would be inbox/{_below(task, name)}: {cost}"
        dropped = drop(file, self._folders, name=name, task=task)
        return f"{job.job}: inbox/{_below(task, dropped.name)}: {cost}"

    def _cost_of(self, task: str, file: Path) -> str:
        """What it is expected to cost; of a table, by its task as it is now."""
        recipe = self._recipes.get(task) if task else None
        if task and recipe is None:
            raise Nothing(f"there is no task {task} any more; its rows lie in {file}")
        if recipe is not None and not isinstance(recipe, Task):
            return f"it waits until its task is mended: {recipe}"
        read = partial(check, prices=self._prices, count=self._count, task=recipe)
        found = read(file, self._settings)
        if recipe is None:
            return _in_words(found)
        rows = found.examined.rows if found.examined else 0
        counted = f"{rows:,} row{'' if rows == 1 else 's'}, by the task {task} as it is now"
        return f"{counted}: {_in_words(found)}"

    def _file_of(self, job: Listed) -> Path:
        if job.state != JobState.DELIVERED or not job.folder:
            raise Nothing(f"it is still on its way ({job.state}): batchd why {job.job}")
        folder = self._folders.outbox / job.folder
        if not folder.is_dir():
            to = f" --task {job.task}" if job.task else ""
            raise Nothing(f"outbox/{job.folder} was taken away; where it is now, its retry file can"
                          f" be dropped again: batchd submit FOLDER/{_RETRY}.*{to}")  # fmt: skip
        if (file := _retry_file(folder)) is None:
            what = "error.txt in its folder says what to mend" if job.outcome == "rejected" else ""
            called = f"{_RETRY} file" if job.task else f"{_RETRY}.jsonl"
            raise Nothing(f"it has no {called} ({job.outcome}){'; ' if what else ''}{what}")
        return file

    def _must_be_new(self, job: Listed, file: Path) -> None:
        """The same requests twice would be paid for twice."""
        sha256, task = digest(file, pause=lambda: None), job.task or ""
        for later in _listed(Filter(sha256=sha256, after=job.job), self._folders):
            raise Nothing(f"it was dropped again already, as job {later.job}; --again does it anew")
        for waiting in (self._folders.inbox / task).glob(f"*{_AGAIN}*{file.suffix}"):
            if _same_size(waiting, file) and digest(waiting, pause=lambda: None) == sha256:
                name = _below(task, waiting.name)
                raise Nothing(f"it was dropped again already, and waits as inbox/{name}")


def _below(task: str, name: str) -> str:
    return f"{task}/{name}" if task else name


def _same_size(one: Path, other: Path) -> bool:
    return os.path.lexists(one) and one.stat().st_size == other.stat().st_size


def _in_words(checked: Checked) -> str:
    requests = sum(kind.requests for kind in checked.kinds)
    counted = f"{requests:,} request{'' if requests == 1 else 's'}"
    if checked.cost.batch is None:
        return f"{counted}, for an unknown sum"
    held = f"; held by the budget: {checked.budget[0]}" if checked.budget else ""
    return f"{counted}, for some {money(checked.cost.batch)} USD{held}"
