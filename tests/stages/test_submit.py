"""PLANNED -> SUBMITTING -> OPEN: what costs money, and every doubt about it."""

from __future__ import annotations

from pathlib import Path

import anyio
import pytest

from batchd.core.errors import RemoteRefused, RemoteUnavailable
from batchd.core.model import JobState, ShardState
from batchd.stages import collect, doubt, plan, submit
from tests.fakes.clock import FakeClock
from tests.fakes.remote import FakeRemote
from tests.houses import delivered, drop, live, open_services, read_lines, request, requests
from tests.stages.steps import only_shard, opened, planned, step

UNSEEN = RemoteRefused(
    "create batch: the provider answered 400: Cannot find file file-1, or organization org-1"
    " does not have access to it.",
    status=400,
)


class Slow(FakeRemote):
    """An upload that goes on until a test says so."""

    def __init__(self, clock: FakeClock) -> None:
        super().__init__(clock)
        self.go = anyio.Event()

    async def upload(self, path: Path, *, name: str) -> str:
        await self.go.wait()
        return await super().upload(path, name=name)


async def test_a_shard_becomes_one_batch_that_says_whose_it_is(tmp_path):
    async with open_services(tmp_path) as services:
        shard = await opened(services, tmp_path)
        (batch,) = services.remote.batches
        assert batch.id == shard.batch
        assert batch.metadata == {
            "batchd_root": services.ledger.root,
            "batchd_job": shard.job,
            "batchd_shard": shard.id,
            "description": "a.jsonl, shard 1 of 1",
        }
        assert services.remote.uploads[0][0] == f"batchd-{services.ledger.root}-{shard.id}.jsonl"
        assert await step(services, submit) == 0


@pytest.mark.parametrize(
    ("said", "window", "seconds"),
    [({}, "24h", 604_800), ({"completion_window": "48h", "keep_files_days": 0.0}, "48h", None)],
)
async def test_an_order_says_how_long_it_may_take_and_what_came_of_it_is_kept(
    tmp_path, said, window, seconds
):
    async with open_services(tmp_path, openai=said) as services:
        services.remote.windows = (window,)
        await opened(services, tmp_path)
        (order,) = services.remote.orders
        assert (order.completion_window, order.output_expires_seconds) == (window, seconds)


async def test_a_refusal_ends_the_shard_and_its_requests_fail_with_the_reason(tmp_path):
    async with open_services(tmp_path) as services:
        no = RemoteRefused("Invalid value: 'endpoint'", status=400, code="invalid_value")
        services.remote.fail("create_batch", no)
        await planned(services, tmp_path)
        await live(services, deliveries=1)
        (folder,) = (tmp_path / "outbox").glob("a--*.failed")
        codes = {line["error"]["code"] for line in read_lines(folder / "errors.jsonl")}
        assert codes == {"invalid_value"}
        assert services.remote.opened == []


async def test_a_file_that_the_provider_will_not_have_ends_the_shard_too(tmp_path):
    async with open_services(tmp_path) as services:
        services.remote.fail("upload", RemoteRefused("413", status=413, code="too_large"))
        await planned(services, tmp_path)
        await step(services, submit)
        shard = await only_shard(services)
        assert (shard.state, shard.errors[0].code) == (ShardState.ENDED, "too_large")


async def test_an_address_that_takes_no_files_is_the_operators_and_rejects_nothing(tmp_path):
    async with open_services(tmp_path) as services:
        services.remote.fail("upload", RemoteRefused("404", status=404))
        await planned(services, tmp_path)
        await step(services, submit)
        assert (await only_shard(services)).state is ShardState.PLANNED
        assert services.crews["submit"].next_free() == pytest.approx(1.0)


async def test_too_many_requests_put_it_off_as_long_as_the_provider_asks_for(tmp_path):
    async with open_services(tmp_path) as services:
        busy = RemoteUnavailable("429", may_have_happened=False, retry_after_seconds=75.0)
        services.remote.fail("create_batch", busy)
        await planned(services, tmp_path)
        await step(services, submit)
        assert (await only_shard(services)).state is ShardState.PLANNED
        assert await submit.next_look(services) == pytest.approx(75.0)
        services.clock.advance(74.0)
        assert await step(services, submit) == 0
        services.clock.advance(1.0)
        await step(services, submit)
        assert (await only_shard(services)).state is ShardState.OPEN
        assert len(services.remote.uploads) == 1, "the file is there already"


async def test_an_upload_that_breaks_off_is_begun_again(tmp_path):
    async with open_services(tmp_path) as services:
        services.remote.lose_connection_before("upload")
        await planned(services, tmp_path)
        await step(services, submit)
        services.clock.advance(1.0)
        await step(services, submit)
        assert (await only_shard(services)).state is ShardState.OPEN


@pytest.mark.parametrize("status", [401, 403])
async def test_while_we_are_denied_remote_work_rests_and_nothing_is_rejected(tmp_path, status):
    async with open_services(tmp_path) as services:
        services.remote.deny(status=status)
        await planned(services, tmp_path, "a", "b")
        await step(services, submit)
        assert services.rest.is_on
        calls = services.remote.calls.total()
        services.clock.advance(4.9)
        assert await step(services, submit) == 0
        assert services.remote.calls.total() == calls
        services.remote.allow()
        services.clock.advance(1.0)
        await live(services, deliveries=2)
        assert set(delivered(tmp_path)) == {"a", "b"}
        assert len(services.remote.opened) == 2


async def test_a_file_that_is_there_and_not_found_is_waited_for_and_sent_anew_now_and_then(
    tmp_path,
):
    """The provider may say so of a file it has (reference B.3). It is never the sender's fault."""
    async with open_services(tmp_path) as services:
        services.remote.fail("create_batch", UNSEEN, times=4)
        await planned(services, tmp_path)
        await live(services, deliveries=1)
        assert delivered(tmp_path).keys() == {"a"}
        assert len(services.remote.opened) == 1
        assert len(services.remote.uploads) == 2


async def test_a_file_that_is_not_there_is_sent_anew_at_once(tmp_path):
    async with open_services(tmp_path) as services:
        busy = RemoteUnavailable("429", may_have_happened=False)
        services.remote.fail("create_batch", busy)
        await planned(services, tmp_path)
        await step(services, submit)
        services.remote.vanish((await only_shard(services)).file_id)
        services.remote.fail("create_batch", UNSEEN)
        services.clock.advance(1.0)
        await step(services, submit)
        assert (await only_shard(services)).file_id is None


async def test_no_more_batches_are_open_than_allowed_not_even_while_one_is_uploaded(tmp_path):
    """A shard on its way is no batch yet, and was not counted: twice as many were opened."""
    clock = FakeClock()
    remote = Slow(clock)
    async with open_services(
        tmp_path, remote=remote, clock=clock, batches={"max_open": 2}
    ) as services:
        await planned(services, tmp_path, "a", "b", "c", "d")
        assert await submit.run_once(services) == 2
        assert await submit.run_once(services) == 0
        remote.go.set()
        await services.crews["submit"].finish()
        assert await step(services, submit) == 0
        assert len(remote.opened) == 2


async def test_a_models_queue_is_not_overfilled_and_another_models_shards_pass_by(tmp_path):
    limit = {"enqueued_tokens": {"small": 300}, "max_requests": 3}
    lines = [*requests(12, model="small"), *requests(3, prefix="o", model="other")]
    async with open_services(tmp_path, batches=limit) as services:
        await planned(services, tmp_path, lines=lines)
        while await step(services, submit):
            pass
        models = [s.model for s in await services.ledger.shards_in(ShardState.OPEN)]
        assert models.count("other") == 1
        assert 1 <= models.count("small") < 4
        tokens = sum(
            s.tokens for s in await services.ledger.shards_in(ShardState.OPEN) if s.model == "small"
        )
        assert tokens <= 300


async def test_forty_jobs_without_room_keep_no_other_model_out(tmp_path):
    tight = {"enqueued_tokens": {"small": 1}}
    async with open_services(tmp_path, batches=tight) as services:
        for number in range(40):
            drop(tmp_path, f"s{number}.jsonl", [request(f"x{number}", model="small")])
        await planned(services, tmp_path, "other", lines=requests(1, model="other"))
        while await step(services, plan):
            pass
        while await step(services, submit):
            pass
        models = [s.model for s in await services.ledger.shards_in(ShardState.OPEN)]
        assert sorted(models) == ["other", "small"]


async def test_a_job_of_many_shards_lets_a_small_one_in(tmp_path):
    async with open_services(tmp_path, batches={"max_requests": 1, "max_open": 4}) as services:
        await planned(services, tmp_path, "big", lines=requests(20))
        await planned(services, tmp_path, "small", lines=requests(1, prefix="s"))
        await step(services, submit)
        jobs = [s.job for s in await services.ledger.shards_in(ShardState.OPEN)]
        assert len(set(jobs)) == 2


async def test_a_part_left_by_an_earlier_try_is_cut_anew(tmp_path):
    """It may have been cut from a file that somebody changed meanwhile, and put back since."""
    async with open_services(tmp_path, batches={"max_requests": 2}) as services:
        await planned(services, tmp_path, lines=requests(3))
        (first, _) = await services.ledger.shards_to_submit(now=services.clock.now())
        stale = services.work.shard_file(first.job, first.id)
        stale.parent.mkdir()
        stale.write_bytes(b"something else\n")
        await step(services, submit)
        sent = b"".join(sorted(content for _, content in services.remote.uploads))
        assert b"something else" not in sent


async def test_a_joiner_or_a_stale_list_changes_nothing(tmp_path):
    """Listed, and by then opened by its own earlier turn: nothing is sent."""
    async with open_services(tmp_path) as services:
        await planned(services, tmp_path)
        (listed,) = await services.ledger.shards_to_submit(now=services.clock.now())
        await step(services, submit)
        await submit._submit(listed, services)
        await doubt.ask(listed, services)
        assert services.remote.calls["create_batch"] == 1


async def test_nothing_is_due_when_nothing_is_planned(tmp_path):
    async with open_services(tmp_path) as services:
        assert await submit.next_look(services) is None
        assert await step(services, plan, submit, collect) == 0
        assert await services.ledger.jobs_in(JobState.CLAIMED) == []


@pytest.mark.parametrize("status", [404, 405])
async def test_a_wrong_address_fails_nobodys_requests(tmp_path, status):
    """The operator mends `openai.base_url`, and it goes on; the sender was never at fault."""
    clock = FakeClock()
    remote = FakeRemote(clock)
    remote.fail("create_batch", RemoteRefused("no such route", status=status), times=3)
    async with open_services(tmp_path, remote=remote, clock=clock) as services:
        drop(tmp_path, "a.jsonl", requests(2))
        await live(services, deliveries=1)
        assert (tmp_path / "outbox").glob("a--*")
        assert set(remote.executions.values()) == {1}
