"""All jobs on their way, some at a time: nobody is left out, and nobody's place in line is another."""

from __future__ import annotations

from batchd.control import portions as module
from batchd.control.jobs import Room, reason_of_job
from batchd.control.ledger import Part
from batchd.control.portions import AT_ONCE, portions, room_now
from batchd.core.events import JobHeld
from batchd.core.model import Pause, ShardState
from tests.houses import open_services, requests
from tests.stages.steps import opened, planned


async def test_every_job_is_in_one_portion_with_all_its_shards(tmp_path):
    given = {"batches": {"max_requests": 1, "max_open": 1000}}
    async with open_services(tmp_path, **given) as services:
        await opened(services, tmp_path, "large", lines=requests(AT_ONCE + 20))
        for name in ("a", "b", "c"):
            await opened(services, tmp_path, name, lines=requests(AT_ONCE // 4, prefix=name))
        found = [portion async for portion in portions(services)]
        assert [[job.name for job in jobs] for jobs, _ in found] == [
            [b"large.jsonl"],
            [b"a.jsonl", b"b.jsonl", b"c.jsonl"],
        ]
        assert [len(parts) for _, parts in found] == [AT_ONCE + 20, 3 * (AT_ONCE // 4)]
        for jobs, parts in found:
            assert {part.shard.job for part in parts} == {job.id for job in jobs}


async def test_jobs_without_shards_are_not_all_in_one_portion_either(tmp_path):
    counted = [(f"job{number}", 0) for number in range(2 * AT_ONCE + 1)]
    cut = list(module._cut(counted))
    assert [len(ids) for ids in cut] == [AT_ONCE, AT_ONCE, 1]
    assert [id_ for ids in cut for id_ in ids] == [id_ for id_, _ in counted]
    assert list(module._cut([])) == []


async def test_what_waits_for_what_is_the_same_as_with_all_at_once(tmp_path):
    given = {"batches": {"max_requests": 1, "max_open": 4}}
    async with open_services(tmp_path, **given) as services:
        await opened(services, tmp_path, "a", lines=requests(3))
        await planned(services, tmp_path, "b", lines=requests(3, prefix="b"))
        await opened(services, tmp_path, "c", lines=requests(3, prefix="c"))
        ledger, now = services.ledger, services.clock.now()
        jobs, live = await ledger.unfinished()
        await ledger.wish(JobHeld(job=jobs[1].id, reason="held"), at=now)
        jobs, live = await ledger.unfinished()
        parts = [Part(shard, text) for shard, text in live]
        assert {part.shard.state for part in parts} == {ShardState.OPEN, ShardState.PLANNED}
        pauses = await ledger.pauses()
        batches = services.settings.batches
        created = await ledger.created_since(now - 3600)
        at_once = Room.of(parts, batches, now=now, jobs=jobs, pauses=pauses, created=created)
        seen = await room_now(services)
        assert seen == at_once
        assert len(seen.waits) >= 5
        assert Pause.SUBMISSION not in seen.pauses
        codes = [reason_of_job(job, parts, room=seen, now=now).code for job in jobs]
        assert "held" in codes
