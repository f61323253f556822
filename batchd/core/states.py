"""What may follow what. A move that is no row here does not happen.

The ledger applies events through these tables and nothing else sets a state; `schema.sql` has the
same words in its CHECKs. ARCHITECTURE.md shows the picture, which a test draws from here.
"""

from __future__ import annotations

from collections.abc import Mapping

from batchd.core import events as e
from batchd.core.errors import BrokenInvariant
from batchd.core.model import JobState as Job
from batchd.core.model import ShardState as Shard

JobMoves = Mapping[tuple[Job, type[e.JobEvent]], Job]
ShardMoves = Mapping[tuple[Shard, type[e.ShardEvent]], Shard]

#: `JobClaimed` begins a job; `JobSettled` is no event but a consequence: see SETTLES.
JOB_MOVES: JobMoves = {
    (Job.CLAIMED, e.JobPlanned): Job.ACTIVE,
    (Job.CLAIMED, e.JobRejected): Job.REJECTED,
    (Job.CLAIMED, e.JobHeld): Job.HELD,
    (Job.CLAIMED, e.JobCancelled): Job.CLAIMED,
    (Job.HELD, e.JobHeld): Job.HELD,
    # Held while it was being read: what was read counts, and its shards are what waits.
    (Job.HELD, e.JobPlanned): Job.ACTIVE,
    (Job.HELD, e.JobRejected): Job.REJECTED,
    (Job.HELD, e.JobReleased): Job.CLAIMED,
    (Job.HELD, e.HoldLapsed): Job.CLAIMED,
    (Job.HELD, e.JobCancelled): Job.CLAIMED,
    (Job.ACTIVE, e.JobHeld): Job.ACTIVE,
    (Job.ACTIVE, e.JobReleased): Job.ACTIVE,
    (Job.ACTIVE, e.JobCancelled): Job.ACTIVE,
    (Job.ACTIVE, e.JobConcluded): Job.SETTLED,
    (Job.ACTIVE, e.RoundPlanned): Job.ACTIVE,
    (Job.SETTLED, e.PublishStarted): Job.PUBLISHING,
    (Job.REJECTED, e.PublishStarted): Job.PUBLISHING,
    (Job.PUBLISHING, e.JobDelivered): Job.DELIVERED,
    (Job.DELIVERED, e.JobTidied): Job.DELIVERED,
    (Job.DELIVERED, e.JobTold): Job.DELIVERED,
}

#: Shards begin as PLANNED, by JobPlanned, RoundPlanned or ShardReplaced.
SHARD_MOVES: ShardMoves = {
    (Shard.PLANNED, e.FileUploaded): Shard.PLANNED,
    (Shard.PLANNED, e.SubmitDeferred): Shard.PLANNED,
    (Shard.PLANNED, e.SubmitStarted): Shard.SUBMITTING,
    (Shard.PLANNED, e.ShardCancelled): Shard.ENDED,
    (Shard.SUBMITTING, e.SubmitDoubted): Shard.SUBMITTING,
    (Shard.SUBMITTING, e.SubmitDeferred): Shard.PLANNED,
    (Shard.SUBMITTING, e.SubmitRefused): Shard.ENDED,
    (Shard.SUBMITTING, e.BatchOpened): Shard.OPEN,
    (Shard.OPEN, e.BatchSeen): Shard.OPEN,
    (Shard.OPEN, e.ShardWaits): Shard.OPEN,
    (Shard.OPEN, e.LookAsked): Shard.OPEN,
    (Shard.OPEN, e.CancelAsked): Shard.OPEN,
    (Shard.OPEN, e.BatchEnded): Shard.ENDED,
    (Shard.ENDED, e.ShardWaits): Shard.ENDED,
    (Shard.ENDED, e.ShardReplaced): Shard.COLLECTED,
    (Shard.ENDED, e.ShardCollected): Shard.COLLECTED,
    (Shard.COLLECTED, e.FilesDeleted): Shard.COLLECTED,
}

#: The last verdict of a job settles it, in the same transaction; and with it those that joined it.
SETTLES = (Job.ACTIVE, Job.SETTLED)

#: Those that joined a job of which nothing came plan for themselves; so does, to be cancelled
#: alone, one that joined another.
RELEASES = (Job.ACTIVE, Job.CLAIMED)


def job_after(state: Job, event: type[e.JobEvent]) -> Job:
    """Return the state after an event. Raises `BrokenInvariant` for a move that isn't there."""
    try:
        return JOB_MOVES[state, event]
    except KeyError:
        raise BrokenInvariant(f"{event.__name__} cannot follow job state {state}") from None


def shard_after(state: Shard, event: type[e.ShardEvent]) -> Shard:
    """Return the state after an event. Raises `BrokenInvariant` for a move that isn't there."""
    try:
        return SHARD_MOVES[state, event]
    except KeyError:
        raise BrokenInvariant(f"{event.__name__} cannot follow shard state {state}") from None
