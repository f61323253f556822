"""All of a root at a glance: daemon, inbox, jobs, batches, and what waits for what."""

from __future__ import annotations

import errno
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from batchd.control.health import Item, Ward, began, health
from batchd.control.inbox import Entry, Rules, entries, named_by, reason_of
from batchd.control.jobs import Room, reason_of_job, task_trouble
from batchd.control.ledger import Part, Reader
from batchd.control.presence import Presence
from batchd.control.problems import last_problem
from batchd.control.spend import standing
from batchd.core.budget import Limits, Spending
from batchd.core.model import JobState, ShardState
from batchd.core.names import shown
from batchd.core.reasons import Reason, ReasonCode, Standing
from batchd.core.subjects import Job
from batchd.settings import Settings
from batchd.spool.folders import Folders

if TYPE_CHECKING:  # for its templates it needs a library that few who ask have a use for
    from batchd.spool.recipes import Recipes


@dataclass(frozen=True, slots=True)
class OpenBatch:
    """A batch at the provider."""

    batch: str
    status: str
    completed: int
    requests: int
    opened_at: float
    shard: str
    name: str


@dataclass(frozen=True, slots=True)
class Waiting:
    """How many files or jobs have one reason, and the sentence of the oldest of them."""

    code: ReasonCode
    standing: Standing
    count: int
    sentence: str
    setting: str | None
    example: str  #: the file's name, or the job's id


@dataclass(frozen=True, slots=True)
class Status:
    """What `batchd status` shows."""

    daemon: Presence
    inbox: Mapping[Standing, Mapping[ReasonCode, int]]
    inbox_trouble: str | None  #: why it can't be listed
    inbox_tasks: Mapping[str, int]  #: how many files wait in which folder of the inbox
    jobs: Mapping[Standing, int]  #: those on their way
    ended: Mapping[str, int]  #: by outcome
    batches: Sequence[OpenBatch]  #: the oldest first
    room: Room
    waits: Sequence[Waiting]
    problem: Mapping[str, Any] | None
    spending: Spending | None  #: None where the ledger is too old to tell
    limits: Limits
    health: Sequence[Item] = ()  #: the worst first


def status_of(
    folders: Folders,
    settings: Settings,
    *,
    recipes: Recipes,
    reader: Reader,
    daemon: Presence,
    now: float,
) -> Status:
    """Look at everything once."""
    rules = Rules(settings.inbox, recipes, daemon, now)
    found, trouble = _inbox(folders, rules, reader=reader)
    jobs, parts = reader.unfinished_jobs(), reader.live_parts()
    room = Room.seen(reader, settings.batches, now=now)
    reasons = _reasons(jobs, parts, recipes=recipes, room=room, now=now)
    groups = [*_groups(found), *_groups(reasons)]
    return Status(
        daemon=daemon,
        inbox=_by_standing(reason for _, reason in found),
        inbox_trouble=trouble,
        inbox_tasks=_by_folder(found),
        jobs=Counter(reason.standing for _, reason in reasons),
        ended=_ended(reader),
        batches=_batches(jobs, parts),
        room=room,
        waits=[_waiting(group) for group in groups],
        problem=last_problem(folders.log),
        spending=standing(reader, now=now),
        limits=settings.budget.limits,
        health=health(
            Ward(
                groups=groups,
                daemon=daemon,
                inbox_trouble=trouble,
                pauses=reader.rests(),
                last_word=_written(folders.log),
                root=str(folders.root),
            ),
            since=lambda name, reason: _since(name, reason, reader=reader, now=now),
            now=now,
        ),
    )


def _written(file: Path) -> float | None:
    try:
        return file.stat().st_mtime
    except OSError:
        return None


def _since(name: str, reason: Reason, *, reader: Reader, now: float) -> float | None:
    """Since when: of a file by what the daemon saw, of a job by what happened to it."""
    if reason.standing is Standing.WAITING:
        quiet = reason.facts.get("quiet_seconds", reason.facts.get("silent_seconds"))
        return now - quiet if isinstance(quiet, int | float) else None
    return began(reader.history_of(name), reason)


Named = tuple[str, Reason]


def _inbox(folders: Folders, rules: Rules, *, reader: Reader) -> tuple[list[Named], str | None]:
    pauses = reader.pauses()

    def named(entry: Entry) -> Named:
        name = shown(entry.below.encode("utf-8", errors="surrogateescape"))
        return name, named_by(reason_of(entry, rules), pauses)

    try:
        tasks = rules.recipes.names()
        found = sorted(entries(folders.inbox, tasks), key=lambda entry: entry.changed_at)
    except OSError as error:
        return [], error.strerror or errno.errorcode.get(error.errno or 0, "error")
    return [named(entry) for entry in found], None


def _reasons(
    jobs: Sequence[Job], parts: Sequence[Part], *, recipes: Recipes, room: Room, now: float
) -> list[Named]:
    of_job = defaultdict[str, list[Part]](list)
    for part in parts:
        of_job[part.shard.job].append(part)

    def reason(job: Job) -> Reason:
        trouble = task_trouble(job, recipes)
        return trouble or reason_of_job(job, of_job[job.id], room=room, now=now)

    return [(job.id, reason(job)) for job in jobs]


def _by_standing(reasons: Any) -> dict[Standing, dict[ReasonCode, int]]:
    counts = Counter(reason.code for reason in reasons)
    found: dict[Standing, dict[ReasonCode, int]] = {Standing.WAITING: {}, Standing.IGNORED: {}}
    for code, count in counts.most_common():
        found[Reason(code).standing][code] = count
    return found


def _by_folder(found: Sequence[Named]) -> dict[str, int]:
    """What waits below a folder; a name right in the inbox has no slash."""
    waiting = [name for name, reason in found if reason.standing is Standing.WAITING]
    return dict(Counter(name.partition("/")[0] for name in waiting if "/" in name).most_common())


def _ended(reader: Reader) -> dict[str, int]:
    counts = reader.job_counts()
    return {outcome or "unknown": n for state, outcome, n in counts if state == JobState.DELIVERED}


def _batches(jobs: Sequence[Job], parts: Sequence[Part]) -> list[OpenBatch]:
    names = {job.id: shown(job.name) for job in jobs}
    shards = [part.shard for part in parts if part.shard.state is ShardState.OPEN]
    return [
        OpenBatch(
            batch=shard.batch or "",
            status=str(shard.status or "new"),
            completed=shard.counts.completed,
            requests=shard.requests,
            opened_at=shard.opened_at or 0.0,
            shard=shard.id,
            name=names.get(shard.job, ""),
        )
        for shard in sorted(shards, key=lambda shard: shard.opened_at or 0.0)
    ]


def _groups(named: Sequence[Named]) -> list[list[Named]]:
    """Group what waits by its reason, what most wait for first; ignored files wait for nothing."""
    groups = defaultdict[ReasonCode, list[Named]](list)
    for one in named:
        if one[1].standing in (Standing.WAITING, Standing.CLAIMED, Standing.HELD):
            groups[one[1].code].append(one)
    return sorted(groups.values(), key=len, reverse=True)


def _waiting(group: Sequence[Named]) -> Waiting:
    example, reason = group[0]
    return Waiting(
        code=reason.code,
        standing=reason.standing,
        count=len(group),
        sentence=reason.sentence,
        setting=reason.setting,
        example=example,
    )
