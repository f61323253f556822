"""A client that talks to a raw server: what the tests of the wire share."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from batchd.core.model import BatchOrder
from batchd.remote.openai_batches import OpenAIBatches
from batchd.settings import OpenAI
from tests.remote.raw_server import Handler, RawServer, answer, serving

KEY = "batchd-very-secret-1234567890"
ORDER = BatchOrder("file-1", "/v1/chat/completions", "24h", {"batchd_shard": "s1"})
BATCH = '{"id": "batch_1", "status": "validating", "metadata": {"batchd_shard": "s1"}}'
LINES = b'{"custom_id": "a"}\n{"custom_id": "b"}\n'
JSONL = "application/octet-stream"
HTML = answer("<html>Please log in</html>", kind="text/html")


@asynccontextmanager
async def client_of(url: str, **changes: Any) -> AsyncIterator[OpenAIBatches]:
    settings = OpenAI(**{"timeout_seconds": 5.0, "stall_seconds": 5.0} | changes)
    client = OpenAIBatches(settings, base_url=url, api_key=KEY)
    try:
        yield client
    finally:
        await client.close()


@asynccontextmanager
async def talking(
    *script: bytes | Handler, **changes: Any
) -> AsyncIterator[tuple[OpenAIBatches, RawServer]]:
    async with serving(*script) as server, client_of(server.url, **changes) as client:
        yield client, server


async def in_pieces(*pieces: bytes, writer: asyncio.StreamWriter, pause: float) -> None:
    for piece in pieces:
        writer.write(piece)
        await writer.drain()
        await asyncio.sleep(pause)
