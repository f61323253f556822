"""What the stages ask the ledger, and that asking stays cheap when it is old."""

import re
import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from batchd.core import events as e
from batchd.core.admission import Created, Load, in_turn
from batchd.core.errors import BrokenInvariant
from batchd.core.model import CancelWhy, JobState, Pause, ShardState
from batchd.core.unusable import ODDITY as UNUSABLE
from batchd.store import sql
from batchd.store.lookups import Glance
from tests.store.lives import (
    JOB,
    a_planned_job,
    claimed,
    collected,
    open_ledger,
    opened,
    plan,
    publishing,
    rejected,
    to_ended,
    to_open,
)

OTHER = "0bbbbb"


def started(shard: str) -> e.SubmitStarted:
    return e.SubmitStarted(shard=shard, due_at=0.0)


async def test_who_is_asked_for_is_there(tmp_path: Path):
    async with open_ledger(tmp_path) as ledger:
        with pytest.raises(BrokenInvariant, match="no job"):
            await ledger.job(JOB)
        with pytest.raises(BrokenInvariant, match="no shard"):
            await ledger.shard(f"{JOB}-1")


async def test_jobs_of_a_state_come_oldest_first(tmp_path: Path):
    async with open_ledger(tmp_path) as ledger:
        for job in ("0ccccc", JOB, OTHER):
            await ledger.record(claimed(job), at=1.0)
        await ledger.record(rejected(OTHER), at=2.0)
        assert [job.id for job in await ledger.jobs_in(JobState.CLAIMED)] == [JOB, "0ccccc"]
        assert [job.id for job in await ledger.jobs_in(JobState.CLAIMED, most=1)] == [JOB]
        assert [job.id for job in await ledger.jobs_in(JobState.REJECTED)] == [OTHER]
        assert await ledger.jobs_in(JobState.ACTIVE) == []


async def test_a_job_is_tidied_once_and_not_too_early(tmp_path: Path):
    async with open_ledger(tmp_path) as ledger:
        for job, at in ((JOB, 20.0), (OTHER, 10.0)):
            await ledger.record(claimed(job), rejected(job), publishing(job), at=1.0)
            assert await ledger.jobs_to_tidy(before=99.0) == (
                [] if job is JOB else [await ledger.job(JOB)]
            )
            await ledger.record(e.JobDelivered(job=job), at=at)
        assert [job.id for job in await ledger.jobs_to_tidy(before=20.0)] == [OTHER, JOB]
        assert [job.id for job in await ledger.jobs_to_tidy(before=19.9)] == [OTHER]
        await ledger.record(e.JobTidied(job=OTHER), at=30.0)
        assert [job.id for job in await ledger.jobs_to_tidy(before=20.0)] == [JOB]


async def test_a_job_is_to_be_told_of_from_its_delivery_until_it_was(tmp_path: Path):
    async with open_ledger(tmp_path) as ledger:
        for job, at in ((JOB, 20.0), (OTHER, 10.0)):
            await ledger.record(claimed(job), rejected(job), publishing(job), at=1.0)
            assert job not in [one.id for one in await ledger.jobs_to_tell()]
            await ledger.record(e.JobDelivered(job=job), at=at)
        assert [job.id for job in await ledger.jobs_to_tell()] == [OTHER, JOB]
        assert await ledger.wish(e.JobTold(job=OTHER, text="exit 0"), at=30.0)
        assert [job.id for job in await ledger.jobs_to_tell()] == [JOB]
        await ledger.tell_nobody(rejected=True, at=31.0)
        assert [job.id for job in await ledger.jobs_to_tell()] == [JOB]
        await ledger.tell_nobody(rejected=False, at=31.0)
        assert await ledger.jobs_to_tell() == []


async def test_only_jobs_are_known(tmp_path: Path):
    async with open_ledger(tmp_path) as ledger:
        assert await ledger.last_job() is None
        await ledger.record(claimed(JOB), claimed(OTHER), at=1.0)
        folders = [JOB, "lost+found", "0zzzzz", "caf\udce9", "'; DROP TABLE jobs"]
        assert await ledger.known_jobs(folders) == {JOB}
        assert await ledger.known_jobs([]) == set()
        assert await ledger.last_job() == OTHER


async def test_shards_come_as_they_were_planned(tmp_path: Path):
    async with open_ledger(tmp_path) as ledger:
        ids = await a_planned_job(ledger, *(plan(row) for row in range(1, 13)))
        assert ids == [f"{JOB}-{number}" for number in range(1, 13)]


async def test_the_longest_due_is_looked_at_first(tmp_path: Path):
    async with open_ledger(tmp_path) as ledger:
        one, two, three = await a_planned_job(ledger, plan(1), plan(2), plan(3))
        for shard, due_at in ((one, 50.0), (two, 40.0), (three, 60.0)):
            await ledger.record(started(shard), opened(shard, f"b{shard}", due_at=due_at), at=20.0)
        due = await ledger.shards_due(ShardState.OPEN, now=50.0)
        assert [shard.id for shard in due] == [two, one]
        assert [s.id for s in await ledger.shards_due(ShardState.OPEN, now=99.0, most=1)] == [two]
        assert await ledger.next_due(ShardState.OPEN) == 40.0
        assert await ledger.next_due(ShardState.ENDED) is None
        assert {shard.id for shard in await ledger.shards_in(ShardState.OPEN)} == {one, two, three}


async def test_a_sweep_is_told_of_every_open_shard_what_it_needs(tmp_path: Path):
    async with open_ledger(tmp_path) as ledger:
        ids = await a_planned_job(ledger, plan(1), plan(2), plan(3), plan(4))
        await ledger.record(*to_open(ids[1]), *to_open(ids[0]), *to_ended(ids[2]), at=20.0)
        found = await ledger.open_shards()
        assert [one.id for one in found] == ids[:2]
        for one in found:
            whole = await ledger.shard(one.id)
            for name in one.__struct_fields__:
                assert getattr(one, name) == getattr(whole, name), name
        assert found[0].job is found[1].job
        assert found[0].counts is found[1].counts


async def test_a_glance_tells_what_is_open_and_what_waits(tmp_path: Path):
    async with open_ledger(tmp_path) as ledger:
        assert await ledger.glance() == Glance(open=0, oldest=None, next_look=None, waiting=0)
        one, two, _ = await a_planned_job(ledger, plan(1), plan(2), plan(3))
        await a_planned_job(ledger, plan(1), job=OTHER)
        await ledger.record(claimed("0zzzzz"), at=12.0)
        assert (await ledger.glance()).waiting == 3
        for shard, due_at, at in ((one, 50.0, 21.0), (two, 40.0, 22.0)):
            await ledger.record(started(shard), opened(shard, f"b{shard}", due_at=due_at), at=at)
        assert await ledger.glance() == Glance(open=2, oldest=21.0, next_look=40.0, waiting=2)


async def test_submission_goes_round_jobs_and_models(tmp_path: Path):
    async with open_ledger(tmp_path) as ledger:
        await a_planned_job(ledger, plan(1), plan(2), plan(3, model="big"), plan(4))
        await a_planned_job(ledger, plan(1), plan(2), job=OTHER)
        turns = [shard.id for shard in await ledger.shards_to_submit(now=10.0)]
        assert turns == [
            *(f"{JOB}-1", f"{JOB}-3", f"{OTHER}-1"),
            *(f"{JOB}-2", f"{OTHER}-2"),
            f"{JOB}-4",
        ]
        assert await ledger.shards_to_submit(now=9.9) == []


async def test_those_on_their_way_are_among_a_handful_however_late_their_turn(tmp_path: Path):
    async with open_ledger(tmp_path) as ledger:
        await a_planned_job(ledger, *(plan(row) for row in range(1, 9)))
        some = await ledger.shards_to_submit(now=10.0, most=3, first=[f"{JOB}-7", f"{JOB}-5"])
        assert [shard.id for shard in some] == [f"{JOB}-5", f"{JOB}-7", f"{JOB}-1"]


async def test_one_whose_upload_has_just_ended_is_counted_though_it_is_due_a_moment_later(
    tmp_path: Path,
):
    async with open_ledger(tmp_path) as ledger:
        await a_planned_job(ledger, plan(1), plan(2))
        on_its_way = f"{JOB}-2"
        uploaded = e.FileUploaded(shard=on_its_way, file_id="file-1", size=9, due_at=10.5)
        await ledger.record(uploaded, at=10.5)
        found = await ledger.shards_to_submit(now=10.0, first=[on_its_way])
        assert [shard.id for shard in found] == [on_its_way, f"{JOB}-1"]


async def test_the_next_submission_is_a_doubt_or_what_was_put_off(tmp_path: Path):
    async with open_ledger(tmp_path) as ledger:
        assert await ledger.next_submission(now=0.0) == (None, False)
        one, two = await a_planned_job(ledger, plan(1), plan(2))
        off = e.SubmitDeferred(shard=one, reason="no-room", text="", due_at=90.0)
        await ledger.record(started(one), off, at=20.0)
        assert await ledger.next_submission(now=20.0) == (90.0, True)
        doubt = e.SubmitDoubted(shard=two, reason="doubt", text="", due_at=70.0)
        await ledger.record(started(two), doubt, at=20.0)
        assert await ledger.next_submission(now=20.0) == (70.0, True)
        assert await ledger.next_submission(now=90.0) == (None, True)


async def test_a_model_that_was_not_found_is_known_by_what_it_left(tmp_path: Path):
    async with open_ledger(tmp_path) as ledger:
        one, two, three = await a_planned_job(ledger, plan(1), plan(2), plan(3, model="big"))
        await ledger.record(*to_ended(one), at=20.0)
        assert not (await ledger.submission(two)).found_no_model
        await ledger.record(replace(collected(one), oddities={UNUSABLE: 3}), at=30.0)
        assert (await ledger.submission(two)).found_no_model
        assert not (await ledger.submission(three)).found_no_model, "of another model"


async def test_what_decides_about_a_shard_is_told_at_once(tmp_path: Path):
    async with open_ledger(tmp_path) as ledger:
        one, two, _ = await a_planned_job(ledger, plan(1), plan(2), plan(3))
        found = await ledger.submission(two)
        assert found.shard == await ledger.shard(two)
        assert found.job == await ledger.job(JOB)
        assert (found.is_paused, found.shards) == (False, 3)
        await ledger.record(e.Paused(what=Pause.SUBMISSION, by="olga"), at=20.0)
        assert (await ledger.submission(one)).is_paused
        assert (
            await ledger.shard_and_job(one) == (found._replace(shard=await ledger.shard(one)))[:2]
        )
        with pytest.raises(BrokenInvariant):
            await ledger.submission("nobody-1")


async def test_a_job_comes_with_the_shards_that_have_its_answers(tmp_path: Path):
    async with open_ledger(tmp_path) as ledger:
        await a_planned_job(ledger, plan(1), plan(2))
        job, shards = await ledger.job_and_shards(JOB)
        assert (job, shards) == (await ledger.job(JOB), await ledger.shards_of(JOB))
        with pytest.raises(BrokenInvariant):
            await ledger.job_and_shards("nobody")


async def test_who_waits_for_a_folder_comes_after_those_whose_folder_appears(tmp_path: Path):
    async with open_ledger(tmp_path) as ledger:
        (shard,) = await a_planned_job(ledger, plan(1))
        await ledger.record(*to_ended(shard), collected(shard), at=20.0)
        for job in (OTHER, "0ccccc"):
            await ledger.record(claimed(job), rejected(job), at=21.0)
        await ledger.record(publishing("0ccccc"), at=22.0)
        found = [job.id for job in await ledger.jobs_to_deliver()]
        assert found == ["0ccccc", OTHER, JOB]
        assert [job.id for job in await ledger.jobs_to_deliver(most=1)] == ["0ccccc"]


async def test_the_intake_knows_how_many_are_on_their_way_and_who_paused_it(tmp_path: Path):
    async with open_ledger(tmp_path) as ledger:
        assert await ledger.intake() == (0, None)
        await ledger.record(claimed(JOB), claimed(OTHER), at=1.0)
        await ledger.record(e.Paused(what=Pause.INTAKE, by="ada"), at=2.0)
        assert await ledger.intake() == (2, "ada")


async def test_a_job_of_many_shards_starves_nobody_when_room_comes_one_by_one(tmp_path: Path):
    async with open_ledger(tmp_path) as ledger:
        await a_planned_job(ledger, *(plan(row) for row in range(1, 21)))
        await a_planned_job(ledger, *(plan(row) for row in range(1, 4)), job=OTHER)
        order = []
        for _ in range(8):
            (shard,) = await ledger.shards_to_submit(now=10.0, most=1)
            await ledger.record(*to_open(shard.id), at=20.0)
            order.append(shard.id)
        assert order == [
            *(f"{JOB}-1", f"{OTHER}-1", f"{JOB}-2", f"{OTHER}-2", f"{JOB}-3", f"{OTHER}-3"),
            *(f"{JOB}-4", f"{JOB}-5"),
        ]


async def test_the_ledgers_order_is_the_one_that_why_tells_of(tmp_path: Path):
    async with open_ledger(tmp_path) as ledger:
        await a_planned_job(ledger, *(plan(row, model=f"m{row % 2}") for row in range(1, 12)))
        await a_planned_job(ledger, *(plan(row) for row in range(1, 5)), job=OTHER)
        await ledger.record(*to_open(f"{JOB}-1"), *to_open(f"{JOB}-3"), at=20.0)
        await ledger.record(started(f"{OTHER}-1"), *to_ended(f"{OTHER}-2"), at=20.0)
        _, live = await ledger.unfinished()
        ours = [shard.id for shard in in_turn(shard for shard, _ in live)]
        assert [shard.id for shard in await ledger.shards_to_submit(now=20.0)] == ours


async def test_what_is_held_or_cancelled_is_not_sent_and_what_has_no_room_keeps_its_place(
    tmp_path: Path,
):
    async with open_ledger(tmp_path) as ledger:
        (one, two) = await a_planned_job(ledger, plan(1), plan(2))
        (other,) = await a_planned_job(ledger, plan(1), job=OTHER)
        full = e.SubmitDeferred(shard=one, reason="no-room", text="", due_at=90.0)
        down = e.SubmitDeferred(shard=two, reason="provider-unavailable", text="", due_at=90.0)
        await ledger.record(started(one), full, started(two), down, at=20.0)

        async def queue() -> list[str]:
            return [shard.id for shard in await ledger.shards_to_submit(now=20.0)]

        assert await queue() == [one, other]
        await ledger.wish(e.JobHeld(job=OTHER, reason="held"), at=20.0)
        assert await queue() == [one]
        await ledger.wish(e.JobCancelled(job=JOB, why=CancelWhy.ASKED), at=20.0)
        assert await queue() == []
        assert [shard.id for shard in await ledger.shards_called_off()] == [one, two]


async def test_open_shards_of_a_cancelled_job_are_told_of_once(tmp_path: Path):
    async with open_ledger(tmp_path) as ledger:
        (one, _) = await a_planned_job(ledger, plan(1), plan(2))
        await ledger.record(*to_open(one), at=20.0)
        await ledger.wish(e.JobCancelled(job=JOB, why=CancelWhy.ASKED), at=21.0)
        assert [shard.id for shard in await ledger.shards_to_cancel(now=21.0)] == [one]
        await ledger.record(e.CancelAsked(shard=one, due_at=30.0), at=22.0)
        assert await ledger.shards_to_cancel(now=99.0) == []


async def test_what_was_created_within_the_hour_is_counted(tmp_path: Path):
    async with open_ledger(tmp_path) as ledger:
        assert await ledger.created_since(0.0) == Created()
        (one, two, three) = await a_planned_job(ledger, plan(1), plan(2), plan(3))
        for shard, at in ((one, 20.0), (two, 30.0), (three, 40.0)):
            await ledger.record(started(shard), at=at)
        assert await ledger.created_since(20.0) == Created(2, 30.0)


async def test_the_oldest_job_that_wants_answers_is_known(tmp_path: Path):
    async with open_ledger(tmp_path) as ledger:
        assert await ledger.oldest_claim() is None
        await ledger.record(claimed(JOB), at=5.0)
        await ledger.record(claimed(OTHER), at=7.0)
        assert await ledger.oldest_claim() == 5.0
        assert [job.id for job in await ledger.jobs_claimed_by(6.0)] == [JOB]
        await ledger.wish(e.JobCancelled(job=JOB, why=CancelWhy.DEADLINE), at=9.0)
        assert await ledger.oldest_claim() == 7.0
        assert await ledger.jobs_claimed_by(6.0) == []


async def test_what_is_or_may_be_at_the_provider_counts(tmp_path: Path):
    async with open_ledger(tmp_path) as ledger:
        ids = await a_planned_job(
            ledger, plan(1, 2), plan(3), plan(4), plan(5, model="big"), plan(6)
        )
        assert await ledger.live_at_provider() == Load()
        await ledger.record(started(ids[0]), at=20.0)
        await ledger.record(*to_open(ids[1]), *to_open(ids[3]), at=20.0)
        await ledger.record(*to_ended(ids[2]), at=20.0)
        assert await ledger.live_at_provider() == Load(3, {"small": 75, "big": 25})


async def test_a_batch_is_known_by_its_holder(tmp_path: Path):
    async with open_ledger(tmp_path) as ledger:
        (id_,) = await a_planned_job(ledger)
        await ledger.record(started(id_), opened(id_, "batch-1"), at=20.0)
        assert await ledger.batch_holder("batch-1") == id_
        assert await ledger.batch_holder("batch-2") is None


async def test_a_job_without_a_live_shard_is_between_rounds(tmp_path: Path):
    async with open_ledger(tmp_path) as ledger:
        for job in (OTHER, JOB):
            (id_,) = await a_planned_job(ledger, plan(1), job=job)
            await ledger.record(*to_ended(id_), collected(id_, 1), at=20.0)
        assert [job.id for job in await ledger.jobs_between_rounds()] == [JOB, OTHER]
        assert [job.id for job in await ledger.jobs_between_rounds(most=1)] == [JOB]


def statements() -> list[str]:
    text = Path(sql.__file__).with_name("queries.sql").read_text(encoding="utf-8")
    return re.findall(r"^-- name: (\w+)$", text, re.MULTILINE)


#: Asked once a day, of the few uploads that are at the provider; an index would cost every shard.
RARE = {"files_of_shards"}


@pytest.mark.parametrize("name", sorted(set(statements()) - RARE))
def test_an_old_ledger_is_not_read_from_end_to_end(name: str):
    """The stages ask every few seconds; what was delivered years ago must cost nothing."""
    assert not [step for step in steps_of(name) if re.match(r"SCAN (jobs|shards|history)\b", step)]


@pytest.mark.parametrize(
    ("name", "index"), [("leader", "jobs_to_join"), ("shards_called_off", "jobs_called_off")]
)
def test_what_is_asked_for_each_file_reads_not_all_that_are_on_their_way(name: str, index: str):
    first, *_ = steps_of(name)
    assert f"USING INDEX {index}" in first


def steps_of(name: str) -> list[str]:
    """How SQLite goes about a statement."""
    statement = sql.query(name)
    parameters = dict.fromkeys(re.findall(r":(\w+)", statement), 1)
    with closing(sqlite3.connect(":memory:")) as connection:
        connection.executescript(sql.schema())
        rows = connection.execute(f"EXPLAIN QUERY PLAN {statement}", parameters)
        return [row[3] for row in rows]
