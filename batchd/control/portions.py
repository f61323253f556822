"""All jobs on their way, some at a time: ten thousand open batches are never all in memory.

For whoever looks at all of them inside the daemon, again and again. What is in use at once stays
with the process: memory between things that live on is not given back.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Iterator, Sequence

from batchd.control.jobs import Room
from batchd.control.ledger import Part
from batchd.core.admission import HOUR, LEARNED_FOR
from batchd.core.model import ShardState
from batchd.core.subjects import Job
from batchd.runtime.services import Services

AT_ONCE = 50  #: shards, or jobs; a job is never cut


async def portions(services: Services) -> AsyncIterator[tuple[Sequence[Job], Sequence[Part]]]:
    """Go through the jobs on their way: some of them, with their live shards."""
    for ids in _cut(await services.ledger.on_their_way()):
        jobs, live = await services.ledger.unfinished(ids)
        yield jobs, [Part(shard, text) for shard, text in live]


def _cut(counted: Iterable[tuple[str, int]]) -> Iterator[Sequence[str]]:
    ids, weight = list[str](), 0
    for id_, shards in counted:
        if ids and weight + max(shards, 1) > AT_ONCE:
            yield ids
            ids, weight = [], 0
        ids.append(id_)
        weight += max(shards, 1)
    if ids:
        yield ids


async def room_now(services: Services) -> Room:
    """Ask what the stage that submits asks, of what waits for its turn."""
    ledger, now = services.ledger, services.clock.now()
    return Room.of(
        [Part(shard, None) for shard in await ledger.shards_in(ShardState.PLANNED)],
        services.settings.batches,
        now=now,
        jobs=await ledger.marked_jobs(),
        pauses=await ledger.pauses(),
        learned=await ledger.rooms_learned(since=now - LEARNED_FOR),
        created=await ledger.created_since(now - HOUR),
        load=await ledger.live_at_provider(),
        taken=await ledger.turns_taken(),
    )
