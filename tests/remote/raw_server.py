"""A server that says, byte for byte, what a test wrote down: for answers that no API gives."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

Handler = Callable[[asyncio.StreamWriter], Coroutine[None, None, None]]


@dataclass
class RawServer:
    """Answers the first request with the first of `script`, and so on; the last one stays."""

    script: list[bytes | Handler]
    port: int = 0
    heads: list[str] = field(default_factory=list)  #: the head of every request, as it came
    bodies: list[int] = field(default_factory=list)  #: the length of every body
    contents: list[bytes] = field(default_factory=list)  #: how every body begins
    over: asyncio.Event = field(default_factory=asyncio.Event)
    busy: set[asyncio.Task[None]] = field(default_factory=set)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1"

    async def _until_over(self, handling: Coroutine[None, None, None]) -> None:
        """A handler may hang for ever; the test does not."""
        waits = {asyncio.ensure_future(handling), asyncio.ensure_future(self.over.wait())}
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        for wait in waits:
            wait.cancel()
        await asyncio.gather(*waits, return_exceptions=True)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task
        self.busy.add(task)
        task.add_done_callback(self.busy.discard)
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            self.heads.append(head)
            length, start = await _swallow(reader, head)
            self.bodies.append(length)
            self.contents.append(start)
            answer = self.script[min(len(self.heads), len(self.script)) - 1]
            if isinstance(answer, bytes):
                writer.write(answer)
                await writer.drain()
            else:
                await self._until_over(answer(writer))
        except (ConnectionError, asyncio.IncompleteReadError):
            pass  # the client gave up, which is what some tests are about
        finally:
            writer.close()


async def _swallow(reader: asyncio.StreamReader, head: str) -> tuple[int, bytes]:
    """The length of the body, and its first piece: an upload may be large."""
    found = re.search(r"content-length: (\d+)", head, re.IGNORECASE)
    left = length = int(found[1]) if found else 0
    start = b""
    while left:
        piece = await reader.readexactly(min(left, 65_536))
        start, left = start or piece, left - len(piece)
    return length, start


@asynccontextmanager
async def serving(*script: bytes | Handler) -> AsyncIterator[RawServer]:
    raw = RawServer(list(script))
    server = await asyncio.start_server(raw.serve, "127.0.0.1", 0)
    raw.port = server.sockets[0].getsockname()[1]
    async with server:
        yield raw
        raw.over.set()
        if raw.busy:
            await asyncio.wait(raw.busy)


async def hang(writer: asyncio.StreamWriter) -> None:
    """The request is read, and nothing is ever said."""
    await asyncio.Event().wait()


async def hang_up(writer: asyncio.StreamWriter) -> None:
    """The request is read, and the connection ends without a word."""


def answer(
    body: bytes | str = b"",
    *headers: str,
    status: str = "200 OK",
    kind: str = "application/json",
    length: int | None = None,
) -> bytes:
    """A framed answer, after which the connection ends; `length` lies about the body's."""
    body = body.encode() if isinstance(body, str) else body
    length = len(body) if length is None else length
    return (
        head(f"Content-Type: {kind}", f"Content-Length: {length}", *headers, status=status) + body
    )


def head(*headers: str, status: str = "200 OK") -> bytes:
    lines: Iterable[str] = (f"HTTP/1.1 {status}", *headers, "Connection: close", "", "")
    return "\r\n".join(lines).encode()
