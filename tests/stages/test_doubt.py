"""What a crash or a broken call leaves in doubt: asked for before it is sent again."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from batchd.core.errors import RemoteRefused, RemoteUnavailable
from batchd.core.model import Batch, BatchOrder, BatchPage, BatchStatus, ShardState
from batchd.stages import submit
from tests.fakes.clock import FakeClock
from tests.fakes.remote import FakeRemote
from tests.houses import open_services
from tests.stages.steps import only_shard, opened, planned, step


class OddList(FakeRemote):
    """A provider whose list is what a test makes of it."""

    pages: tuple[BatchPage, ...] = ()
    asked: int = 0

    async def list_batches(self, *, after: str | None = None) -> BatchPage:
        self.asked += 1
        return self.pages[min(self.asked, len(self.pages)) - 1]


class Forgetful(FakeRemote):
    """A server that drops the metadata."""

    async def create_batch(self, order: BatchOrder) -> Batch:
        return await super().create_batch(replace(order, metadata={}))


def foreign(number: int, created_at: float | None) -> Batch:
    return Batch(f"batch_x{number}", BatchStatus.COMPLETED, "completed", created_at=created_at)


async def in_doubt(services, root: Path) -> None:
    """One shard whose create was answered into the void, and is due to be asked about."""
    services.remote.lose_connection_after("create_batch")
    await planned(services, root)
    await step(services, submit)
    assert (await only_shard(services)).state is ShardState.SUBMITTING
    services.clock.advance(20.0)


async def test_doubt_is_settled_by_the_metadata(tmp_path):
    async with open_services(tmp_path) as services:
        await in_doubt(services, tmp_path)
        assert await step(services, submit) == 1
        shard = await only_shard(services)
        assert (shard.state, shard.batch) == (ShardState.OPEN, "batch_000001")
        assert services.remote.calls["create_batch"] == 1


async def test_doubt_is_not_asked_about_before_the_batch_would_be_listed(tmp_path):
    async with open_services(tmp_path) as services:
        services.remote.lose_connection_after("create_batch")
        await planned(services, tmp_path)
        await step(services, submit)
        services.clock.advance(19.0)
        assert await step(services, submit) == 0
        assert await submit.next_look(services) == pytest.approx(1.0)


async def test_doubt_waits_as_long_as_the_provider_asks_for(tmp_path):
    async with open_services(tmp_path) as services:
        slow_down = RemoteUnavailable("503", may_have_happened=True, retry_after_seconds=90.0)
        services.remote.fail("create_batch", slow_down)
        await planned(services, tmp_path)
        await step(services, submit)
        assert await submit.next_look(services) == pytest.approx(90.0)


async def test_what_is_surely_not_there_is_sent_again_with_the_same_file(tmp_path):
    async with open_services(tmp_path) as services:
        services.remote.lose_connection_before("create_batch")
        await planned(services, tmp_path)
        await step(services, submit)
        services.clock.advance(20.0)
        await step(services, submit)
        assert (await only_shard(services)).state is ShardState.PLANNED
        await step(services, submit)
        assert (await only_shard(services)).state is ShardState.OPEN
        assert len(services.remote.opened) == len(services.remote.uploads) == 1


async def test_without_metadata_a_batch_is_known_by_its_file(tmp_path):
    clock = FakeClock()
    async with open_services(tmp_path, remote=Forgetful(clock), clock=clock) as services:
        await in_doubt(services, tmp_path)
        await step(services, submit)
        assert (await only_shard(services)).state is ShardState.OPEN
        assert len(services.remote.opened) == 1


@pytest.mark.parametrize("other", [("another root", None), (None, "0aaaaa-7")])
async def test_a_batch_that_names_another_shard_is_not_ours_though_it_has_our_file(tmp_path, other):
    clock = FakeClock()
    remote = OddList(clock)
    async with open_services(tmp_path, remote=remote, clock=clock) as services:
        await in_doubt(services, tmp_path)
        shard = await only_shard(services)
        named = {
            "batchd_root": other[0] or services.ledger.root,
            "batchd_shard": other[1] or shard.id,
        }
        theirs = replace(foreign(1, clock.now()), input_file_id=shard.file_id, metadata=named)
        remote.pages = (BatchPage((theirs,), has_more=False),)
        await step(services, submit)
        assert (await only_shard(services)).state is ShardState.PLANNED


async def test_a_batch_that_another_shard_holds_never_matches(tmp_path):
    clock = FakeClock()
    remote = OddList(clock)
    async with open_services(tmp_path, remote=remote, clock=clock) as services:
        first = await opened(services, tmp_path, "a")
        remote.lose_connection_before("create_batch")
        await planned(services, tmp_path, "b")
        await step(services, submit)
        clock.advance(20.0)
        (doubtful,) = await services.ledger.shards_in(ShardState.SUBMITTING)
        held = replace(foreign(1, clock.now()), id=first.batch, input_file_id=doubtful.file_id)
        remote.pages = (BatchPage((held,), has_more=False),)
        await step(services, submit)
        assert (await services.ledger.shard(doubtful.id)).state is ShardState.PLANNED


async def stays_in_doubt(services) -> None:
    for _ in range(5):
        await step(services, submit)
        shard = await only_shard(services)
        assert (shard.state, shard.reason) == (ShardState.SUBMITTING, "doubt-unsettled")
        assert await submit.next_look(services) == pytest.approx(20.0)
        services.clock.advance(20.0)
    assert services.remote.calls["create_batch"] == 1


async def test_where_there_is_no_list_nothing_is_guessed(tmp_path):
    async with open_services(tmp_path) as services:
        await in_doubt(services, tmp_path)
        services.remote.fail("list_batches", RemoteRefused("405", status=405), times=5)
        await stays_in_doubt(services)


async def test_where_the_list_has_no_end_nothing_is_guessed(tmp_path):
    clock = FakeClock()
    remote = OddList(clock)
    remote.pages = (BatchPage((foreign(1, clock.now()),), has_more=True),)
    async with open_services(tmp_path, remote=remote, clock=clock) as services:
        await in_doubt(services, tmp_path)
        await stays_in_doubt(services)


async def test_a_list_that_begins_with_the_oldest_is_walked_to_its_end(tmp_path):
    """Nobody promises an order; a wrong "not there" would be a second bill."""
    clock = FakeClock()
    remote = OddList(clock)
    async with open_services(tmp_path, remote=remote, clock=clock) as services:
        await in_doubt(services, tmp_path)
        old = [foreign(number, number * 60.0) for number in range(1, 400)]
        ours = replace(remote.batches[0], created_at=clock.now())
        pages = [BatchPage(tuple(old[n : n + 100]), has_more=True) for n in (0, 100, 200, 300)]
        remote.pages = (*pages, BatchPage((ours,), has_more=False))
        await step(services, submit)
        assert (await only_shard(services)).state is ShardState.OPEN


async def test_a_list_that_begins_with_the_newest_is_walked_until_it_is_old_and_one_page_more(
    tmp_path,
):
    clock = FakeClock()
    remote = OddList(clock)
    async with open_services(tmp_path, remote=remote, clock=clock) as services:
        await in_doubt(services, tmp_path)
        times = [clock.now() - 3600.0 * number for number in range(500)]
        batches = [foreign(number, time) for number, time in enumerate(times)]
        starts = (0, 100, 200, 300, 400)
        remote.pages = tuple(BatchPage(tuple(batches[n : n + 100]), has_more=True) for n in starts)
        await step(services, submit)
        assert (await only_shard(services)).state is ShardState.PLANNED
        assert remote.asked == 3


async def test_a_list_without_times_is_walked_to_its_end(tmp_path):
    clock = FakeClock()
    remote = OddList(clock)
    async with open_services(tmp_path, remote=remote, clock=clock) as services:
        await in_doubt(services, tmp_path)
        strangers = BatchPage(tuple(foreign(n, None) for n in range(100)), has_more=True)
        remote.pages = (*[strangers] * 9, BatchPage(tuple(remote.batches), has_more=False))
        await step(services, submit)
        assert (await only_shard(services)).state is ShardState.OPEN
