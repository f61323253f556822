"""The control socket: var/batchd.sock, for as long as the daemon runs. It never harms the house.

Whatever fails here is logged and tried again; the daemon goes on without being spoken to.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import socket
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anyio
import structlog
import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from batchd.control.addresses import near
from batchd.control.app import PEER, build
from batchd.control.peers import Peer, peer_of
from batchd.runtime.services import Services
from batchd.spool.placing import PART

log = structlog.get_logger()

LONGEST = 30.0  #: seconds a connection may last: an answer takes less than one
_MOST_AT_ONCE = 16  #: connections; more are told to come again
_LOOK_SECONDS = 5.0  #: between two looks at whether the socket is still there
_AGAIN_SECONDS = 60.0  #: after a failure
_LEAVING_SECONDS = 1.0  #: of the 15 that a stop may take
_MODE = 0o660  #: whoever may drop files may speak; what they may say is judged by who they are


async def listen(services: Services) -> None:
    """Listen until cancelled."""
    said = ""
    while True:
        try:
            await _listen_once(services)
            said = ""
        except OSError as error:
            if said != (said := str(error)):
                log.warning("control.off", text=said, again_in_seconds=_AGAIN_SECONDS)
            await services.clock.wait(anyio.Event(), _AGAIN_SECONDS)


async def _listen_once(services: Services) -> None:
    """Listen until the socket's file is gone: somebody has cleaned up, and nobody finds us."""
    path = services.folders.socket
    with listening(path, group=services.folders.inbox.stat().st_gid) as (listener, is_there):
        config = uvicorn.Config(
            build(services),
            http=_Protocol,
            ws="none",
            lifespan="off",
            limit_concurrency=_MOST_AT_ONCE,
            log_config=None,
            access_log=False,
            proxy_headers=False,
            server_header=False,
            date_header=False,
        )
        server = _Server(config, services, is_there)
        try:
            log.info("control.listening", socket=str(path))
            await server.serve(sockets=[listener])
        finally:
            with anyio.CancelScope(shield=True):
                await server.end()


class _Server(uvicorn.Server):
    """A uvicorn that leaves signals alone, and ends at once when the daemon does."""

    def __init__(self, config: uvicorn.Config, services: Services, is_there: Any) -> None:
        super().__init__(config)
        self.servers: list[asyncio.base_events.Server] = []
        self._services = services
        self._is_there = is_there

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    async def main_loop(self) -> None:
        await self.on_tick(0)
        while self._is_there():
            await self._services.clock.wait(anyio.Event(), _LOOK_SECONDS)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        await self.end()

    async def end(self) -> None:
        """Hang up. What was recorded is recorded, and may be asked for again."""
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


class _Protocol(H11Protocol):
    """A connection that knows who is at its other end, and does not last for ever."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._end = self.loop.call_later(LONGEST, transport.abort)
        self.app: Any = _from(peer_of(transport.get_extra_info("socket")), self.app)

    def connection_lost(self, exc: Exception | None) -> None:
        self._end.cancel()
        super().connection_lost(exc)


def _from(peer: Peer | None, app: Any) -> Any:
    async def spoken(scope: dict[str, Any], receive: Any, send: Any) -> None:
        await app({**scope, PEER: peer}, receive, send)

    return spoken


@contextlib.contextmanager
def listening(path: Path, *, group: int) -> Iterator[tuple[socket.socket, Any]]:
    """Have a socket at `path`, and a function that tells whether it is still there.

    Only under the root's lock: what a killed daemon left is replaced. It appears by a rename, with
    its mode and group, so that no moment is too open or too narrow.
    """
    if os.path.lexists(path) and not stat.S_ISSOCK(path.lstat().st_mode):
        raise FileExistsError(errno.EEXIST, "something else lies where the socket belongs", path)
    part = path.with_name(path.name + PART)
    part.unlink(missing_ok=True)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        with near(part) as address:
            listener.bind(address)
        with contextlib.suppress(PermissionError):  # not in that group: then it is for its own
            os.chown(part, -1, group)
        part.chmod(_MODE)
        listener.listen()
        listener.setblocking(False)
        part.replace(path)
        mine = _identity(path)
        try:
            yield listener, lambda: _identity(path) == mine
        finally:
            if _identity(path) == mine:
                path.unlink(missing_ok=True)
    finally:
        listener.close()


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        status = path.lstat()
    except OSError:
        return None
    return status.st_dev, status.st_ino
