"""What is written down of a call that was to create a batch: the times of the next look."""

from __future__ import annotations

import pytest

from batchd.core.errors import RemoteUnavailable
from batchd.core.model import BatchStatus, ShardState
from batchd.core.reasons import ReasonCode
from batchd.stages import noting
from tests.houses import open_services
from tests.stages.steps import only_shard, opened, planned

BUSY = RemoteUnavailable("429", may_have_happened=False, retry_after_seconds=7.0)


async def test_a_batch_that_is_open_brings_its_own_end(tmp_path):
    async with open_services(tmp_path) as services:
        shard = await opened(services, tmp_path)
        (batch,) = services.remote.batches
        assert shard.expires_at == batch.expires_at
        assert shard.due_at == services.clock.now() + 5.0


async def test_what_was_put_off_waits_as_long_as_it_is_told_or_as_the_provider_asks_for(tmp_path):
    async with open_services(tmp_path) as services:
        await planned(services, tmp_path)
        now = services.clock.now()
        for wait, seconds in ((None, 7.0), (90.0, 90.0)):
            shard = await only_shard(services)
            reason = ReasonCode.PROVIDER_UNAVAILABLE
            await noting.deferred(shard, reason, BUSY, services, wait=wait)
            assert (await only_shard(services)).due_at == pytest.approx(now + seconds)


async def test_what_is_refused_before_a_call_ends_like_any_other(tmp_path):
    async with open_services(tmp_path) as services:
        await planned(services, tmp_path)
        shard = await only_shard(services)
        await noting.refused(shard, BUSY, services, noting.started(shard, services))
        shard = await only_shard(services)
        assert (shard.state, shard.status) == (ShardState.ENDED, BatchStatus.FAILED)
