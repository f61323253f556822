"""`batchd retry JOB | --all-failed`: what failed of a delivered job is dropped again."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

import click

from batchd.cli.asking import exit_of_refusal, folders_of, recipes_of
from batchd.cli.exits import Exit, complain
from batchd.cli.options import reads_settings
from batchd.configuration import Loaded
from batchd.control.checking import Checked, check
from batchd.control.ledger import Reader, reading
from batchd.control.listing import MOST, job_of
from batchd.control.places import NoSuchJob, job_meant
from batchd.control.presence import presence
from batchd.control.why import Ambiguous
from batchd.core.errors import BatchdError
from batchd.core.model import JobState
from batchd.core.names import printable, safe_stem
from batchd.core.subjects import Job
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
@click.argument("jobs", metavar="JOB...", nargs=-1)
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
    with reading(folders.database) as reader:
        words = [job.id for job in _failed(folders, reader)] if all_failed else list(jobs)
        again_of = Again(loaded, folders, reader, again=again, dry_run=dry_run)
        codes = list(_tried(words, again_of, is_all=all_failed))
    if not codes:
        click.echo("no delivered job has anything left to try again")
    if Exit.OK in codes and not dry_run and not presence(folders).is_running:
        complain("the daemon is not running; what was dropped waits in the inbox: batchd run")
    return codes[0] if len(set(codes)) == 1 else Exit.PARTLY if codes else Exit.OK


def _failed(folders: Folders, reader: Reader) -> Iterator[Job]:
    """The oldest first; what somebody took out of the outbox is theirs."""
    found = [
        job
        for outcome in _FAILED
        for job in reader.jobs_listed(state=outcome, since=0.0, owner=None, most=MOST)
    ]
    for job in sorted(found, key=lambda job: job.id):
        if _retry_file(folders.outbox / (job.folder or "")) is not None:
            yield job


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
        except (NoSuchJob, Ambiguous) as no:
            complain(str(no))
            yield exit_of_refusal(no)
        else:
            yield Exit.OK


class Again:
    """Drops what failed of a job."""

    def __init__(
        self, loaded: Loaded, folders: Folders, reader: Reader, *, again: bool, dry_run: bool
    ) -> None:
        settings = loaded.settings
        self._settings = settings
        self._recipes = recipes_of(loaded)
        self._folders = folders
        self._reader = reader
        self._again = again
        self._dry_run = dry_run
        self._prices = Prices(settings.prices)
        self._count = counter(settings.batches.count_tokens)

    def drop(self, word: str) -> str:
        """Drop it, and say what and for how much. Raises `Nothing`, `NoSuchJob`, `Ambiguous`."""
        job = job_of(job_meant(word), self._reader)
        file = self._file_of(job)
        if not self._again:
            self._must_be_new(job, file)
        cost = self._cost_of(job, file)
        name = f"{safe_stem(job.name).removesuffix(_AGAIN)}{_AGAIN}{file.suffix}"
        if self._dry_run:
            return f"{job.id}: would be inbox/{_below(job.task, name)}: {cost}"
        dropped = drop(file, self._folders, name=name, task=job.task)
        return f"{job.id}: inbox/{_below(job.task, dropped.name)}: {cost}"

    def _cost_of(self, job: Job, file: Path) -> str:
        if not job.task:
            return _in_words(check(file, self._settings, prices=self._prices, count=self._count))
        if self._recipes.get(job.task) is None:
            raise Nothing(f"there is no task {job.task} any more; its rows lie in {file}")
        done, all_of_it = job.summary.get("succeeded", 0), job.summary.get("requests", 0)
        failed = all_of_it - done
        return f"{failed:,} row{'' if failed == 1 else 's'}, by the task {job.task} as it is now"

    def _file_of(self, job: Job) -> Path:
        if job.state is not JobState.DELIVERED or not job.folder:
            raise Nothing(f"it is still on its way ({job.state}): batchd why {job.id}")
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

    def _must_be_new(self, job: Job, file: Path) -> None:
        """The same requests twice would be paid for twice."""
        sha256 = digest(file, pause=lambda: None)
        for later in self._reader.later_jobs_with(sha256, after=job.id):
            raise Nothing(f"it was dropped again already, as job {later.id}; --again does it anew")
        for waiting in (self._folders.inbox / job.task).glob(f"*{_AGAIN}*{file.suffix}"):
            if _same_size(waiting, file) and digest(waiting, pause=lambda: None) == sha256:
                name = _below(job.task, waiting.name)
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
