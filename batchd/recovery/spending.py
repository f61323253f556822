"""What was spent: as the old ledger's sums say, and as its answers do where a sum is lost."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from batchd.core.model import ShardState
from batchd.core.subjects import Job, Shard
from batchd.store import values
from batchd.store.salvage import Salvage

_KEY = ("day", "task", "model")
Key = tuple[Any, ...]
Row = Mapping[str, Any]


def spent_before(old: Salvage, jobs: Mapping[str, Job], shards: Sequence[Shard]) -> list[Row]:
    """Return the rows of the new ledger's sums: nothing twice, and no less than is known.

    A job that is rebuilt collects its batches anew, and adds them up again: so they are taken out.
    Of a sum that can't be read, what the shards that were collected took is all there is.
    """
    kept = {shard.id for shard in shards if shard.state is ShardState.COLLECTED}
    collected = [one for several in old.shards.values() for one in several if _is_collected(one)]
    anew = [one for one in collected if one.job in jobs and one.id not in kept]
    others = [one for one in collected if one.job not in jobs or one.id in kept]
    known = {_key(row): row for row in old.spend}
    sums = dict(known)
    for key, row in _added_up(anew, old.jobs).items():
        if key in sums:
            sums[key] = _less(sums[key], row)
    for key, row in _added_up(others, old.jobs).items():
        if key not in known:
            sums[key] = row
    return [row for row in sums.values() if row["requests"] > 0]


def _is_collected(shard: Shard) -> bool:
    return shard.state is ShardState.COLLECTED and shard.collected_at is not None


def _key(row: Row) -> Key:
    return tuple(row[name] for name in _KEY)


def _added_up(shards: Iterable[Shard], jobs: Mapping[str, Job]) -> dict[Key, Row]:
    total: dict[Key, Row] = {}
    for row in _rows(shards, jobs):
        before = total.get(_key(row), {})
        total[_key(row)] = {n: v if n in _KEY else before.get(n, 0) + v for n, v in row.items()}
    return total


def _rows(shards: Iterable[Shard], jobs: Mapping[str, Job]) -> Iterator[Row]:
    for shard in shards:
        day = datetime.fromtimestamp(shard.collected_at or 0.0, UTC).date().isoformat()
        task = jobs[shard.job].task if shard.job in jobs else ""
        for model, used in shard.usage.items():
            yield {"day": day, "task": task, "model": model, **values.spent(used)}


def _less(row: Row, taken: Row) -> Row:
    return {n: v if n in _KEY else max(v - taken[n], 0) for n, v in row.items()}
