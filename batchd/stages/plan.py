"""CLAIMED -> ACTIVE or REJECTED. Reads every line before anything is uploaded; and plans what is
to be tried again as the job's next round."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import msgspec
import structlog

from batchd.core.budget import tomorrow
from batchd.core.events import JobCancelled, JobConcluded, JobPlanned, JobRejected, RoundPlanned
from batchd.core.model import CancelWhy, JobState
from batchd.core.names import shown
from batchd.core.reading import Request, RequestReader
from batchd.core.rendering import problems_as_dict
from batchd.core.rounds import left_to_try, room_learned, size_learned
from batchd.core.rows import RowSet
from batchd.core.sharding import Sharder, ShardLimits, ShardPlan
from batchd.core.subjects import Job, Shard
from batchd.core.tasks import Task
from batchd.meters.estimates import expected, total
from batchd.rounds.examining import Into, examine_table
from batchd.rounds.keeping import keep
from batchd.rounds.lines import lines_of
from batchd.rounds.rendering import Rows
from batchd.runtime.loop import LIGHT_BYTES
from batchd.runtime.services import Services
from batchd.runtime.threads import in_thread, pause
from batchd.settings import Settings
from batchd.spool.examining import Examined, examine, limits_of, rules_of
from batchd.spool.work import InputChanged
from batchd.stages import room, tasking

log = structlog.get_logger()

NAME = "plan"
WAKES = ("submit", "deliver")
_HOUR = 3600.0
LIMIT = 2  #: files read at once: reading is work for a processor, not waiting


async def run_once(services: Services) -> int:
    """Start reading what was claimed, and planning what came back to be tried again."""
    limits = services.settings.budget.limits
    for job_id in await services.ledger.lapse_holds(limits, at=services.clock.now()):
        log.info("job.fits", job=job_id)
    await _mind_the_deadline(services)
    reach = services.crews[NAME].reach
    claimed = await tasking.usable(services, most=reach)
    returned = await services.ledger.jobs_between_rounds(most=reach)
    started = [
        services.start(NAME, job.id, _plan, job, services, light=job.size <= LIGHT_BYTES)
        for job in claimed
    ]
    started += [services.start(NAME, job.id, _plan_again, job, services) for job in returned]
    return sum(started)


async def next_look(services: Services) -> float | None:
    """A claim or a collected shard rings; so do a new day's budget, and a job that is too old."""
    now, looks = services.clock.now(), list[float]()
    hours = services.settings.jobs.deadline_hours
    if hours is not None and (oldest := await services.ledger.oldest_claim()) is not None:
        looks.append(max(oldest + hours * _HOUR - now, 0.0))
    if await services.ledger.waits_for_money():
        looks.append(tomorrow(now) - now)
    return min(looks, default=None)


async def _mind_the_deadline(services: Services) -> None:
    """Let jobs that are too old be finished with what there is."""
    hours, now = services.settings.jobs.deadline_hours, services.clock.now()
    if hours is None:
        return
    text = f"it was older than {hours:g} hours (jobs.deadline_hours)"
    for job in await services.ledger.jobs_claimed_by(now - hours * _HOUR):
        overdue = JobCancelled(job=job.id, why=CancelWhy.DEADLINE, text=text)
        if await services.ledger.wish(overdue, at=now):
            log.warning("job.cancelled", job=job.id, why=CancelWhy.DEADLINE, text=text)
            for name in ("submit", "poll"):
                services.bells[name].ring()


async def _plan(job: Job, services: Services) -> None:
    if await services.ledger.job(job.id) != job:
        return  # listed before its own earlier turn had ended
    settings, recipe = await _as_learned(services), None
    if not job.task:
        reading = await in_thread(_examined, job, settings, services)
    elif (task := await in_thread(tasking.task_for, job, services)) is not None:
        reading, recipe = await in_thread(_rendered, job, task, settings, services)
    else:
        return  # it waits for its task
    if reading.problems.total:
        await _reject(job, reading, services)
    else:
        await _accept(job, reading, recipe, services)


async def _accept(job: Job, reading: Examined, recipe: str | None, services: Services) -> None:
    limits = services.settings.budget.limits
    planned = JobPlanned(
        job=job.id,
        sha256=reading.sha256,
        requests=reading.rows,
        signature=reading.signature,
        repairs=reading.repairs.as_dict() if reading.repairs else {},
        verbatim=reading.verbatim,
        shards=reading.shards,
        warnings=reading.warnings.as_dict(),
        estimate=total(plan.estimate for plan in reading.shards),
        join=services.settings.inbox.identical == "join",
        limits=limits if limits.are_set else None,
        recipe=recipe,
    )
    became = await services.ledger.move(planned, at=services.clock.now())
    if became.joined:
        log.info("job.joined", job=job.id, first=became.joined, requests=reading.rows)
    elif became.state is JobState.HELD:
        log.warning("job.held", job=job.id, reason=became.hold, text=became.hold_text)
    else:
        log.info("job.planned", job=job.id, requests=reading.rows, shards=len(reading.shards))
    if reading.warnings:
        log.info("job.warned", job=job.id, warnings=reading.warnings.counts())


async def _reject(job: Job, reading: Examined, services: Services) -> None:
    problems = reading.problems
    rejected = JobRejected(
        job=job.id,
        reason=problems.listed[0].code,
        problems=problems_as_dict(problems),
        sha256=reading.sha256,
        requests=reading.rows,
    )
    await services.ledger.record(rejected, at=services.clock.now())
    first = problems.listed[0]
    log.warning(
        "job.rejected",
        job=job.id,
        reason=first.code,
        line=first.line,
        row=first.row,
        problems=problems.total,
    )


async def _as_learned(services: Services) -> Settings:
    """Return the settings with the queues as the provider named them: cut now, nothing is refused."""
    limits = await room.limits(services)
    batches = msgspec.structs.replace(
        services.settings.batches, enqueued_tokens=limits.all_tokens()
    )
    return msgspec.structs.replace(services.settings, batches=batches)


def _examined(job: Job, settings: Settings, services: Services) -> Examined:
    path, ids = _own_input(job, services), services.work.ids_file(job.id)
    found = examine(path, settings, pause=pause, count=services.count_tokens, ids=ids)
    return replace(found, shards=_priced(found.shards, services))


def _rendered(
    job: Job, task: Task, settings: Settings, services: Services
) -> tuple[Examined, str | None]:
    """Write the requests, and then what they were made by: both before anything says so."""
    work, path = services.work, _own_input(job, services)
    into = Into(
        requests=work.round_file(job.id, 1),
        ids=work.ids_file(job.id),
        places=work.places_file(job.id),
        keep_free=work.keep_free,
    )
    found = examine_table(path, task, settings, into=into, pause=pause, count=services.count_tokens)
    recipe = None if found.problems.total else keep(task, job.id, work)
    return replace(found, shards=_priced(found.shards, services)), recipe


def _priced(plans: Iterable[ShardPlan], services: Services) -> tuple[ShardPlan, ...]:
    """Beside the loop: the price list takes an eighth of a second to load."""
    return tuple(replace(plan, estimate=expected(plan, services.prices).batch) for plan in plans)


def _own_input(job: Job, services: Services) -> Path:
    path = services.work.input(job.id)
    if path is None:
        raise FileNotFoundError(f"the dropped file of job {job.id} is gone from var/work")
    if path.stat().st_nlink > 1:
        services.work.make_own(path, pause=pause)
    return path


async def _plan_again(job: Job, services: Services) -> None:
    """Let what is to be tried again travel together, in as few batches as it fits."""
    if await services.ledger.job(job.id) != job:
        return  # as above: its round is planned
    if job.cancelled_at is not None:
        await services.ledger.record(JobConcluded(job=job.id), at=services.clock.now())
        log.info("job.concluded", job=job.id, why=job.cancel_why)
        return
    shards = await services.ledger.shards_of(job.id)
    limits = limits_of(await _as_learned(services))
    plans = await in_thread(_next_round, job, shards, limits, services)
    planned = RoundPlanned(job=job.id, round=job.round + 1, shards=plans)
    await services.ledger.record(planned, at=services.clock.now())
    again = sum(plan.requests for plan in plans)
    log.info("round.planned", job=job.id, round=job.round + 1, requests=again)


def _next_round(
    job: Job, shards: Sequence[Shard], limits: ShardLimits, services: Services
) -> tuple[ShardPlan, ...]:
    tokens = {**limits.enqueued_tokens, **room_learned(shards, job.round)}
    sizes = size_learned(shards, job.round)
    sharders: dict[str, Sharder] = {}
    rules = rules_of(services.settings, count=services.count_tokens)
    reader = RequestReader(replace(rules, max_line_bytes=1 << 40, max_bytes=1 << 40))
    for rows, request in _requests(job, left_to_try(shards, job.round), reader, services):
        if request.model not in sharders:
            most = min(limits.max_requests, sizes.get(request.model, limits.max_requests))
            less = replace(limits, enqueued_tokens=tokens, max_requests=most)
            sharders[request.model] = Sharder(less)
        sharders[request.model].add(rows[0], request, *rows[1:])
    plans = [plan for sharder in sharders.values() for plan in sharder.finish()]
    return _priced(tuple(sorted(plans, key=lambda plan: plan.rows.ranges[0])), services)


def _requests(
    job: Job, rows: RowSet, reader: RequestReader, services: Services
) -> Iterator[tuple[Rows, Request]]:
    lines = lines_of(job, services.work, services.recipes, pause=pause)
    for carried, line in lines.requests(rows, job.round + 1):
        request = reader.take(line)
        if request is None:
            raise InputChanged(
                f"row {carried[0]} of {shown(job.name)} is not the one that was read before"
            )
        yield carried, request
