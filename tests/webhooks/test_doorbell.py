"""News of a batch makes poll look now; everything else that may be called changes nothing."""

from __future__ import annotations

from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import pytest
from structlog.testing import capture_logs

from batchd.core.errors import ConfigError
from batchd.settings import Webhooks
from batchd.stages import poll
from batchd.webhooks import doorbell as doorbell_module
from batchd.webhooks.doorbell import GATHER_SECONDS, Doorbell, secret_of
from tests.houses import open_services
from tests.stages.steps import opened, step
from tests.webhooks.calls import SECRET, call, headers_for


@asynccontextmanager
async def ringing(tmp_path: Path):
    """A house with an open batch, not due for long, and a doorbell."""
    file = tmp_path / "secret"
    file.write_text(SECRET)
    poll_rarely = {"poll_min_seconds": 1000.0, "poll_max_seconds": 1000.0}
    async with open_services(
        tmp_path / "root", webhooks={"secret_file": str(file)}, batches=poll_rarely
    ) as services:
        shard = await opened(services, tmp_path / "root")
        await step(services, poll)
        bell = Doorbell(services)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(bell.keep)
            yield services, bell, await services.ledger.shard(shard.id)
            tasks.cancel_scope.cancel()


async def gathered(services) -> None:
    """Let the time pass in which others may ring."""
    with anyio.fail_after(10):
        for _ in range(20):
            await anyio.wait_all_tasks_blocked()
            services.clock.advance(GATHER_SECONDS)
            await services.ledger.jobs_to_tell()  # the ledger's thread has done what was asked


async def test_a_batch_that_is_named_is_looked_at_at_once(tmp_path):
    async with ringing(tmp_path) as (services, bell, shard):
        assert shard.due_at > services.clock.now() + 100
        body = call(shard.batch)

        assert bell.take(body, headers_for(body)) == 200
        with capture_logs() as lines:
            await gathered(services)

        assert (await services.ledger.shard(shard.id)).due_at <= services.clock.now()
        assert [line["shard"] for line in lines if line["event"] == "webhooks.rang"] == [shard.id]
        assert await services.bells["poll"].wait(0.0)
        assert await poll.run_once(services) == 1


@pytest.mark.parametrize("batch", ["batch_of_somebody_else", "", "'; DROP TABLE shards"])
async def test_what_is_not_ours_is_answered_and_ignored(tmp_path, batch):
    async with ringing(tmp_path) as (services, bell, shard):
        body = call(batch)
        assert bell.take(body, headers_for(body)) == 200
        await gathered(services)
        assert (await services.ledger.shard(shard.id)).due_at == shard.due_at


async def test_a_repetition_rings_once(tmp_path):
    async with ringing(tmp_path) as (services, bell, shard):
        body = call(shard.batch)
        for _ in range(3):
            assert bell.take(body, headers_for(body, id_="same")) == 200
            with capture_logs() as lines:
                await gathered(services)
            told = [line for line in lines if line["event"] == "webhooks.rang"]
            assert len(told) == (1 if _ == 0 else 0)


async def test_what_is_not_signed_is_refused_and_told_rarely(tmp_path):
    async with ringing(tmp_path) as (services, bell, shard):
        body = call(shard.batch)
        with capture_logs() as lines:
            for _ in range(1000):
                assert bell.take(body, headers_for(body, key=b"another")) == 401
            services.clock.advance(61.0)
            bell.take(body, {})
        await gathered(services)

        told = [line["calls"] for line in lines if line["event"] == "webhooks.refused"]
        assert told == [1, 1000]
        assert (await services.ledger.shard(shard.id)).due_at == shard.due_at


async def test_a_secret_that_is_gone_is_said_and_the_call_comes_again(tmp_path):
    async with ringing(tmp_path) as (_, bell, shard):
        (tmp_path / "secret").unlink()
        body = call(shard.batch)
        assert bell.take(body, headers_for(body)) == 503


async def test_a_flood_of_names_is_bounded_and_asks_the_ledger_once(tmp_path):
    async with ringing(tmp_path) as (services, bell, shard):
        before = services.ledger.changes
        for number in range(doorbell_module.MOST_NAMED * 2):
            body = call(f"batch_{number}")
            bell.take(body, headers_for(body, id_=f"wh_{number}"))
        body = call(shard.batch)
        bell.take(body, headers_for(body, id_="ours"))
        await gathered(services)

        assert services.ledger.changes == before  # ours was one too many: it is seen when it is due
        bell.take(body, headers_for(body, id_="again"))
        await gathered(services)
        assert services.ledger.changes == before + 1


async def test_ids_are_remembered_up_to_a_bound(tmp_path):
    async with ringing(tmp_path) as (_, bell, _shard):
        for number in range(doorbell_module.MOST_KNOWN + 10):
            bell._is_new(f"wh_{number}")
        assert len(bell._known) == doorbell_module.MOST_KNOWN


def test_without_a_secret_nothing_is_believed():
    with pytest.raises(ConfigError, match="secret_file"):
        secret_of(Webhooks(listen="127.0.0.1:0"))
