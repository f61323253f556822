"""Cancelled, held, paused, too old: what the stages do of it, and that nothing is paid for twice."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from batchd.core.errors import RemoteRefused, RemoteUnavailable
from batchd.core.events import JobCancelled, JobHeld, JobReleased, Paused, Resumed
from batchd.core.model import CancelWhy, JobState, Pause, ShardState
from batchd.runtime.services import Services
from batchd.stages import claim, collect, plan, poll, submit
from tests.control.asking import ask
from tests.fakes.clock import FakeClock
from tests.houses import (
    delivered,
    drop,
    live,
    open_services,
    read_lines,
    read_receipt,
    requests,
    turn,
)
from tests.stages.steps import ended, only_shard, opened, planned, step
from tests.stages.test_submit import Slow

TWO_OF_THREE = {"max_requests": 3, "max_open": 2}


async def cancel(services: Services, job: str) -> None:
    asked = JobCancelled(job=job, why=CancelWhy.ASKED, text="anna said so")
    assert await services.ledger.wish(asked, at=services.clock.now())


async def hold(services: Services, job: str) -> None:
    held = JobHeld(job=job, reason="held", text="anna wants to look at it")
    assert await services.ledger.wish(held, at=services.clock.now())


async def only_job(services: Services) -> Any:
    (job,) = (await services.ledger.unfinished())[0]
    return job


def codes(root: Path) -> list[str | None]:
    (results,) = root.glob("outbox/*/results.jsonl")
    return [line["error"] and line["error"]["code"] for line in read_lines(results)]


# Cancelled


async def test_a_cancelled_job_that_was_not_sent_costs_nothing_and_every_line_is_answered(tmp_path):
    async with open_services(tmp_path) as services:
        await planned(services, tmp_path)
        await cancel(services, (await only_job(services)).id)
        await live(services, deliveries=1)
        assert services.remote.calls.total() == 0
        assert codes(tmp_path) == ["batch_cancelled"] * 3


async def test_one_that_was_only_claimed_is_still_read_and_ends_the_same_way(tmp_path):
    async with open_services(tmp_path) as services:
        drop(tmp_path, "a.jsonl", requests(2))
        await claim.run_once(services)
        services.clock.advance(1.0)
        await step(services, claim)
        await cancel(services, (await only_job(services)).id)
        await live(services, deliveries=1)
        assert services.remote.calls.total() == 0
        assert codes(tmp_path) == ["batch_cancelled"] * 2


async def test_what_is_open_is_called_off_and_what_was_answered_is_delivered(tmp_path):
    async with open_services(tmp_path, batches=TWO_OF_THREE) as services:
        shard = await opened(services, tmp_path, lines=requests(9))
        services.clock.advance(5.0)  # half of its time: half is answered
        await cancel(services, shard.job)
        await live(services, deliveries=1)
        assert services.remote.calls["cancel_batch"] == 2
        assert len(services.remote.opened) == 2
        found = codes(tmp_path)
        assert len(found) == 9
        assert found.count(None) == sum(services.remote.executions.values()) > 0
        assert set(found) == {None, "batch_cancelled"}


async def test_nothing_of_a_cancelled_job_is_tried_again(tmp_path):
    async with open_services(tmp_path) as services:
        services.remote.verdicts = {"a-1": [500, 200]}
        shard = await ended(services, tmp_path)
        await step(services, collect)
        assert (await services.ledger.jobs_between_rounds())[0].id == shard.job
        await cancel(services, shard.job)
        assert await step(services, plan) == 1
        assert (await services.ledger.job(shard.job)).state is JobState.SETTLED
        await live(services, deliveries=1)
        assert set(services.remote.executions.values()) == {1}


async def test_a_batch_that_was_completed_in_spite_of_it_is_delivered(tmp_path):
    async with open_services(tmp_path) as services:
        shard = await opened(services, tmp_path)
        services.clock.advance(10.0)
        await cancel(services, shard.job)
        await live(services, deliveries=1)
        assert services.remote.calls["cancel_batch"] == 1
        assert codes(tmp_path) == [None] * 3


@pytest.mark.parametrize(
    "error",
    [
        RemoteUnavailable("no answer", may_have_happened=True),
        RemoteUnavailable("429", may_have_happened=False, retry_after_seconds=40.0),
    ],
)
async def test_a_call_that_fails_is_that_shards_delay_and_is_made_again(tmp_path, error):
    async with open_services(tmp_path) as services:
        shard = await opened(services, tmp_path)
        services.remote.batch_seconds = 10_000.0
        services.remote.fail("cancel_batch", error)
        await cancel(services, shard.job)
        await step(services, poll)
        assert (await only_shard(services)).cancel_asked_at is None
        assert await poll.next_look(services) == pytest.approx(error.retry_after_seconds or 5.0)
        await live(services, deliveries=1)
        assert services.remote.calls["cancel_batch"] == 2
        assert len(services.remote.opened) == 1


@pytest.mark.parametrize("status", [405, 409])
async def test_where_a_batch_cannot_be_cancelled_its_own_end_is_waited_for(tmp_path, status):
    async with open_services(tmp_path) as services:
        shard = await opened(services, tmp_path)
        services.remote.fail("cancel_batch", RemoteRefused("no", status=status), times=9)
        await cancel(services, shard.job)
        await live(services, deliveries=1)
        assert services.remote.calls["cancel_batch"] == 1
        assert codes(tmp_path) == [None] * 3


async def test_a_batch_that_vanished_ends_when_its_job_is_cancelled(tmp_path):
    """Its file is there, so it is not the key; and nobody else would ever let it go."""
    async with open_services(tmp_path) as services:
        shard = await opened(services, tmp_path)
        services.remote.vanish(shard.batch)
        for _ in range(3):
            services.clock.advance(10.0)
            await step(services, poll)
        assert (await only_shard(services)).reason == "batch-vanished"
        await cancel(services, shard.job)
        await live(services, deliveries=1)
        assert codes(tmp_path) == ["batch_cancelled"] * 3
        assert len(services.remote.opened) == 1
        errors = read_lines(delivered(tmp_path)["a"] / "errors.jsonl")
        assert "no longer knows the batch" in errors[0]["error"]["message"]


async def test_a_key_that_sees_nothing_of_ours_ends_nothing_for_a_day(tmp_path):
    """Its answers may be there, under the right key; a person who wants no more can wait a day."""
    async with open_services(tmp_path) as services:
        shard = await opened(services, tmp_path)
        for one in (shard.batch, shard.file_id):
            services.remote.vanish(one)
        await cancel(services, shard.job)
        for _ in range(5):
            services.clock.advance(300.0)
            await step(services, poll)
            assert "another project" in (services.rest.reason or "")
        assert (await only_shard(services)).state is ShardState.OPEN
        services.clock.advance(86_400.0)
        await live(services, deliveries=1)
        assert codes(tmp_path) == ["batch_cancelled"] * 3


async def test_a_cancel_whose_answer_was_lost_is_asked_again_and_changes_nothing(tmp_path):
    async with open_services(tmp_path) as services:
        services.remote.batch_seconds = 10_000.0
        shard = await opened(services, tmp_path)
        services.remote.lose_connection_after("cancel_batch")
        await cancel(services, shard.job)
        await live(services, deliveries=1)
        assert services.remote.calls["cancel_batch"] == 2
        assert len(services.remote.opened) == 1
        assert codes(tmp_path).count("batch_cancelled") == 3


async def test_a_shard_in_doubt_is_asked_for_before_it_is_called_off(tmp_path):
    async with open_services(tmp_path) as services:
        services.remote.batch_seconds = 10_000.0
        services.remote.lose_connection_after("create_batch")
        await planned(services, tmp_path)
        await step(services, submit)
        await cancel(services, (await only_shard(services)).job)
        assert await step(services, submit) == 0
        await live(services, deliveries=1)
        assert services.remote.calls["cancel_batch"] == 1
        assert services.remote.calls["create_batch"] == 1


async def test_one_that_is_cancelled_while_it_is_uploaded_is_not_sent(tmp_path):
    clock = FakeClock()
    remote = Slow(clock)
    async with open_services(tmp_path, remote=remote, clock=clock) as services:
        await planned(services, tmp_path)
        await submit.run_once(services)
        await cancel(services, (await only_job(services)).id)
        assert await submit.run_once(services) == 0, "it is on its way, and finds out by itself"
        remote.go.set()
        await services.crews["submit"].finish()
        await live(services, deliveries=1)
        assert remote.calls["create_batch"] == 0


# Held


async def test_what_is_held_is_not_even_uploaded_and_goes_on_when_it_is_released(tmp_path):
    async with open_services(tmp_path) as services:
        await planned(services, tmp_path, "a", "b")
        (first, second) = (await services.ledger.unfinished())[0]
        await hold(services, first.id)
        await step(services, submit)
        assert [shard.job for shard in await services.ledger.shards_in(ShardState.OPEN)] == [
            second.id
        ]
        assert len(services.remote.uploads) == 1
        told = ask(tmp_path, first.id, now=services.clock.now()).reason
        assert "anna wants to look at it" in told.sentence
        assert f"batchd release {first.id}" in told.sentence
        await services.ledger.wish(JobReleased(job=first.id), at=services.clock.now())
        await live(services, deliveries=2)
        assert len(services.remote.uploads) == 2


async def test_one_that_is_held_while_it_is_uploaded_keeps_its_file(tmp_path):
    clock = FakeClock()
    remote = Slow(clock)
    async with open_services(tmp_path, remote=remote, clock=clock) as services:
        await planned(services, tmp_path)
        await submit.run_once(services)
        job = (await only_job(services)).id
        await hold(services, job)
        remote.go.set()
        await services.crews["submit"].finish()
        assert remote.calls["create_batch"] == 0
        await services.ledger.wish(JobReleased(job=job), at=clock.now())
        await live(services, deliveries=1)
        assert len(remote.uploads) == 1


async def test_a_job_held_with_open_batches_is_paid_for_once_and_its_next_round_waits(tmp_path):
    async with open_services(tmp_path) as services:
        services.remote.verdicts = {"a-1": [500, 200]}
        shard = await opened(services, tmp_path)
        await hold(services, shard.job)
        for _ in range(20):
            await turn(services)
            services.clock.advance(5.0)
        assert len(services.remote.opened) == 1
        (waiting,) = await services.ledger.shards_in(ShardState.PLANNED)
        assert waiting.round == 2
        await services.ledger.wish(JobReleased(job=shard.job), at=services.clock.now())
        await live(services, deliveries=1)
        assert codes(tmp_path) == [None] * 3


# Paused


async def test_while_submission_is_paused_nothing_is_sent_and_all_else_goes_on(tmp_path):
    async with open_services(tmp_path, batches=TWO_OF_THREE) as services:
        await opened(services, tmp_path, lines=requests(9))
        paused = Paused(what=Pause.SUBMISSION, by="anna")
        await services.ledger.record(paused, at=services.clock.now())
        for _ in range(20):
            await turn(services)
            services.clock.advance(5.0)
        assert len(services.remote.opened) == 2
        assert len(await services.ledger.shards_in(ShardState.COLLECTED)) == 2
        (job,) = (await services.ledger.unfinished())[0]
        told = ask(tmp_path, job.id, now=services.clock.now()).reason
        assert (told.code, told.facts["by"]) == ("submission-paused", "anna")
        await services.ledger.record(Resumed(what=Pause.SUBMISSION), at=services.clock.now())
        await live(services, deliveries=1)
        assert codes(tmp_path) == [None] * 9


async def test_a_doubt_is_settled_though_submission_is_paused(tmp_path):
    async with open_services(tmp_path) as services:
        services.remote.lose_connection_after("create_batch")
        await planned(services, tmp_path)
        await step(services, submit)
        paused = Paused(what=Pause.SUBMISSION, by="anna")
        await services.ledger.record(paused, at=services.clock.now())
        services.clock.advance(20.0)
        await step(services, submit)
        assert (await only_shard(services)).state is ShardState.OPEN


# Too old


async def test_a_job_that_is_too_old_is_finished_with_what_there_is(tmp_path):
    slow = {"max_requests": 3, "max_open": 1}
    async with open_services(tmp_path, jobs={"deadline_hours": 1.0}, batches=slow) as services:
        services.remote.batch_seconds = 2_000.0
        await planned(services, tmp_path, lines=requests(9))
        job = await only_job(services)
        assert await plan.next_look(services) == pytest.approx(
            job.claimed_at + 3600 - services.clock.now()
        )
        await live(services, deliveries=1)
        assert await plan.next_look(services) is None
        found = codes(tmp_path)
        assert 3 <= found.count(None) < 9
        assert services.clock.now() - job.claimed_at == pytest.approx(3600, abs=60)
        (cancelled,) = [
            one
            for one in await services.ledger.history_of(job.id)
            if one["event"] == "JobCancelled"
        ]
        assert cancelled["facts"]["why"] == "deadline"
        assert "1 hours" in cancelled["facts"]["text"]


async def test_a_held_job_has_its_deadline_too(tmp_path):
    async with open_services(tmp_path, jobs={"deadline_hours": 1.0}) as services:
        await planned(services, tmp_path)
        await hold(services, (await only_job(services)).id)
        await live(services, deliveries=1)
        assert codes(tmp_path) == ["batch_cancelled"] * 3


async def test_without_a_deadline_nothing_is_looked_at_for_it(tmp_path):
    async with open_services(tmp_path) as services:
        await planned(services, tmp_path)
        assert await plan.next_look(services) is None


async def test_the_receipt_of_a_cancelled_job_says_so(tmp_path):
    async with open_services(tmp_path) as services:
        shard = await opened(services, tmp_path)
        await cancel(services, shard.job)
        await live(services, deliveries=1)
        (folder,) = (tmp_path / "outbox").iterdir()
        assert folder.name.endswith(".cancelled")
        assert read_receipt(folder)["outcome"] == "cancelled"
