"""The sandbox rings when a batch is over: as the API does, and until it is heard."""

from __future__ import annotations

import asyncio
import json

import openai
import pytest
from click.testing import CliRunner

from batchd.cli.sandbox import sandbox as command
from tests.notices.receiver import Receiver, receiving
from tests.sandbox.support import CHAT, chat_line, chat_lines, talking
from tests.webhooks.calls import SECRET


async def heard(receiver: Receiver, count: int) -> list[dict[str, object]]:
    """The events of so many calls, each checked by the SDK, which is not ours."""
    async with asyncio.timeout(20):
        while len(receiver.calls) < count:  # noqa: ASYNC110  # over HTTP
            await asyncio.sleep(0.005)
    checker = openai.OpenAI(api_key="none", webhook_secret=SECRET)
    for _, headers, body in receiver.calls:
        checker.webhooks.verify_signature(body, headers)
    return [json.loads(body) for _, _, body in receiver.calls]


@pytest.mark.parametrize(
    ("lines", "faults", "status"),
    [
        (chat_lines(2), {}, "completed"),
        ([chat_line("a", model="no-such-model")], {"unknown_models": ["no-such-model"]}, "failed"),
        (chat_lines(10), {"expire_after_fraction": 0.5}, "expired"),
    ],
)
async def test_each_end_of_a_batch_is_told_with_its_id_and_no_more(lines, faults, status):
    async with (
        receiving() as receiver,
        talking(webhook=receiver.address, webhook_secret=SECRET, faults=faults) as talk,
    ):
        batch = await talk.run(lines)
        (event,) = await heard(receiver, 1)

    assert batch["status"] == status
    assert (event["type"], event["data"]) == (f"batch.{status}", {"id": batch["id"]})
    assert event["object"] == "event"
    assert str(event["id"]).startswith("evt_")


async def test_a_batch_that_is_cancelled_is_told_when_it_is_over():
    async with (
        receiving() as receiver,
        talking(webhook=receiver.address, webhook_secret=SECRET, batch_seconds=60.0) as talk,
    ):
        batch = await talk.create(await talk.upload(chat_lines(1)), endpoint=CHAT)
        await talk.cancel(batch["id"])
        (event,) = await heard(receiver, 1)

    assert event["type"] == "batch.cancelled"


async def test_what_is_not_heard_is_told_again_under_the_same_id():
    async with (
        receiving(503, 301, 200) as receiver,
        talking(webhook=receiver.address, webhook_secret=SECRET) as talk,
    ):
        await talk.run(chat_lines(1))
        events = await heard(receiver, 3)
        async with asyncio.timeout(10):
            while not talk.sandbox.world.bell.heard:  # noqa: ASYNC110
                await asyncio.sleep(0.005)

    assert events[0] == events[1] == events[2]
    assert len({headers["webhook-id"] for _, headers, _ in receiver.calls}) == 1
    assert len(receiver.calls) == 3, "and once it is heard, no more"


async def test_nobody_there_to_ring_keeps_nobody():
    """A sandbox that ends while it rings ends at once, and its batches are as ever."""
    async with talking(webhook="http://127.0.0.1:9/", webhook_secret=SECRET) as talk:
        assert (await talk.run(chat_lines(1)))["status"] == "completed"


def test_a_secret_that_is_none_is_refused():
    refused = CliRunner().invoke(
        command, ["--webhook-secret", "whsec_no base64", "--host", "no.such.host.invalid"]
    )
    assert refused.exit_code == 2
    assert "no base64" in refused.output
