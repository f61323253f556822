"""Who stands at the socket, whether they may have what they ask for, and what they hand in."""

from __future__ import annotations

import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import BinaryIO, TypeVar

import msgspec
from starlette.requests import Request

from batchd.control.messages import MOST_SENT, Message
from batchd.control.peers import Peer, Rights
from batchd.control.queries import asked_by, file_asked
from batchd.core.errors import BatchdError
from batchd.runtime.services import Services
from batchd.runtime.threads import in_thread
from batchd.spool.users import name_of

PEER = "batchd.peer"  #: where the connection says who it is (`serving.py`)
MOST_BYTES = 16_384  #: of a body: none of ours has more than a sentence
_NOT_SAID = "this system does not say who is asking, so only the daemon's own folder is trusted"
_PIECE = 1_000_000  #: bytes of a file that are gathered before they are written

Kind = TypeVar("Kind", bound=Message)


class Refused(BatchdError):
    """An answer that is no."""

    def __init__(self, code: str, sentence: str) -> None:
        super().__init__(sentence)
        self.code = code


class Door:
    """The rights of one root, asked of whoever comes."""

    def __init__(self, services: Services) -> None:
        self._services = services

    async def reader(self, request: Request) -> dict[str, str]:
        """Return what they ask for, where they may drop files: then they may read, too."""
        if not (await self.rights()).may_read(peer_of(request)):
            raise Refused("refused", "only those who may drop files into inbox/ may read this")
        return asked_by(request.scope["query_string"])

    async def master(self, request: Request) -> str:
        """Return the name of one who may do what concerns everybody."""
        peer = peer_of(request)
        name = await in_thread(name_of, peer.uid)
        if not (await self.rights()).may_run_it(peer):
            raise Refused("refused", f"that concerns everybody's jobs: root and the daemon's own user"
                          f" may do it, and {name} may not")  # fmt: skip
        return name

    async def rights(self) -> Rights:
        """As the inbox is now: an operator may have given it to another group."""
        return await in_thread(Rights.of, self._services.folders.inbox)


def peer_of(request: Request) -> Peer:
    """Return who asks, as the kernel says."""
    peer: Peer | None = request.scope.get(PEER)
    if peer is None:
        raise Refused("refused", _NOT_SAID)
    return peer


async def body_of(request: Request, kind: type[Kind]) -> Kind:
    """Read a small body; none at all is one that says nothing."""
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > MOST_BYTES:
            raise Refused("too-large", f"a body may have {MOST_BYTES:,} bytes")
    try:
        return msgspec.json.decode(bytes(body) or b"{}", type=kind)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise Refused("invalid", f"the body is not what is asked for: {error}") from error


@asynccontextmanager
async def file_of(request: Request, asked: dict[str, str]) -> AsyncIterator[Path]:
    """Have the file that is handed in, under the name that it is said to have, for a while.

    Its bytes and not its path: the daemon opens nothing for somebody that they may not open. What a
    kill leaves lies in the service's own /tmp, which goes with it.
    """
    name = file_asked(asked)
    folder = await in_thread(tempfile.TemporaryDirectory, prefix="batchd-")
    try:
        path = Path(folder.name) / name
        with await in_thread(path.open, "xb") as file:
            await _write(request, file)
        yield path
    finally:
        folder.cleanup()


async def _write(request: Request, file: BinaryIO) -> None:
    written, piece = 0, bytearray()
    async for chunk in request.stream():
        piece += chunk
        written += len(chunk)
        if written > MOST_SENT:
            raise Refused("too-large", f"a file that is handed in may have {MOST_SENT:,} bytes")
        if len(piece) >= _PIECE:
            await in_thread(file.write, bytes(piece))
            piece.clear()
    await in_thread(file.write, bytes(piece))
