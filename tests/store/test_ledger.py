"""The life of a job, by events, in a real database; and what does not happen."""

import asyncio
import random
import sqlite3
from dataclasses import fields, replace
from pathlib import Path
from typing import Any, get_args

import anyio
import pytest

from batchd.core import events as e
from batchd.core.errors import BrokenInvariant
from batchd.core.model import (
    BatchError,
    BatchStatus,
    CancelWhy,
    Counts,
    JobState,
    Pause,
    ShardState,
)
from batchd.core.rows import RowSet
from batchd.core.states import JOB_MOVES, SHARD_MOVES
from batchd.core.subjects import Job, Shard
from batchd.core.usage import ModelUsage, Usage
from batchd.store.ledger import Ledger
from tests.store.lives import (
    CHAT,
    JOB,
    a_planned_job,
    claimed,
    collected,
    ended,
    in_transaction,
    open_ledger,
    opened,
    plan,
    planned,
    publishing,
    rejected,
    replaced,
    state_of,
    to_ended,
    to_open,
)


async def everything(ledger: Ledger) -> list[tuple[Any, ...]]:
    def work(connection: sqlite3.Connection) -> list[tuple[Any, ...]]:
        tables = ("root", "jobs", "shards", "history")
        return [tuple(row) for t in tables for row in connection.execute(f"SELECT * FROM {t}")]

    return await ledger._database.read(work)


# The life of a job


async def test_a_job_lives_by_its_events(tmp_path: Path):
    async with open_ledger(tmp_path) as ledger:
        await ledger.record(claimed(), at=10.0)
        job = await ledger.job(JOB)
        assert (job.state, job.name, job.size, job.owner) == (
            JobState.CLAIMED,
            b"caf\xe9.jsonl",
            700,
            1000,
        )
        assert (job.claimed_at, job.state_at, job.round, job.requests) == (10.0, 10.0, 0, 0)
        assert (job.sha256, job.repairs, job.problems, job.summary) == (None, {}, None, {})

        await ledger.record(planned(plan(1, 2, 3)), at=11.0)
        job = await ledger.job(JOB)
        assert (job.state, job.state_at, job.round, job.requests) == (JobState.ACTIVE, 11.0, 1, 3)
        assert (job.sha256, job.signature, job.repairs) == ("ab12", "sig", {"bom": True})
        assert job.verbatim is False

        await ledger.record(*to_ended(f"{JOB}-1"), collected(f"{JOB}-1"), at=12.0)
        assert await state_of(ledger) is JobState.SETTLED
        await ledger.record(publishing(), at=13.0)
        job = await ledger.job(JOB)
        assert (job.state, job.folder, job.outcome) == (JobState.PUBLISHING, "f--0", "completed")
        assert job.summary == {"total": 3}
        await ledger.record(e.JobDelivered(job=JOB), at=14.0)
        job = await ledger.job(JOB)
        assert (job.state, job.delivered_at, job.claimed_at) == (JobState.DELIVERED, 14.0, 10.0)


async def test_a_shard_lives_by_its_events(tmp_path: Path):
    async with open_ledger(tmp_path) as ledger:
        (id_,) = await a_planned_job(ledger, plan(1, 2, 3))
        shard = await ledger.shard(id_)
        assert (shard.job, shard.number, shard.round, shard.state) == (
            JOB,
            1,
            1,
            ShardState.PLANNED,
        )
        assert (shard.endpoint, shard.model, shard.rows) == (CHAT, "small", RowSet.of([1, 2, 3]))
        assert (shard.requests, shard.size, shard.tokens, shard.tries) == (3, 300, 75, 0)
        assert (shard.due_at, shard.planned_at) == (10.0, 10.0)

        await ledger.record(
            e.FileUploaded(shard=id_, file_id="file-in", size=333, due_at=21.0), at=20.0
        )
        shard = await ledger.shard(id_)
        assert (shard.state, shard.file_id, shard.size) == (ShardState.PLANNED, "file-in", 333)
        assert shard.due_at == 21.0

        await ledger.record(e.SubmitStarted(shard=id_, due_at=150.0), at=30.0)
        shard = await ledger.shard(id_)
        assert (shard.state, shard.submit_started_at) == (ShardState.SUBMITTING, 30.0)
        assert shard.due_at == 150.0

        await ledger.record(opened(id_, "batch-1", due_at=50.0), at=31.0)
        shard = await ledger.shard(id_)
        assert (shard.state, shard.batch, shard.opened_at) == (ShardState.OPEN, "batch-1", 31.0)
        assert (shard.due_at, shard.status) == (50.0, None)

        seen = e.BatchSeen(
            shard=id_,
            status=BatchStatus.IN_PROGRESS,
            counts=Counts(3, 1, 0),
            due_at=65.0,
            changed=True,
        )
        await ledger.record(seen, at=50.0)
        shard = await ledger.shard(id_)
        assert (shard.status, shard.counts) == (BatchStatus.IN_PROGRESS, Counts(3, 1, 0))
        assert shard.due_at == 65.0

        await ledger.record(ended(id_), at=66.0)
        shard = await ledger.shard(id_)
        assert (shard.state, shard.status) == (ShardState.ENDED, BatchStatus.COMPLETED)
        assert (shard.counts, shard.output_file, shard.error_file) == (
            Counts(3, 2, 1),
            "file-out",
            None,
        )
        assert shard.errors == (BatchError("code", "message", "param", 7),)
        assert (shard.ended_at, shard.completed_at, shard.due_at) == (66.0, 60.0, 61.0)

        await ledger.record(collected(id_, 2, uncounted=[2]), at=70.0)
        shard = await ledger.shard(id_)
        assert (shard.state, shard.collected_at) == (ShardState.COLLECTED, 70.0)
        assert (shard.again, shard.uncounted) == (RowSet.of([2]), RowSet.of([2]))
        assert (shard.kept, shard.failed, shard.oddities) == (2, 1, {"unknown_ids": 1})
        assert shard.usage == {"small-2024": ModelUsage(Usage(10, 2), 3, None)}


async def test_a_rejected_job_is_published_like_any_other(tmp_path: Path):
    async with open_ledger(tmp_path) as ledger:
        await ledger.record(claimed(), rejected(), at=10.0)
        job = await ledger.job(JOB)
        assert (job.state, job.reason, job.problems) == (
            JobState.REJECTED,
            "invalid",
            {"total": 2},
        )
        await ledger.record(publishing(), e.JobDelivered(job=JOB), e.JobTidied(job=JOB), at=11.0)
        assert await state_of(ledger) is JobState.DELIVERED


async def test_a_refused_shard_ends_as_failed(tmp_path: Path):
    async with open_ledger(tmp_path) as ledger:
        (id_,) = await a_planned_job(ledger)
        refusal = e.SubmitRefused(shard=id_, errors=(BatchError("code", "no"),), due_at=31.0)
        await ledger.record(e.SubmitStarted(shard=id_, due_at=99.0), refusal, at=30.0)
        shard = await ledger.shard(id_)
        assert (shard.state, shard.status, shard.ended_at) == (
            ShardState.ENDED,
            BatchStatus.FAILED,
            30.0,
        )
        assert (shard.errors, shard.due_at, shard.batch) == (
            (BatchError("code", "no"),),
            31.0,
            None,
        )


async def test_what_is_put_off_says_why_and_counts_until_a_batch_is_there(tmp_path: Path):
    async with open_ledger(tmp_path) as ledger:
        (id_,) = await a_planned_job(ledger)

        def deferred(due_at: float, *, upload_again: bool = False) -> e.SubmitDeferred:
            return e.SubmitDeferred(
                shard=id_, reason="busy", text="429", due_at=due_at, upload_again=upload_again
            )

        uploaded = e.FileUploaded(shard=id_, file_id="file-in", size=1, due_at=0.0)
        await ledger.record(uploaded, deferred(31.0), deferred(33.0), at=30.0)
        shard = await ledger.shard(id_)
        assert (shard.state, shard.tries, shard.due_at) == (ShardState.PLANNED, 2, 33.0)
        assert (shard.reason, shard.file_id) == ("busy", "file-in")

        await ledger.record(e.SubmitStarted(shard=id_, due_at=90.0), at=34.0)
        assert (await ledger.shard(id_)).reason is None
        doubt = e.SubmitDoubted(shard=id_, reason="doubt", text="timeout", due_at=95.0)
        await ledger.record(doubt, at=35.0)
        shard = await ledger.shard(id_)
        assert (shard.state, shard.reason, shard.due_at) == (ShardState.SUBMITTING, "doubt", 95.0)

        await ledger.record(deferred(96.0, upload_again=True), at=95.0)
        shard = await ledger.shard(id_)
        assert (shard.state, shard.tries, shard.file_id) == (ShardState.PLANNED, 3, None)

        await ledger.record(*to_open(id_), at=97.0)
        shard = await ledger.shard(id_)
        assert (shard.tries, shard.reason) == (0, None)


@pytest.mark.parametrize("before", [to_open, to_ended])
async def test_a_waiting_shard_says_why_and_no_longer_than_it_waits(tmp_path: Path, before: Any):
    async with open_ledger(tmp_path) as ledger:
        (id_,) = await a_planned_job(ledger)
        await ledger.record(*before(id_), at=20.0)
        state = (await ledger.shard(id_)).state
        waits = e.ShardWaits(shard=id_, reason="denied", text="no key", due_at=77.0)
        await ledger.record(waits, at=21.0)
        shard = await ledger.shard(id_)
        assert (shard.state, shard.reason, shard.due_at) == (state, "denied", 77.0)
        rest = (ended(id_), collected(id_)) if before is to_open else (collected(id_),)
        await ledger.record(*rest, at=22.0)
        assert (await ledger.shard(id_)).reason is None


# What does not happen


async def test_an_illegal_move_raises_and_changes_nothing(tmp_path: Path):
    async with open_ledger(tmp_path) as ledger:
        await a_planned_job(ledger)
        before = await everything(ledger)
        with pytest.raises(BrokenInvariant, match="JobRejected cannot follow job state active"):
            await ledger.record(rejected(), at=20.0)
        with pytest.raises(BrokenInvariant, match="BatchEnded cannot follow shard state planned"):
            await ledger.record(ended(f"{JOB}-1"), at=20.0)
        assert await everything(ledger) == before


async def test_when_the_second_of_two_events_fails_the_first_did_not_happen(tmp_path: Path):
    async with open_ledger(tmp_path) as ledger:
        await a_planned_job(ledger)
        before = await everything(ledger)
        with pytest.raises(BrokenInvariant):
            await ledger.record(
                e.SubmitStarted(shard=f"{JOB}-1", due_at=9.0), collected(f"{JOB}-1"), at=20.0
            )
        with pytest.raises(BrokenInvariant):
            await ledger.record(claimed("0bbbbb"), publishing("0bbbbb"), at=20.0)
        assert await everything(ledger) == before


async def test_nobody_is_moved_who_is_not_there(tmp_path: Path):
    async with open_ledger(tmp_path) as ledger:
        with pytest.raises(BrokenInvariant, match="no job"):
            await ledger.record(publishing(), at=1.0)
        with pytest.raises(BrokenInvariant, match="no shard"):
            await ledger.record(ended("0aaaaa-1"), at=1.0)


async def test_a_move_that_moves_nobody_is_our_mistake(tmp_path: Path):
    """Somebody else wrote into the database, say; what was to happen is not taken for happened."""
    trigger = "CREATE TRIGGER still BEFORE UPDATE ON jobs BEGIN SELECT RAISE(IGNORE); END"
    async with open_ledger(tmp_path) as ledger:
        await ledger.record(claimed(), at=1.0)
        await ledger._database.write(lambda connection: connection.execute(trigger))
        with pytest.raises(BrokenInvariant, match="JobPlanned moved 0 rows from state claimed"):
            await ledger.record(planned(plan(1)), at=2.0)
        assert await ledger.shards_of(JOB) == []


async def test_a_job_is_claimed_once(tmp_path: Path):
    async with open_ledger(tmp_path) as ledger:
        await ledger.record(claimed(), at=1.0)
        before = await everything(ledger)
        with pytest.raises(sqlite3.IntegrityError):
            await ledger.record(claimed(), at=2.0)
        assert await everything(ledger) == before


async def test_a_batch_is_held_by_one_shard(tmp_path: Path):
    async with open_ledger(tmp_path) as ledger:
        one, two = await a_planned_job(ledger, plan(1), plan(2))
        await ledger.record(e.SubmitStarted(shard=one, due_at=0.0), opened(one, "b"), at=20.0)
        await ledger.record(e.SubmitStarted(shard=two, due_at=0.0), at=20.0)
        with pytest.raises(sqlite3.IntegrityError):
            await ledger.record(opened(two, "b"), at=21.0)
        assert (await ledger.shard(two)).state is ShardState.SUBMITTING
        assert await ledger.batch_holder("b") == one


async def test_a_batch_of_which_there_is_news_is_due_and_no_other(tmp_path: Path):
    async with open_ledger(tmp_path) as ledger:
        one, two, three = await a_planned_job(ledger, plan(1), plan(2), plan(3))
        await ledger.record(*to_open(one), *to_open(two), *to_ended(three), at=20.0)
        names = [f"batch-{one}", f"batch-{three}", "batch_of_somebody_else"]

        assert await ledger.look_sooner(names, at=30.0) == [one]
        due = [shard.due_at for shard in await ledger.shards_of(JOB)]
        assert due == [30.0, 40.0, 61.0]
        assert await ledger.look_sooner(names, at=35.0) == [one]
        assert (await ledger.shard(one)).due_at == 30.0


async def test_news_of_an_end_that_was_seen_does_not_hurry_its_files(tmp_path: Path):
    """Its end would be believed without them, and what they answer be bought again."""
    async with open_ledger(tmp_path) as ledger:
        (one,) = await a_planned_job(ledger)
        over = e.BatchSeen(
            shard=one, status=BatchStatus.COMPLETED, counts=Counts(), due_at=90.0, changed=True
        )
        await ledger.record(*to_open(one), over, at=30.0)

        assert await ledger.look_sooner([f"batch-{one}"], at=31.0) == []
        assert (await ledger.shard(one)).due_at == 90.0


EXAMPLES: dict[type[e.Event], Any] = {
    type(event): event
    for event in (
        claimed(),
        planned(plan(1, 2, 3)),
        rejected(),
        e.JobHeld(job=JOB, reason="over-budget", text="t"),
        e.HoldLapsed(job=JOB),
        e.JobReleased(job=JOB),
        e.JobCancelled(job=JOB, why=CancelWhy.ASKED, text="t"),
        e.JobConcluded(job=JOB),
        e.RoundPlanned(job=JOB, round=2, shards=(plan(1),)),
        publishing(),
        e.JobDelivered(job=JOB),
        e.JobTidied(job=JOB),
        e.JobTold(job=JOB, text="t"),
        e.FileUploaded(shard=f"{JOB}-1", file_id="f", size=1, due_at=1.0),
        e.SubmitStarted(shard=f"{JOB}-1", due_at=1.0),
        e.SubmitDoubted(shard=f"{JOB}-1", reason="r", text="t", due_at=1.0),
        e.SubmitDeferred(shard=f"{JOB}-1", reason="r", text="t", due_at=1.0),
        e.ShardWaits(shard=f"{JOB}-1", reason="r", text="t", due_at=1.0),
        e.LookAsked(shard=f"{JOB}-1", due_at=1.0),
        e.SubmitRefused(shard=f"{JOB}-1", errors=(), due_at=1.0),
        e.ShardCancelled(shard=f"{JOB}-1", due_at=1.0),
        e.CancelAsked(shard=f"{JOB}-1", due_at=1.0),
        e.FilesDeleted(shard=f"{JOB}-1"),
        e.Paused(what=Pause.INTAKE, by="root"),
        e.Resumed(what=Pause.INTAKE),
        e.RoomLearned(model="small", tokens=200_000),
        opened(f"{JOB}-1", "b"),
        e.BatchSeen(
            shard=f"{JOB}-1",
            status=BatchStatus.UNKNOWN,
            counts=Counts(),
            due_at=1.0,
            changed=True,
        ),
        ended(f"{JOB}-1"),
        collected(f"{JOB}-1"),
        replaced(f"{JOB}-1"),
    )
}


def test_there_is_an_example_of_every_event():
    assert set(EXAMPLES) == set(get_args(e.Event))


async def test_whatever_happens_in_whatever_order_the_ledger_follows_the_tables(tmp_path: Path):
    chance = random.Random(7)
    async with open_ledger(tmp_path) as ledger:
        for turn in range(60):
            job = f"0{turn:05}"
            await ledger.record(claimed(job), at=0.0)
            for _ in range(25):
                event = chance.choice(list(EXAMPLES.values()))
                await assert_it_follows(ledger, job, event)


async def assert_it_follows(ledger: Ledger, job: str, event: Any) -> None:
    if isinstance(event, e.JobClaimed):
        return
    if isinstance(event, e.RootEvent):
        await ledger.record(event, at=1.0)
        return
    values = {field.name: getattr(event, field.name) for field in fields(event)}
    shards = await ledger.shards_of(job)
    if isinstance(event, e.JobEvent):
        state: Any = (await ledger.job(job)).state
        legal = JOB_MOVES.get((state, type(event)))
        event = type(event)(**values | {"job": job})
    else:
        if not shards:
            return
        last = shards[-1]
        legal = SHARD_MOVES.get((last.state, type(event)))
        event = type(event)(**values | {"shard": last.id} | batch_of(event, last))
    before = await everything(ledger)
    if legal is None:
        with pytest.raises(BrokenInvariant):
            await ledger.record(event, at=1.0)
        assert await everything(ledger) == before
        return
    await ledger.record(event, at=1.0)
    if isinstance(event, e.JobEvent):
        assert (await ledger.job(job)).state is legal
    else:
        assert (await ledger.shard(event.shard)).state is legal


def batch_of(event: Any, shard: Shard) -> dict[str, str]:
    return {"batch": f"batch-{shard.id}"} if isinstance(event, e.BatchOpened) else {}


# Settling, rounds, replacing


async def test_the_last_verdict_settles_the_job_and_no_other(tmp_path: Path):
    async with open_ledger(tmp_path) as ledger:
        ids = await a_planned_job(ledger, plan(1), plan(2), plan(3))
        for id_ in ids:
            await ledger.record(*to_ended(id_), at=20.0)
        for id_ in ids[:2]:
            await ledger.record(collected(id_), at=21.0)
            assert await state_of(ledger) is JobState.ACTIVE
        await ledger.record(collected(ids[2]), at=30.0)
        job = await ledger.job(JOB)
        assert (job.state, job.state_at) == (JobState.SETTLED, 30.0)


async def test_what_is_to_be_tried_again_keeps_the_job_from_settling(tmp_path: Path):
    async with open_ledger(tmp_path) as ledger:
        one, two = await a_planned_job(ledger, plan(1, 2), plan(3))
        await ledger.record(*to_ended(one), collected(one, 2), *to_ended(two), at=20.0)
        assert await ledger.jobs_between_rounds() == []
        await ledger.record(collected(two), at=21.0)
        assert [job.id for job in await ledger.jobs_between_rounds()] == [JOB]

        await ledger.record(e.RoundPlanned(job=JOB, round=2, shards=(plan(2),)), at=22.0)
        assert await ledger.jobs_between_rounds() == []
        job, third = await ledger.job(JOB), (await ledger.shards_of(JOB))[-1]
        assert (job.round, job.state) == (2, JobState.ACTIVE)
        assert (third.id, third.number, third.round, third.due_at) == (f"{JOB}-3", 3, 2, 22.0)

        # What round 1 left is round 2's; it doesn't keep the job open for ever.
        await ledger.record(*to_ended(third.id), collected(third.id), at=23.0)
        assert await state_of(ledger) is JobState.SETTLED


async def test_a_round_without_a_shard_is_our_mistake(tmp_path: Path):
    """No verdict would ever settle it, and plan would find it between rounds again and again."""
    async with open_ledger(tmp_path) as ledger:
        await ledger.record(claimed(), at=10.0)
        with pytest.raises(BrokenInvariant, match="no shard"):
            await ledger.record(planned(), at=11.0)
        await ledger.record(planned(plan(1)), *to_ended(f"{JOB}-1"), at=12.0)
        await ledger.record(collected(f"{JOB}-1", 1), at=13.0)
        with pytest.raises(BrokenInvariant, match="round 2 of job 0aaaaa has no shard"):
            await ledger.record(e.RoundPlanned(job=JOB, round=2, shards=()), at=14.0)
        assert (await ledger.job(JOB)).round == 1


async def test_another_job_settles_no_job(tmp_path: Path):
    async with open_ledger(tmp_path) as ledger:
        (one,) = await a_planned_job(ledger)
        (other,) = await a_planned_job(ledger, job="0bbbbb")
        await ledger.record(*to_ended(other), collected(other, 1), *to_ended(one), at=20.0)
        await ledger.record(collected(one), at=21.0)
        assert await state_of(ledger) is JobState.SETTLED
        assert (await ledger.job("0bbbbb")).state is JobState.ACTIVE


@pytest.mark.parametrize("keep_file", [True, False])
async def test_a_replaced_shard_has_an_heir_and_settles_nothing(tmp_path: Path, keep_file: bool):
    async with open_ledger(tmp_path) as ledger:
        (id_,) = await a_planned_job(ledger, plan(1, 2, 5))
        uploaded = e.FileUploaded(shard=id_, file_id="file-in", size=333, due_at=0.0)
        await ledger.record(uploaded, *to_ended(id_), replaced(id_, keep_file=keep_file), at=50.0)
        old, heir = await ledger.shards_of(JOB)
        assert (old.state, old.uncounted, old.again) == (
            ShardState.COLLECTED,
            RowSet.of([1, 2, 5]),
            RowSet(),
        )
        assert (old.reason, old.batch, old.collected_at) == ("no-room", f"batch-{id_}", 50.0)
        assert (heir.id, heir.number, heir.round) == (f"{JOB}-2", 2, 1)
        assert (heir.state, heir.rows, heir.requests) == (ShardState.PLANNED, old.rows, 3)
        assert (heir.endpoint, heir.model, heir.tokens) == (old.endpoint, old.model, old.tokens)
        assert (heir.size, heir.file_id) == (333, "file-in" if keep_file else None)
        assert (heir.due_at, heir.reason, heir.tries) == (99.0, "no-room", 1)
        assert (heir.batch, heir.status, heir.errors, heir.opened_at) == (None, None, (), None)
        assert await state_of(ledger) is JobState.ACTIVE

        await ledger.record(*to_ended(heir.id), collected(heir.id), at=60.0)
        assert await state_of(ledger) is JobState.SETTLED


# History, clock, root


async def test_history_tells_what_happened_in_order(tmp_path: Path):
    async with open_ledger(tmp_path) as ledger:
        (id_,) = await a_planned_job(ledger, plan(1, 2, 3))
        await ledger.record(*to_ended(id_), collected(id_, 2), at=20.0)
        history = await ledger.history_of(JOB)
        assert [entry["event"] for entry in history] == [
            "JobClaimed",
            "JobPlanned",
            "SubmitStarted",
            "BatchOpened",
            "BatchEnded",
            "ShardCollected",
        ]
        assert [entry["at"] for entry in history] == [10.0, 10.0, 20.0, 20.0, 20.0, 20.0]
        assert [entry["shard"] for entry in history] == [None, None, id_, id_, id_, id_]
        facts = [entry["facts"] for entry in history]
        assert facts[0]["name"] == r"caf\xe9.jsonl"
        assert facts[1]["shards"] == [{"endpoint": CHAT, "model": "small", "requests": 3}]
        assert facts[4]["errors"][0]["message"] == "message"
        assert facts[5]["again"] == 1
        assert "uncounted" in facts[5]
        assert "error_file" not in facts[4]
        assert await ledger.history_of("0bbbbb") == []


async def test_a_look_that_saw_nothing_new_is_no_history(tmp_path: Path):
    async with open_ledger(tmp_path) as ledger:
        (id_,) = await a_planned_job(ledger)
        await ledger.record(*to_open(id_), at=20.0)
        before = len(await ledger.history_of(JOB))
        for changed in (False, True, False):
            seen = e.BatchSeen(
                shard=id_,
                status=BatchStatus.IN_PROGRESS,
                counts=Counts(),
                due_at=30.0,
                changed=changed,
            )
            await ledger.record(seen, at=21.0)
        assert len(await ledger.history_of(JOB)) == before + 1


async def test_nothing_waits_longer_than_its_state_may(tmp_path: Path):
    """A clock that was years ahead wrote these times."""
    async with open_ledger(tmp_path) as ledger:
        one, two, three = await a_planned_job(ledger, plan(1), plan(2), plan(3))
        await ledger.record(e.SubmitStarted(shard=one, due_at=1e12), at=20.0)
        await ledger.record(
            e.SubmitStarted(shard=two, due_at=0.0), opened(two, "b", due_at=1e12), at=20
        )
        await ledger.record(e.FileUploaded(shard=three, file_id="f", size=1, due_at=5.0), at=20.0)
        await ledger.clamp_due({ShardState.SUBMITTING: 120.0, ShardState.PLANNED: 300.0})
        due = {shard.id: shard.due_at for shard in await ledger.shards_of(JOB)}
        assert due == {one: 120.0, two: 1e12, three: 5.0}


async def test_a_root_keeps_its_id(tmp_path: Path):
    async with open_ledger(tmp_path, new_root="root-1") as ledger:
        assert ledger.root == "root-1"
        await a_planned_job(ledger)
    async with open_ledger(tmp_path, new_root="root-2", now=2.0) as ledger:
        assert ledger.root == "root-1"
        assert await state_of(ledger) is JobState.ACTIVE


def test_what_a_value_says_stands_in_the_schema():
    """Every member of Job and Shard has a column of its name; `_picked` relies on it."""
    from batchd.store import sql

    connection = sqlite3.connect(":memory:")
    connection.executescript(sql.schema())
    for table, kind in (("jobs", Job), ("shards", Shard)):
        columns = {row[1] for row in connection.execute(f"PRAGMA table_info({table})")}
        assert {field.name for field in fields(kind)} <= columns
    connection.close()


# Cancellation


async def test_a_task_cancelled_anywhere_leaves_nothing_half_done(tmp_path: Path):
    """R12. Cancelled means that nobody waits; a record is in the ledger whole, or not at all."""
    chance = random.Random(8)
    async with open_ledger(tmp_path) as ledger:
        for turn in range(150):
            job = f"0{turn:05}"
            task = asyncio.create_task(
                ledger.record(claimed(job), planned(plan(1), plan(2), job=job), at=1.0)
            )
            for _ in range(chance.randrange(5)):
                await asyncio.sleep(0)
            if chance.random() < 0.8:
                task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            await assert_whole(ledger, job)
        assert 0 < len(await ledger.jobs_in(JobState.ACTIVE)) <= 150


async def test_a_scope_cancelled_anywhere_leaves_nothing_half_done(tmp_path: Path):
    chance = random.Random(9)
    async with open_ledger(tmp_path) as ledger:
        for turn in range(60):
            async with anyio.create_task_group() as group:
                for number in range(4):
                    group.start_soon(a_record, ledger, f"0{turn:03}{number:02}")
                for _ in range(chance.randrange(8)):
                    await anyio.lowlevel.checkpoint()
                if chance.random() < 0.7:
                    group.cancel_scope.cancel()
            for number in range(4):
                await assert_whole(ledger, f"0{turn:03}{number:02}")


async def a_record(ledger: Ledger, job: str) -> None:
    await ledger.record(claimed(job), planned(plan(1), plan(2), job=job), at=1.0)


async def assert_whole(ledger: Ledger, job: str) -> None:
    assert not await in_transaction(ledger)
    there = await ledger.known_jobs([job])
    assert len(await ledger.shards_of(job)) == (2 if there else 0)
    assert len(await ledger.history_of(job)) == (2 if there else 0)


# Held, released, cancelled


async def test_what_is_held_goes_on_when_it_is_released_and_is_not_held_again(tmp_path: Path):
    async with open_ledger(tmp_path) as ledger:
        await ledger.record(claimed(), at=10.0)
        assert await ledger.wish(e.JobHeld(job=JOB, reason="held", text="by ada"), at=11.0)
        job = await ledger.job(JOB)
        assert (job.state, job.hold, job.hold_text) == (JobState.HELD, "held", "by ada")
        assert await ledger.intake() == (1, None)

        assert await ledger.wish(e.JobReleased(job=JOB), at=12.0)
        job = await ledger.job(JOB)
        assert (job.state, job.hold, job.waived) == (JobState.CLAIMED, None, True)


async def test_a_job_held_while_it_was_read_is_planned_and_waits_as_it_is(tmp_path: Path):
    async with open_ledger(tmp_path) as ledger:
        await ledger.record(claimed(), e.JobHeld(job=JOB, reason="held"), at=10.0)
        await ledger.record(planned(plan(1, 2)), at=11.0)
        job = await ledger.job(JOB)
        assert (job.state, job.hold) == (JobState.ACTIVE, "held")


async def test_a_wish_that_comes_too_late_changes_nothing(tmp_path: Path):
    async with open_ledger(tmp_path) as ledger:
        (one,) = await a_planned_job(ledger)
        await ledger.record(*to_ended(one), collected(one), at=20.0)
        before = await everything(ledger)

        assert not await ledger.wish(e.JobCancelled(job=JOB, why=CancelWhy.ASKED), at=21.0)
        assert not await ledger.wish(e.JobHeld(job="0nobody", reason="held"), at=21.0)
        assert await everything(ledger) == before


async def test_the_first_word_that_cancels_counts_and_its_shards_are_due(tmp_path: Path):
    async with open_ledger(tmp_path) as ledger:
        one, two = await a_planned_job(ledger, plan(1), plan(2))
        await ledger.record(*to_open(one), e.JobHeld(job=JOB, reason="held"), at=20.0)
        asked = e.JobCancelled(job=JOB, why=CancelWhy.ASKED, text="by ada")
        await ledger.record(asked, at=21.0)
        await ledger.record(e.JobCancelled(job=JOB, why=CancelWhy.DEADLINE), at=22.0)

        job = await ledger.job(JOB)
        assert (job.state, job.hold) == (JobState.ACTIVE, None)
        assert (job.cancelled_at, job.cancel_why, job.cancel_text) == (21.0, "asked", "by ada")
        assert (await ledger.shard(one)).due_at == 21.0

        # What has no batch ends without one, what has one is called off; then it is as ever.
        await ledger.record(e.ShardCancelled(shard=two, due_at=23.0), at=23.0)
        await ledger.record(e.CancelAsked(shard=one, due_at=38.0), at=23.0)
        shard = await ledger.shard(two)
        assert (shard.state, shard.status) == (ShardState.ENDED, BatchStatus.CANCELLED)
        assert (await ledger.shard(one)).cancel_asked_at == 23.0
        await ledger.record(ended(one), collected(one), collected(two), at=24.0)
        assert await state_of(ledger) is JobState.SETTLED


async def test_those_that_joined_a_cancelled_job_go_on_alone_and_nobody_joins_it(tmp_path: Path):
    async with open_ledger(tmp_path) as ledger:
        await a_planned_job(ledger)
        joiner, late = "0bbbbb", "0ccccc"
        for job in (joiner, late):
            await ledger.record(claimed(job), at=11.0)
        await ledger.record(replace(planned(plan(1), job=joiner), join=True), at=12.0)
        assert (await ledger.job(joiner)).joined == JOB

        await ledger.record(e.JobCancelled(job=JOB, why=CancelWhy.ASKED), at=13.0)
        job = await ledger.job(joiner)
        assert (job.state, job.joined) == (JobState.CLAIMED, None)
        await ledger.record(replace(planned(plan(1), job=late), join=True), at=14.0)
        assert (await ledger.job(late)).joined is None


async def test_one_that_joined_is_cancelled_alone_and_joins_nothing_again(tmp_path: Path):
    async with open_ledger(tmp_path) as ledger:
        await a_planned_job(ledger)
        joiner = "0bbbbb"
        await ledger.record(claimed(joiner), at=11.0)
        joining = replace(planned(plan(1), job=joiner), join=True)
        await ledger.record(joining, at=12.0)
        await ledger.record(e.JobCancelled(job=joiner, why=CancelWhy.ASKED), at=13.0)
        assert (await ledger.job(joiner)).state is JobState.CLAIMED
        assert (await ledger.job(JOB)).cancelled_at is None

        await ledger.record(joining, at=14.0)
        assert (await ledger.job(joiner)).joined is None
        assert len(await ledger.shards_of(joiner)) == 1


# What concerns no job


async def test_what_rests_is_remembered_and_so_is_whose_word_it_was(tmp_path: Path):
    async with open_ledger(tmp_path) as ledger:
        await ledger.record(e.Paused(what=Pause.SUBMISSION, by="ada"), at=10.0)
        await ledger.record(e.Paused(what=Pause.INTAKE, by="bob"), at=11.0)
        assert await ledger.pauses() == {Pause.INTAKE: "bob", Pause.SUBMISSION: "ada"}
        await ledger.record(e.Resumed(what=Pause.INTAKE), at=12.0)
        assert await ledger.pauses() == {Pause.SUBMISSION: "ada"}


async def test_the_last_limit_that_was_named_counts_while_it_is_new(tmp_path: Path):
    async with open_ledger(tmp_path) as ledger:
        for at, tokens in ((10.0, 900), (20.0, 200)):
            await ledger.record(e.RoomLearned(model="small", tokens=tokens), at=at)
        assert await ledger.rooms_learned(since=20.0) == {"small": 200}
        assert await ledger.rooms_learned(since=20.1) == {}


async def test_what_is_spent_is_added_up_by_day_and_model(tmp_path: Path):
    def spent(connection: sqlite3.Connection) -> list[tuple[Any, ...]]:
        rows = connection.execute("SELECT day, model, requests, cost, unpriced FROM spend")
        return [tuple(row) for row in rows]

    known = ModelUsage(Usage(10, 2), requests=2, cost=0.5, direct_cost=1.0)
    async with open_ledger(tmp_path) as ledger:
        one, two = await a_planned_job(ledger, plan(1), plan(2))
        first = replace(collected(one), usage={"small": known})
        second = replace(collected(two), usage={"small": known, "odd": replaced_cost(known)})
        await ledger.record(*to_ended(one), first, *to_ended(two), second, at=86_400.0 * 2)
        assert await ledger._database.read(spent) == [
            ("1970-01-03", "small", 4, 1.0, 0),
            ("1970-01-03", "odd", 2, 0.0, 2),
        ]


def replaced_cost(usage: ModelUsage) -> ModelUsage:
    return ModelUsage(usage.usage, usage.requests, cost=None, direct_cost=None)


async def test_the_same_file_joins_only_where_its_task_is_the_same(tmp_path: Path):
    async with open_ledger(tmp_path) as ledger:
        same, other = "0bbbbb", "0ccccc"
        for job in (JOB, same, other):
            await ledger.record(claimed(job), at=1.0)
        for job, recipe in ((JOB, "1f"), (same, "1f"), (other, "2e")):
            await ledger.record(
                replace(planned(plan(1), job=job), join=True, recipe=recipe), at=2.0
            )
        jobs = [await ledger.job(job) for job in (JOB, same, other)]
        assert [job.joined for job in jobs] == [None, JOB, None]
        assert [job.recipe for job in jobs] == ["1f", "1f", "2e"]
