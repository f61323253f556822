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

from batchd.control.addresses import near
from batchd.control.app import build
from batchd.control.door import PEER
from batchd.control.peers import peer_of
from batchd.runtime.listener import Bounds, serve
from batchd.runtime.services import Services
from batchd.spool.placing import PART

log = structlog.get_logger()

_BOUNDS = Bounds(at_once=16, longest=30.0)  # an answer takes less than a second
_LOOK_SECONDS = 5.0  #: between two looks at whether the socket is still there
_AGAIN_SECONDS = 60.0  #: after a failure
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

        async def while_there() -> None:
            while is_there():
                await services.clock.wait(anyio.Event(), _LOOK_SECONDS)

        log.info("control.listening", socket=str(path))
        await serve(build(services), listener, _BOUNDS, stay=while_there, told=_who)


def _who(transport: asyncio.Transport) -> dict[str, Any]:
    return {PEER: peer_of(transport.get_extra_info("socket"))}


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
