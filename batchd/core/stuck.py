"""When a batch takes so long that a person should hear of it. It is never given up for that."""

from __future__ import annotations

from batchd.core.model import BatchStatus, ShardState
from batchd.core.subjects import OpenShard, Shard

_WINDOW = 86_400.0  # the only completion window of OpenAI; reference B.1
_GRACE = 10_800.0  # an end was seen half an hour after `expires_at` (reference A.4): three hours
#: States that take seconds or minutes, 25 minutes at the most (reference A.4).
_SHORT = frozenset({BatchStatus.FINALIZING, BatchStatus.CANCELLING})
_SHORT_SECONDS = 7_200.0


def stuck_at(shard: Shard | OpenShard) -> float | None:
    """Return from when on an open batch is stuck, as far as it is known by now."""
    if shard.state is not ShardState.OPEN or shard.opened_at is None:
        return None
    ends = (shard.expires_at or shard.opened_at + _WINDOW) + _GRACE
    if shard.status in _SHORT and shard.status_at is not None:
        return min(ends, shard.status_at + _SHORT_SECONDS)
    return ends


def is_stuck(shard: Shard | OpenShard, now: float) -> bool:
    """Whether it is by now."""
    at = stuck_at(shard)
    return at is not None and now >= at
