"""A dropped file that is changed in the work folder stops its job, until it is itself again."""

from __future__ import annotations

from batchd.core.model import JobState, ShardState
from batchd.stages import STAGES, deliver
from tests.houses import delivered, drop, live, open_services, read_lines, requests, turn

TURNS = 40


async def pass_time(services):
    """Long enough for everything that would happen."""
    for _ in range(TURNS):
        await turn(services)
        services.clock.advance(seconds=2)


async def until_open(services):
    """Until the one batch is at the provider."""
    while not await services.ledger.shards_in(ShardState.OPEN):
        if not await turn(services):
            services.clock.advance(seconds=1)


def in_work(root):
    """The dropped file, where it lies now."""
    (path,) = (root / "var" / "work").glob("*/in/a.jsonl")
    return path


async def test_answers_to_a_file_that_was_changed_meanwhile_are_not_judged_by_it(tmp_path):
    async with open_services(tmp_path) as services:
        drop(tmp_path, "a.jsonl", requests(5))
        await until_open(services)
        path = in_work(tmp_path)
        content = path.read_bytes()
        path.write_bytes(content.replace(b"r-", b"x-"))
        await pass_time(services)
        assert delivered(tmp_path) == {}

        path.write_bytes(content)
        await live(services, deliveries=1)
        results = read_lines(delivered(tmp_path)["a"] / "results.jsonl")
        assert [line["ok"] for line in results] == [True] * 5
        assert len(services.remote.opened) == 1


async def test_a_file_that_was_changed_after_its_last_answer_is_not_delivered(tmp_path):
    async with open_services(tmp_path) as services:
        drop(tmp_path, "a.jsonl", requests(5))
        await until_open(services)
        path = in_work(tmp_path)
        content = path.read_bytes()
        while not await services.ledger.jobs_in(JobState.SETTLED):
            for stage in (stage for stage in STAGES if stage is not deliver):
                await stage.run_once(services)
                await services.crews[stage.NAME].finish()
            services.clock.advance(seconds=1)
        path.write_bytes(content.replace(b"r-", b"x-"))
        await pass_time(services)
        assert delivered(tmp_path) == {}

        path.write_bytes(content)
        await live(services, deliveries=1)
        assert (delivered(tmp_path)["a"] / "input" / "a.jsonl").read_bytes() == content
