"""A ledger in a folder, and the events that its tests tell it."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from batchd.core import events as e
from batchd.core.model import BatchError, BatchStatus, Counts, JobState
from batchd.core.rows import RowSet
from batchd.core.sharding import ShardPlan
from batchd.core.usage import ModelUsage, Usage
from batchd.store.ledger import Ledger

JOB = "0aaaaa"
CHAT = "/v1/chat/completions"


@asynccontextmanager
async def open_ledger(folder: Path, **given: Any) -> AsyncIterator[Ledger]:
    ledger = await Ledger.open(folder / "batchd.db", **{"new_root": "root-1", "now": 1.0, **given})
    try:
        yield ledger
    finally:
        assert not await in_transaction(ledger)
        await ledger.close()


async def in_transaction(ledger: Ledger) -> bool:
    return await ledger._database.read(lambda connection: connection.in_transaction)


def plan(*rows: int, model: str = "small") -> ShardPlan:
    return ShardPlan(CHAT, model, RowSet.of(rows), len(rows), 100 * len(rows), 25 * len(rows))


def claimed(job: str = JOB) -> e.JobClaimed:
    return e.JobClaimed(job=job, name=b"caf\xe9.jsonl", task="", size=700, owner=1000)


def planned(*shards: ShardPlan, job: str = JOB) -> e.JobPlanned:
    return e.JobPlanned(
        job=job,
        sha256="ab12",
        requests=sum(shard.requests for shard in shards),
        signature="sig",
        repairs={"bom": True},
        verbatim=False,
        shards=shards,
        join=False,
    )


def rejected(job: str = JOB) -> e.JobRejected:
    return e.JobRejected(
        job=job, reason="invalid", problems={"total": 2}, sha256="ab12", requests=0
    )


def publishing(job: str = JOB) -> e.PublishStarted:
    return e.PublishStarted(job=job, folder="f--0", outcome="completed", summary={"total": 3})


def opened(shard: str, batch: str, *, due_at: float = 40.0) -> e.BatchOpened:
    return e.BatchOpened(shard=shard, batch=batch, due_at=due_at)


def ended(shard: str, status: BatchStatus = BatchStatus.COMPLETED) -> e.BatchEnded:
    return e.BatchEnded(
        shard=shard,
        status=status,
        counts=Counts(3, 2, 1),
        output_file="file-out",
        error_file=None,
        errors=(BatchError("code", "message", "param", 7),),
        created_at=30.0,
        completed_at=60.0,
        due_at=61.0,
    )


def collected(shard: str, *again: int, uncounted: Sequence[int] = ()) -> e.ShardCollected:
    return e.ShardCollected(
        shard=shard,
        again=RowSet.of(again),
        uncounted=RowSet.of(uncounted),
        kept=2,
        failed=1,
        usage={"small-2024": ModelUsage(Usage(10, 2), 3, None)},
        oddities={"unknown_ids": 1},
    )


def replaced(shard: str, *, keep_file: bool = True) -> e.ShardReplaced:
    return e.ShardReplaced(
        shard=shard, reason="no-room", text="The queue is full.", keep_file=keep_file, due_at=99.0
    )


def to_open(shard: str) -> tuple[e.ShardEvent, ...]:
    return (e.SubmitStarted(shard=shard, due_at=0.0), opened(shard, f"batch-{shard}"))


def to_ended(shard: str) -> tuple[e.ShardEvent, ...]:
    return (*to_open(shard), ended(shard))


async def a_planned_job(ledger: Ledger, *shards: ShardPlan, job: str = JOB) -> list[str]:
    await ledger.record(claimed(job), planned(*(shards or (plan(1, 2, 3),)), job=job), at=10.0)
    return [shard.id for shard in await ledger.shards_of(job)]


async def state_of(ledger: Ledger) -> JobState:
    return (await ledger.job(JOB)).state
