"""ENDED -> COLLECTED. Fetches what a batch left, output and errors, and judges every request of it."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import structlog

from batchd.core.admission import learned_from
from batchd.core.errors import RemoteRefused
from batchd.core.events import JobCancelled, ShardCollected, ShardReplaced, ShardWaits
from batchd.core.harvest import Tally
from batchd.core.model import BatchStatus, CancelWhy, ShardState
from batchd.core.names import shown
from batchd.core.notes import notes_for
from batchd.core.pacing import backoff, poll_interval, room_backoff
from batchd.core.reasons import ReasonCode
from batchd.core.rounds import attempts_before, is_final, is_heir_of
from batchd.core.subjects import Job, Shard
from batchd.core.unusable import ODDITY as UNUSABLE
from batchd.core.unusable import cancels_job, words
from batchd.core.verdicts import Failure, judge_failed_batch, room_told
from batchd.rounds.lines import lines_of
from batchd.runtime.fetching import fetch
from batchd.runtime.loop import LIGHT_REQUESTS
from batchd.runtime.services import Services
from batchd.runtime.threads import in_thread, pause
from batchd.spool.harvesting import bring_in
from batchd.spool.inflating import is_packed
from batchd.spool.placing import make_folder, remove_folder
from batchd.spool.regaining import NotTheSame, Uploaded, regain
from batchd.stages import room

log = structlog.get_logger()

NAME = "collect"
WAKES = ("plan", "submit", "deliver")
LIMIT = 4  #: shards fetched at once

_UNSEEN_TRIES = 10  #: batches that may fail for a file that the provider doesn't find
_UPLOAD_AGAIN_EVERY = 3  #: of these, with the same file
_GONE_SECONDS = 86_400.0  #: a file that is not found for a whole day of asking does not come back
_GONE_LOOK_SECONDS = 3_600.0  #: how often it is asked for in the end


async def run_once(services: Services) -> int:
    """Fetch and judge what has ended."""
    if services.rest.is_on or await in_thread(_disk_is_full, services):
        return 0
    now = services.clock.now()
    reach = services.crews[NAME].reach
    ended = await services.ledger.shards_due(ShardState.ENDED, now=now, most=reach)
    return sum(
        services.start(
            NAME, shard.id, _collect, shard, services, light=shard.requests <= LIGHT_REQUESTS
        )
        for shard in ended
    )


def _disk_is_full(services: Services) -> bool:
    """Results wait at the provider while our disk is nearly full: there they are safe for weeks."""
    return services.folders.free_bytes() < services.settings.folders.keep_free_bytes


async def next_look(services: Services) -> float | None:
    """When the next ended shard is due."""
    due = await services.ledger.next_due(ShardState.ENDED)
    now = services.clock.now()
    return due - now if due is not None and due > now else None


async def _collect(shard: Shard, services: Services) -> None:
    now_is, job = await services.ledger.shard_and_job(shard.id)
    if now_is != shard:
        return  # listed before its own earlier turn had ended
    may_be_replaced = shard.status is BatchStatus.FAILED and not is_final(job)
    if may_be_replaced and await _replaced(shard, services):
        return
    gone = await fetch(shard, services)
    if gone and await _waits_for_a_file(shard, gone, services, final=is_final(job)):
        return
    await _mind_the_input(shard, job, services)
    # Fetched together, judged one by one: it is work for one processor, and each takes memory for
    # all the ids of its shard. Nothing in it waits for the provider, or everybody would.
    async with services.judging:
        tally = await _judged(shard, job, services, lost=gone is not None)
    if gone:
        log.warning("answers.lost", job=shard.job, shard=shard.id, text=str(gone), **tally.oddities)
    if UNUSABLE in tally.oddities:
        await _stop_the_same(shard, services)
    # Kept before recorded: a crash between the two keeps twice, and loses nothing.
    collected = ShardCollected(
        shard=shard.id,
        again=tally.again,
        uncounted=tally.uncounted,
        kept=tally.kept,
        failed=tally.failed,
        usage=tally.usage,
        oddities=tally.oddities,
    )
    learned = learned_from(shard.model, shard.errors)
    await services.ledger.record(*learned, collected, at=services.clock.now())
    log.info(
        "shard.collected",
        job=shard.job,
        shard=shard.id,
        kept=tally.kept,
        failed=tally.failed,
        again=len(tally.again),
        **tally.oddities,
    )


async def _stop_the_same(shard: Shard, services: Services) -> None:
    """Nothing more of a model that answers no batch request: it would be the same failure again."""
    if not cancels_job(shard, await services.ledger.shards_of(shard.job)):
        return
    why, text = CancelWhy.UNUSABLE_MODEL, words(shard)
    # Before the verdicts are recorded: with the last of these the job could be settled.
    asked = JobCancelled(job=shard.job, why=why, text=text)
    if await services.ledger.wish(asked, at=services.clock.now()):
        log.warning("job.cancelled", job=shard.job, why=why, text=text)
        services.bells["poll"].ring()


async def _replaced(shard: Shard, services: Services) -> bool:
    """Give the members of a batch that did not even begin to a new shard, where that may help."""
    failure = judge_failed_batch(shard.errors)
    before = sum(is_heir_of(shard, other) for other in await services.ledger.shards_of(shard.job))
    match failure:
        case Failure.NO_ROOM if await _is_too_large(shard, services):
            # Judged as any other: nothing ran, so all of it is planned again, in smaller shards.
            text = shard.errors[0].message
            log.warning(
                "shard.too_large",
                job=shard.job,
                shard=shard.id,
                reason=ReasonCode.NO_ROOM,
                text=text,
            )
            return False
        case Failure.NO_ROOM | Failure.UNPAID:
            reason = ReasonCode.NO_ROOM if failure is Failure.NO_ROOM else ReasonCode.DENIED
            keep_file, wait = True, room_backoff(before + 1)
        case Failure.FILE_UNSEEN if before + 1 < _UNSEEN_TRIES:
            # The provider may say so of a file it has (reference B.3): the file is not at fault.
            keep_file = (before + 1) % _UPLOAD_AGAIN_EVERY != 0
            reason, wait = ReasonCode.FILE_UNSEEN, backoff(before + 2)
        case _:
            return False
    now = services.clock.now()
    text = shard.errors[0].message
    replaced = ShardReplaced(
        shard=shard.id, reason=reason, text=text, keep_file=keep_file, due_at=now + wait
    )
    learned = learned_from(shard.model, shard.errors)
    await services.ledger.record(*learned, replaced, at=now)
    log.warning(
        "shard.replaced",
        job=shard.job,
        shard=shard.id,
        reason=reason,
        text=text,
        again_in_seconds=wait,
    )
    return True


async def _is_too_large(shard: Shard, services: Services) -> bool:
    """Whether a shard would not find room however long it waits."""
    told = room_told(shard.errors)
    if told is not None and shard.tokens > told:
        return True
    load = await services.ledger.live_at_provider()
    is_alone = not load.tokens.get(shard.model)
    return is_alone and await room.is_refused_on_and_on(shard, services)


async def _waits_for_a_file(
    shard: Shard, gone: RemoteRefused, services: Services, *, final: bool
) -> bool:
    """Whether a file that the provider does not find may still come; then it is asked for again.

    Counted are the waits, not the time between two dates: a clock may be set. And a key of another
    project finds no file at all: as long as it does not find the batch either, nothing is lost,
    unless nobody wants it any more (`final`).
    """
    waited = await _has_waited(shard, services)
    left = _GONE_SECONDS - waited
    if left < 1 and (final or await _is_known(shard, services)):
        return False
    shortest = services.settings.batches.poll_min_seconds
    seconds = poll_interval(waited, shortest=shortest, longest=_GONE_LOOK_SECONDS, jitter=0.5)
    if left >= 1:
        seconds = min(seconds, left)
    now = services.clock.now()
    reason, text = ReasonCode.ANSWERS_MISSING, str(gone)
    waits = ShardWaits(shard=shard.id, reason=reason, text=text, due_at=now + seconds)
    await services.ledger.record(waits, at=now)
    log.warning(
        "answers.missing",
        job=shard.job,
        shard=shard.id,
        batch=shard.batch,
        reason=reason,
        text=text,
        again_in_seconds=round(seconds, 1),
    )
    return True


async def _has_waited(shard: Shard, services: Services) -> float:
    history = await services.ledger.history_of(shard.job)
    waits = (
        entry["facts"]["due_at"] - entry["at"]
        for entry in history
        if entry["shard"] == shard.id and entry["facts"].get("reason") == ReasonCode.ANSWERS_MISSING
    )
    return sum(waits, 0.0)


async def _is_known(shard: Shard, services: Services) -> bool:
    try:
        await services.remote.retrieve_batch(shard.batch or "")
    except RemoteRefused:
        return False
    return True


async def _judged(shard: Shard, job: Job, services: Services, *, lost: bool) -> Tally:
    shards = await services.ledger.shards_of(job.id)
    return await in_thread(_brought_in, shard, job, shards, services, lost=lost)


def _brought_in(
    shard: Shard, job: Job, shards: Sequence[Shard], services: Services, *, lost: bool
) -> Tally:
    lines = lines_of(job, services.work, services.recipes, pause=pause)
    retries = services.settings.retries
    harvest = lines.harvest(
        shard,
        attempts_before=attempts_before(shard, shards),
        max_attempts=retries.max_attempts,
        price=partial(services.prices.charge, asked=shard.model),
        truncated_fails=retries.on_truncated == "fail",
        final=is_final(job),
    )
    notes = notes_for(shard, lost=lost, final=is_final(job), per_request=lines.per_request)
    bring_in(services.work, shard, harvest, notes, pause=pause)
    return harvest.tally()


async def _mind_the_input(shard: Shard, job: Job, services: Services) -> None:
    """Have the dropped file back where somebody deleted it; for a job's shards it is done once."""
    # What was uploaded of a compressed file is its lines: its bytes are not to be had from them.
    # Nor is a table to be had from the requests that were made of it.
    if job.task or is_packed(services.work.dropped_at(job.id, job.name)):
        return
    async with services.regaining.of(job.id):
        if await in_thread(services.work.input, job.id) is None:
            shards = await services.ledger.shards_of(job.id)
            await _regain_input(job, shards, services, scratch=shard.id)


async def _regain_input(
    job: Job, shards: Sequence[Shard], services: Services, *, scratch: str
) -> None:
    """Somebody deleted the dropped file; the provider has what was uploaded of it (F67)."""
    sent = {s.rows: s.file_id for s in shards if s.round == 1 and s.file_id}
    inside, parts = services.work.regaining(job.id, scratch), list[Uploaded]()
    await in_thread(make_folder, inside)
    try:
        for number, (rows, file_id) in enumerate(sent.items()):
            parts.append(Uploaded(inside / f"{number}.jsonl", rows))
            await services.remote.download(file_id, parts[-1].path)
        target = services.work.dropped_at(job.id, job.name)
        await in_thread(regain, parts, target, sha256=job.sha256 or "", pause=pause)
    except (NotTheSame, RemoteRefused) as error:
        log.debug("input.lost", job=job.id, text=str(error))  # held, until it is put back
    else:
        log.warning("input.regained", job=job.id, file=shown(job.name), text=_REGAINED)
    finally:
        await in_thread(remove_folder, inside)


_REGAINED = "it was gone from var/work, and is put together again from what had been uploaded"
