"""ENDED -> COLLECTED: every request of a batch gets its verdict, whatever the provider's files say."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import anyio
import pytest

from batchd.core.errors import RemoteRefused, RemoteUnavailable
from batchd.core.model import BatchError, ShardState
from batchd.remote.api import Remote
from batchd.runtime.fetching import fetch
from batchd.stages import collect, poll, submit
from tests.fakes.clock import FakeClock
from tests.fakes.remote import FakeRemote
from tests.houses import delivered, live, open_services, read_lines, read_receipt, requests
from tests.stages.steps import ended, only_shard, opened, planned, step, until

ALL_REMOTE = (submit, poll, collect)
FULL = BatchError("token_limit_exceeded", "Enqueued token limit reached for gpt-4o-mini.")
UNSEEN = BatchError("invalid_request", "Cannot find file file-1, or organization x", "file_id")


async def results(services, root) -> dict[str, Any]:
    await live(services, deliveries=1)
    (folder,) = delivered(root).values()
    return {line["custom_id"]: line for line in read_lines(folder / "results.jsonl")}


def rewrite(remote: FakeRemote, kind: str, change: Any) -> None:
    """Change the lines of a batch's output or error file at the provider."""
    for name, kept in remote.files.items():
        if name.endswith(f"_{kind}"):
            kept.content = change(kept.content)


async def test_answers_are_fetched_once_and_matched_by_their_id(tmp_path):
    async with open_services(tmp_path) as services:
        shard = await ended(services, tmp_path, lines=requests(5))
        await step(services, collect)
        shard = await services.ledger.shard(shard.id)
        assert (shard.state, shard.kept, shard.failed) == (ShardState.COLLECTED, 5, 0)
        assert services.remote.calls["download"] == 1
        found = await results(services, tmp_path)
        assert {line["output"] for line in found.values()} == {
            f"answer to r-{n}" for n in range(1, 6)
        }


async def test_when_all_failed_there_is_only_an_error_file(tmp_path):
    clock = FakeClock()
    remote = FakeRemote(clock)
    remote.verdicts = {f"r-{n}": [400] for n in range(1, 4)}
    async with open_services(tmp_path, remote=remote, clock=clock) as services:
        shard = await ended(services, tmp_path, lines=requests(3))
        assert shard.output_file is None
        await step(services, collect)
        assert (await services.ledger.shard(shard.id)).failed == 3


async def test_an_empty_error_file_is_no_error(tmp_path):
    async with open_services(tmp_path) as services:
        shard = await ended(services, tmp_path)
        path = services.work.answers(shard.job, shard.id, "error")
        path.parent.mkdir(exist_ok=True)
        path.touch()
        found = await results(services, tmp_path)
        assert all(line["ok"] for line in found.values())


async def test_strange_lines_are_counted_and_harm_nobody(tmp_path):
    async with open_services(tmp_path) as services:
        await ended(services, tmp_path, lines=requests(3))
        rewrite(
            services.remote,
            "output",
            lambda content: (
                b'{"custom_id": "nobody", "response": null, "error": null}\n\n'
                + content
                + content
                + b"{half a li\n\xff\xfe\n[]\n"
            ),
        )
        found = await results(services, tmp_path)
        assert all(line["ok"] for line in found.values())
        (folder,) = delivered(tmp_path).values()
        oddities = read_receipt(folder)["oddities"]
        assert oddities == {"unknown_ids": 1, "repeated_ids": 3, "unreadable_lines": 3}


async def test_an_answer_beats_a_failure_of_the_same_request(tmp_path):
    clock = FakeClock()
    remote = FakeRemote(clock)
    remote.verdicts = {"r-1": [500]}
    async with open_services(tmp_path, remote=remote, clock=clock) as services:
        await ended(services, tmp_path, lines=requests(2))
        good = {"status_code": 200, "body": {"choices": [{"message": {"content": "late"}}]}}
        line = json.dumps({"custom_id": "r-1", "response": good, "error": None}).encode()
        rewrite(remote, "error", lambda content: content + line + b"\n")
        found = await results(services, tmp_path)
        assert found["r-1"]["output"] == "late"
        assert remote.executions["r-1"] == 1, "and it does not travel again"


async def test_what_no_file_mentions_travels_again_and_is_told_in_the_end(tmp_path):
    clock = FakeClock()
    remote = FakeRemote(clock)
    remote.drop("r-1")
    remote.drop("r-2", times=99)
    async with open_services(tmp_path, remote=remote, clock=clock) as services:
        await ended(services, tmp_path, lines=requests(3))
        found = await results(services, tmp_path)
        assert found["r-1"]["ok"]
        assert found["r-2"]["error"]["code"] == "missing_answer"
        assert found["r-2"]["attempts"] == remote.executions["r-2"] == 3


async def test_a_cancelled_batch_gives_what_it_has_and_is_not_bought_again(tmp_path):
    async with open_services(tmp_path) as services:
        services.remote.cancel_after(5.0, fraction=0.5)
        await opened(services, tmp_path, lines=requests(4))
        found = await results(services, tmp_path)
        assert [line["ok"] for line in found.values()] == [True, True, False, False]
        (folder,) = delivered(tmp_path).values()
        receipt = read_receipt(folder)
        assert receipt["outcome"] == "partial"
        assert receipt["requests"]["cancelled"] == 2
        assert len(services.remote.opened) == 1


async def test_a_full_queue_counts_no_attempt_and_waits_longer_and_longer(tmp_path):
    async with open_services(tmp_path) as services:
        services.remote.fail_batches_with(FULL, times=4)
        await planned(services, tmp_path)
        waits = []
        while len(services.remote.opened) < 5:
            before = services.clock.now()
            opened_before = len(services.remote.opened)
            while len(services.remote.opened) == opened_before:
                if not await step(services, *ALL_REMOTE):
                    services.clock.advance(1.0)
            waits.append(services.clock.now() - before)
        assert len(services.remote.uploads) == 1, "with the same file"
        assert 64 <= waits[1] < 80
        assert 128 <= waits[2] < 150
        found = await results(services, tmp_path)
        assert {line["attempts"] for line in found.values()} == {1}


async def test_a_file_never_found_is_sent_anew_now_and_then_and_given_up_in_the_end(tmp_path):
    """It went on for ever once, every two seconds, with the same file."""
    async with open_services(tmp_path) as services:
        services.remote.fail_batches_with(UNSEEN, times=99)
        await planned(services, tmp_path)
        found = await results(services, tmp_path)
        assert len(services.remote.opened) == 10
        assert len(services.remote.uploads) == 4
        assert {line["attempts"] for line in found.values()} == {0}


async def test_named_lines_fail_and_the_others_travel_again_uncounted(tmp_path):
    async with open_services(tmp_path) as services:
        services.remote.fail_batches_with(BatchError("invalid_url", "no such url", "url", line=2))
        await planned(services, tmp_path, lines=requests(3))
        found = await results(services, tmp_path)
        assert found["r-2"]["error"] == {"code": "invalid_url", "message": "no such url"}
        assert found["r-2"]["attempts"] == 0
        assert [found[id]["attempts"] for id in ("r-1", "r-3")] == [1, 1]
        assert services.remote.executions["r-2"] == 0


async def test_a_line_that_is_not_there_names_nobody(tmp_path):
    async with open_services(tmp_path) as services:
        services.remote.fail_batches_with(BatchError("invalid_url", "no", "url", line=99))
        await planned(services, tmp_path, lines=requests(3))
        found = await results(services, tmp_path)
        assert {line["error"]["code"] for line in found.values()} == {"invalid_url"}


async def test_an_unnamed_reason_is_everybodys(tmp_path):
    async with open_services(tmp_path) as services:
        services.remote.fail_batches_with(BatchError("empty_file", "the file is empty"))
        await planned(services, tmp_path)
        found = await results(services, tmp_path)
        assert {line["error"]["code"] for line in found.values()} == {"empty_file"}
        assert len(services.remote.opened) == 1


@pytest.mark.parametrize(
    "error",
    [
        RemoteRefused("No such File object", status=404),
        RemoteUnavailable("short", may_have_happened=True),
    ],
)
async def test_a_download_that_fails_for_a_while_is_tried_again(tmp_path, error):
    async with open_services(tmp_path) as services:
        services.remote.fail("download", error, times=3)
        await ended(services, tmp_path)
        found = await results(services, tmp_path)
        assert all(line["ok"] for line in found.values())
        assert set(services.remote.executions.values()) == {1}


class CutShort(FakeRemote):
    """Says a length, and leaves less."""

    times = 2

    async def download(self, file_id: str, to: Any) -> int:
        length = await super().download(file_id, to)
        if self.times:
            self.times -= 1
            to.write_bytes(to.read_bytes()[:-10])
        return length


async def test_a_file_that_came_short_is_never_kept(tmp_path):
    clock = FakeClock()
    remote: Remote = CutShort(clock)
    async with open_services(tmp_path, remote=remote, clock=clock) as services:
        await ended(services, tmp_path)
        found = await results(services, tmp_path)
        assert all(line["ok"] for line in found.values())


async def test_keeping_twice_writes_the_same_bytes(tmp_path):
    """C3: killed between keeping and recording."""
    async with open_services(tmp_path) as services:
        shard = await ended(services, tmp_path)
        job = await services.ledger.job(shard.job)
        await fetch(shard, services)
        first = await collect._judged(shard, job, services, lost=False)
        kept = services.work.answers(shard.job, shard.id, "index").read_bytes()
        await step(services, collect)
        assert services.work.answers(shard.job, shard.id, "index").read_bytes() == kept
        assert (await only_shard(services)).kept == first.kept
        assert services.remote.calls["download"] == 1
        await collect._collect(shard, services)  # listed before its own earlier turn had ended


async def test_nothing_ended_is_nothing_to_collect(tmp_path):
    async with open_services(tmp_path) as services:
        assert await step(services, collect) == 0
        assert await collect.next_look(services) is None


class LongInput(FakeRemote):
    """What was uploaded comes back when the test says so, everything else at once."""

    def __init__(self, clock: FakeClock) -> None:
        super().__init__(clock)
        self.comes = anyio.Event()
        self.asked = list[str]()

    async def download(self, file_id: str, to: Path) -> int:
        if file_id.startswith("file-0"):
            self.asked.append(file_id)
            await self.comes.wait()
        return await super().download(file_id, to)


async def test_nobody_waits_for_a_lost_input_that_is_fetched_back_for_another_job(tmp_path):
    """F67: a large one takes minutes to come; and what belongs to one job fetches it once."""
    clock = FakeClock()
    remote = LongInput(clock)
    given = {"batches": {"max_requests": 2}}
    async with open_services(tmp_path, remote=remote, clock=clock, **given) as services:
        lost = await opened(services, tmp_path, lines=requests(4))
        shutil.rmtree(services.work.of(lost.job))
        await opened(services, tmp_path, "b", lines=requests(1, prefix="b"))

        async def have_ended() -> bool:
            return len(await services.ledger.shards_in(ShardState.ENDED)) == 3

        await until(services, have_ended, poll)
        assert await collect.run_once(services) == 3
        with anyio.fail_after(30):
            while not (theirs := await services.ledger.shards_in(ShardState.COLLECTED)):
                await anyio.wait_all_tasks_blocked()
        assert {shard.job for shard in theirs} != {lost.job}
        remote.comes.set()
        await services.crews["collect"].finish()
        assert len(await services.ledger.shards_in(ShardState.COLLECTED)) == 3
        assert len(remote.asked) == len(set(remote.asked)) == 2
        assert services.work.input(lost.job) is not None
