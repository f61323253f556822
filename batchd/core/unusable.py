"""A model that answers directly, but in no batch: the same failure is not bought twenty times."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from batchd.core.model import BatchError, CancelWhy, ShardState
from batchd.core.subjects import Job, Shard
from batchd.core.verdicts import BY_CODE

CODE = "model_not_found"  # reference B.3, and what a line of an error file says
ODDITY = "unusable_model"  #: of a shard all whose requests came back without a model
_NOT_FOUND = 404


def is_without_model(code: str | None, status: int | None) -> bool:
    """Whether an answer says that there is no such model. Other things are not found by a name."""
    return code == CODE or (status == _NOT_FOUND and code not in BY_CODE)


def cancels_job(shard: Shard, shards: Sequence[Shard]) -> bool:
    """Whether a job with such a shard is to end: it has more of the same, and nothing else.

    A job of several models goes on with the others; see `unsent_for`.
    """
    others = [other for other in shards if other.id != shard.id]
    is_left = any(other.state is not ShardState.COLLECTED for other in others)
    return is_left and all(other.model == shard.model and not other.kept for other in others)


def unsent_for(shard: Shard, shards: Iterable[Shard]) -> tuple[BatchError, ...]:
    """Return why a shard is not even sent: one of its model found no model, and none found one."""
    same = [other for other in shards if other.model == shard.model]
    failed = next((other for other in same if ODDITY in other.oddities), None)
    if failed is None or any(other.kept for other in same):
        return ()
    return (BatchError(CODE, f"not sent: {words(failed)}"),)


def why_unsent(job: Job) -> tuple[BatchError, ...]:
    """Return what the requests of a cancelled job are told that were not sent; () is the usual."""
    if job.cancel_why is not CancelWhy.UNUSABLE_MODEL:
        return ()
    return (BatchError(CODE, f"not sent: {job.cancel_text}"),)


def words(shard: Shard) -> str:
    """Say what came of such a shard."""
    return (
        f"all {shard.requests:,} requests of {shard.id} came back with {CODE}:"
        f" {shard.model} is not to be had in batches with this account"
    )
