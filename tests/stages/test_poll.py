"""OPEN -> ENDED: all batches at one look, and no end believed too soon."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import structlog

from batchd.core.errors import RemoteRefused, RemoteUnavailable
from batchd.core.model import Batch, BatchPage, BatchStatus, Counts, ShardState
from batchd.core.reasons import Standing
from batchd.stages import collect, poll, submit
from tests.control.asking import ask, look_at
from tests.fakes.clock import FakeClock
from tests.fakes.remote import FakeRemote
from tests.houses import delivered, live, open_services
from tests.stages.steps import only_shard, opened, planned, step


class Saying(FakeRemote):
    """A provider that says of every batch what a test lets it say."""

    def __init__(self, clock: FakeClock, **said: Any) -> None:
        super().__init__(clock)
        self.said: dict[str, Any] = said

    async def retrieve_batch(self, batch_id: str) -> Batch:
        return replace(await super().retrieve_batch(batch_id), **self.said)

    async def list_batches(self, *, after: str | None = None) -> BatchPage:
        page = await super().list_batches(after=after)
        return replace(page, batches=tuple(replace(batch, **self.said) for batch in page.batches))


LATE_FILES = {"output_file_id": None, "error_file_id": None}


async def look(services, *, after: float = 5.0) -> ShardState:
    services.clock.advance(after)
    await step(services, poll)
    return (await only_shard(services)).state


async def test_one_page_of_the_list_is_enough_for_many_batches(tmp_path):
    async with open_services(tmp_path) as services:
        await opened(services, tmp_path, *"abcdefgh")
        services.clock.advance(5.0)
        await step(services, poll)
        assert services.remote.calls["list_batches"] == 1
        assert services.remote.calls["retrieve_batch"] == 0


async def test_a_single_batch_is_looked_at_by_itself(tmp_path):
    async with open_services(tmp_path) as services:
        await opened(services, tmp_path)
        await look(services)
        assert services.remote.calls["list_batches"] == 0
        assert services.remote.calls["retrieve_batch"] == 1


async def test_what_the_list_does_not_show_is_looked_at_singly_and_only_when_due(tmp_path):
    async with open_services(tmp_path) as services:
        services.remote.listing_lag_seconds = 1e9
        await opened(services, tmp_path, "a", "b")
        services.clock.advance(5.0)
        services.remote.batch_seconds = 1e9
        await opened(services, tmp_path, "c")
        await step(services, poll)
        assert services.remote.calls["retrieve_batch"] == 2


async def test_nothing_is_looked_at_before_it_is_due(tmp_path):
    async with open_services(tmp_path) as services:
        await opened(services, tmp_path)
        services.clock.advance(4.9)
        assert await step(services, poll) == 0
        assert await poll.next_look(services) == pytest.approx(0.1)


async def test_without_a_list_batches_are_looked_at_singly(tmp_path):
    async with open_services(tmp_path) as services:
        services.remote.fail("list_batches", RemoteRefused("404", status=404), times=99)
        await opened(services, tmp_path, "a", "b")
        services.clock.advance(5.0)
        await step(services, poll)
        assert services.remote.calls["retrieve_batch"] == 2


async def test_old_batches_are_looked_at_less_often(tmp_path):
    async with open_services(tmp_path, batches={"poll_max_seconds": 300.0}) as services:
        services.remote.batch_seconds = 1e9
        await opened(services, tmp_path)
        await look(services)
        assert 4.5 <= await poll.next_look(services) <= 5.5
        await look(services, after=1000.0)
        assert 90 <= await poll.next_look(services) <= 111
        await look(services, after=1e6)
        assert 270 <= await poll.next_look(services) <= 330


async def test_a_batch_that_does_not_change_writes_no_history(tmp_path):
    async with open_services(tmp_path) as services:
        services.remote.batch_seconds = 1e9
        shard = await opened(services, tmp_path)
        await look(services)
        before = len(await services.ledger.history_of(shard.job))
        for _ in range(5):
            await look(services, after=20.0)
        assert len(await services.ledger.history_of(shard.job)) == before


async def test_an_unknown_word_is_no_end(tmp_path):
    clock = FakeClock()
    remote = Saying(clock, status=BatchStatus.UNKNOWN, raw_status="pondering")
    async with open_services(tmp_path, remote=remote, clock=clock) as services:
        await opened(services, tmp_path)
        for _ in range(5):
            assert await look(services, after=20.0) is ShardState.OPEN
        remote.said = {}
        assert await look(services, after=20.0) is ShardState.ENDED


async def test_a_404_alone_ends_nothing(tmp_path):
    async with open_services(tmp_path) as services:
        services.remote.fail("retrieve_batch", RemoteRefused("no batch", status=404), times=3)
        await opened(services, tmp_path)
        for _ in range(3):
            assert await look(services, after=100.0) is ShardState.OPEN
            assert (await only_shard(services)).reason == "batch-vanished"
        await live(services, deliveries=1)
        assert len(services.remote.opened) == 1


async def test_a_provider_that_is_down_is_not_asked_every_second(tmp_path):
    async with open_services(tmp_path) as services:
        down = RemoteUnavailable("500", may_have_happened=True)
        services.remote.fail("retrieve_batch", down, times=99)
        await opened(services, tmp_path)
        await look(services)
        assert await poll.next_look(services) == pytest.approx(5.0)
        slow = RemoteUnavailable("429", may_have_happened=False, retry_after_seconds=40.0)
        services.remote._troubles.clear()
        services.remote.fail("retrieve_batch", slow)
        await look(services)
        assert await poll.next_look(services) == pytest.approx(40.0)


@pytest.mark.parametrize(
    "said",
    [
        LATE_FILES,
        {**LATE_FILES, "counts": Counts(), "completed_at": 1.0},
        {**LATE_FILES, "status": BatchStatus.EXPIRED},
        {**LATE_FILES, "status": BatchStatus.CANCELLED},
        {"output_file_id": None, "error_file_id": "file-e", "counts": Counts(3, 2, 1)},
    ],
)
async def test_an_end_without_its_files_is_looked_at_again(tmp_path, said):
    """Collected without them, what they answer would be bought again; and neither the provider's
    clock nor its counts decide when it is believed."""
    clock = FakeClock()
    remote = Saying(clock)
    async with open_services(tmp_path, remote=remote, clock=clock) as services:
        await opened(services, tmp_path)
        remote.said = {"status": BatchStatus.COMPLETED, **said}
        assert await look(services, after=20.0) is ShardState.OPEN
        assert await look(services, after=30.0) is ShardState.OPEN
        remote.said = {}
        await live(services, deliveries=1)
        assert set(remote.executions.values()) == {1}


async def test_an_end_that_never_gets_its_files_is_believed_in_the_end(tmp_path):
    clock = FakeClock()
    remote = Saying(clock, status=BatchStatus.COMPLETED, **LATE_FILES)
    async with open_services(tmp_path, remote=remote, clock=clock) as services:
        await opened(services, tmp_path)
        assert await look(services, after=20.0) is ShardState.OPEN
        assert await look(services, after=59.0) is ShardState.OPEN
        assert await look(services, after=1.0) is ShardState.ENDED


async def test_looks_at_others_do_not_put_off_the_believing(tmp_path):
    clock = FakeClock()
    remote = Saying(clock)
    async with open_services(tmp_path, remote=remote, clock=clock) as services:
        remote.batch_seconds = 1e9
        await opened(services, tmp_path, "a", "b")
        remote.said = {"status": BatchStatus.CANCELLED, **LATE_FILES}
        clock.advance(5.0)
        await step(services, poll)
        for _ in range(6):
            clock.advance(10.0)
            await step(services, poll)
        assert len(await services.ledger.shards_in(ShardState.ENDED)) == 2


async def test_while_remote_work_rests_nothing_is_looked_at(tmp_path):
    async with open_services(tmp_path) as services:
        await opened(services, tmp_path)
        services.remote.deny()
        await look(services)
        calls = services.remote.calls.total()
        services.clock.advance(4.9)
        assert await step(services, poll, submit, collect) == 0
        assert services.remote.calls.total() == calls
        services.remote.allow()
        await live(services, deliveries=1)
        assert "a" in delivered(tmp_path)


async def test_nothing_open_is_nothing_to_look_at(tmp_path):
    async with open_services(tmp_path) as services:
        await planned(services, tmp_path)
        assert await poll.next_look(services) is None
        assert await step(services, poll) == 0


async def test_a_batch_that_is_stuck_is_told_of_once_a_day_and_never_given_up(tmp_path):
    async with open_services(tmp_path) as services:
        services.remote.batch_seconds = 60 * 86_400.0
        shard = await opened(services, tmp_path)
        with structlog.testing.capture_logs() as logs:
            for _ in range(4 * 24):
                services.clock.advance(3600.0)
                await step(services, poll)
        told = [line for line in logs if line["event"] == "batch.stuck"]
        assert [line["hours"] for line in told] == [27.0, 51.0, 75.0]
        assert told[0]["batch"] == shard.batch
        assert (await only_shard(services)).state is ShardState.OPEN
        now = services.clock.now()
        answer = ask(tmp_path, shard.job, now=now).reason
        assert answer.code == "stuck"
        assert f"batchd cancel {shard.job}" in answer.sentence
        seen = look_at(tmp_path, now=now)
        assert [(one.code, one.standing) for one in seen.waits] == [("stuck", Standing.HELD)]
        mended_by = {item.code: item.fix for item in seen.health}
        assert mended_by["stuck"] == f"batchd cancel {shard.job}"
        await live_on(services)


async def live_on(services) -> None:
    services.remote.batch_seconds = 0.0
    await live(services, deliveries=1)
    assert services.stuck_told == {} or not await services.ledger.shards_in(ShardState.OPEN)


async def test_since_when_a_batch_is_what_it_is_is_remembered(tmp_path):
    async with open_services(tmp_path) as services:
        await opened(services, tmp_path)
        services.remote.batch_seconds = 1e6
        for _ in range(3):
            services.clock.advance(60.0)
            await step(services, poll)
        shard = await only_shard(services)
        assert shard.status_at == shard.opened_at + 60.0
        assert shard.expires_at == shard.opened_at + 86_400
