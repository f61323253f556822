"""One small question to the provider: does it answer, and does it take the key?"""

from __future__ import annotations

import anyio

from batchd.remote.openai_batches import OpenAIBatches
from batchd.settings import Settings


def reach(settings: Settings, *, api_key: str, base_url: str | None) -> None:
    """List a page of batches. Raises `RemoteError`: its kind says who must act."""
    anyio.run(_reach, settings, api_key, base_url)


async def _reach(settings: Settings, api_key: str, base_url: str | None) -> None:
    remote = OpenAIBatches(settings.openai, base_url=base_url, api_key=api_key)
    try:
        await remote.list_batches()
    finally:
        await remote.close()
