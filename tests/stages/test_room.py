"""The account's queue of tokens: a shard that finds no room waits; one that is too large is cut."""

from __future__ import annotations

from batchd.core.model import BatchError
from tests.fakes.clock import FakeClock
from tests.fakes.remote import FakeRemote
from tests.houses import delivered, drop, live, open_services, read_lines, read_receipt, requests

SENTENCE = (
    "Enqueued token limit reached for gpt-4o-mini in organization org-1. Limit: {limit:,} enqueued"
    " tokens. Please try again once some in_progress batches have been completed."
)


def no_room(limit: int) -> BatchError:
    return BatchError("token_limit_exceeded", SENTENCE.format(limit=limit))


async def test_a_shard_that_finds_no_room_is_created_again_from_the_same_upload(tmp_path):
    clock = FakeClock()
    remote = FakeRemote(clock)
    remote.fail_batches_with(no_room(2_000_000), times=3)
    async with open_services(tmp_path, remote=remote, clock=clock) as services:
        drop(tmp_path, "a.jsonl", requests(4))
        await live(services, deliveries=1)
        assert len(remote.uploads) == 1
        assert set(remote.executions.values()) == {1}
        lines = read_lines(delivered(tmp_path)["a"] / "results.jsonl")
        assert [line["attempts"] for line in lines] == [1, 1, 1, 1]


async def test_a_shard_larger_than_the_limit_is_planned_again_smaller(tmp_path):
    clock = FakeClock()
    remote = FakeRemote(clock)
    remote.fail_batches_with(no_room(150))  # four requests of about 40 tokens each don't fit
    async with open_services(tmp_path, remote=remote, clock=clock) as services:
        drop(tmp_path, "a.jsonl", requests(8))
        await live(services, deliveries=1)
        bill = read_receipt(delivered(tmp_path)["a"])
        assert bill["requests"]["succeeded"] == 8
        assert [batch["requests"] for batch in bill["batches"]] == [8, 3, 3, 2]
        assert set(remote.executions.values()) == {1}


async def test_one_that_is_refused_with_an_empty_queue_is_cut_though_our_count_says_it_fits(
    tmp_path,
):
    clock = FakeClock()
    remote = FakeRemote(clock)
    remote.fail_batches_with(no_room(1_000_000), times=5)
    async with open_services(tmp_path, remote=remote, clock=clock) as services:
        drop(tmp_path, "a.jsonl", requests(8))
        await live(services, deliveries=1)
        bill = read_receipt(delivered(tmp_path)["a"])
        assert bill["requests"]["succeeded"] == 8
        assert bill["rounds"] == 2
        assert max(batch["requests"] for batch in bill["batches"] if batch["round"] == 2) == 4
