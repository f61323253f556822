"""What becomes of each job, and the new ledger that knows it."""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import anyio
import msgspec

from batchd.core.model import Batch, BatchStatus, JobState
from batchd.core.names import shown
from batchd.core.subjects import Job, Shard
from batchd.core.tasks import decode
from batchd.recovery.disk import Found, claimed_at, look
from batchd.recovery.finished import finished_jobs, may_have_joined
from batchd.recovery.keeping import collected_shards, kept_shards, not_yet_delivered, tied
from batchd.recovery.lines import Lines, TableLines
from batchd.recovery.listing import (
    CannotKnow,
    adopted_by_lines,
    all_batches,
    by_job,
    choose_root,
    lines_of,
    nameless,
)
from batchd.recovery.rebuilding import rebuilt_job, rebuilt_shards
from batchd.recovery.spending import spent_before
from batchd.remote.api import Remote
from batchd.runtime.clock import Clock
from batchd.settings import Settings
from batchd.spool.folders import Folders
from batchd.spool.placing import move, remove_folder
from batchd.spool.work import Work, digest
from batchd.store.restoring import Restored, restore
from batchd.store.salvage import Salvage, remains_of, salvage

LEFT = ".left"  #: a work folder of that ending is nobody's job: a person has to look at it
_BEFORE = 600.0  #: seconds a provider's clock may be behind ours


@dataclass(frozen=True, slots=True)
class Wish:
    """What the operator says."""

    root_id: str | None = None
    ignored: frozenset[str] = frozenset()  #: batches that are another program's
    dry_run: bool = False


@dataclass(slots=True)
class Outcome:
    """What was found, and what becomes of it."""

    root: str
    rows: dict[str, tuple[str, str]] = field(default_factory=dict)  #: by job: file, what happens
    jobs: dict[str, Job] = field(default_factory=dict)
    shards: list[Shard] = field(default_factory=list)
    left: list[str] = field(default_factory=list)
    rebuilt: int = 0  #: jobs whose batches have the lines of their file
    delivered: int = 0
    kept: list[Path] = field(default_factory=list)  #: what is left of the old ledger


@dataclass(frozen=True, slots=True)
class Recovery:
    """One recovery of one root. The root's lock is held."""

    folders: Folders
    settings: Settings
    remote: Remote
    clock: Clock
    wish: Wish
    tell: Callable[[str], None]

    async def run(self) -> Outcome:
        """Find out everything; only then change anything."""
        old = salvage(remains_of(self.folders.database))
        found = look(self.folders)
        done = finished_jobs(found, old.jobs, now=self.clock.now())
        pending = {job: path for job, path in found.open.items() if job not in done}
        batches, root = await self._asked(pending, old)
        outcome = Outcome(root or secrets.token_hex(6), delivered=len(done), jobs=dict(done))
        outcome.shards += collected_shards(done, old.shards)
        # First what has batches: a job without may have shared another's.
        for job, path in sorted(pending.items(), key=lambda item: not batches.get(item[0])):
            await self._decide(job, path, batches.get(job, []), old, found, outcome)
        self._must_be_this_root(outcome, old, root)
        outcome.jobs = tied(outcome.jobs, {shard.job for shard in outcome.shards})
        outcome.rows |= _missing(old, outcome)
        if not self.wish.dry_run:
            self._apply(outcome, old, found)
        return outcome

    def _must_be_this_root(self, outcome: Outcome, old: Salvage, root: str | None) -> None:
        """An id that only the job's ids spoke for may be another root's: its lines must fit."""
        if root in (None, self.wish.root_id, old.root) or outcome.rebuilt:
            return
        raise CannotKnow(
            f"the provider has batches of jobs with these ids, of root {root}, and none fits the"
            f" files here. If it is this root all the same, say --root-id {root}; if not, any other"
        )

    async def _asked(
        self, pending: Mapping[str, Path], old: Salvage
    ) -> tuple[dict[str, list[Batch]], str | None]:
        """Return the provider's batches of the open jobs, and this root's id."""
        if not pending:
            return {}, self.wish.root_id or old.root  # nothing could be bought twice
        await self._let_doubt_pass()
        batches = await all_batches(self.remote)
        given = self.wish.root_id
        root = choose_root(batches, pending, given=given, salvaged=old.root)
        ours = by_job(batches, pending, root)
        since = min(map(claimed_at, pending.values())) - _BEFORE
        if strays := nameless(batches, since=since, ignored=self.wish.ignored):
            files = dict(self._planned(pending))
            for job, more in (await adopted_by_lines(strays, files, self.remote)).items():
                ours.setdefault(job, []).extend(more)
        return ours, root

    async def _let_doubt_pass(self) -> None:
        """A batch that was asked for by a daemon's last breath is listed when this is over."""
        if self.wish.dry_run:
            return
        settings = self.settings
        seconds = settings.openai.timeout_seconds + settings.batches.doubt_seconds
        self.tell(f"waiting {seconds:.0f} s: a batch just asked for may not be listed yet")
        await self.clock.wait(anyio.Event(), seconds)

    async def _decide(
        self,
        job: str,
        path: Path,
        batches: Sequence[Batch],
        old: Salvage,
        found: Found,
        outcome: Outcome,
    ) -> None:
        kept = self._kept(job, batches, old)
        if kept is not None:
            was, shards = kept
            outcome.jobs[job] = was
            outcome.shards += shards
            word = f"goes on where it was ({was.state})"
        elif batches:
            word = await self._rebuild(job, path, batches, outcome)
        else:
            word = self._unsent(job, path, found, outcome)
        outcome.rows[job] = (shown(os.fsencode(path.name)), word)

    def _kept(
        self, job: str, batches: Sequence[Batch], old: Salvage
    ) -> tuple[Job, list[Shard]] | None:
        """Return what the old ledger knew of a job, where that can be believed."""
        was, now = old.jobs.get(job), self.clock.now()
        if was is None:
            return None
        known = old.shards.get(job, ())
        shards = kept_shards(was, known, batches, Work(self.folders.work), now=now)
        return None if shards is None else (not_yet_delivered(was), shards)

    async def _rebuild(
        self, job: str, path: Path, batches: Sequence[Batch], outcome: Outcome
    ) -> str:
        try:
            lines = self._lines(job, path)
            shards = await self._shards(job, lines, batches)
        except CannotKnow as unknown:
            outcome.left.append(job)
            return f"left in var/work/{job}{LEFT}: {unknown}"
        outcome.jobs[job] = rebuilt_job(job, lines, now=self.clock.now())
        outcome.shards += shards
        outcome.rebuilt += 1
        sent = [shard for shard in shards if shard.batch]
        unsent = sum(shard.requests for shard in shards if not shard.batch)
        return f"rebuilt: {len(sent)} batches are looked after again, {unsent} requests are sent"

    def _planned(self, pending: Mapping[str, Path]) -> Iterator[tuple[str, Lines]]:
        """Yield what may have been sent: a table whose job keeps no task never was."""
        for job, path in pending.items():
            with suppress(CannotKnow):
                yield job, self._lines(job, path)

    def _lines(self, job: str, path: Path) -> Lines:
        """Read a dropped file again: a table by the task that its job keeps."""
        work = Work(self.folders.work)
        if not work.task_of(job):
            return Lines(path, self.settings)
        try:
            task = decode(work.task_file(job).read_bytes())
        except (OSError, msgspec.MsgspecError) as error:
            raise CannotKnow("its task.json can't be read, which says what was asked") from error
        return TableLines(path, task, self.settings)

    async def _shards(self, job: str, lines: Lines, batches: Sequence[Batch]) -> list[Shard]:
        if not lines.is_good:
            raise CannotKnow("its file can't be read as it was; see the inbox.* settings")
        rows = {}
        for batch in batches:
            if batch.status is BatchStatus.FAILED:
                continue
            own = lines.rows_of(await lines_of(batch, self.remote))
            if own is None:
                raise CannotKnow(f"batch {batch.id} bears its name, and has not its requests")
            rows[batch.id] = own
        return rebuilt_shards(job, lines, batches, rows, now=self.clock.now())

    def _unsent(self, job: str, path: Path, found: Found, outcome: Outcome) -> str:
        """Nothing of it is at the provider: claim lists it, and plan reads it, as if just dropped."""
        first = self._may_share(path, found, outcome)
        if first is None:
            return "nothing of it was sent: it is planned anew"
        outcome.left.append(job)
        return (
            f"left in var/work/{job}{LEFT}: the same file as {first}, whose answers it may have"
            " shared; drop it again to pay for new ones"
        )

    def _may_share(self, path: Path, found: Found, outcome: Outcome) -> str | None:
        """Name a job with the same file that has answers, or batches, and can't be joined now."""
        if self.settings.inbox.identical != "join":
            return None
        sha256 = digest(path, pause=_go_on)
        for left in outcome.left:
            if digest(found.open[left], pause=_go_on) == sha256:
                return f"job {left}"
        done = may_have_joined(sha256, claimed_at(path), found.finished)
        return done.folder if done else None

    def _apply(self, outcome: Outcome, old: Salvage, found: Found) -> None:
        for job in found.open:
            # Cut for shards that may have other rows now; they are cut again when they are sent.
            remove_folder(self.folders.work / job / "shards")
        for job in outcome.left:
            move(self.folders.work / job, self.folders.work / f"{job}{LEFT}")
        here = found.open.keys() | found.emptied
        restored = Restored(
            root=outcome.root,
            jobs=list(outcome.jobs.values()),
            shards=outcome.shards,
            tidied=_tidied(outcome.jobs, here, found),
            history=[fact for fact in old.history if fact[1] in outcome.jobs],
            spend=spent_before(old, outcome.jobs, outcome.shards),
        )
        outcome.kept = restore(self.folders.database, restored, at=self.clock.now())


def _go_on() -> None:
    """Nobody waits for anything else meanwhile."""


def _tidied(jobs: Mapping[str, Job], here: set[str], found: Found) -> dict[str, float]:
    """Nothing of these is to be removed: it is gone, or a file lies where none should."""
    return {
        job.id: job.delivered_at or job.state_at
        for job in jobs.values()
        if job.state is JobState.DELIVERED and (job.id not in here or job.id in found.open)
    }


def _missing(old: Salvage, outcome: Outcome) -> dict[str, tuple[str, str]]:
    """Name the jobs that were on their way and have no folder any more."""
    gone = [job for name, job in old.jobs.items() if name not in outcome.jobs.keys() | outcome.rows]
    return {job.id: (shown(job.name), f"its folder is gone (it was {job.state})") for job in gone}
