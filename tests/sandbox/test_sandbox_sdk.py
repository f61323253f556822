"""The plain `openai` SDK against the sandbox, used as the published guide uses it."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import textwrap

import openai
import pytest
from openai import pydantic_function_tool
from pydantic import BaseModel

from batchd.sandbox.answers import answer_for
from tests.sandbox.support import CHAT, chat_lines, jsonl, talking

GUIDE = """
    import time
    from openai import OpenAI

    client = OpenAI()
    batch_input_file = client.files.create(file=open("batchinput.jsonl", "rb"), purpose="batch")
    batch = client.batches.create(
        input_file_id=batch_input_file.id,
        endpoint="/v1/chat/completions",
        completion_window="24h",
        metadata={"description": "nightly eval job"},
    )
    while batch.status not in ("completed", "failed", "expired", "cancelled"):
        time.sleep(0.05)
        batch = client.batches.retrieve(batch.id)
    print(batch.status, len(list(client.batches.list(limit=10))))
    print(client.files.content(batch.output_file_id).text, end="")
"""


@pytest.mark.processes
async def test_the_published_guide_works_as_it_is_printed(tmp_path):
    (tmp_path / "batchinput.jsonl").write_bytes(jsonl(chat_lines(5)))
    async with talking() as talk:
        env = os.environ | {
            "OPENAI_BASE_URL": talk.sandbox.base_url,
            "OPENAI_API_KEY": "sk-sandbox",
        }
        guide = await asyncio.create_subprocess_exec(
            sys.executable,
            "-W",
            "ignore",
            "-c",
            textwrap.dedent(GUIDE),
            cwd=tmp_path,
            env=env,
            stdout=subprocess.PIPE,
        )
        out, _ = await guide.communicate()

    first, *lines = out.decode().splitlines()
    assert first == "completed 1"
    assert {json.loads(line)["custom_id"] for line in lines} == {f"r{n}" for n in range(5)}


async def test_the_asynchronous_client_goes_from_upload_to_answers():
    lines = chat_lines(10)
    async with talking() as talk, talk.sdk() as client:
        file = await client.files.create(file=("in.jsonl", jsonl(lines)), purpose="batch")
        assert (await client.files.wait_for_processing(file.id)).status == "processed"
        batch = await client.batches.create(
            input_file_id=file.id, endpoint=CHAT, completion_window="24h", metadata={"k": "v"}
        )
        assert batch._request_id
        await talk.until(batch.id, "completed")
        batch = await client.batches.retrieve(batch.id)
        text = ""
        async with client.files.with_streaming_response.content(batch.output_file_id) as answer:
            async for chunk in answer.iter_text():
                text += chunk
        deleted = await client.files.delete(file.id)
        listed = [each.id async for each in client.files.list(purpose="batch_output")]

    assert batch.metadata == {"k": "v"}
    assert batch.request_counts.completed == 10
    assert len(text.splitlines()) == 10
    assert deleted.deleted
    assert listed == [batch.output_file_id]


async def test_the_sdks_exceptions_fit():
    async with talking() as talk, talk.sdk(max_retries=0) as client:
        with pytest.raises(openai.NotFoundError):
            await client.batches.retrieve("batch_x")
        with pytest.raises(openai.BadRequestError) as refused:
            await client.batches.create(
                input_file_id="file-x",
                endpoint="/v1/x",  # type: ignore[arg-type]
                completion_window="24h",
            )
        batch = await talk.run(chat_lines(1))
        with pytest.raises(openai.ConflictError):
            await client.batches.cancel(batch["id"])

    assert refused.value.code == "invalid_value"
    assert refused.value.param == "endpoint"
    assert refused.value.type == "invalid_request_error"


async def test_all_endpoints_answer_directly_as_they_do_in_a_batch():
    messages = [{"role": "user", "content": "hello"}]
    async with talking() as talk, talk.sdk() as client:
        chat = await client.chat.completions.create(model="gpt-4o-mini", messages=messages)
        response = await client.responses.create(model="gpt-5-mini", input="hello")
        vectors = await client.embeddings.create(
            model="text-embedding-3-small", input=["a", "b"], dimensions=8
        )
        moderation = await client.moderations.create(input="hello")
        models = [model.id async for model in client.models.list()]

    expected = answer_for(CHAT, {"model": "gpt-4o-mini", "messages": messages})
    assert chat.choices[0].message.content == expected["choices"][0]["message"]["content"]
    assert chat.id == expected["id"]
    assert response.output_text.endswith(": hello")
    assert [len(item.embedding) for item in vectors.data] == [8, 8]
    assert moderation.results[0].flagged is False
    assert "gpt-4o-mini" in models


async def test_a_direct_call_that_asks_for_a_schema_parses():
    class Review(BaseModel):
        stars: int
        words: list[str]

    assert pydantic_function_tool(Review)  # the same strict schema the SDK sends
    async with talking() as talk, talk.sdk() as client:
        completion = await client.chat.completions.parse(
            model="gpt-4o-mini",
            messages=[{"role": "user", "content": "hello"}],
            response_format=Review,
        )
        response = await client.responses.parse(
            model="gpt-4o-mini", input="hello", text_format=Review
        )

    assert isinstance(completion.choices[0].message.parsed, Review)
    assert isinstance(response.output_parsed, Review)


async def test_an_unknown_model_and_a_stream_are_refused_directly():
    async with talking() as talk, talk.sdk() as client:
        with pytest.raises(openai.NotFoundError) as unknown:
            await client.responses.create(model="no-such-model", input="x")
        with pytest.raises(openai.BadRequestError):
            await client.responses.create(model="gpt-4o-mini", input="x", stream=True)
        answer = await talk.http.post("/v1/embeddings", json={"input": "x"})

    assert unknown.value.code == "model_not_found"
    assert answer.status_code == 400


@pytest.mark.parametrize(
    ("endpoint", "body"),
    [
        ("/v1/responses", {"model": "gpt-5-mini", "input": "x"}),
        ("/v1/embeddings", {"model": "text-embedding-3-small", "input": "x"}),
        ("/v1/moderations", {"model": "omni-moderation-latest", "input": "x"}),
        ("/v1/completions", {"model": "gpt-3.5-turbo-instruct", "prompt": "x"}),
    ],
)
async def test_a_batch_may_be_sent_to_every_endpoint(endpoint, body):
    line = {"custom_id": "a", "method": "POST", "url": endpoint, "body": body}
    async with talking() as talk:
        batch = await talk.run([line], endpoint=endpoint)
        (answer,) = await talk.lines_of(batch["output_file_id"])

    assert answer["response"]["body"] == answer_for(endpoint, body)
