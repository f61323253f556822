"""A test's house that listens on its own socket, and is asked as a command asks."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest

from batchd.control.client import Refused, ask
from batchd.control.serving import listen
from batchd.runtime.services import Services
from batchd.runtime.threads import in_thread
from tests.houses import open_services


@asynccontextmanager
async def listening_house(
    root: Path, *, wait: bool = True, **options: Any
) -> AsyncIterator[Services]:
    """A house below `root` that can be spoken to."""
    async with open_services(root, **options) as services, anyio.create_task_group() as tasks:
        tasks.start_soon(listen, services)
        if wait:
            await until(services.folders.socket.is_socket)
        yield services
        tasks.cancel_scope.cancel()


async def say(services: Services, method: str, *path: str, **asked: Any) -> Any:
    """Ask, beside the house's own event loop."""
    return await in_thread(ask, services.folders, method, *path, **asked)


async def refusal(services: Services, method: str, *path: str, **asked: Any) -> Refused:
    """Ask for what is refused, and return in which words."""
    with pytest.raises(Refused) as refused:
        await say(services, method, *path, **asked)
    return refused.value


async def until(fact: Callable[[], Any], *, move: Callable[[], Any] = lambda: None) -> None:
    """Wait for a fact of the world outside: a socket is the kernel's, which knows no fake clock.

    `move` is done between two looks.
    """
    with anyio.fail_after(10):
        while not await in_thread(fact):
            move()
            await anyio.sleep(0.005)
