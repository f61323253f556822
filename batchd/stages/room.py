"""Room in the account's queue, as the provider tells it: learned, waited for, cut to."""

from __future__ import annotations

from batchd.core.admission import LEARNED_FOR, Limits, learned_from
from batchd.core.errors import RemoteError, RemoteRefused
from batchd.core.model import BatchError
from batchd.core.pacing import ROOM_TRIES_ALONE, room_backoff
from batchd.core.reasons import ReasonCode
from batchd.core.rounds import is_heir_of
from batchd.core.subjects import Shard
from batchd.core.verdicts import NO_ROOM_CODE, room_told
from batchd.runtime.services import Services
from batchd.stages import noting


async def limits(services: Services) -> Limits:
    """Return what the account allows: by the settings, and by the provider's own word."""
    batches = services.settings.batches
    since = services.clock.now() - LEARNED_FOR
    return Limits(
        max_open=batches.max_open,
        max_per_hour=batches.max_per_hour,
        embeddings=batches.enqueued_embeddings,
        configured=batches.enqueued_tokens,
        learned=await services.ledger.rooms_learned(since=since),
    )


async def refused(shard: Shard, error: RemoteError, services: Services) -> None:
    """A queue that is full is no fault of the file: it waits, and is created from the same upload.

    One that would not find room however long it waits ends here, and collect sends its requests
    back to be planned in smaller shards.
    """
    said = (BatchError(NO_ROOM_CODE, str(error)),)
    await services.ledger.record(*learned_from(shard.model, said), at=services.clock.now())
    if await _never_fits(shard, room_told(said), services):
        await noting.refused(shard, error, services)
        return
    asked = getattr(error, "retry_after_seconds", None)
    wait = room_backoff(shard.tries + 1, asked_for=asked)
    await noting.deferred(shard, ReasonCode.NO_ROOM, error, services, wait=wait)


async def cut_up(shard: Shard, limit: int, services: Services) -> None:
    """The provider has named its limit: this one need not be refused to be planned anew."""
    sentence = (
        f"larger than the account's queue for {shard.model}. Limit: {limit:,} enqueued tokens."
    )
    refusal = RemoteRefused(sentence, code=NO_ROOM_CODE)
    await noting.refused(shard, refusal, services, noting.started(shard, services))
    services.bells["collect"].ring()


async def _never_fits(shard: Shard, told: int | None, services: Services) -> bool:
    if told is not None and shard.tokens > told:
        return True
    load = await services.ledger.live_at_provider()
    is_alone = load.tokens.get(shard.model, 0) <= shard.tokens
    return is_alone and await is_refused_on_and_on(shard, services, counted=1)


async def is_refused_on_and_on(shard: Shard, services: Services, *, counted: int = 0) -> bool:
    """Whether a shard that is alone in the queue is to be cut, though our count says that it fits.

    The count is an estimate: being refused again and again says more. A single request can't be
    cut, and waits on: the queue may be full of what others have in the same account.
    """
    if shard.requests == 1:
        return False
    return await refusals(shard, services) + counted >= ROOM_TRIES_ALONE


async def refusals(shard: Shard, services: Services) -> int:
    """Count how often this shard, and those it replaced, were refused for want of room.

    Not its tries: an outage has many, and says nothing of the queue.
    """
    line = {o.id for o in await services.ledger.shards_of(shard.job) if is_heir_of(shard, o)}
    return sum(
        entry["shard"] in line | {shard.id} and entry["facts"].get("reason") == ReasonCode.NO_ROOM
        for entry in await services.ledger.history_of(shard.job)
    )
