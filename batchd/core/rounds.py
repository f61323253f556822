"""Over all rounds of a job: what is left to try, and how often a row was executed."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Sequence
from itertools import chain

from batchd.core.model import BatchStatus
from batchd.core.rows import RowSet, RowSetBuilder
from batchd.core.subjects import Job, Shard
from batchd.core.verdicts import room_told


def is_final(job: Job) -> bool:
    """Whether a job gets no further round: what is not answered by now is given up."""
    return job.cancelled_at is not None


def is_heir_of(heir: Shard, other: Shard) -> bool:
    """Whether a shard replaced this one, or one that had replaced it.

    Within a round only these have rows in common; `tries` is of no use, a batch that opened has
    none any more.
    """
    return other.number < heir.number and (other.round, other.rows) == (heir.round, heir.rows)


def left_to_try(shards: Iterable[Shard], current: int) -> RowSet:
    """Return the rows that the current round leaves for the next one."""
    return _all_of(shard.again for shard in shards if shard.round == current)


def all_rows(shards: Iterable[Shard]) -> RowSet:
    """Return every row that has ever travelled."""
    return _all_of(shard.rows for shard in shards)


def rows_of_round(shards: Iterable[Shard], shard: Shard) -> RowSet:
    """Return every row that travelled in the round of one of these shards."""
    return _all_of(other.rows for other in shards if other.round == shard.round)


def bytes_before(shard: Shard, shards: Iterable[Shard]) -> int:
    """Return how many bytes of its round's requests lie before a shard's, where all are one file."""
    first = shard.rows.ranges[0]
    # By their rows: one that replaced another is no other.
    earlier = {
        other.rows: other.size
        for other in shards
        if other.round == shard.round and other.rows.ranges[0] < first
    }
    return sum(earlier.values())


def _all_of(sets: Iterable[RowSet]) -> RowSet:
    # Sorted once: added one by one, two hundred sets would be sorted two hundred times.
    builder = RowSetBuilder()
    for first, last in sorted(chain.from_iterable(rows.ranges for rows in sets)):
        builder.add_range(first, last)
    return builder.build()


def room_learned(shards: Iterable[Shard], current: int) -> dict[str, int]:
    """Return, by model, how many tokens a shard of the next round may have.

    Learned from shards of this round that were too large for the account's queue: what the
    provider named, and never more than half of what it refused, for our count is an estimate.
    """
    room: dict[str, int] = {}
    for shard in shards:
        if shard.round == current and shard.again == shard.uncounted == shard.rows:
            told = room_told(shard.errors) or shard.tokens
            most = max(min(told, shard.tokens // 2), 1)
            room[shard.model] = min(room.get(shard.model, most), most)
    return room


def size_learned(shards: Iterable[Shard], current: int) -> dict[str, int]:
    """Return, by model, how many requests a shard of the next round may have.

    Learned from batches of this round that expired: half of what such a one had, or as many as it
    managed, where that is more. What the provider had no time for once it may have none for again.
    """
    sizes: dict[str, int] = {}
    for shard in shards:
        if shard.round == current and shard.status is BatchStatus.EXPIRED and shard.again:
            managed = shard.requests * (len(shard.rows) - len(shard.again)) // len(shard.rows)
            most = max(shard.requests // 2, managed, 1)
            sizes[shard.model] = min(sizes.get(shard.model, most), most)
    return sizes


def attempts_before(shard: Shard, shards: Sequence[Shard]) -> array[int]:
    """Return, by row number, how often each row was executed before this shard.

    In round 1 nobody was: shards share rows only where one replaced another, which counts none.
    """
    earlier = [s for s in shards if s.number < shard.number] if shard.round > 1 else []
    return executions(earlier, last_row=shard.rows.ranges[-1][1])


def executions(shards: Iterable[Shard], *, last_row: int) -> array[int]:
    """Return, by row number (0 is unused), how often each row was executed, or expired."""
    counts = array("H", (0,)) * (last_row + 1)
    for shard in shards:
        for first, last in (shard.rows - shard.uncounted).ranges:
            _count(counts, first, min(last, last_row) + 1)
    return counts


def _count(counts: array[int], start: int, end: int) -> None:
    """Add one to each of a range; to all at once where they are alike, as a shard's mostly are."""
    before = counts[start:end]
    if before and before.count(before[0]) == len(before):
        counts[start:end] = array("H", (before[0] + 1,)) * len(before)
    else:
        for row in range(start, end):
            counts[row] += 1
