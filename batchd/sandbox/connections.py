"""The connection below a call: who can drop it, and who can notice that it is gone."""

from __future__ import annotations

import asyncio
from typing import cast

from starlette.types import Receive, Scope, Send

_KEY = "batchd.sandbox.transport"


def remember(scope: Scope, send: Send) -> None:
    """Keep the call's transport in its scope.

    Naughty: ASGI has no way to drop a connection, so this reaches for the one that uvicorn's
    `send` belongs to. A test drops one, and will say so when uvicorn changes.
    """
    scope[_KEY] = send.__self__.transport  # type: ignore[attr-defined]


async def drop(scope: Scope) -> None:
    """End it now, without a word. What was not sent yet is lost."""
    _transport(scope).abort()
    await asyncio.sleep(0)  # the server notices in the next round of the loop


async def hang_up(scope: Scope, receive: Receive) -> None:
    """End it once everything written so far has been taken."""
    _transport(scope).close()
    while (await receive())["type"] != "http.disconnect":
        pass


def is_gone(scope: Scope) -> bool:
    return _transport(scope).is_closing()


def _transport(scope: Scope) -> asyncio.Transport:
    return cast("asyncio.Transport", scope[_KEY])
