"""Somebody who is posted to, over real HTTP."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio
from anyio.abc import SocketStream


class Receiver:
    """Answers each call with the next of `answers`, the last one for ever; None never answers."""

    def __init__(self, *answers: int | None) -> None:
        self._answers = list(answers or [200])
        self.calls: list[tuple[str, dict[str, str], bytes]] = []
        self.address = ""

    async def serve(self, stream: SocketStream) -> None:
        async with stream:
            head, _, body = (await _until(stream, b"\r\n\r\n")).partition(b"\r\n\r\n")
            first, *lines = head.decode().split("\r\n")
            headers = {k.lower(): v for k, _, v in (line.partition(": ") for line in lines)}
            while len(body) < int(headers.get("content-length", 0)):
                body += await stream.receive()
            self.calls.append((first, headers, body))
            answer = self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]
            if answer is None:
                await anyio.sleep_forever()
            await stream.send(f"HTTP/1.1 {answer} X\r\ncontent-length: 0\r\n\r\n".encode())


async def _until(stream: SocketStream, end: bytes) -> bytes:
    data = b""
    while end not in data:
        data += await stream.receive()
    return data


@asynccontextmanager
async def receiving(*answers: int | None) -> AsyncIterator[Receiver]:
    """Have one, for the time of the block."""
    receiver = Receiver(*answers)
    listener = await anyio.create_tcp_listener(local_host="127.0.0.1")
    port = listener.extra(anyio.abc.SocketAttribute.local_port)
    receiver.address = f"http://127.0.0.1:{port}/hook"
    async with listener, anyio.create_task_group() as tasks:
        tasks.start_soon(listener.serve, receiver.serve)
        yield receiver
        tasks.cancel_scope.cancel()
