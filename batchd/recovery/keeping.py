"""Whether what the old ledger says of a job is all there is, and agrees with the world."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace

from batchd.core.model import Batch, BatchStatus, JobState, ShardState
from batchd.core.rows import RowSet
from batchd.core.subjects import Job, Shard
from batchd.spool.work import Work

_UNSENT = (ShardState.PLANNED, ShardState.SUBMITTING)
_WITH_ANSWERS = (JobState.ACTIVE, JobState.SETTLED, JobState.PUBLISHING)


def kept_shards(
    job: Job, shards: Sequence[Shard], batches: Sequence[Batch], work: Work, *, now: float
) -> list[Shard] | None:
    """Return a job's shards, brought up to date; None where the old ledger can't be believed.

    A backup of yesterday is a whole ledger, too: a batch that it does not know says so.
    """
    if not _are_all_there(job, shards) or not all(_has_answers(shard, work) for shard in shards):
        return None
    held = {shard.batch: shard for shard in shards if shard.batch is not None}
    current = {shard.id: shard for shard in shards}
    for batch in batches:
        if batch.id in held or batch.status is BatchStatus.FAILED:
            continue
        shard = current.get(batch.metadata.get("batchd_shard", ""))
        if shard is None or shard.batch is not None or shard.state not in _UNSENT:
            return None
        current[shard.id] = _opened(shard, batch, now=now)
    return list(current.values())


def _are_all_there(job: Job, shards: Sequence[Shard]) -> bool:
    """Whether no row of the ledger is missing: numbers without gaps, every request in a shard."""
    if [shard.number for shard in shards] != list(range(1, len(shards) + 1)):
        return False
    if job.state not in _WITH_ANSWERS or job.joined is not None or job.problems is not None:
        return not shards
    rows = RowSet()
    for shard in shards:
        rows |= shard.rows
    newest = max((shard.round for shard in shards), default=0)
    return len(rows) == job.requests > 0 and newest == job.round


def _has_answers(shard: Shard, work: Work) -> bool:
    if shard.state is not ShardState.COLLECTED or not (shard.kept or shard.failed or shard.again):
        return True
    return work.answers(shard.job, shard.id, "index").exists()


def _opened(shard: Shard, batch: Batch, *, now: float) -> Shard:
    """Give a shard the batch that was made for it after the ledger's last word."""
    at = batch.created_at or now
    return replace(
        shard,
        state=ShardState.OPEN,
        batch=batch.id,
        file_id=batch.input_file_id,
        submit_started_at=shard.submit_started_at or at,
        opened_at=at,
        due_at=now,
        reason=None,
    )


def not_yet_delivered(job: Job) -> Job:
    """Return a job whose file still lies in its work folder: its outbox folder is built anew."""
    if job.state is not JobState.PUBLISHING:
        return job
    return replace(job, state=JobState.REJECTED if job.problems else JobState.SETTLED)


def collected_shards(done: Collection[str], shards: Mapping[str, Sequence[Shard]]) -> list[Shard]:
    """Return the shards of finished jobs, for whoever joined them.

    None that is live: an old backup may have planned ones of a job that was delivered since, and
    they would be sent again.
    """
    return [
        shard
        for job in done
        for shard in shards.get(job, ())
        if shard.state is ShardState.COLLECTED
    ]


def tied(jobs: Mapping[str, Job], with_shards: Collection[str]) -> dict[str, Job]:
    """Tie those that joined to their first; where it is not there, they are planned by themselves."""
    result = {}
    for job in jobs.values():
        first = jobs.get(job.joined) if job.joined else None
        if job.joined is None or job.state is JobState.DELIVERED:
            result[job.id] = job if first else replace(job, joined=None)
        elif first is not None and first.id in with_shards:
            is_waiting = first.state is JobState.ACTIVE
            result[job.id] = replace(job, state=JobState.ACTIVE) if is_waiting else job
    return result
