"""OPEN -> ENDED. Looks at every open batch, all at once: one list page instead of 100 calls."""

from __future__ import annotations

import math
import random
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import structlog

from batchd.core import limits
from batchd.core.errors import RemoteDenied, RemoteRefused, RemoteUnavailable
from batchd.core.events import BatchEnded, BatchSeen, CancelAsked, Event, ShardWaits
from batchd.core.model import Batch, BatchError, BatchStatus, Counts, ShardState
from batchd.core.pacing import poll_interval
from batchd.core.reasons import ReasonCode
from batchd.core.stuck import is_stuck
from batchd.core.subjects import OpenShard, Shard
from batchd.core.verdicts import CANCELLED_CODE
from batchd.runtime.services import Services

log = structlog.get_logger()

NAME = "poll"
WAKES = ("collect", "submit")
LIMIT = 1  #: one sweep at a time

_NO_SUCH_BATCH = 404
_NOBODY_KNOWS = (
    "the job was cancelled, and the provider no longer knows the batch: nobody can tell whether this"
    " request was executed"
)
_DAY = 86_400.0
_FILES_GRACE = 60.0  #: seconds a batch that has ended may take to name its files (reference C.6)


async def run_once(services: Services) -> int:
    """Sweep when any open batch is due."""
    now = services.clock.now()
    if services.rest.is_on or not await _is_due(services, now):
        return 0
    return int(services.start(NAME, "sweep", _sweep, services))


async def next_look(services: Services) -> float | None:
    """When the next open batch is due."""
    due = await services.ledger.next_due(ShardState.OPEN)
    now = services.clock.now()
    return due - now if due is not None and due > now else None


async def _is_due(services: Services, now: float) -> bool:
    due = await services.ledger.next_due(ShardState.OPEN)
    return due is not None and due <= now


async def _sweep(services: Services) -> None:
    """Look at all open batches together, and record what was seen in one transaction."""
    put_off = await _call_off(services)
    shards = await services.ledger.open_shards()
    open_shards = {s.batch: s for s in shards if s.id not in put_off}
    sightings = _Sightings(services)
    listed = await _see_listed(open_shards, sightings, services)
    for batch_id, shard in open_shards.items():
        if batch_id not in listed and shard.due_at <= services.clock.now():
            await _look_singly(shard, batch_id, sightings, services)
    await services.ledger.record(*sightings.events, at=services.clock.now())
    sightings.tell()
    _tell_of_the_stuck(open_shards, services)
    held = [one for one in sightings.vanished if not await _given_up(one, sightings, services)]
    if held and not sightings.seen:
        await _mind_the_vanished(held, services)


def _tell_of_the_stuck(open_shards: Mapping[str, OpenShard], services: Services) -> None:
    """Once a day of each. It is looked at on and on: never given up, and never bought again."""
    now, told = services.clock.now(), services.stuck_told
    for batch in told.keys() - open_shards.keys():
        del told[batch]
    for batch, shard in open_shards.items():
        if is_stuck(shard, now) and now >= told.get(batch, -math.inf) + _DAY:
            told[batch] = now
            hours = round((now - (shard.opened_at or now)) / 3600, 1)
            log.warning(
                "batch.stuck",
                job=shard.job,
                shard=shard.id,
                batch=batch,
                reason=ReasonCode.STUCK,
                status=str(shard.status),
                hours=hours,
            )


async def _call_off(services: Services) -> set[str]:
    """Tell the provider of the batches that nobody wants any more; return those not to look at now.

    Their end is seen as any other: one that was completed in spite of it is delivered.
    """
    put_off = set[str]()
    for shard in await services.ledger.shards_to_cancel(now=services.clock.now()):
        if not await _cancel(shard, shard.batch or "", services):
            put_off.add(shard.id)
    return put_off


async def _cancel(shard: Shard, batch: str, services: Services) -> bool:
    """Ask for one batch to be cancelled; False where the call itself is to be tried again."""
    shortest = services.settings.batches.poll_min_seconds
    now = services.clock.now
    try:
        await services.remote.cancel_batch(batch)
    except RemoteRefused as refusal:
        if refusal.status == _NO_SUCH_BATCH:
            return True  # it is looked at as any other, and what that finds is told
        # A 409 says that it has ended by now, anything else that nobody can cancel it there.
        log.info("batch.not_cancelled", job=shard.job, shard=shard.id, text=str(refusal))
        await services.ledger.record(CancelAsked(shard=shard.id, due_at=now()), at=now())
    except RemoteUnavailable as error:
        seconds = max(shortest, error.retry_after_seconds or 0.0)
        sightings = _Sightings(services)
        sightings.wait(shard, ReasonCode.PROVIDER_UNAVAILABLE, str(error), seconds)
        await services.ledger.record(*sightings.events, at=now())
        sightings.tell()
        return False
    else:
        asked = CancelAsked(shard=shard.id, due_at=now() + shortest)
        await services.ledger.record(asked, at=now())
        log.info("batch.cancel_asked", job=shard.job, shard=shard.id, batch=batch)
    return True


async def _see_listed(
    open_shards: Mapping[str, OpenShard], sightings: _Sightings, services: Services
) -> set[str]:
    """Walk the list as far as it is worth it; return what it showed. The rest is seen singly.

    Page by page: of ten thousand batches no more than a hundred are in memory as they came.
    """
    seen = set[str]()
    if len(open_shards) == 1:
        return seen  # one call either way, and the other one can't miss it
    after: str | None = None
    for _ in range(math.ceil(len(open_shards) / limits.LIST_PAGE) + 1):
        try:
            page = await services.remote.list_batches(after=after)
        except RemoteRefused as refusal:
            log.warning("poll.no_list", text=str(refusal))  # some servers have none
            break
        # One that moved to the next page meanwhile is looked at once.
        for batch in page.batches:
            shard = open_shards.get(batch.id)
            if shard is not None and shard.batch not in seen:
                seen.add(shard.batch)  # the page's own words go with the page
                sightings.add(shard, batch)
        if len(seen) == len(open_shards) or not page.has_more or not page.batches:
            break
        after = page.batches[-1].id
    return seen


async def _look_singly(
    shard: OpenShard, batch_id: str, sightings: _Sightings, services: Services
) -> None:
    try:
        batch = await services.remote.retrieve_batch(batch_id)
    except RemoteRefused as refusal:
        # A 404 alone ends nothing: another project's key gives 404 for everything.
        sightings.vanished.append(shard)
        sightings.wait(
            shard,
            ReasonCode.BATCH_VANISHED,
            str(refusal),
            services.settings.batches.poll_max_seconds,
        )
    except RemoteUnavailable as error:
        shortest = services.settings.batches.poll_min_seconds
        seconds = max(shortest, error.retry_after_seconds or 0.0)
        sightings.wait(shard, ReasonCode.PROVIDER_UNAVAILABLE, str(error), seconds)
    else:
        sightings.add(shard, batch)


async def _given_up(shard: OpenShard, sightings: _Sightings, services: Services) -> bool:
    """End a vanished batch that a person has cancelled: nobody else would ever let it go.

    Not on the 404 alone, which another project's key gets, too: that key is told by the others
    that were seen, or by the input file. Where neither is there, a day is enough.
    """
    job, now = await services.ledger.job(shard.job), services.clock.now()
    if job.cancelled_at is None:
        return False
    is_ours = sightings.seen or now >= job.cancelled_at + _DAY
    if not is_ours and not await _has_its_file(shard, services):
        return False
    ended = BatchEnded(
        shard=shard.id,
        status=BatchStatus.CANCELLED,
        counts=shard.counts,
        output_file=None,
        error_file=None,
        errors=(BatchError(CANCELLED_CODE, _NOBODY_KNOWS),),
        created_at=None,
        completed_at=None,
        due_at=now,
    )
    await services.ledger.record(ended, at=now)
    log.warning("batch.given_up", job=shard.job, shard=shard.id, batch=shard.batch)
    return True


async def _mind_the_vanished(vanished: Sequence[OpenShard], services: Services) -> None:
    """Tell a wrong key from a lost batch, when nothing at all was seen.

    A lone batch whose input file is still there is lost, and is held: it is looked at again, and
    never bought again behind a person's back. Otherwise this key sees nothing of ours.
    """
    lone = vanished[0]
    if len(vanished) == 1 and await _has_its_file(lone, services):
        return
    raise RemoteDenied(
        f"the provider knows nothing of {len(vanished)} open batches ({lone.batch}, ...):"
        " is this the key of another project?"
    )


async def _has_its_file(shard: OpenShard, services: Services) -> bool:
    file_id = (await services.ledger.shard(shard.id)).file_id
    return file_id is not None and await services.remote.file_exists(file_id)


#: A batch of a day is looked at some 300 times: only what changes its state is told to everybody.
_LOUDNESS = {"batch.progress": log.debug, "batch.unseen": log.warning}


_NO_FACTS: Mapping[str, object] = {}


class _Line(NamedTuple):
    """A line of the log, but for the words: a sweep may have ten thousand that nobody reads."""

    event: str
    shard: Shard | OpenShard
    counts: Counts | None
    facts: Mapping[str, object]


class _Sightings:
    """What one sweep saw: events to record together, and lines to log once they are recorded."""

    def __init__(self, services: Services) -> None:
        self._services = services
        # Jitter belongs to the sweep, not to the batch: batches that drift apart can't share pages.
        self._jitter = random.random()
        self._lines: list[_Line] = []
        self.events: list[Event] = []
        self.seen = 0
        self.vanished: list[OpenShard] = []

    def add(self, shard: OpenShard, batch: Batch) -> None:
        """Turn one look into an event."""
        now = self._services.clock.now()
        self.seen += 1
        if _is_over(batch, shard, now):
            self.events.append(_ended(shard, batch, now))
            self._tell("batch.ended", shard, status=str(batch.status))
            return
        changed = batch.status != shard.status
        if batch.status.is_end and not changed:
            return  # its files have until its `due_at`, which no other batch's look moves
        grace = _FILES_GRACE if batch.status.is_end else 0.0
        begun = shard.cancel_asked_at or shard.opened_at or now
        due_at = now + (grace or self._interval(now - begun))
        # What is as it was is what we have already: there may be ten thousand to record.
        is_same = batch.counts == shard.counts
        counts = shard.counts if is_same else batch.counts
        expires_at = None if batch.expires_at == shard.expires_at else batch.expires_at
        self.events.append(
            BatchSeen(
                shard=shard.id,
                status=batch.status,
                counts=counts,
                due_at=due_at,
                changed=changed,
                expires_at=expires_at,
            )
        )
        if changed:
            self._tell("batch.seen", shard, counts, status=batch.raw_status)
        elif not is_same:
            self._tell("batch.progress", shard, counts)

    def wait(self, shard: Shard | OpenShard, reason: ReasonCode, text: str, seconds: float) -> None:
        """Note that a batch could not be looked at."""
        due_at = self._services.clock.now() + seconds
        self.events.append(ShardWaits(shard=shard.id, reason=reason, text=text, due_at=due_at))
        again = round(seconds, 1)
        self._tell("batch.unseen", shard, reason=reason, text=text, again_in_seconds=again)

    def tell(self) -> None:
        """Log what was recorded."""
        for event, shard, counts, facts in self._lines:
            said = {"completed": counts.completed, "total": counts.total} if counts else {}
            whose = {"job": shard.job, "shard": shard.id, "batch": shard.batch}
            _LOUDNESS.get(event, log.info)(event, **whose, **facts, **said)

    def _tell(
        self,
        event: str,
        shard: Shard | OpenShard,
        counts: Counts | None = None,
        **facts: object,
    ) -> None:
        self._lines.append(_Line(event, shard, counts, facts or _NO_FACTS))

    def _interval(self, age: float) -> float:
        batches = self._services.settings.batches
        return poll_interval(
            age,
            shortest=batches.poll_min_seconds,
            longest=batches.poll_max_seconds,
            jitter=self._jitter,
        )


def _is_over(batch: Batch, shard: OpenShard, now: float) -> bool:
    """An end is believed at once with its files, and without them at a second look, when due.

    It may be said a moment before the files are named, and what they answer would be bought again.
    """
    if not batch.status.is_end:
        return False
    return not _lacks_files(batch) or (batch.status is shard.status and shard.due_at <= now)


def _lacks_files(batch: Batch) -> bool:
    if batch.status is BatchStatus.FAILED:
        return False  # it never began, and has none
    has_any = batch.output_file_id or batch.error_file_id
    return not has_any or (batch.counts.completed > 0 and not batch.output_file_id)


def _ended(shard: OpenShard, batch: Batch, now: float) -> BatchEnded:
    return BatchEnded(
        shard=shard.id,
        status=batch.status,
        counts=batch.counts,
        output_file=batch.output_file_id,
        error_file=batch.error_file_id,
        errors=batch.errors,
        created_at=batch.created_at,
        completed_at=batch.completed_at,
        due_at=now,
    )
