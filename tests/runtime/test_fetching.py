"""What a batch left is brought here whole, once, and what is gone is said."""

from __future__ import annotations

import pytest

from batchd.core.errors import RemoteRefused
from batchd.runtime.fetching import fetch
from tests.fakes.clock import FakeClock
from tests.fakes.remote import FakeRemote
from tests.houses import open_services, requests
from tests.stages.steps import ended


def failing_one() -> FakeRemote:
    """A provider whose batch has both files."""
    remote = FakeRemote(FakeClock())
    remote.verdicts = {"r-1": [400]}
    return remote


async def test_both_files_come_once(tmp_path):
    remote = failing_one()
    async with open_services(tmp_path, remote=remote, clock=remote._clock) as services:
        shard = await ended(services, tmp_path, lines=requests(2))
        assert await fetch(shard, services) is None
        assert await fetch(shard, services) is None
        assert remote.calls["download"] == 2
        for kind in ("output", "error"):
            assert services.work.answers(shard.job, shard.id, kind).exists()


async def test_one_file_that_is_gone_keeps_the_other_from_nobody(tmp_path):
    remote = failing_one()
    async with open_services(tmp_path, remote=remote, clock=remote._clock) as services:
        shard = await ended(services, tmp_path, lines=requests(2))
        remote.vanish(shard.output_file)
        gone = await fetch(shard, services)
        assert "No such File object" in str(gone)
        assert services.work.answers(shard.job, shard.id, "error").exists()
        assert not services.work.answers(shard.job, shard.id, "output").exists()


async def test_another_refusal_is_no_word_about_the_file(tmp_path):
    remote = failing_one()
    async with open_services(tmp_path, remote=remote, clock=remote._clock) as services:
        shard = await ended(services, tmp_path, lines=requests(2))
        remote.fail("download", RemoteRefused("not like this", status=400))
        with pytest.raises(RemoteRefused, match="not like this"):
            await fetch(shard, services)
