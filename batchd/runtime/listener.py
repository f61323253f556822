"""HTTP on a socket that somebody else has made: bounded, deaf to signals, and quick to end.

The control socket and the doorbell for webhooks are its two users. uvicorn's own server takes the
signals for itself, waits for its guests when it ends, and lets a connection last for ever; a
daemon's guests may not keep it from leaving.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import anyio
import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

#: What a request's scope has to say how many seconds from now its connection may last, if not so many
#: as any: an answer may take longer than a guest who says nothing may stay.
STAY = "batchd.stay"
_LEAVING_SECONDS = 1.0  #: of the 15 that a stop may take

#: What a connection itself says of its requests, put into the scope of each.
Told = Callable[[asyncio.Transport], Mapping[str, Any]]


@dataclass(frozen=True, slots=True)
class Bounds:
    """How much of the daemon its guests may have."""

    at_once: int  #: connections; more are told to come again
    longest: float  #: seconds that one may last, however slowly it speaks


def _nothing(_: asyncio.Transport) -> Mapping[str, Any]:
    return {}


async def serve(
    app: Any,
    listener: socket.socket,
    bounds: Bounds,
    *,
    stay: Callable[[], Awaitable[object]] = anyio.sleep_forever,
    told: Told = _nothing,
) -> None:
    """Answer on a socket for as long as `stay` does, or until cancelled; then hang up at once."""
    server = _Server(_config(app, bounds, told), stay)
    try:
        await server.serve(sockets=[listener])
    finally:
        with anyio.CancelScope(shield=True):
            await server.end()


def _config(app: Any, bounds: Bounds, told: Told) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        http=partial(_Connection, longest=bounds.longest, told=told),  # type: ignore[arg-type]
        ws="none",
        lifespan="off",
        limit_concurrency=bounds.at_once,
        log_config=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        date_header=False,
    )


class _Server(uvicorn.Server):
    """A uvicorn that leaves signals alone, and ends when it is told, not when its guests leave."""

    def __init__(self, config: uvicorn.Config, stay: Callable[[], Awaitable[object]]) -> None:
        super().__init__(config)
        self.servers: list[asyncio.base_events.Server] = []
        self._stay = stay

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    async def main_loop(self) -> None:
        await self.on_tick(0)
        await self._stay()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        await self.end()

    async def end(self) -> None:
        """Hang up. What was recorded is recorded; whoever has no answer asks again."""
        for server in self.servers:
            server.close()
        for connection in list(self.server_state.connections):
            transport: Any = connection.transport
            transport.abort()
        tasks = list(self.server_state.tasks)
        for task in tasks:
            task.cancel()
        if tasks:  # one that looks into a stalled folder must not keep the daemon from stopping
            await asyncio.wait(tasks, timeout=_LEAVING_SECONDS)


class _Connection(H11Protocol):
    """A connection that does not last for ever, and may know who is at its other end."""

    def __init__(self, *args: Any, longest: float, told: Told, **more: Any) -> None:
        super().__init__(*args, **more)
        self._longest = longest
        self._told = told

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._end = self.loop.call_later(self._longest, transport.abort)
        self.app: Any = _with({**self._told(transport), STAY: self._stay}, self.app)

    def _stay(self, seconds: float) -> None:
        self._end.cancel()
        if not self.transport.is_closing():
            self._end = self.loop.call_later(seconds, self.transport.abort)

    def connection_lost(self, exc: Exception | None) -> None:
        self._end.cancel()
        super().connection_lost(exc)


def _with(told: Mapping[str, Any], app: Any) -> Any:
    async def spoken(scope: dict[str, Any], receive: Any, send: Any) -> None:
        await app({**scope, **told}, receive, send)

    return spoken
