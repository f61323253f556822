"""SETTLED -> PUBLISHING -> DELIVERED: the folder is whole, adds up, and appears once."""

from __future__ import annotations

import hashlib
import json
import random
from collections import Counter
from typing import Any

import anyio
import pytest

from batchd.core.errors import BrokenInvariant
from batchd.core.model import JobState
from batchd.spool.identities import WORTH_KEEPING
from batchd.stages import collect, deliver, poll, submit
from tests.fakes.clock import FakeClock
from tests.fakes.remote import FakeRemote, answer_for
from tests.houses import (
    delivered,
    drop,
    live,
    open_services,
    read_lines,
    read_receipt,
    request,
    requests,
)
from tests.stages.steps import ALL, planned, step, until


async def settled(services, root, lines: Any = None) -> Any:
    """Bring one file to where only its folder is missing."""
    await planned(services, root, lines=lines)

    async def come() -> Any:
        return await services.ledger.jobs_in(JobState.SETTLED)

    return (await until(services, come, submit, poll, collect))[0]


async def test_a_retry_file_that_is_dropped_again_does_just_the_rest(tmp_path):
    clock = FakeClock()
    remote = FakeRemote(clock)
    remote.verdicts = {"r-2": [400, 200], "r-4": [400, 200]}
    async with open_services(tmp_path, remote=remote, clock=clock) as services:
        drop(tmp_path, "a.jsonl", requests(5))
        await live(services, deliveries=1)
        retry = delivered(tmp_path)["a"] / "retry.jsonl"
        retry.rename(tmp_path / "inbox" / "again.jsonl")
        await live(services, deliveries=2)
        again = read_lines(delivered(tmp_path)["again"] / "results.jsonl")
        assert [line["custom_id"] for line in again] == ["r-2", "r-4"]
        assert all(line["ok"] for line in again)
        assert remote.executions == {"r-1": 1, "r-2": 2, "r-3": 1, "r-4": 2, "r-5": 1}


@pytest.mark.parametrize("responses", [True, False])
async def test_the_providers_own_lines_are_a_setting(tmp_path, responses):
    async with open_services(tmp_path, results={"responses": responses}) as services:
        drop(tmp_path, "a.jsonl", requests(3))
        await live(services, deliveries=1)
        folder = delivered(tmp_path)["a"]
        assert (folder / "responses.jsonl").exists() is responses
        if responses:
            ids = [line["custom_id"] for line in read_lines(folder / "responses.jsonl")]
            assert ids == ["r-1", "r-2", "r-3"]


async def test_an_answer_to_a_schema_is_an_object_and_an_embedding_is_its_vector(tmp_path):
    def answer(asked: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        status, body = answer_for(asked)
        if asked["custom_id"] == "s":
            body["choices"][0]["message"]["content"] = '{"mood": "good"}'
        return status, body

    clock = FakeClock()
    remote = FakeRemote(clock)
    remote.answers = answer
    schema = {"type": "json_schema", "json_schema": {"name": "m", "schema": {"type": "object"}}}
    asked, plain = request("s"), request("p")
    asked["body"]["response_format"] = schema
    vector = {"custom_id": "e", "method": "POST", "url": "/v1/embeddings"}
    vector["body"] = {"model": "text-embedding-3-small", "input": "x"}
    async with open_services(tmp_path, remote=remote, clock=clock) as services:
        drop(tmp_path, "a.jsonl", [asked, plain, vector])
        await live(services, deliveries=1)
        found = read_lines(delivered(tmp_path)["a"] / "results.jsonl")
        assert [line["output"] for line in found] == [
            {"mood": "good"},
            "answer to p",
            [0.25, -0.5, 0.0],
        ]


@pytest.mark.parametrize("somebody_removes_it", [False, True])
async def test_of_a_large_file_it_is_kept_whose_each_line_is(tmp_path, somebody_removes_it):
    clock = FakeClock()
    remote = FakeRemote(clock)
    remote.verdicts = {"r-2": [500, 200], "r-3": [400]}
    lines, batches = requests(7), {"max_requests": 3}
    lines[0] = request("r-1", text="x" * WORTH_KEEPING)
    async with open_services(tmp_path, remote=remote, clock=clock, batches=batches) as services:
        await planned(services, tmp_path, "a", lines=lines)
        (job,) = await services.ledger.jobs_in(JobState.ACTIVE)
        ids = services.work.ids_file(job.id)
        assert b"r-7" in ids.read_bytes()
        if somebody_removes_it:
            ids.unlink()
        await live(services, deliveries=1)
        results = read_lines(delivered(tmp_path)["a"] / "results.jsonl")
        assert [line["custom_id"] for line in results] == [f"r-{n}" for n in range(1, 8)]
        assert [line["ok"] for line in results] == [True, True, False, True, True, True, True]
        assert remote.executions["r-2"] == 2


async def test_the_receipt_names_every_file_with_its_size_and_hash(tmp_path):
    async with open_services(tmp_path) as services:
        drop(tmp_path, "a.jsonl", requests(3))
        await live(services, deliveries=1)
        folder = delivered(tmp_path)["a"]
        for file in read_receipt(folder)["files"]:
            content = (folder / file["name"]).read_bytes()
            assert len(content) == file["bytes"], file
            assert hashlib.sha256(content).hexdigest() == file["sha256"], file


async def test_a_file_that_grew_after_its_claim_has_its_real_size_on_the_receipt(tmp_path):
    async with open_services(tmp_path) as services:
        drop(tmp_path, "a.jsonl", requests(3))
        await step(services, ALL[0])
        services.clock.advance(1.0)
        await ALL[0].run_once(services)
        (inside,) = (tmp_path / "var" / "work").glob("*/in/a.jsonl")
        inside.write_bytes(inside.read_bytes() + json.dumps(request("late")).encode() + b"\n")
        await live(services, deliveries=1)
        folder = delivered(tmp_path)["a"]
        sizes = {file["name"]: file["bytes"] for file in read_receipt(folder)["files"]}
        assert sizes["input/a.jsonl"] == (folder / "input" / "a.jsonl").stat().st_size
        assert len(read_lines(folder / "results.jsonl")) == 4


async def test_a_draft_left_by_a_crash_is_built_again(tmp_path):
    """C4: what begins with a dot is nobody's."""
    async with open_services(tmp_path) as services:
        job = await settled(services, tmp_path)
        draft = services.outbox.begin(job.id)
        (draft / "results.jsonl.part").write_bytes(b"half")
        await step(services, deliver)
        folder = delivered(tmp_path)["a"]
        assert not list(folder.glob("*.part"))


async def prepared(services, tmp_path):
    """A job whose folder is complete, and has not appeared."""
    job, shards = await services.ledger.job_and_shards((await settled(services, tmp_path)).id)
    return await deliver._prepare(job, shards, services)


async def test_a_folder_that_was_taken_away_before_it_was_recorded_is_not_delivered_twice(tmp_path):
    """C5: it had appeared, and its reader was quick."""
    async with open_services(tmp_path) as services:
        job = await prepared(services, tmp_path)
        dropped = services.work.input(job.id)
        assert services.outbox.publish(job.id, job.folder, [dropped])
        delivered(tmp_path)["a"].rename(tmp_path / "taken")
        await step(services, deliver)
        assert (await services.ledger.job(job.id)).state is JobState.DELIVERED
        assert delivered(tmp_path) == {}


async def test_a_draft_that_somebody_removed_is_built_again_and_the_file_is_not_lost(tmp_path):
    """It never appeared: it was taken for delivered, and the dropped file would have been tidied
    away with the work folder."""
    async with open_services(tmp_path) as services:
        job = await prepared(services, tmp_path)
        services.outbox.begin(job.id).rmdir()
        await step(services, deliver)
        folder = delivered(tmp_path)["a"]
        assert (folder / "input" / "a.jsonl").exists()
        assert len(read_lines(folder / "results.jsonl")) == 3


@pytest.mark.parametrize("content", [(), ("theirs",)])
async def test_a_folder_that_somebody_planted_is_never_replaced(tmp_path, content):
    async with open_services(tmp_path) as services:
        job = await prepared(services, tmp_path)
        planted = tmp_path / "outbox" / job.folder
        planted.mkdir()
        for name in content:
            (planted / name).touch()
        with pytest.raises(BrokenInvariant):
            await deliver._publish(job, services)
        assert [path.name for path in planted.iterdir()] == list(content)


async def test_ten_folders_that_can_not_be_built_keep_no_other_out(tmp_path):
    async with open_services(tmp_path) as services:
        await planned(services, tmp_path, *"abcdefghijk")

        async def come() -> bool:
            return len(await services.ledger.jobs_in(JobState.SETTLED)) == 11

        await until(services, come, submit, poll, collect)
        for job in (await services.ledger.jobs_in(JobState.SETTLED))[:10]:
            services.work.input(job.id).unlink()
        for _ in range(20):
            await step(services, deliver)
        assert delivered(tmp_path).keys() == {"k"}


STATUSES = [200, 200, 200, 200, 200, 400, 404, 429, 500, 503]


def scenario(chance: random.Random, remote: FakeRemote, ids: list[str]) -> None:
    """Every request its own fate, over as many rounds as it may live."""
    remote.verdicts = {id: [chance.choice(STATUSES) for _ in range(4)] for id in ids}
    for id in chance.sample(ids, k=len(ids) // 8):
        remote.drop(id, times=chance.randint(1, 4))
    for _ in range(chance.randint(0, 3)):
        match chance.randrange(4):
            case 0:
                remote.expire(fraction=chance.random())
            case 1:
                remote.cancel_after(5.0, fraction=chance.random())
            case 2:
                remote.lose_connection_after("create_batch")
            case 3:
                remote.lose_connection_before("create_batch")


@pytest.mark.parametrize("seed", range(25))
async def test_whatever_happens_the_receipt_adds_up_and_nothing_answered_is_bought_again(
    tmp_path, seed
):
    chance = random.Random(seed)
    clock = FakeClock()
    remote = FakeRemote(clock)
    ids = [f"r-{number}" for number in range(1, chance.randint(2, 60))]
    models = ["gpt-4o-mini", "gpt-4.1"][: chance.randint(1, 2)]
    scenario(chance, remote, ids)
    limits = {"max_requests": chance.randint(1, 40)}
    attempts = chance.randint(1, 3)
    async with open_services(
        tmp_path, remote=remote, clock=clock, batches=limits, retries={"max_attempts": attempts}
    ) as services:
        drop(tmp_path, "a.jsonl", [request(id, model=chance.choice(models)) for id in ids])
        await live(services, deliveries=1)
        (folder,) = (tmp_path / "outbox").iterdir()
        adds_up(folder, ids, remote, attempts)


def adds_up(folder: Any, ids: list[str], remote: FakeRemote, attempts: int) -> None:
    results, receipt = read_lines(folder / "results.jsonl"), read_receipt(folder)
    assert [line["custom_id"] for line in results] == ids, "each line once, in the input's order"
    counts = receipt["requests"]
    assert counts["total"] == len(ids) == sum(n for name, n in counts.items() if name != "total")
    assert counts["succeeded"] == sum(line["ok"] for line in results)

    failed = [line["custom_id"] for line in results if not line["ok"]]
    for name in ("errors.jsonl", "retry.jsonl"):
        path = folder / name
        assert [line["custom_id"] for line in (read_lines(path) if path.exists() else [])] == failed
    assert sum(seen["count"] for seen in receipt["errors"].values()) == len(failed)

    assert max(line["attempts"] for line in results) <= attempts
    for line in results:
        if line["ok"] or line["error"]["code"] != "batch_cancelled":
            # Of a cancelled batch nobody can know what it executed and didn't tell.
            executed = remote.executions[line["custom_id"]]
            assert executed <= line["attempts"], "an expiry counts, too"
    shards = Counter(shard for shard, _ in remote.opened)
    assert set(shards.values()) <= {1}
    answered = receipt["usage"]["by_model"].values()
    assert sum(model["requests"] for model in answered) == counts["succeeded"]


async def test_answering_and_delivering_leave_the_loop_free(tmp_path):
    """A big job is rendered in a thread: the loop's longest wait is a piece of it, not all of it."""
    clock = FakeClock()
    async with open_services(tmp_path, clock=clock) as services:
        job = await settled(services, tmp_path, lines=requests(4000))
        longest = 0.0

        async def feel() -> None:
            nonlocal longest
            while True:
                before = anyio.current_time()
                await anyio.sleep(0.005)
                longest = max(longest, anyio.current_time() - before - 0.005)

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(feel)
            began = anyio.current_time()
            await step(services, deliver)
            lasted = anyio.current_time() - began
            tasks.cancel_scope.cancel()
        assert (await services.ledger.job(job.id)).state is JobState.DELIVERED
        assert longest < lasted / 2  # a ratio: a slow machine is slow at both
