"""What a stage listed may have been dealt with before its turn comes: then nothing is done twice.

Each loop lists what is due and starts it. Between the two its own earlier turn can end, which
frees the subject; a busy inbox once brought the house down this way, by rejecting a file twice.
"""

from __future__ import annotations

from batchd.core.errors import RemoteUnavailable
from batchd.core.model import JobState, ShardState
from batchd.stages import STAGES, claim, collect, doubt, plan, submit
from tests.fakes.clock import FakeClock
from tests.fakes.remote import FakeRemote
from tests.houses import delivered, drop, live, open_services, requests


async def until_claimed(services):
    """The one job, as a list made before its reading shows it."""
    for _ in range(2):
        await claim.run_once(services)
        services.clock.advance(seconds=5)
    (job,) = await services.ledger.jobs_in(JobState.CLAIMED)
    return job


async def until(services, state):
    """The one shard, as a list shows it when it is in this state."""
    for stage in STAGES * 50:
        if shards := await services.ledger.shards_in(state):
            return shards[0]
        await stage.run_once(services)
        await services.crews[stage.NAME].finish()
        services.clock.advance(seconds=1)
    raise AssertionError(f"no shard is {state}")


async def test_a_file_is_not_planned_twice(tmp_path):
    async with open_services(tmp_path) as services:
        drop(tmp_path, "a.jsonl", requests(3))
        listed = await until_claimed(services)
        await plan._plan(listed, services)
        await plan._plan(listed, services)
        assert len(await services.ledger.shards_of(listed.id)) == 1


async def test_a_file_is_not_rejected_twice(tmp_path):
    async with open_services(tmp_path) as services:
        drop(tmp_path, "a.jsonl", [b"{"])
        listed = await until_claimed(services)
        await plan._plan(listed, services)
        await plan._plan(listed, services)
        assert len(await services.ledger.jobs_in(JobState.REJECTED)) == 1


async def test_a_round_is_not_planned_twice(tmp_path):
    clock = FakeClock()
    remote = FakeRemote(clock)
    remote.verdicts = {"r-2": [429, 200]}
    async with open_services(tmp_path, remote=remote, clock=clock) as services:
        drop(tmp_path, "a.jsonl", requests(3))
        shard = await until(services, ShardState.ENDED)
        await collect._collect(shard, services)
        (listed,) = await services.ledger.jobs_between_rounds()
        await plan._plan_again(listed, services)
        await plan._plan_again(listed, services)
        assert len(await services.ledger.shards_of(listed.id)) == 2


async def test_a_batch_is_not_collected_twice(tmp_path):
    async with open_services(tmp_path) as services:
        drop(tmp_path, "a.jsonl", requests(3))
        listed = await until(services, ShardState.ENDED)
        await collect._collect(listed, services)
        await collect._collect(listed, services)
        await live(services, deliveries=1)


async def test_a_doubt_is_not_settled_twice(tmp_path):
    clock = FakeClock()
    remote = FakeRemote(clock)
    remote.lose_connection_after("create_batch")
    async with open_services(tmp_path, remote=remote, clock=clock) as services:
        drop(tmp_path, "a.jsonl", requests(3))
        listed = await until(services, ShardState.SUBMITTING)
        await doubt.ask(listed, services)
        await doubt.ask(listed, services)
        await live(services, deliveries=1)
        assert len(remote.opened) == 1
        assert set(delivered(tmp_path)) == {"a"}


async def test_a_shard_that_is_asked_to_wait_is_not_sent_at_once_by_an_older_list(tmp_path):
    clock = FakeClock()
    remote = FakeRemote(clock)
    busy = RemoteUnavailable("429", may_have_happened=False, retry_after_seconds=60)
    async with open_services(tmp_path, remote=remote, clock=clock) as services:
        drop(tmp_path, "a.jsonl", requests(3))
        listed = await until(services, ShardState.PLANNED)
        remote.fail("create_batch", busy, times=1)
        await submit._submit(listed, services)
        await submit._submit(listed, services)
        assert remote.calls["create_batch"] == 1
        await live(services, deliveries=1)
