"""What the sandbox's tests share: a quick sandbox, and a few words to talk to it over HTTP."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Callable, Iterable
from typing import Any

import httpx2
import openai

from batchd.sandbox.options import Options
from batchd.sandbox.serving import Sandbox, running_sandbox

CHAT = "/v1/chat/completions"
QUICK = {"batch_seconds": 0.1, "validate_seconds": 0.02, "cancel_seconds": 0.02}
OVER = ("completed", "failed", "expired", "cancelled")


def chat_line(name: str, text: str = "hello", **body: Any) -> dict[str, Any]:
    messages = [{"role": "user", "content": text}]
    given = {"model": "gpt-4o-mini", "messages": messages} | body
    return {"custom_id": name, "method": "POST", "url": CHAT, "body": given}


def chat_lines(count: int) -> list[dict[str, Any]]:
    return [chat_line(f"r{number}", f"text {number}") for number in range(count)]


def jsonl(lines: Iterable[object]) -> bytes:
    return b"".join(
        line if isinstance(line, bytes) else json.dumps(line).encode() + b"\n" for line in lines
    )


class Talk:
    """One sandbox and an HTTP client that has a key for it."""

    def __init__(self, sandbox: Sandbox, http: httpx2.AsyncClient) -> None:
        self.sandbox = sandbox
        self.http = http

    async def send_file(
        self, content: bytes, name: str = "input.jsonl", **fields: str
    ) -> httpx2.Response:
        data = {"purpose": "batch"} | fields
        return await self.http.post("/v1/files", data=data, files={"file": (name, content)})

    async def upload(self, lines: Iterable[object]) -> str:
        """The id of the file."""
        answer = await self.send_file(jsonl(lines))
        assert answer.status_code == 200, answer.text
        return str(answer.json()["id"])

    async def try_create(self, file_id: str, **fields: Any) -> httpx2.Response:
        body = {"input_file_id": file_id, "endpoint": CHAT, "completion_window": "24h"}
        return await self.http.post("/v1/batches", json=body | fields)

    async def create(self, file_id: str, **fields: Any) -> dict[str, Any]:
        answer = await self.try_create(file_id, **fields)
        assert answer.status_code == 200, answer.text
        return dict(answer.json())

    async def retrieve(self, batch_id: str) -> dict[str, Any]:
        return dict((await self.http.get(f"/v1/batches/{batch_id}")).json())

    async def cancel(self, batch_id: str) -> httpx2.Response:
        return await self.http.post(f"/v1/batches/{batch_id}/cancel")

    async def until(self, batch_id: str, *statuses: str) -> dict[str, Any]:
        """The batch, once it has one of these statuses."""
        return await self._until(batch_id, lambda batch: batch["status"] in statuses)

    async def until_counted(self, batch_id: str, count: int) -> dict[str, Any]:
        """The batch, once so many of its requests are completed."""
        return await self._until(batch_id, lambda b: b["request_counts"]["completed"] >= count)

    async def _until(
        self, batch_id: str, holds: Callable[[dict[str, Any]], bool]
    ) -> dict[str, Any]:
        async with asyncio.timeout(10):
            while not holds(  # noqa: ASYNC110  # over HTTP one can only ask again
                batch := await self.retrieve(batch_id)
            ):
                await asyncio.sleep(0.005)
        return batch

    async def run(self, lines: Iterable[object], **fields: Any) -> dict[str, Any]:
        """The batch of these lines when it is over."""
        batch = await self.create(await self.upload(lines), **fields)
        return await self.until(batch["id"], *OVER)

    async def errors_of(self, lines: Iterable[object], **fields: Any) -> list[dict[str, Any]]:
        """Why the batch of these lines failed."""
        batch = await self.run(lines, **fields)
        assert batch["status"] == "failed"
        return list(batch["errors"]["data"])

    async def lines_of(self, file_id: str | None) -> list[dict[str, Any]]:
        if not file_id:
            return []
        answer = await self.http.get(f"/v1/files/{file_id}/content")
        assert answer.status_code == 200, answer.text
        return [json.loads(line) for line in answer.text.splitlines()]

    def sdk(self, **options: Any) -> openai.AsyncOpenAI:
        return openai.AsyncOpenAI(base_url=self.sandbox.base_url, api_key="sk-test", **options)


@contextlib.asynccontextmanager
async def talking(**options: Any) -> AsyncIterator[Talk]:
    async with (
        running_sandbox(Options(**(QUICK | options))) as sandbox,
        httpx2.AsyncClient(
            base_url=sandbox.url,
            headers={"authorization": "Bearer sk-test"},
            timeout=20,
            verify=False,  # no TLS here, and loading its certificates takes 20 ms
        ) as http,
    ):
        yield Talk(sandbox, http)
