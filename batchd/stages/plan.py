"""CLAIMED -> ACTIVE or REJECTED. Reads every line before anything is uploaded; and plans what is
to be tried again as the job's next round."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import structlog

from batchd.core.events import JobPlanned, JobRejected, RoundPlanned
from batchd.core.model import JobState
from batchd.core.reading import Problems, Repairs, Request, RequestReader
from batchd.core.rendering import problems_as_dict
from batchd.core.rounds import left_to_try, room_learned
from batchd.core.rows import RowSet
from batchd.core.sharding import Sharder, ShardLimits, ShardPlan
from batchd.core.subjects import Job, Shard
from batchd.runtime.services import Services
from batchd.runtime.threads import in_thread, pause
from batchd.settings import Settings
from batchd.spool.signature import has_writer, signature
from batchd.spool.work import InputChanged, digest, raw_lines, rows_of

log = structlog.get_logger()

NAME = "plan"
WAKES = ("submit", "deliver")
LIMIT = 2  #: files read at once: reading is work for a processor, not waiting


async def run_once(services: Services) -> int:
    """Start reading what was claimed, and planning what came back to be tried again."""
    reach = services.crews[NAME].reach
    claimed = await services.ledger.jobs_in(JobState.CLAIMED, most=reach)
    returned = await services.ledger.jobs_between_rounds(most=reach)
    started = [services.start(NAME, job.id, _plan, job, services) for job in claimed]
    started += [services.start(NAME, job.id, _plan_again, job, services) for job in returned]
    return sum(started)


async def next_look(services: Services) -> float | None:
    """Only a claim or a collected shard brings something, and both ring."""
    return None


async def _plan(job: Job, services: Services) -> None:
    if await services.ledger.job(job.id) != job:
        return  # listed before its own earlier turn had ended
    path = await in_thread(_own_input, job, services)
    reading = await in_thread(_read, path, services.settings)
    if reading.problems.total:
        await _reject(job, reading, services)
    else:
        await _accept(job, reading, services)


async def _accept(job: Job, reading: _Reading, services: Services) -> None:
    planned = JobPlanned(
        job=job.id,
        sha256=reading.sha256,
        requests=reading.requests,
        signature=reading.signature,
        repairs=reading.repairs.as_dict() if reading.repairs else {},
        verbatim=len(reading.shards) == 1 and not reading.repairs,
        shards=reading.shards,
        join=services.settings.inbox.identical == "join",
    )
    await services.ledger.record(planned, at=services.clock.now())
    if first := (await services.ledger.job(job.id)).joined:
        log.info("job.joined", job=job.id, first=first, requests=reading.requests)
    else:
        log.info("job.planned", job=job.id, requests=reading.requests, shards=len(reading.shards))


async def _reject(job: Job, reading: _Reading, services: Services) -> None:
    problems = reading.problems
    rejected = JobRejected(
        job=job.id,
        reason=problems.listed[0].code,
        problems=problems_as_dict(problems),
        sha256=reading.sha256,
        requests=reading.requests,
    )
    await services.ledger.record(rejected, at=services.clock.now())
    first = problems.listed[0]
    log.warning(
        "job.rejected", job=job.id, reason=first.code, line=first.line, problems=problems.total
    )


@dataclass(slots=True)
class _Reading:
    """What one pass over a file tells."""

    sha256: str
    signature: str
    requests: int
    shards: tuple[ShardPlan, ...]
    repairs: Repairs
    problems: Problems = field(default_factory=Problems)


def _own_input(job: Job, services: Services) -> Path:
    path = services.work.input(job.id)
    if path is None:
        raise FileNotFoundError(f"the dropped file of job {job.id} is gone from var/work")
    if path.stat().st_nlink > 1:
        services.work.make_own(path, pause=pause)
    return path


def _read(path: Path, settings: Settings) -> _Reading:
    before = signature(path)
    sha256 = hashlib.sha256()
    longest = min(settings.inbox.max_line_bytes, settings.batches.max_bytes)
    reader = RequestReader(max_line_bytes=longest, max_bytes=settings.batches.max_bytes)
    sharder = Sharder(_limits(settings))
    for raw in raw_lines(path, longest=longest, pause=pause):
        sha256.update(raw)
        request = reader.take(raw)
        if request is not None:
            sharder.add(reader.row, request)
        if reader.hopeless:
            break
    reader.finish()
    if reader.suspects:
        reader.confirm_duplicates(raw_lines(path, longest=longest, pause=pause))
    # A writer that had the file open before the claim goes on writing into it where it lies now.
    if signature(path) != before or has_writer(path):
        raise InputChanged(f"{path.name} is still being written")
    return _Reading(
        sha256=digest(path, pause=pause) if reader.hopeless else sha256.hexdigest(),
        signature=before.as_text(),
        requests=reader.requests,
        shards=sharder.finish(),
        repairs=reader.repairs,
        problems=reader.problems,
    )


def _limits(settings: Settings) -> ShardLimits:
    batches = settings.batches
    return ShardLimits(batches.max_requests, batches.max_bytes, batches.enqueued_tokens)


async def _plan_again(job: Job, services: Services) -> None:
    """Let what is to be tried again travel together, in as few batches as it fits."""
    if await services.ledger.job(job.id) != job:
        return  # as above: its round is planned
    shards = await services.ledger.shards_of(job.id)
    plans = await in_thread(_next_round, job, shards, services)
    planned = RoundPlanned(job=job.id, round=job.round + 1, shards=plans)
    await services.ledger.record(planned, at=services.clock.now())
    again = sum(plan.requests for plan in plans)
    log.info("round.planned", job=job.id, round=job.round + 1, requests=again)


def _next_round(job: Job, shards: Sequence[Shard], services: Services) -> tuple[ShardPlan, ...]:
    path = services.work.unchanged_input(job, pause=pause)
    limits = _limits(services.settings)
    room = {**limits.enqueued_tokens, **room_learned(shards, job.round)}
    sharder = Sharder(replace(limits, enqueued_tokens=room))
    reader = RequestReader(max_line_bytes=1 << 40, max_bytes=1 << 40)
    for row, request in _requests(path, left_to_try(shards, job.round), reader):
        sharder.add(row, request)
    return sharder.finish()


def _requests(path: Path, rows: RowSet, reader: RequestReader) -> Iterator[tuple[int, Request]]:
    for row, line in rows_of(path, rows, pause=pause):
        request = reader.take(line)
        if request is None:
            raise InputChanged(f"row {row} of {path.name} is not the one that was read before")
        yield row, request
