"""The nouns: what a job, a shard and a batch are. Values only; nothing here does anything."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum


class JobState(StrEnum):
    """Where a dropped file is. The moves between these are the table in `core/states.py`."""

    CLAIMED = "claimed"  #: it left the inbox: the sender's first receipt
    HELD = "held"  #: somebody, or the budget, lets it wait before anything of it is sent
    ACTIVE = "active"  #: its shards say the rest
    REJECTED = "rejected"  #: the sender must mend it; nothing was uploaded
    SETTLED = "settled"  #: every request has its last verdict
    PUBLISHING = "publishing"  #: its folder is complete and about to appear, or just did
    DELIVERED = "delivered"  #: the end


class CancelWhy(StrEnum):
    """Why a job gets no more answers than it has."""

    ASKED = "asked"  #: a person said so
    DEADLINE = "deadline"  #: it is older than `jobs.deadline_hours`
    UNUSABLE_MODEL = "unusable-model"  #: its model answers no batch request: more is the same again


class Pause(StrEnum):
    """What may rest on an operator's word; everything else goes on."""

    INTAKE = "intake"  #: no file is taken out of the inbox
    SUBMISSION = "submission"  #: no batch is created


class ShardState(StrEnum):
    """Where one batch-sized part of a job is. A shard is one batch, for ever."""

    PLANNED = "planned"  #: the provider surely has no batch for it
    SUBMITTING = "submitting"  #: the provider may or may not have it: the one doubtful state
    OPEN = "open"  #: the provider has it, and we have its id
    ENDED = "ended"  #: refused, failed, expired, cancelled or completed; answers not yet here
    COLLECTED = "collected"  #: its answers are kept and every request of it has a verdict


#: Shards that still have a way to go; a job with one of these is not settled.
LIVE_SHARDS = (ShardState.PLANNED, ShardState.SUBMITTING, ShardState.OPEN, ShardState.ENDED)


class BatchStatus(StrEnum):
    """The provider's words for a batch (reference A.4), and one of ours for words yet to come."""

    VALIDATING = "validating"
    IN_PROGRESS = "in_progress"
    FINALIZING = "finalizing"
    COMPLETED = "completed"
    FAILED = "failed"
    EXPIRED = "expired"
    CANCELLING = "cancelling"
    CANCELLED = "cancelled"
    UNKNOWN = "unknown"  #: a word we don't know is no end: it is looked at again

    @property
    def is_end(self) -> bool:
        """Whether the provider will do no more for this batch."""
        return self in _ENDS


_ENDS = frozenset(
    {BatchStatus.COMPLETED, BatchStatus.FAILED, BatchStatus.EXPIRED, BatchStatus.CANCELLED}
)


@dataclass(frozen=True, slots=True)
class BatchError:
    """One entry of a failed batch's `errors.data`."""

    code: str | None
    message: str
    param: str | None = None
    line: int | None = None  #: 1-based line of the *uploaded* file


@dataclass(frozen=True, slots=True)
class Counts:
    """The provider's own running count. It lags, and never decides anything (reference C.7)."""

    total: int = 0
    completed: int = 0
    failed: int = 0


@dataclass(frozen=True, slots=True)
class Batch:
    """The provider's object, with the provider's tolerances taken out of it."""

    id: str
    status: BatchStatus
    raw_status: str  #: the word as it came, for the log
    input_file_id: str | None = None
    output_file_id: str | None = None  #: None where the provider says null, "" or nothing
    error_file_id: str | None = None
    created_at: float | None = None  #: seconds since the epoch
    completed_at: float | None = None
    expires_at: float | None = None
    counts: Counts = Counts()
    errors: tuple[BatchError, ...] = ()
    metadata: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class BatchPage:
    """One page of the provider's list, newest first in practice (reference D)."""

    batches: tuple[Batch, ...]
    has_more: bool


@dataclass(frozen=True, slots=True)
class BatchOrder:
    """Everything the provider is told when a batch is created."""

    input_file_id: str
    endpoint: str
    completion_window: str
    metadata: Mapping[str, str]  #: root, job and shard: how a lost batch is found again
    output_expires_seconds: int | None = None  #: None says nothing: the provider's own habit


@dataclass(frozen=True, slots=True)
class RemoteFile:
    """A file that the provider keeps for us."""

    id: str
    name: str
    bytes: int | None = None  #: None where the provider doesn't say
    created_at: float | None = None  #: seconds since the epoch


@dataclass(frozen=True, slots=True)
class FilePage:
    """One page of the provider's list of uploaded files."""

    files: tuple[RemoteFile, ...]
    has_more: bool
