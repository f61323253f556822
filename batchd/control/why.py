"""Where is it, and why? One answer for any path, job, shard or batch."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from batchd.control.inbox import STAGING, Entry, Rules, named_by, reason_of
from batchd.control.jobs import Room, reason_of_job, reason_of_shard, task_trouble
from batchd.control.ledger import Part, Reader
from batchd.control.places import Id, Place, id_of, job_in
from batchd.control.presence import Presence
from batchd.core.errors import BatchdError
from batchd.core.model import JobState, ShardState
from batchd.core.names import shown
from batchd.core.reasons import Reason, ReasonCode, because
from batchd.core.subjects import Job
from batchd.rounds.keeping import TaskGone, look, same_task
from batchd.settings import Settings
from batchd.spool.folders import Folders
from batchd.spool.wanted import READMES
from batchd.spool.work import Work, is_same

if TYPE_CHECKING:  # for its templates it needs a library that few who ask have a use for
    from batchd.spool.recipes import Recipes


class Ambiguous(BatchdError):
    """Several things begin like this: one letter more is needed."""


@dataclass(frozen=True, slots=True)
class Answer:
    """One reason, and whose it is."""

    reason: Reason
    path: str | None = None  #: below the root where it lies there
    job: str | None = None
    name: str | None = None  #: of the dropped file
    claimed_at: float | None = None
    shard: str | None = None
    batch: str | None = None
    older: tuple[str, ...] = ()  #: earlier jobs of the same name

    @property
    def is_known(self) -> bool:
        """Whether batchd knows anything of it."""
        return self.reason.code not in (ReasonCode.UNKNOWN, ReasonCode.OUTSIDE)


@dataclass(frozen=True, slots=True)
class Question:
    """A word, and everything that an answer is made from."""

    word: str
    place: Place  #: that the word means where it is no id
    folders: Folders
    settings: Settings
    recipes: Recipes
    reader: Reader
    daemon: Presence
    now: float

    def answer(self) -> Answer:
        """Answer. Raises `Ambiguous`."""
        name, place = id_of(self.word), self.place
        # A whole id is meant as one; its beginning may as well be a file's name.
        is_id = name is not None and (name.is_whole or not place.is_there)
        found = self._by_id(name) if name is not None and is_id else None
        return found or self._of_place(place)

    # By id

    def _by_id(self, name: Id) -> Answer | None:
        if name.batch:
            return self._by_batch(name.batch)
        jobs = self.reader.jobs_by_prefix(name.job)
        if len(jobs) > 1:
            raise Ambiguous(_several(self.word, [job.id for job in jobs]))
        if not jobs:
            return None
        job, parts = jobs[0], self.reader.parts_of(jobs[0].id)
        if name.number is None:
            return self._of_job(job)
        return next((self._of_part(p, job) for p in parts if p.shard.number == name.number), None)

    def _by_batch(self, prefix: str) -> Answer | None:
        parts = self.reader.parts_by_batch(prefix)
        whole = [part for part in parts if part.shard.batch == prefix] or parts
        if len(whole) > 1:
            raise Ambiguous(_several(self.word, [part.shard.batch or "" for part in whole]))
        if not whole:
            return None
        (job,) = self.reader.jobs_by_prefix(whole[0].shard.job)
        return self._of_part(whole[0], job)

    # A job, or a part of it

    def _of_job(self, job: Job, *, older: Sequence[Job] = (), path: str | None = None) -> Answer:
        return Answer(
            reason=self.reason_of(job),
            path=path,
            job=job.id,
            name=shown(job.name),
            claimed_at=job.claimed_at,
            older=tuple(one.id for one in older),
        )

    def _of_part(self, part: Part, job: Job) -> Answer:
        shard = part.shard
        is_live = shard.state is not ShardState.COLLECTED
        live = reason_of_shard(part, room=self._room(), now=self.now) if is_live else None
        return Answer(
            reason=live or self.reason_of(job),
            job=job.id,
            name=shown(job.name),
            claimed_at=job.claimed_at,
            shard=shard.id,
            batch=shard.batch,
        )

    def _room(self) -> Room:
        return Room.seen(self.reader, self.settings.batches, now=self.now)

    def reason_of(self, job: Job) -> Reason:
        """Judge a job, and whether its files are where it left them."""
        parts = self.reader.parts_of(job.id)
        reason = reason_of_job(job, parts, room=self._room(), now=self.now)
        if job.state is JobState.DELIVERED:
            return self._where_it_is_now(job, reason)
        trouble = self._trouble_with_the_input(job, parts) or task_trouble(job, self.recipes)
        return trouble or reason

    def _where_it_is_now(self, job: Job, reason: Reason) -> Reason:
        there = (self.folders.outbox / (job.folder or "")).is_dir()
        if there or reason.code is not ReasonCode.DELIVERED:
            return reason
        return Reason(ReasonCode.TAKEN_AWAY, reason.facts)

    def _trouble_with_the_input(self, job: Job, parts: Sequence[Part]) -> Reason | None:
        """What has to be sent or put beside its answers must be there, and be what was checked."""
        is_needed = job.state in (JobState.CLAIMED, JobState.SETTLED) or any(
            part.shard.state in (ShardState.PLANNED, ShardState.ENDED) for part in parts
        )
        # Between two rounds, too: what is tried again is taken from it.
        if not is_needed and any(part.shard.state is not ShardState.COLLECTED for part in parts):
            return None
        try:
            dropped = Work(self.folders.work).input(job.id)
        except PermissionError:
            return None  # var/work is the daemon's; whoever may only drop files asks, too
        if dropped is None:
            return because(ReasonCode.INPUT_MISSING, job=job.id)
        known, sha256 = job.signature or "", job.sha256 or ""
        if known and not is_same(dropped, known=known, sha256=sha256, pause=lambda: None):
            return because(ReasonCode.INPUT_CHANGED, job=job.id)
        return self._trouble_with_the_task(job)

    def _trouble_with_the_task(self, job: Job) -> Reason | None:
        if not job.task or job.recipe is None:
            return None
        try:
            look(job, Work(self.folders.work))
        except PermissionError:
            return None  # as above
        except TaskGone:
            if same_task(job, self.recipes):
                return None  # it is kept anew when it is needed
            return because(ReasonCode.KEPT_TASK_GONE, job=job.id, task=job.task)
        return None

    # A place

    def _of_place(self, place: Place) -> Answer:
        if place.parts is None:
            return self._of_name(place, else_=ReasonCode.OUTSIDE, root=str(self.folders.root))
        match place.parts:
            case ("inbox", *_) if len(place.parts) > 1:
                return self._in_inbox(place, place.parts[1:])
            case ("outbox", folder, *_):
                return self._of_folder(place, folder)
            case ("var", "work", folder, *_):
                return self._of_folder(place, folder)
            case () | ("inbox" | "outbox" | "var", *_):
                code = ReasonCode.OWN if place.is_there else ReasonCode.UNKNOWN
                return Answer(because(code), _shown(place))
            case _:
                return self._of_name(place, else_=ReasonCode.UNKNOWN)

    def _in_inbox(self, place: Place, below: Sequence[str]) -> Answer:
        if not place.is_there:
            return self._of_name(place, else_=ReasonCode.UNKNOWN)
        if len(below) == 1 and below[0] in READMES:
            return Answer(because(ReasonCode.OWN), _shown(place))
        if below[0] == STAGING:
            code = ReasonCode.STAGING if len(below) > 1 else ReasonCode.OWN
            return Answer(because(code), _shown(place))
        if len(below) > 2:
            subfolder = shown(os.fsencode("/".join(below[:-1])))
            reason = because(ReasonCode.SUBFOLDER_WITHOUT_TASK, subfolder=subfolder)
            return Answer(reason, _shown(place))
        try:
            entry = Entry.of(place.path, *below[:-1])
        except FileNotFoundError:  # taken at this very moment
            return self._of_name(place, else_=ReasonCode.UNKNOWN)
        rules = Rules(self.settings.inbox, self.recipes, self.daemon, self.now)
        reason = reason_of(entry, rules)
        return Answer(named_by(reason, self.reader.pauses()), _shown(place))

    def _of_folder(self, place: Place, folder: str) -> Answer:
        """A folder in the outbox or among the work, or something in one."""
        name = job_in(folder)
        jobs = self.reader.jobs_by_prefix(name) if name else ()
        if jobs and folder in (jobs[0].folder, jobs[0].id, f".{jobs[0].id}"):
            return self._of_job(jobs[0], path=_shown(place))
        if not place.is_there:
            return Answer(because(ReasonCode.UNKNOWN), _shown(place))
        if place.parts and place.parts[0] == "var" and name:
            return Answer(because(ReasonCode.UNLISTED, job=name), _shown(place), job=name)
        return Answer(because(ReasonCode.FOREIGN), _shown(place))

    def _of_name(self, place: Place, *, else_: ReasonCode, **facts: object) -> Answer:
        """What is not there (any more) may have been claimed under its name.

        A bare name is what people call a file, wherever they stand: what they submitted a copy of
        still lies before them, and it is the copy that they ask about.
        """
        is_bare, jobs = "/" not in self.word, self._jobs_called(place)
        if jobs and (is_bare or (place.parts is not None and not place.is_there)):
            path = None if place.is_there else _shown(place)
            return self._of_job(jobs[0], older=jobs[1:], path=path)
        if place.is_there:
            code = ReasonCode.FOREIGN if place.parts is not None else else_
            return Answer(because(code, **facts), _shown(place))
        if place.parts and (job := self._taking(os.fsencode(place.path.name))):
            return Answer(because(ReasonCode.UNLISTED, job=job), _shown(place), job=job)
        return Answer(because(else_, **facts), _shown(place))

    def _jobs_called(self, place: Place) -> Sequence[Job]:
        """The youngest first; those of the task in whose folder it lay before all others."""
        named = self.reader.jobs_named(os.fsencode(place.path.name))
        return sorted(named, key=lambda job: job.task != _task_in(place))

    def _taking(self, name: bytes) -> str | None:
        """The job that a file of this name becomes: it left the inbox a moment ago."""
        work = Work(self.folders.work)
        try:
            jobs = reversed(work.jobs())  # the youngest first
            places = ((job, work.dropped_at(job, name, work.task_of(job))) for job in jobs)
            return next((job for job, place in places if place.exists()), None)
        except OSError:
            return None  # no var/work, or not for this user: it is the daemon's


def _task_in(place: Place) -> str:
    """In whose folder a place lies, or lay."""
    match place.parts:
        case ("inbox", task, _):
            return task
        case _:
            return ""


def _shown(place: Place) -> str:
    path = place.path if place.parts is None else Path(*place.parts)
    return shown(os.fsencode(path))


def _several(word: str, ids: Sequence[str]) -> str:
    listed = ", ".join(ids[:5]) + (", ..." if len(ids) > 5 else "")
    return f"{word} is the beginning of several: {listed}; write one letter more"
