"""CLAIMED -> ACTIVE or REJECTED: every line is read before anything is sent."""

from __future__ import annotations

import os

import pytest

from batchd.core.model import JobState
from batchd.spool.work import InputChanged
from batchd.stages import claim, collect, plan, poll, submit
from tests.fakes.clock import FakeClock
from tests.fakes.remote import FakeRemote
from tests.houses import delivered, drop, live, open_services, read_receipt, request, requests
from tests.stages.steps import planned, step, until


async def claimed(services, root, lines=None) -> str:
    drop(root, "a.jsonl", lines or requests(3))
    await step(services, claim)
    services.clock.advance(1.0)
    await step(services, claim)
    (job,) = await services.ledger.jobs_in(JobState.CLAIMED)
    return job.id


async def test_a_plain_file_is_one_shard_and_travels_as_it_lies(tmp_path):
    async with open_services(tmp_path) as services:
        id = await claimed(services, tmp_path)
        await step(services, plan)
        job = await services.ledger.job(id)
        (shard,) = await services.ledger.shards_of(id)
        assert (job.state, job.verbatim, job.requests) == (JobState.ACTIVE, True, 3)
        assert (shard.requests, shard.round) == (3, 1)
        assert await plan.next_look(services) is None


async def test_what_can_be_mended_by_rule_is_mended_and_told(tmp_path):
    async with open_services(tmp_path) as services:
        path = drop(tmp_path, "a.jsonl", requests(2))
        content = b"\xef\xbb\xbf" + path.read_bytes().replace(b"\n", b"\r\n") + b"\r\n"
        path.write_bytes(content)
        await live(services, deliveries=1)
        folder = delivered(tmp_path)["a"]
        receipt = read_receipt(folder)
        assert receipt["repairs"] == {"bom": True, "crlf_lines": 2, "blank_lines": 1}
        ((_, sent),) = services.remote.uploads
        assert b"\r" not in sent
        assert not sent.startswith(b"\xef")
        assert (folder / "input" / "a.jsonl").read_bytes() == content


async def test_a_file_with_a_second_name_becomes_a_copy_that_cannot_be_changed_there(tmp_path):
    async with open_services(tmp_path) as services:
        path = drop(tmp_path, "a.jsonl", requests(3))
        os.link(path, tmp_path / "other name")
        await step(services, claim)
        services.clock.advance(1.0)
        await step(services, claim, plan)
        (tmp_path / "other name").write_bytes(b"something else")
        await live(services, deliveries=1)
        assert read_receipt(delivered(tmp_path)["a"])["requests"]["succeeded"] == 3


async def test_a_copy_of_a_file_that_is_being_written_is_not_taken_for_the_file(tmp_path):
    """It would be half of one content and half of another, and quiet from then on."""
    async with open_services(tmp_path) as services:
        id = await claimed(services, tmp_path)
        path = services.work.input(id)
        os.link(path, tmp_path / "other name")
        with (tmp_path / "other name").open("ab"):
            await step(services, plan)
            assert (await services.ledger.job(id)).state is JobState.CLAIMED
            assert path.stat().st_nlink == 2
        services.clock.advance(1.0)
        await step(services, plan)
        assert (await services.ledger.job(id)).state is JobState.ACTIVE


async def test_a_file_that_is_still_written_is_read_again_later(tmp_path):
    """A rename does not take the file from a writer who has it open."""
    async with open_services(tmp_path) as services:
        id = await claimed(services, tmp_path)
        with services.work.input(id).open("ab") as late:
            await step(services, plan)
            assert (await services.ledger.job(id)).state is JobState.CLAIMED
            late.write(b'{"custom_id": "cut')
            late.flush()
            services.clock.advance(1.0)
            await step(services, plan)
            assert (await services.ledger.job(id)).state is JobState.CLAIMED
        services.clock.advance(2.0)
        await step(services, plan)
        assert (await services.ledger.job(id)).state is JobState.REJECTED


async def test_suspects_that_are_no_duplicates_are_no_problem(tmp_path):
    """Ids are compared by their hashes first; only the file itself can say that one came twice."""
    async with open_services(tmp_path) as services:
        id = await claimed(services, tmp_path, [request("a"), request("b"), request("a")])
        await step(services, plan)
        job = await services.ledger.job(id)
        assert (job.state, job.reason) == (JobState.REJECTED, "duplicate_custom_id")
        assert job.problems["errors"][0]["line"] == 3


async def test_eight_files_that_can_not_be_read_keep_no_other_out(tmp_path):
    async with open_services(tmp_path) as services:
        for number in range(9):
            drop(tmp_path, f"{number}.jsonl", requests(1, prefix=str(number)))
        await step(services, claim)
        services.clock.advance(1.0)
        await step(services, claim)
        jobs = await services.ledger.jobs_in(JobState.CLAIMED)
        writers = [services.work.input(job.id).open("ab") for job in jobs[:8]]
        for _ in range(10):
            await step(services, plan)
        states = [(await services.ledger.job(job.id)).state for job in jobs]
        assert states == [JobState.CLAIMED] * 8 + [JobState.ACTIVE]
        for writer in writers:
            writer.close()


async def between_rounds(services, root) -> str:
    services.remote.verdicts = {"a-2": [429, 200]}
    await planned(services, root)

    async def come():
        return await services.ledger.jobs_between_rounds()

    return (await until(services, come, submit, poll, collect))[0].id


async def test_the_next_round_carries_only_what_is_left(tmp_path):
    async with open_services(tmp_path) as services:
        id = await between_rounds(services, tmp_path)
        await step(services, plan)
        shards = await services.ledger.shards_of(id)
        assert [(s.round, s.requests, list(s.rows)) for s in shards] == [
            (1, 3, [1, 2, 3]),
            (2, 1, [2]),
        ]


async def test_a_round_is_not_planned_from_another_file(tmp_path):
    async with open_services(tmp_path) as services:
        id = await between_rounds(services, tmp_path)
        path = services.work.input(id)
        content = path.read_bytes()
        path.write_bytes(content.replace(b"a-2", b"b-2"))
        await step(services, plan)
        assert len(await services.ledger.shards_of(id)) == 1
        with pytest.raises(InputChanged):
            services.work.unchanged_input(await services.ledger.job(id), pause=lambda: None)
        path.write_bytes(content)
        await live(services, deliveries=1)
        assert services.remote.executions == {"a-1": 1, "a-2": 2, "a-3": 1}


async def test_a_stale_list_changes_nothing(tmp_path):
    """Listed, and by then read by its own earlier turn."""
    clock = FakeClock()
    async with open_services(tmp_path, remote=FakeRemote(clock), clock=clock) as services:
        id = await claimed(services, tmp_path)
        listed = await services.ledger.job(id)
        await step(services, plan)
        await plan._plan(listed, services)
        assert len(await services.ledger.shards_of(id)) == 1
