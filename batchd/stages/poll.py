"""OPEN -> ENDED. Looks at every open batch, all at once: one list page instead of 100 calls."""

from __future__ import annotations

import math
import random
from collections.abc import Mapping, Sequence

import structlog

from batchd.core import limits
from batchd.core.errors import RemoteDenied, RemoteRefused, RemoteUnavailable
from batchd.core.events import BatchEnded, BatchSeen, Event, ShardWaits
from batchd.core.model import Batch, BatchStatus, ShardState
from batchd.core.pacing import poll_interval
from batchd.core.reasons import ReasonCode
from batchd.core.subjects import Shard
from batchd.runtime.services import Services

log = structlog.get_logger()

NAME = "poll"
WAKES = ("collect", "submit")
LIMIT = 1  #: one sweep at a time

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
    shards = await services.ledger.shards_in(ShardState.OPEN)
    open_shards = {shard.batch: shard for shard in shards if shard.batch}
    seen = await _listed(open_shards, services)
    sightings = _Sightings(services)
    for batch_id, shard in open_shards.items():
        if batch_id in seen:
            sightings.add(shard, seen[batch_id])
        elif shard.due_at <= services.clock.now():
            await _look_singly(shard, batch_id, sightings, services)
    await services.ledger.record(*sightings.events, at=services.clock.now())
    sightings.tell()
    if sightings.vanished and not sightings.seen:
        await _mind_the_vanished(sightings.vanished, services)


async def _listed(open_shards: Mapping[str, Shard], services: Services) -> dict[str, Batch]:
    """Walk the list as far as it is worth it; what it doesn't show is looked at singly."""
    if len(open_shards) == 1:
        return {}  # one call either way, and this one can't miss it
    seen: dict[str, Batch] = {}
    after: str | None = None
    for _ in range(math.ceil(len(open_shards) / limits.LIST_PAGE) + 1):
        try:
            page = await services.remote.list_batches(after=after)
        except RemoteRefused as refusal:
            log.warning("poll.no_list", text=str(refusal))  # some servers have none
            break
        seen |= {batch.id: batch for batch in page.batches if batch.id in open_shards}
        if len(seen) == len(open_shards) or not page.has_more or not page.batches:
            break
        after = page.batches[-1].id
    return seen


async def _look_singly(
    shard: Shard, batch_id: str, sightings: _Sightings, services: Services
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


async def _mind_the_vanished(vanished: Sequence[Shard], services: Services) -> None:
    """Tell a wrong key from a lost batch, when nothing at all was seen.

    A lone batch whose input file is still there is lost, and is held: it is looked at again, and
    never bought again behind a person's back. Otherwise this key sees nothing of ours.
    """
    lone = vanished[0]
    if len(vanished) == 1 and lone.file_id and await services.remote.file_exists(lone.file_id):
        return
    raise RemoteDenied(
        f"the provider knows nothing of {len(vanished)} open batches ({lone.batch}, ...):"
        " is this the key of another project?"
    )


#: A batch of a day is looked at some 300 times: only what changes its state is told to everybody.
_LOUDNESS = {"batch.progress": log.debug, "batch.unseen": log.warning}


class _Sightings:
    """What one sweep saw: events to record together, and lines to log once they are recorded."""

    def __init__(self, services: Services) -> None:
        self._services = services
        # Jitter belongs to the sweep, not to the batch: batches that drift apart can't share pages.
        self._jitter = random.random()
        self._lines: list[tuple[str, dict[str, object]]] = []
        self.events: list[Event] = []
        self.seen = 0
        self.vanished: list[Shard] = []

    def add(self, shard: Shard, batch: Batch) -> None:
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
        due_at = now + (grace or self._interval(now - (shard.opened_at or now)))
        self.events.append(
            BatchSeen(
                shard=shard.id,
                status=batch.status,
                counts=batch.counts,
                due_at=due_at,
                changed=changed,
            )
        )
        counts = {"completed": batch.counts.completed, "total": batch.counts.total}
        if changed:
            self._tell("batch.seen", shard, status=batch.raw_status, **counts)
        elif batch.counts != shard.counts:
            self._tell("batch.progress", shard, **counts)

    def wait(self, shard: Shard, reason: ReasonCode, text: str, seconds: float) -> None:
        """Note that a batch could not be looked at."""
        due_at = self._services.clock.now() + seconds
        self.events.append(ShardWaits(shard=shard.id, reason=reason, text=text, due_at=due_at))
        again = round(seconds, 1)
        self._tell("batch.unseen", shard, reason=reason, text=text, again_in_seconds=again)

    def tell(self) -> None:
        """Log what was recorded."""
        for event, facts in self._lines:
            _LOUDNESS.get(event, log.info)(event, **facts)

    def _tell(self, event: str, shard: Shard, **facts: object) -> None:
        self._lines.append(
            (event, {"job": shard.job, "shard": shard.id, "batch": shard.batch, **facts})
        )

    def _interval(self, age: float) -> float:
        batches = self._services.settings.batches
        return poll_interval(
            age,
            shortest=batches.poll_min_seconds,
            longest=batches.poll_max_seconds,
            jitter=self._jitter,
        )


def _is_over(batch: Batch, shard: Shard, now: float) -> bool:
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


def _ended(shard: Shard, batch: Batch, now: float) -> BatchEnded:
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
