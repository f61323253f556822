"""The account's queue of tokens: a shard that finds no room waits; one that is too large is cut."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from batchd.core.admission import LEARNED_FOR, PATIENCE, Load
from batchd.core.errors import RemoteError, RemoteRefused, RemoteUnavailable
from batchd.core.events import RoomLearned
from batchd.core.model import BatchError, BatchStatus, ShardState
from batchd.stages import submit
from tests.control.asking import ask
from tests.fakes.clock import FakeClock
from tests.fakes.remote import FakeRemote
from tests.houses import (
    delivered,
    drop,
    live,
    open_services,
    read_lines,
    read_receipt,
    requests,
    settings,
    turn,
    until_sent,
)
from tests.stages.steps import only_shard, planned, step
from tests.stages.test_submit import Slow

SENTENCE = (
    "Enqueued token limit reached for gpt-4o-mini in organization org-1. Limit: {limit:,} enqueued"
    " tokens. Please try again once some in_progress batches have been completed."
)


def no_room(limit: int) -> BatchError:
    return BatchError("token_limit_exceeded", SENTENCE.format(limit=limit))


async def test_a_shard_that_finds_no_room_is_created_again_from_the_same_upload(tmp_path):
    clock = FakeClock()
    remote = FakeRemote(clock)
    remote.fail_batches_with(no_room(2_000_000), times=3)
    async with open_services(tmp_path, remote=remote, clock=clock) as services:
        drop(tmp_path, "a.jsonl", requests(4))
        await live(services, deliveries=1)
        assert len(remote.uploads) == 1
        assert set(remote.executions.values()) == {1}
        lines = read_lines(delivered(tmp_path)["a"] / "results.jsonl")
        assert [line["attempts"] for line in lines] == [1, 1, 1, 1]


async def test_a_shard_larger_than_the_limit_is_planned_again_smaller(tmp_path):
    clock = FakeClock()
    remote = FakeRemote(clock)
    remote.fail_batches_with(no_room(150))  # four requests of about 40 tokens each don't fit
    async with open_services(tmp_path, remote=remote, clock=clock) as services:
        drop(tmp_path, "a.jsonl", requests(8))
        await live(services, deliveries=1)
        bill = read_receipt(delivered(tmp_path)["a"])
        assert bill["requests"]["succeeded"] == 8
        assert [batch["requests"] for batch in bill["batches"]] == [8, 3, 3, 2]
        assert set(remote.executions.values()) == {1}


async def test_one_that_is_refused_with_an_empty_queue_is_cut_though_our_count_says_it_fits(
    tmp_path,
):
    clock = FakeClock()
    remote = FakeRemote(clock)
    remote.fail_batches_with(no_room(1_000_000), times=5)
    async with open_services(tmp_path, remote=remote, clock=clock) as services:
        drop(tmp_path, "a.jsonl", requests(8))
        await live(services, deliveries=1)
        bill = read_receipt(delivered(tmp_path)["a"])
        assert bill["requests"]["succeeded"] == 8
        assert bill["rounds"] == 2
        assert max(batch["requests"] for batch in bill["batches"] if batch["round"] == 2) == 4


def refuses(limit: int, *, status: int = 400) -> RemoteError:
    """What Azure says at once, before there is a batch (reference I)."""
    kind = {"status": status, "code": "token_limit_exceeded"}
    if status == 429:
        return RemoteUnavailable(SENTENCE.format(limit=limit), may_have_happened=False, **kind)
    return RemoteRefused(SENTENCE.format(limit=limit), **kind)


@pytest.mark.parametrize("status", [400, 429])
async def test_a_call_that_is_refused_for_room_is_no_failure_and_is_made_again(tmp_path, status):
    async with open_services(tmp_path) as services:
        services.remote.fail("create_batch", refuses(2_000_000, status=status), times=3)
        await planned(services, tmp_path)
        await step(services, submit)
        shard = await only_shard(services)
        assert (shard.state, shard.reason) == (ShardState.PLANNED, "no-room")
        told = ask(tmp_path, shard.id, now=services.clock.now()).reason
        assert told.code == "no-room"
        assert "2,000,000 enqueued tokens" in told.sentence
        assert await services.ledger.rooms_learned(since=0.0) == {"gpt-4o-mini": 2_000_000}
        await live(services, deliveries=1)
        lines = read_lines(delivered(tmp_path)["a"] / "results.jsonl")
        assert [line["attempts"] for line in lines] == [1, 1, 1]
        assert len(services.remote.uploads) == 1
        assert services.remote.calls["create_batch"] == 4


@pytest.mark.parametrize("at_once", [True, False], ids=["by the call", "by the batch"])
async def test_one_request_waits_on_while_others_fill_the_accounts_queue(tmp_path, at_once):
    clock = FakeClock()
    remote = FakeRemote(clock)
    if at_once:
        remote.fail("create_batch", refuses(1_000_000), times=20)
    else:
        remote.fail_batches_with(no_room(1_000_000), times=20)
    async with open_services(tmp_path, remote=remote, clock=clock) as services:
        drop(tmp_path, "a.jsonl", requests(1))
        await live(services, deliveries=1)
        assert read_receipt(delivered(tmp_path)["a"])["requests"]["succeeded"] == 1
        assert len(remote.uploads) == 1


async def test_an_outage_is_not_counted_as_refusals_for_room(tmp_path):
    async with open_services(tmp_path) as services:
        remote = services.remote
        down = RemoteUnavailable("HTTP 503", may_have_happened=False, status=503)
        remote.fail("create_batch", down, times=5)
        remote.fail("create_batch", refuses(1_000_000))
        drop(tmp_path, "a.jsonl", requests(2))
        await live(services, deliveries=1)
        assert [
            batch["requests"] for batch in read_receipt(delivered(tmp_path)["a"])["batches"]
        ] == [2]


async def test_nor_are_batches_that_failed_for_a_file_that_was_not_found(tmp_path):
    clock = FakeClock()
    remote = FakeRemote(clock)
    unseen = BatchError("invalid_request", "Cannot find file file-1, or organization org-1 ...")
    remote.fail_batches_with(unseen, times=5)
    remote.fail_batches_with(no_room(1_000_000))
    async with open_services(tmp_path, remote=remote, clock=clock) as services:
        drop(tmp_path, "a.jsonl", requests(2))
        await live(services, deliveries=1)
        assert read_receipt(delivered(tmp_path)["a"])["rounds"] == 1


async def test_a_call_that_names_a_smaller_limit_has_the_shard_cut_up(tmp_path):
    async with open_services(tmp_path) as services:
        services.remote.fail("create_batch", refuses(150))
        drop(tmp_path, "a.jsonl", requests(8))
        await live(services, deliveries=1)
        bill = read_receipt(delivered(tmp_path)["a"])
        assert bill["requests"]["succeeded"] == 8
        assert max(batch["requests"] for batch in bill["batches"][1:]) <= 3


async def test_once_a_limit_is_known_no_other_shard_need_be_refused_for_it(tmp_path):
    """Sixteen shards of one job are too large: one refusal tells of all of them."""
    async with open_services(tmp_path, batches={"max_requests": 8, "max_open": 1}) as services:
        services.remote.fail_batches_with(no_room(150))
        drop(tmp_path, "a.jsonl", requests(128))
        await live(services, deliveries=1)
        failed = [b for b in services.remote.batches if b.status is BatchStatus.FAILED]
        assert len(failed) == 1
        assert set(services.remote.executions.values()) == {1}
        bill = read_receipt(delivered(tmp_path)["a"])
        assert bill["requests"]["succeeded"] == 128


async def test_what_was_learned_keeps_the_next_job_below_the_limit(tmp_path):
    async with open_services(tmp_path) as services:
        learned = RoomLearned(model="gpt-4o-mini", tokens=200)
        await services.ledger.record(learned, at=services.clock.now())
        await planned(services, tmp_path, "a", "b", "c")
        while await step(services, submit):
            pass
        load = await services.ledger.live_at_provider()
        assert load.tokens["gpt-4o-mini"] <= 200
        assert load.batches == 1
        services.clock.advance(LEARNED_FOR)
        await step(services, submit)
        assert len(services.remote.opened) == 3, "after a day it is asked for anew"


async def test_one_request_that_is_larger_than_the_limit_fails_with_the_providers_word(tmp_path):
    async with open_services(tmp_path) as services:
        services.remote.fail_batches_with(no_room(10), times=9)
        drop(tmp_path, "a.jsonl", requests(1))
        await live(services, deliveries=1)
        (folder,) = (tmp_path / "outbox").iterdir()
        (line,) = read_lines(folder / "results.jsonl")
        assert line["error"]["code"] == "token_limit_exceeded"
        assert "Limit: 10 enqueued tokens" in line["error"]["message"]


async def test_no_more_batches_are_created_within_an_hour_than_allowed(tmp_path):
    tight = {"max_requests": 1, "max_per_hour": 3, "max_open": 50}
    async with open_services(tmp_path, batches=tight) as services:
        await planned(services, tmp_path, lines=requests(7))
        while await step(services, submit):
            pass
        assert len(services.remote.opened) == 3
        (first, *_) = services.remote.batches
        told = ask(
            tmp_path,
            (await services.ledger.unfinished())[0][0].id,
            now=services.clock.now(),
            given=settings(tmp_path, batches=tight),
        ).reason
        assert (told.code, told.facts["created"]) == ("waiting-for-the-hour", 3)
        assert await submit.next_look(services) == pytest.approx(3600.0)
        await live(services, deliveries=1)
        assert len(services.remote.opened) == 7
        assert services.clock.now() >= first.created_at + 2 * 3600


@pytest.mark.parametrize("asked", [None, 2_400.0])
async def test_the_providers_own_word_about_the_hour_is_waited_for(tmp_path, asked):
    async with open_services(tmp_path) as services:
        full = RemoteUnavailable(
            "429 too many batches", may_have_happened=False, status=429, retry_after_seconds=asked
        )
        services.remote.fail("create_batch", full)
        await planned(services, tmp_path)
        await step(services, submit)
        assert await submit.next_look(services) == pytest.approx(asked or 1.0)
        await live(services, deliveries=1)
        assert len(services.remote.uploads) == 1


@pytest.mark.parametrize("method", ["upload", "create_batch", "retrieve_batch", "download"])
@pytest.mark.parametrize("asked", [None, 75.0])
async def test_too_many_requests_are_waited_out_at_every_call(tmp_path, method, asked):
    async with open_services(tmp_path) as services:
        busy = RemoteUnavailable(
            "429", may_have_happened=False, status=429, retry_after_seconds=asked
        )
        services.remote.fail(method, busy, times=2)
        began = services.clock.now()
        drop(tmp_path, "a.jsonl", requests(2))
        await live(services, deliveries=1)
        assert set(services.remote.executions.values()) == {1}
        assert len(services.remote.opened) == 1
        assert services.clock.now() - began >= 2 * (asked or 1.0)


async def test_an_uploaded_file_that_expired_while_its_shard_waited_is_sent_anew(tmp_path):
    week = {"keep_files_days": 7.0}
    async with open_services(tmp_path, openai=week) as services:
        services.remote.keep_seconds = 7 * 86_400
        services.remote.fail("create_batch", refuses(2_000_000))
        await planned(services, tmp_path)
        await step(services, submit)
        services.clock.advance(6 * 86_400 - 60)
        services.remote.fail("create_batch", refuses(2_000_000))
        await step(services, submit)
        assert len(services.remote.uploads) == 1
        services.clock.advance(7 * 86_400)
        await live(services, deliveries=1)
        assert len(services.remote.uploads) == 2
        assert set(services.remote.executions.values()) == {1}


async def test_a_stream_of_small_files_passes_a_large_one_for_a_while_and_not_for_ever(tmp_path):
    """The queue is never empty, as each small one comes before the last has ended."""
    tight = {"enqueued_tokens": {"gpt-4o-mini": 900}}
    async with open_services(tmp_path, batches=tight, jobs={"keep_days": 9.0}) as services:
        services.remote.batch_seconds = 90.0
        drop(tmp_path, "s0.jsonl", requests(3, prefix="s0"))
        await until_sent(services)
        drop(tmp_path, "huge.jsonl", requests(20, prefix="huge"))
        began = services.clock.now()
        for number in range(1, 60):
            drop(tmp_path, f"s{number}.jsonl", requests(3, prefix=f"s{number}"))
            for _ in range(6):
                await turn(services)
                services.clock.advance(5.0)
            if services.remote.executions["huge-1"]:
                break
        passed = services.clock.now() - began
        huge = [shard for shard in services.remote.executions if shard.startswith("huge")]
        assert len(huge) == 20
        assert PATIENCE < passed < PATIENCE + 4 * 90.0
        assert len(services.remote.opened) > 10, "small ones went by before that"
        await live(services, deliveries=number + 2)


class Meanwhile:
    """A ledger whose answer about what is at the provider is old when it is read."""

    def __init__(self, ledger: Any, happens: Callable[[], Awaitable[None]]) -> None:
        self._ledger, self._happens = ledger, happens

    def __getattr__(self, name: str) -> Any:
        return getattr(self._ledger, name)

    async def live_at_provider(self) -> Load:
        load: Load = await self._ledger.live_at_provider()
        await self._happens()
        return load


async def test_one_that_gets_there_while_room_is_counted_is_not_forgotten(tmp_path):
    """It was neither planned any more nor there yet, and the queue was overfilled."""
    clock = FakeClock()
    remote = Slow(clock)
    tight = {"enqueued_tokens": {"gpt-4o-mini": 200}}
    async with open_services(tmp_path, remote=remote, clock=clock, batches=tight) as services:
        await planned(services, tmp_path, "a", "b")
        assert await submit.run_once(services) == 1
        ledger = services.ledger

        async def the_first_is_created() -> None:
            remote.go.set()
            await services.crews["submit"].finish()

        services.ledger = Meanwhile(ledger, the_first_is_created)
        await submit.run_once(services)
        services.ledger = ledger
        await services.crews["submit"].finish()
        assert len(remote.opened) == 1


async def test_a_file_that_comes_later_is_cut_to_what_was_learned_at_once(tmp_path):
    async with open_services(tmp_path) as services:
        learned = RoomLearned(model="gpt-4o-mini", tokens=150)
        await services.ledger.record(learned, at=services.clock.now())
        drop(tmp_path, "a.jsonl", requests(8))
        await live(services, deliveries=1)
        bill = read_receipt(delivered(tmp_path)["a"])
        assert bill["rounds"] == 1
        assert [batch["requests"] for batch in bill["batches"]] == [3, 3, 2]
