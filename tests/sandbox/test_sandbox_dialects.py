"""Other servers' accents, as the references have them; what they share is the conformance suite's."""

from __future__ import annotations

import re
from typing import Any

import pytest

from batchd.sandbox.dialects import DIALECTS
from batchd.sandbox.options import DIALECTS as NAMES
from batchd.sandbox.options import Options
from tests.sandbox.support import CHAT, Talk, chat_line, chat_lines, jsonl, talking


async def batch_in(talk: Talk, *, purpose: str = "batch", **fields: Any) -> dict[str, Any]:
    """A batch as it looks when its worst is over; told apart by what the sandbox knows itself."""
    uploaded = await talk.send_file(jsonl(chat_lines(3)), purpose=purpose)
    created = (await talk.try_create(uploaded.json()["id"], **fields)).json()
    batch_id = created.get("job", created)["id"]
    made = talk.sandbox.world.book.find(batch_id)
    assert made
    await talk._until(batch_id, lambda _: made.is_over)
    return await talk.retrieve(batch_id)


def test_every_dialect_has_a_name_that_can_be_chosen():
    assert tuple(DIALECTS) == NAMES


def test_an_unknown_dialect_is_said_with_those_there_are():
    with pytest.raises(ValueError, match="no such dialect: klingon; there are openai, azure"):
        Options(dialect="klingon")


async def test_azure_leaves_much_unsaid():
    async with talking(dialect="azure") as talk:
        file_id = (await talk.send_file(jsonl([chat_line("a")]))).json()["id"]
        created = await talk.create(file_id)
        batch = await batch_in(talk)
        error_file = talk.sandbox.world.shelf.get(batch["error_file_id"])
        (line, *_) = await talk.lines_of(batch["output_file_id"])
    assert (created["endpoint"], created["output_file_id"], created["request_counts"]) == (
        None,
        "",
        None,
    )
    assert error_file.bytes == 0
    assert "id" not in line
    assert "content_filter_results" in line["response"]["body"]["choices"][0]


async def test_azure_spells_the_end_of_a_cancelled_batch_its_own_way():
    async with talking(dialect="azure", batch_seconds=5) as talk:
        batch = await talk.create(await talk.upload(chat_lines(1)))
        await talk.cancel(batch["id"])
        assert (await talk.until(batch["id"], "canceled"))["status"] == "canceled"


async def test_azure_refuses_a_creation_where_the_queue_is_full():
    lines = chat_lines(100)
    limit = -(-len(jsonl(lines)) // 4)
    faults = {"enqueued_token_limit": limit}
    async with talking(dialect="azure", faults=faults) as talk:
        file_id = await talk.upload(lines)
        first = await talk.create(file_id)
        refused = await talk.try_create(file_id)
        await talk.until(first["id"], "completed")  # it does not stand in its own way
        later = await talk.try_create(file_id)
    assert (refused.status_code, later.status_code) == (400, 200)
    assert refused.json()["error"]["code"] == "token_limit_exceeded"
    assert f"Limit: {limit:,} enqueued tokens" in refused.json()["error"]["message"]


async def test_azure_keeps_files_for_two_weeks_at_least():
    expiry = {"expires_after[anchor]": "created_at", "expires_after[seconds]": "604800"}
    async with talking(dialect="azure") as talk:
        answer = await talk.send_file(jsonl(chat_lines(1)), **expiry)
    assert answer.status_code == 400
    assert ">= 1209600" in answer.json()["error"]["message"]


async def test_together_wraps_shouts_and_counts_nothing():
    async with talking(dialect="together") as talk:
        wrong = await talk.send_file(jsonl(chat_lines(1)))
        right = await talk.send_file(jsonl(chat_lines(1)), purpose="batch-api")
        created = (await talk.try_create(right.json()["id"])).json()
        batch = await batch_in(talk, purpose="batch-api")
        listed = (await talk.http.get("/v1/batches")).json()
    assert (wrong.status_code, wrong.json()["error"]["param"]) == (400, "purpose")
    assert set(created) == {"job", "warning"}
    assert created["job"]["status"] == "VALIDATING"
    assert (batch["status"], batch["progress"]) == ("COMPLETED", 100.0)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", batch["completed_at"])
    assert batch.keys().isdisjoint({"request_counts", "metadata", "errors"})
    assert [type(listed), len(listed)] == [list, 2]


async def test_groq_says_little_of_a_file_and_takes_a_week():
    async with talking(dialect="groq") as talk:
        file = (await talk.send_file(jsonl(chat_lines(1)))).json()
        statuses = [
            (await talk.try_create(file["id"], completion_window=window)).status_code
            for window in ("7d", "24h", "soon")
        ]
        elsewhere = await talk.try_create(file["id"], endpoint="/v1/embeddings")
    assert "status" not in file
    assert statuses == [200, 200, 400]
    assert elsewhere.status_code == 400


async def test_novita_writes_times_and_errors_as_text():
    async with talking(dialect="novita", batch_seconds=0.5) as talk:
        file_id = await talk.upload([{}])
        wrong = await talk.try_create(file_id)
        batch = (await talk.try_create(file_id, completion_window="48h")).json()
        assert batch["errors"] == ""
        failed = await talk.until(batch["id"], "FAILED")
        good = (
            await talk.try_create(await talk.upload(chat_lines(3)), completion_window="48h")
        ).json()
        assert (await talk.until(good["id"], "PROGRESS"))["status"] == "PROGRESS"
    assert wrong.status_code == 400
    assert batch["created_at"].isdecimal()
    assert failed["errors"].startswith("line 1: ")


async def test_dashscope_has_a_model_and_an_endpoint_for_trying():
    line = chat_line("a", model="batch-test-model") | {"url": "/v1/chat/ds-test"}
    async with talking(dialect="dashscope") as talk:
        batch = await talk.run([line], endpoint="/v1/chat/ds-test", completion_window="336h")
        (answer,) = await talk.lines_of(batch["output_file_id"])
    assert answer["response"]["status_code"] == 200


async def test_zhipu_knows_no_window_and_removes_the_input():
    line = chat_line("a") | {"url": "/v4/chat/completions"}
    async with talking(dialect="zhipu") as talk:
        body: dict[str, Any] = {"endpoint": "/v4/chat/completions"}
        body["input_file_id"] = await talk.upload([line])
        windowed = await talk.http.post("/v1/batches", json=body | {"completion_window": "24h"})
        batch = (await talk.http.post("/v1/batches", json=body)).json()
        over = await talk.until(batch["id"], "completed")
        left = (await talk.http.get("/v1/files?purpose=batch")).json()["data"]
    assert windowed.json()["error"]["param"] == "completion_window"
    assert (over["request_counts"]["completed"], left) == (1, [])


async def test_doubleword_names_its_windows():
    async with talking(dialect="doubleword") as talk:
        batch = await talk.create(await talk.upload(chat_lines(1)), completion_window="1h")
        bad = await talk.run([{}])
    assert batch["completion_window"] == "Standard (1h)"
    assert set(bad["errors"]) == {"data"}


async def test_litellm_has_very_long_ids():
    async with talking(dialect="litellm") as talk:
        batch = await talk.run(chat_lines(1))
    assert min(len(batch["id"]), len(batch["input_file_id"]), len(batch["output_file_id"])) > 150


async def test_maritaca_has_words_of_its_own_and_bodies_as_text():
    async with talking(dialect="maritaca") as talk:
        created = await talk.create(await talk.upload(chat_lines(3)))
        over = await talk.until(created["id"], "succeeded")
        (line, *_) = await talk.lines_of(over["output_file_id"])
    assert created["status"] == "queued"
    assert created["created_at"] > 1e12
    assert isinstance(line["response"]["body"], str)
    assert "error" not in line


@pytest.mark.parametrize("dialect", [name for name in NAMES if DIALECTS[name].expiry is None])
async def test_who_knows_no_expiry_refuses_one(dialect):
    knows = DIALECTS[dialect]
    expiry = {"expires_after[anchor]": "created_at", "expires_after[seconds]": "604800"}
    async with talking(dialect=dialect) as talk:
        answer = await talk.send_file(jsonl(chat_lines(1)), purpose=knows.purpose, **expiry)
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "unknown_parameter")
    assert CHAT in knows.endpoints.values()
