"""One recovery with the real provider, while nobody else is at work in the root."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import anyio

from batchd.recovery.recovering import Outcome, Recovery, Wish
from batchd.remote.openai_batches import OpenAIBatches
from batchd.runtime.clock import SystemClock
from batchd.settings import Settings
from batchd.spool.folders import Folders
from batchd.store.mounts import must_be_local


def run_recovery(
    settings: Settings,
    *,
    api_key: str,
    base_url: str | None,
    wish: Wish,
    tell: Callable[[str], None],
) -> Outcome:
    """Recover the ledger of a root. Raises `AlreadyRunning` while a daemon is at work there."""
    return anyio.run(
        partial(_run, settings, api_key=api_key, base_url=base_url, wish=wish, tell=tell)
    )


async def _run(
    settings: Settings,
    *,
    api_key: str,
    base_url: str | None,
    wish: Wish,
    tell: Callable[[str], None],
) -> Outcome:
    folders = Folders(settings.folders.root.resolve())
    must_be_local(folders.var)
    with folders.locked():
        remote = OpenAIBatches(settings.openai, base_url=base_url, api_key=api_key)
        try:
            return await Recovery(folders, settings, remote, SystemClock(), wish, tell).run()
        finally:
            await remote.close()
