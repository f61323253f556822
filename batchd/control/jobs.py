"""The one reason of a job, from its state and its shards. Pure: facts and `now` come in."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from batchd.control.ledger import Part, Reader
from batchd.core.admission import (
    HOUR,
    LEARNED_FOR,
    Created,
    Limits,
    Load,
    Resting,
    admit,
    in_turn,
)
from batchd.core.model import JobState, Pause, ShardState
from batchd.core.names import shown
from batchd.core.reasons import Reason, ReasonCode, because
from batchd.core.stuck import is_stuck
from batchd.core.subjects import Job, Shard
from batchd.core.tasks import Task
from batchd.settings import Batches
from batchd.spool.bulletin import reason_in
from batchd.spool.lacking import kind_read, lack_in_words, library_missing

if TYPE_CHECKING:  # for its templates it needs a library that few who ask have a use for
    from batchd.spool.recipes import Recipes

#: A job is where the first of these is that any of its shards gives: what a person must see to,
#: then what time must help, then the shard that has the longest way to go.
ORDER = (
    ReasonCode.DOUBT_UNSETTLED,
    ReasonCode.BATCH_VANISHED,
    ReasonCode.ANSWERS_MISSING,
    ReasonCode.STUCK,
    ReasonCode.DENIED,
    ReasonCode.NO_ROOM,
    ReasonCode.PROVIDER_UNAVAILABLE,
    ReasonCode.FILE_UNSEEN,
    ReasonCode.NOT_THERE,
    ReasonCode.DOUBT,
    ReasonCode.HELD,
    ReasonCode.SUBMISSION_PAUSED,
    ReasonCode.WAITING_FOR_TOKENS,
    ReasonCode.WAITING_FOR_EMBEDDINGS,
    ReasonCode.WAITING_FOR_THE_HOUR,
    ReasonCode.WAITING_FOR_ROOM,
    ReasonCode.UPLOADING,
    ReasonCode.SUBMITTING,
    ReasonCode.AT_THE_PROVIDER,
    ReasonCode.COLLECTING,
)
_AT_PROVIDER = (ShardState.SUBMITTING, ShardState.OPEN)


@dataclass(frozen=True, slots=True)
class Room:
    """What the account has at the provider, what it may have, and what waits for what."""

    batches: Batches
    load: Load
    limits: Limits
    created: Created
    pauses: Mapping[Pause, str]
    waits: Mapping[str, ReasonCode]  #: by shard; those that nothing keeps are not in it

    @classmethod
    def of(
        cls,
        parts: Sequence[Part],
        batches: Batches,
        *,
        now: float,
        jobs: Sequence[Job] = (),
        pauses: Mapping[Pause, str] | None = None,
        learned: Mapping[str, int] | None = None,
        created: Created | None = None,
        load: Load | None = None,
        taken: Mapping[tuple[str, str], int] | None = None,
    ) -> Room:
        """Ask what the stage that submits asks, of all parts on their way.

        With `load` and `taken` (see `in_turn`) the planned ones are enough.
        """
        shards = [part.shard for part in parts]
        load = load or Load.of(shard for shard in shards if shard.state in _AT_PROVIDER)
        limits = Limits(
            max_open=batches.max_open,
            max_per_hour=batches.max_per_hour,
            embeddings=batches.enqueued_embeddings,
            configured=batches.enqueued_tokens,
            learned=learned or {},
        )
        resting = Resting(
            is_paused=Pause.SUBMISSION in (pauses or {}),
            held={job.id for job in jobs if job.hold},
        )
        called_off = {job.id for job in jobs if job.cancelled_at is not None}
        admission = admit(
            [shard for shard in in_turn(shards, taken=taken) if shard.job not in called_off],
            load=load,
            created=created or Created(),
            limits=limits,
            resting=resting,
            now=now,
        )
        return cls(batches, load, limits, created or Created(), pauses or {}, admission.waits)

    @classmethod
    def seen(cls, reader: Reader, batches: Batches, *, now: float) -> Room:
        """Read from the ledger what it takes."""
        return cls.of(
            reader.live_parts(),
            batches,
            now=now,
            jobs=reader.unfinished_jobs(),
            pauses=reader.pauses(),
            learned=reader.rooms_learned(since=now - LEARNED_FOR),
            created=reader.created_since(now - HOUR),
        )


def reason_of_job(job: Job, parts: Sequence[Part], *, room: Room, now: float) -> Reason:
    """Judge a job. Of one delivered it says so, wherever its folder is by now."""
    match job.state:
        case JobState.HELD:
            return _of_held(job)
        case JobState.CLAIMED:
            return because(ReasonCode.READING)
        case JobState.ACTIVE if job.joined:
            return because(ReasonCode.JOINED, first=job.joined)
        case JobState.ACTIVE if job.cancelled_at is not None:
            return because(ReasonCode.CANCELLING, why=job.cancel_text or str(job.cancel_why))
        case JobState.ACTIVE if job.hold:
            return _of_held(job)
        case JobState.ACTIVE:
            return _of_shards(job, parts, room=room, now=now)
        case JobState.SETTLED:
            return because(ReasonCode.BUILDING)
        case JobState.REJECTED:
            where = "its folder, which is being built,"
            return because(ReasonCode.REJECTED, problem=job.reason, where=where)
        case JobState.PUBLISHING:
            return because(ReasonCode.PUBLISHING, folder=job.folder)
        case JobState.DELIVERED:
            return _of_delivered(job)


def task_trouble(job: Job, recipes: Recipes) -> Reason | None:
    """Why a job is not read, or its folder not built: its task broke, or went, or what that needs."""
    if not job.task or job.state not in (JobState.CLAIMED, JobState.SETTLED):
        return None
    task = recipes.get(job.task)
    if isinstance(task, Task):
        kind = kind_read(shown(job.name), task)
        if (library := library_missing(kind)) is None:
            return None
        text = lack_in_words(kind, library)
    elif job.state is JobState.SETTLED or job.recipe is not None:
        return None  # it has kept its own
    else:
        text = str(task) if task else "there is no task file of that name any more"
    return because(ReasonCode.WAITING_FOR_TASK, job=job.id, task=job.task, text=text)


def _of_held(job: Job) -> Reason:
    code = reason_in(job.hold or "") or ReasonCode.HELD
    return because(code, job=job.id, text=job.hold_text or "nobody said why")


def _of_delivered(job: Job) -> Reason:
    if job.outcome == "rejected":
        folder = f"outbox/{job.folder}"
        return because(ReasonCode.REJECTED, problem=job.reason, where=folder, folder=job.folder)
    facts = {name: job.summary[name] for name in ("requests", "succeeded") if name in job.summary}
    return because(ReasonCode.DELIVERED, folder=job.folder, outcome=job.outcome, **facts)


def _of_shards(job: Job, parts: Sequence[Part], *, room: Room, now: float) -> Reason:
    counts, first = Counter[str](), None
    for part in parts:  # one at a time: a job may have ten thousand
        if part.shard.state is not ShardState.COLLECTED:
            reason = reason_of_shard(part, room=room, now=now)
            counts[str(reason.code)] += 1
            if first is None or ORDER.index(reason.code) < ORDER.index(first.code):
                first = reason
    if first is None:
        return because(ReasonCode.PLANNING_AGAIN, round=job.round + 1)
    return Reason(first.code, {**first.facts, "shards": dict(counts)})


def reason_of_shard(part: Part, *, room: Room, now: float) -> Reason:
    """Judge a shard that still has a way to go."""
    shard = part.shard
    facts = _facts(part, room=room, now=now)
    recorded = reason_in(shard.reason or "")
    if recorded in ORDER and not _is_past(recorded, shard, now):
        return because(recorded, **facts)
    match shard.state:
        case ShardState.PLANNED:
            return because(room.waits.get(shard.id, ReasonCode.UPLOADING), **facts)
        case ShardState.SUBMITTING:
            return because(ReasonCode.SUBMITTING, **facts)
        case ShardState.OPEN if is_stuck(shard, now):
            return because(ReasonCode.STUCK, **facts)
        case ShardState.OPEN:
            return because(ReasonCode.AT_THE_PROVIDER, **facts)
        case ShardState.ENDED | ShardState.COLLECTED:
            return because(ReasonCode.COLLECTING, **facts)


def _is_past(recorded: ReasonCode, shard: Shard, now: float) -> bool:
    """Whether a recorded reason has done its time: what is due may be on its way at this moment."""
    passing = shard.state is ShardState.PLANNED and recorded is not ReasonCode.DENIED
    return passing and shard.due_at <= now


def _facts(part: Part, *, room: Room, now: float) -> dict[str, object]:
    shard = part.shard
    facts = {
        "job": shard.job,
        "shard": shard.id,
        "model": shard.model,
        "text": part.text,
        "again_seconds": round(max(_again_at(shard, room) - now, 0.0), 1),
        "batch": shard.batch,
        "status": str(shard.status or "new") if shard.batch else None,
        "completed": shard.counts.completed if shard.batch else None,
        "requests": shard.requests,
        "open_seconds": round(now - shard.opened_at, 1) if shard.opened_at else None,
        **_facts_of_room(shard, room),
    }
    return {name: fact for name, fact in facts.items() if fact is not None}


def _facts_of_room(shard: Shard, room: Room) -> dict[str, object]:
    return {
        "max_open": room.limits.max_open,
        "open_batches": room.load.batches,
        "queued_tokens": room.load.tokens.get(shard.model, 0),
        "limit_tokens": room.limits.tokens(shard.model),
        "created": room.created.number,
        "embeddings": room.load.embeddings,
        "limit_embeddings": room.limits.embeddings,
        "by": room.pauses.get(Pause.SUBMISSION),
    }


def _again_at(shard: Shard, room: Room) -> float:
    hour = room.waits.get(shard.id) is ReasonCode.WAITING_FOR_THE_HOUR
    return room.created.oldest + HOUR if hour and room.created.oldest else shard.due_at
