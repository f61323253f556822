"""What tests ask of the fake beyond the API: the hooks that the conformance suite has no use for."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from batchd.core.errors import RemoteDenied, RemoteRefused, RemoteUnavailable
from batchd.core.model import Batch, BatchError, BatchOrder, BatchStatus, Counts
from tests.fakes.remote import FakeRemote, Phase, Request
from tests.remote.providers import HandClock

URL = "/v1/chat/completions"


class Recording(FakeRemote):
    """Says when it acts, as a crash test's fake would be killed there."""

    def __init__(self, clock: HandClock) -> None:
        super().__init__(clock)
        self.effects: list[tuple[str, Phase]] = []

    async def effect(self, name: str, phase: Phase) -> None:
        self.effects.append((name, phase))


@pytest.fixture
def clock() -> HandClock:
    return HandClock()


@pytest.fixture
def fake(clock: HandClock) -> Recording:
    return Recording(clock)


async def opened(fake: FakeRemote, tmp_path: Path, *custom_ids: str, shard: str = "s1") -> Batch:
    body = {"model": "gpt-fake", "messages": []}
    lines = [{"custom_id": name, "url": URL, "body": body} for name in custom_ids or ("a", "b")]
    (tmp_path / "requests").write_text("".join(json.dumps(line) + "\n" for line in lines))
    file_id = await fake.upload(tmp_path / "requests", name="a.jsonl")
    return await fake.create_batch(BatchOrder(file_id, URL, "24h", {"batchd_shard": shard}))


async def later(fake: FakeRemote, clock: HandClock, batch: Batch, seconds: float = 10.0) -> Batch:
    clock.time += seconds
    return await fake.retrieve_batch(batch.id)


async def answered(fake: FakeRemote, file_id: str | None, tmp_path: Path) -> dict[str, Any]:
    if file_id is None:
        return {}
    await fake.download(file_id, tmp_path / "answers")
    parsed = [json.loads(line) for line in (tmp_path / "answers").read_text().splitlines()]
    return {line["custom_id"]: line for line in parsed}


async def test_a_batch_takes_its_time(fake, clock, tmp_path):
    batch = await opened(fake, tmp_path)
    assert batch.status is BatchStatus.VALIDATING
    assert (await later(fake, clock, batch, 9.9)).status is BatchStatus.IN_PROGRESS
    assert fake.executions == {}
    assert (await later(fake, clock, batch, 0.1)).status is BatchStatus.COMPLETED
    assert fake.executions == {"a": 1, "b": 1}


async def test_what_was_opened_is_known_by_its_shard(fake, tmp_path):
    batches = [await opened(fake, tmp_path, shard=shard) for shard in ("s1", "s2", "s1")]
    ids = [batch.id for batch in batches]
    assert fake.opened == [("s1", ids[0]), ("s2", ids[1]), ("s1", ids[2])]


async def test_verdicts_are_given_in_turn_and_then_it_is_well(fake, clock, tmp_path):
    fake.verdicts = {"a": [429, 500]}
    seen = []
    for _ in range(3):
        batch = await later(fake, clock, await opened(fake, tmp_path, "a"))
        file_id = batch.error_file_id or batch.output_file_id
        line = (await answered(fake, file_id, tmp_path))["a"]
        seen.append(line["response"]["status_code"])
    assert seen == [429, 500, 200]
    assert fake.executions["a"] == 3


async def test_answers_can_be_anything(fake, clock, tmp_path):
    def say(request: Request) -> tuple[int, dict[str, Any]]:
        return 200, {"echo": request["custom_id"]}

    fake.answers = say
    batch = await later(fake, clock, await opened(fake, tmp_path, "a"))
    line = (await answered(fake, batch.output_file_id, tmp_path))["a"]
    assert line["response"]["body"] == {"echo": "a"}


async def test_a_dropped_answer_is_executed_and_missing_once(fake, clock, tmp_path):
    fake.drop("a")
    first = await later(fake, clock, await opened(fake, tmp_path))
    second = await later(fake, clock, await opened(fake, tmp_path))
    assert set(await answered(fake, first.output_file_id, tmp_path)) == {"b"}
    assert set(await answered(fake, second.output_file_id, tmp_path)) == {"a", "b"}
    assert fake.executions["a"] == 2


async def test_somebody_cancels_a_batch(fake, clock, tmp_path):
    fake.cancel_after(2.0, fraction=0.5)
    batch = await later(fake, clock, await opened(fake, tmp_path), 2.0)
    assert (batch.status, batch.counts) == (BatchStatus.CANCELLED, Counts(2, 1, 0))
    left = await answered(fake, batch.error_file_id, tmp_path)
    assert [line["error"]["code"] for line in left.values()] == ["batch_cancelled"]
    assert fake.executions == {"a": 1}


async def test_a_batch_that_expires_is_the_next_created(fake, clock, tmp_path):
    first = await opened(fake, tmp_path)
    fake.expire(fraction=0.0)
    second = await opened(fake, tmp_path)
    assert (await later(fake, clock, first)).status is BatchStatus.COMPLETED
    expired = await fake.retrieve_batch(second.id)
    assert (expired.status, expired.output_file_id) == (BatchStatus.EXPIRED, None)


async def test_a_batch_that_expires_can_be_one_that_is_open(fake, clock, tmp_path):
    batch = await opened(fake, tmp_path)
    fake.expire()
    assert (await later(fake, clock, batch)).status is BatchStatus.EXPIRED
    assert (await later(fake, clock, await opened(fake, tmp_path))).status is BatchStatus.COMPLETED


async def test_a_batch_fails_its_validation_at_the_first_look(fake, clock, tmp_path):
    full = BatchError("token_limit_exceeded", "Enqueued token limit reached for gpt-fake.")
    fake.fail_batches_with(full)
    batch = await fake.retrieve_batch((await opened(fake, tmp_path)).id)
    assert (batch.status, batch.errors) == (BatchStatus.FAILED, (full,))
    assert fake.executions == {}


async def test_a_batch_is_listed_once_the_list_has_caught_up(fake, clock, tmp_path):
    fake.listing_lag_seconds = 5.0
    batch = await opened(fake, tmp_path)
    assert (await fake.list_batches()).batches == ()
    clock.time += 5.0
    assert [listed.id for listed in (await fake.list_batches()).batches] == [batch.id]


async def test_failures_come_in_the_order_they_were_asked_for(fake):
    fake.fail("list_batches", RemoteRefused("no", status=405), times=2)
    fake.lose_connection_before("list_batches")
    for kind in (RemoteRefused, RemoteRefused, RemoteUnavailable):
        with pytest.raises(kind):
            await fake.list_batches()
    await fake.list_batches()
    assert fake.calls["list_batches"] == 4


async def test_a_denied_call_leaves_the_other_troubles_for_later(fake):
    fake.lose_connection_before("list_batches")
    fake.deny()
    with pytest.raises(RemoteDenied):
        await fake.list_batches()
    fake.allow()
    with pytest.raises(RemoteUnavailable):
        await fake.list_batches()


def test_a_misspelt_method_is_noticed(fake):
    with pytest.raises(AttributeError):
        fake.lose_connection_after("open_batch")


async def test_every_effect_is_announced_and_followed(fake, clock, tmp_path):
    fake.lose_connection_after("create_batch")
    with pytest.raises(RemoteUnavailable):
        await opened(fake, tmp_path)
    assert fake.effects == [
        ("upload", "before"),
        ("upload", "after"),
        ("create_batch", "before"),
        ("create_batch", "after"),
    ]


async def test_two_fakes_that_are_told_the_same_do_the_same(tmp_path):
    outputs = []
    for _ in range(2):
        clock = HandClock()
        fake = FakeRemote(clock)
        names = [str(number) for number in range(20)]
        batch = await later(fake, clock, await opened(fake, tmp_path, *names))
        assert batch.output_file_id
        outputs.append(fake.files[batch.output_file_id].content)
    assert outputs[0] == outputs[1]


async def test_what_was_uploaded_and_what_came_of_it_expire_by_the_clock(fake, clock, tmp_path):
    fake.keep_seconds = 7200
    (tmp_path / "requests").write_text(
        json.dumps({"custom_id": "a", "url": URL, "body": {"model": "gpt-fake"}}) + "\n"
    )
    file_id = await fake.upload(tmp_path / "requests", name="a.jsonl")
    order = BatchOrder(file_id, URL, "24h", {}, output_expires_seconds=3600)
    batch = await later(fake, clock, await fake.create_batch(order))
    output = batch.output_file_id or ""
    assert (await fake.file_exists(file_id), await fake.file_exists(output)) == (True, True)
    clock.time += 3600
    assert (await fake.file_exists(file_id), await fake.file_exists(output)) == (True, False)
    clock.time += 3600
    assert (await fake.list_files()).files == ()


async def test_a_cancelled_batch_ends_after_its_time_with_what_was_executed(fake, clock, tmp_path):
    batch = await opened(fake, tmp_path, *"abcd")
    await later(fake, clock, batch, 5.0)
    assert (await fake.cancel_batch(batch.id)).status is BatchStatus.CANCELLING
    assert (await later(fake, clock, batch, 1.9)).status is BatchStatus.CANCELLING
    ended = await later(fake, clock, batch, 0.1)
    assert (ended.status, ended.counts) == (BatchStatus.CANCELLED, Counts(4, 2, 0))
    assert fake.executions == {"a": 1, "b": 1}
