"""What can happen: each event is one fact about one job or shard, recorded in one transaction.

Every shard event that leaves a shard live names its next `due_at` (seconds since the epoch), so
that no state inherits another's waiting.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from batchd.core.budget import Limits
from batchd.core.model import BatchError, BatchStatus, CancelWhy, Counts, Pause
from batchd.core.rows import RowSet
from batchd.core.sharding import ShardPlan
from batchd.core.usage import ModelUsage


@dataclass(frozen=True, slots=True, kw_only=True)
class JobEvent:
    """A fact about a job."""

    job: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ShardEvent:
    """A fact about a shard."""

    shard: str


# The life of a job


@dataclass(frozen=True, slots=True, kw_only=True)
class JobClaimed(JobEvent):
    """The file has left the inbox and lies in its work folder."""

    name: bytes  #: as it was dropped; names are bytes
    task: str
    size: int
    owner: int  #: the uid of the file


@dataclass(frozen=True, slots=True, kw_only=True)
class JobPlanned(JobEvent):
    """Every line was read and is good; the shards are what will travel."""

    sha256: str
    requests: int
    signature: str  #: of the file that was read; a different file is never uploaded for it
    repairs: Mapping[str, Any]
    verbatim: bool  #: one shard, nothing mended: the file is uploaded as it lies
    join: bool  #: if the same bytes are on their way already, have their answers, and pay nothing
    shards: tuple[ShardPlan, ...]
    warnings: Mapping[str, Any] = field(default_factory=dict)
    estimate: float | None = None  #: US dollars that it is expected to cost; None is not known
    recipe: str | None = None  #: sha256 of its task as it is now; None where it has none
    #: Where it does not fit these, and joins nobody, it is held instead; None is no budget.
    limits: Limits | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class JobHeld(JobEvent):
    """Nothing more of it is sent until somebody releases it."""

    reason: str
    text: str = ""
    estimate: float | None = None  #: US dollars, where it is the budget that holds it


@dataclass(frozen=True, slots=True, kw_only=True)
class HoldLapsed(JobEvent):
    """The budget held it, and may have room now: it is read again, and held against it again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class JobReleased(JobEvent):
    """Somebody said that it may go on, whatever the budget says."""


@dataclass(frozen=True, slots=True, kw_only=True)
class JobCancelled(JobEvent):
    """It gets no more answers than it has. What is open is called off; the rest is its stages'."""

    why: CancelWhy
    text: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class JobConcluded(JobEvent):
    """What is left to try is not tried: the job was cancelled, and has its last verdicts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class JobRejected(JobEvent):
    """The sender must mend it. Nothing was uploaded."""

    reason: str
    problems: Mapping[str, Any]  #: what error.json will say
    sha256: str
    requests: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RoundPlanned(JobEvent):
    """What is to be tried again travels together, in a new generation of shards."""

    round: int
    shards: tuple[ShardPlan, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishStarted(JobEvent):
    """The folder is complete under its dot-name. From here it appears once, or has appeared."""

    folder: str
    outcome: str
    summary: Mapping[str, Any]  #: requests and cost, for the log's one line per job


@dataclass(frozen=True, slots=True, kw_only=True)
class JobDelivered(JobEvent):
    """The folder is in the outbox."""


@dataclass(frozen=True, slots=True, kw_only=True)
class JobTidied(JobEvent):
    """What was left of its work folder is gone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class JobTold(JobEvent):
    """The operator's notice of its end was given, or given up."""

    text: str  #: what came of it


# The life of a shard


@dataclass(frozen=True, slots=True, kw_only=True)
class FileUploaded(ShardEvent):
    """The provider has its requests. Repeating this is litter, not money."""

    file_id: str
    size: int
    due_at: float


@dataclass(frozen=True, slots=True, kw_only=True)
class SubmitStarted(ShardEvent):
    """Recorded before the call: from here until BatchOpened, a crash means doubt, not loss."""

    due_at: float  #: when a crash may be asked about


@dataclass(frozen=True, slots=True, kw_only=True)
class SubmitDoubted(ShardEvent):
    """The call broke; only the provider knows whether there is a batch now."""

    reason: str
    text: str
    due_at: float


@dataclass(frozen=True, slots=True, kw_only=True)
class SubmitDeferred(ShardEvent):
    """There surely is no batch; it is tried again when due."""

    reason: str
    text: str
    due_at: float
    upload_again: bool = False  #: the provider does not find the file it gave an id for


@dataclass(frozen=True, slots=True, kw_only=True)
class ShardWaits(ShardEvent):
    """Nothing changed but the time of the next look, and the reason."""

    reason: str
    text: str
    due_at: float


@dataclass(frozen=True, slots=True, kw_only=True)
class LookAsked(ShardEvent):
    """The provider says that there is news of this batch: it is looked at sooner."""

    due_at: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ShardCancelled(ShardEvent):
    """Its job was cancelled before it had a batch: it ends without one."""

    errors: tuple[BatchError, ...] = ()  #: what its requests are told, if not the usual
    due_at: float


@dataclass(frozen=True, slots=True, kw_only=True)
class CancelAsked(ShardEvent):
    """The provider knows that nobody wants this batch any more; its end is seen as any other."""

    due_at: float


@dataclass(frozen=True, slots=True, kw_only=True)
class SubmitRefused(ShardEvent):
    """A definite no. Its requests are judged by collect, as after any other end."""

    errors: tuple[BatchError, ...]
    due_at: float


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchOpened(ShardEvent):
    """The provider has it, and we have its id."""

    batch: str
    due_at: float
    expires_at: float | None = None  #: the provider's word


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchSeen(ShardEvent):
    """A look at an open batch. Only a change of status is history."""

    status: BatchStatus
    counts: Counts
    due_at: float
    changed: bool
    expires_at: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchEnded(ShardEvent):
    """The provider will do no more for it."""

    status: BatchStatus
    counts: Counts
    output_file: str | None
    error_file: str | None
    errors: tuple[BatchError, ...]
    created_at: float | None
    completed_at: float | None
    due_at: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ShardCollected(ShardEvent):
    """Its answers are kept, and every request of it has a verdict.

    The transaction that records the last of these settles the job, too.
    """

    again: RowSet  #: to be tried again
    uncounted: RowSet  #: never executed: these attempts don't count
    kept: int
    failed: int
    usage: Mapping[str, ModelUsage] = field(default_factory=dict)
    oddities: Mapping[str, int] = field(default_factory=dict)  #: unknown or repeated ids, bad lines


@dataclass(frozen=True, slots=True, kw_only=True)
class ShardReplaced(ShardEvent):
    """A batch refused before it began: a new shard has its members, and counts no attempt."""

    reason: str
    text: str
    keep_file: bool  #: the new shard inherits the uploaded file
    due_at: float  #: of the new shard


@dataclass(frozen=True, slots=True, kw_only=True)
class FilesDeleted(ShardEvent):
    """What was uploaded for it, and what came of it, is gone from the provider, or has to stay."""


# What concerns no job


@dataclass(frozen=True, slots=True, kw_only=True)
class RootEvent:
    """A fact about the whole root. It leaves no history: the last one counts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Paused(RootEvent):
    """Somebody lets this rest."""

    what: Pause
    by: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Resumed(RootEvent):
    """It goes on."""

    what: Pause


@dataclass(frozen=True, slots=True, kw_only=True)
class RoomLearned(RootEvent):
    """The provider named the account's queue limit for a model, in tokens."""

    model: str
    tokens: int


Event = (
    JobClaimed
    | JobPlanned
    | JobRejected
    | JobHeld
    | HoldLapsed
    | JobReleased
    | JobCancelled
    | JobConcluded
    | RoundPlanned
    | PublishStarted
    | JobDelivered
    | JobTidied
    | JobTold
    | FileUploaded
    | SubmitStarted
    | SubmitDoubted
    | SubmitDeferred
    | ShardWaits
    | LookAsked
    | SubmitRefused
    | ShardCancelled
    | CancelAsked
    | BatchOpened
    | BatchSeen
    | BatchEnded
    | ShardCollected
    | ShardReplaced
    | FilesDeleted
    | Paused
    | Resumed
    | RoomLearned
)
