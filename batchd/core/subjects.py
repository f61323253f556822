"""A job and a shard as the ledger tells them to the stages: rows turned into values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec

from batchd.core.model import BatchError, BatchStatus, CancelWhy, Counts, JobState, ShardState
from batchd.core.rows import RowSet
from batchd.core.usage import ModelUsage


@dataclass(frozen=True, slots=True)
class Job:
    """One dropped file, from claim to delivery. Times are seconds since the epoch."""

    id: str
    state: JobState
    name: bytes
    task: str
    size: int
    owner: int
    round: int
    joined: str | None  #: the job whose answers this one has, for its file is the same
    claimed_at: float
    state_at: float
    sha256: str | None
    requests: int
    signature: str | None
    repairs: Mapping[str, Any]
    verbatim: bool
    reason: str | None
    problems: Mapping[str, Any] | None
    folder: str | None
    outcome: str | None
    summary: Mapping[str, Any]
    delivered_at: float | None
    hold: str | None = None  #: the reason code why nothing more of it is sent
    hold_text: str | None = None
    waived: bool = False  #: somebody released it: no budget holds it again
    cancelled_at: float | None = None
    cancel_why: CancelWhy | None = None
    cancel_text: str | None = None
    warnings: Mapping[str, Any] = field(default_factory=dict)
    estimate: float | None = None  #: US dollars, before anything was sent; None is not known
    recipe: str | None = None  #: sha256 of its task as it was planned; None where it has none


@dataclass(frozen=True, slots=True)
class Shard:
    """The part of a job that travels as one batch."""

    id: str
    job: str
    number: int  #: from 1, over all rounds of the job
    round: int
    state: ShardState
    endpoint: str
    model: str
    rows: RowSet
    requests: int  #: of the provider; each may carry several rows
    size: int
    tokens: int
    tries: int  #: submissions put off or refused for a passing reason, in a row
    due_at: float
    file_id: str | None
    batch: str | None
    status: BatchStatus | None
    counts: Counts
    output_file: str | None
    error_file: str | None
    errors: tuple[BatchError, ...]
    planned_at: float
    submit_started_at: float | None
    opened_at: float | None
    ended_at: float | None
    completed_at: float | None
    collected_at: float | None
    again: RowSet
    uncounted: RowSet
    kept: int
    failed: int
    usage: Mapping[str, ModelUsage]
    oddities: Mapping[str, int]
    reason: str | None
    inputs: int = 0  #: texts to embed
    output_tokens: int = 0  #: expected, for the estimate
    estimate: float | None = None  #: US dollars
    file_at: float | None = None  #: when its file was uploaded: it does not stay there for ever
    expires_at: float | None = None  #: the provider's word
    cancel_asked_at: float | None = None
    status_at: float | None = None  #: when its status was first seen
    cleaned_at: float | None = None  #: when its files were deleted at the provider


class OpenShard(msgspec.Struct, frozen=True, gc=False):
    """What a look at the provider needs to know of an open shard: there may be ten thousand."""

    id: str
    job: str
    batch: str
    status: BatchStatus | None
    counts: Counts
    due_at: float
    opened_at: float | None
    expires_at: float | None
    cancel_asked_at: float | None
    status_at: float | None
    state: ShardState = ShardState.OPEN
