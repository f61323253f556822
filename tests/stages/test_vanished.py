"""Batches that the provider says it does not know: lost, or a key that sees nothing of ours."""

from __future__ import annotations

from batchd.core.model import ShardState
from batchd.runtime.services import Services
from tests.houses import drop, live, open_services, requests, turn


async def open_batches(services: Services, root, count: int) -> list[str]:
    """Drop so many files, and let time pass until each has its batch."""
    services.remote.batch_seconds = 10_000.0
    for number in range(count):
        drop(root, f"f{number}.jsonl", requests(2, prefix=f"f{number}"))
    while len(services.remote.opened) < count:
        await turn(services)
        services.clock.advance(1.0)
    return [batch for _, batch in services.remote.opened]


async def pass_time(services: Services, seconds: float) -> None:
    for _ in range(int(seconds / 5)):
        services.clock.advance(5.0)
        await turn(services)


async def test_one_batch_that_vanished_is_held_and_never_bought_again(tmp_path):
    async with open_services(tmp_path) as services:
        (batch,) = await open_batches(services, tmp_path, 1)
        services.remote.vanish(batch)
        await pass_time(services, 600)

        (shard,) = await services.ledger.shards_in(ShardState.OPEN)
        assert shard.reason == "batch-vanished"
        assert len(services.remote.opened) == 1
        assert not services.rest.is_on


async def test_one_that_vanished_together_with_its_file_means_another_projects_key(tmp_path):
    async with open_services(tmp_path) as services:
        (batch,) = await open_batches(services, tmp_path, 1)
        (shard,) = await services.ledger.shards_in(ShardState.OPEN)
        services.remote.vanish(batch)
        services.remote.vanish(shard.file_id)
        await pass_time(services, 30)
        assert services.rest.is_on
        assert "another project" in services.rest.reason


async def test_all_that_vanish_at_once_mean_another_projects_key_and_nothing_is_lost(tmp_path):
    async with open_services(tmp_path) as services:
        batches = await open_batches(services, tmp_path, 3)
        kept = dict(services.remote._batches)
        for batch in batches:
            services.remote.vanish(batch)
        await pass_time(services, 120)
        assert services.rest.is_on

        services.remote._batches.update(kept)  # the right key again
        services.remote.batch_seconds = 1.0
        await live(services, deliveries=3)
        assert len(services.remote.opened) == 3


async def test_one_that_vanished_among_others_stops_nobody(tmp_path):
    async with open_services(tmp_path) as services:
        lost, *_ = await open_batches(services, tmp_path, 3)
        services.remote.vanish(lost)
        await pass_time(services, 30)
        assert not services.rest.is_on
        services.remote.batch_seconds = 1.0
        await live(services, deliveries=2)
