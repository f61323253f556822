"""`GET /v1/files/{id}/content`: streamed, and cut, slowed or refused where a fault says so."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator

from starlette.datastructures import Headers
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from batchd.sandbox.connections import hang_up, is_gone
from batchd.sandbox.faults import use_one
from batchd.sandbox.files import StoredFile
from batchd.sandbox.wire import ApiError
from batchd.sandbox.world import World

_CHUNK = 64 * 1024
_DRIPS = 20  # a second, when it drips


class Download(Response):
    """The bytes of a file, as many as are to be sent."""

    def __init__(self, file: StoredFile, world: World, asked: Headers) -> None:
        faults = world.faults
        self._start = _start(file, asked) if faults.ranges else 0
        self._length = file.bytes - self._start
        headers = {"content-disposition": f'attachment; filename="{file.filename}"'}
        if faults.ranges:
            headers |= {"accept-ranges": "bytes", "etag": etag_of(file)}
        if self._start:
            headers["content-range"] = f"bytes {self._start}-{file.bytes - 1}/{file.bytes}"
        if not faults.chunked_content:
            headers["content-length"] = str(self._length)
        super().__init__(headers=headers, media_type="application/octet-stream")
        if faults.chunked_content:
            del self.headers["content-length"]  # put there by the base class, for an empty body
        self.status_code = 206 if self._start else 200
        self._file, self._world = file, world
        self._cut = _cut(self._length, world)
        self._rate = faults.bytes_per_second

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers, status = self.raw_headers, self.status_code
        await send({"type": "http.response.start", "status": status, "headers": headers})
        async for chunk in self._chunks():
            if is_gone(scope):
                return
            await send({"type": "http.response.body", "body": chunk, "more_body": True})
        if self._cut is not None:
            await hang_up(scope, receive)
        else:
            await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _chunks(self) -> AsyncIterator[bytes]:
        left = self._length if self._cut is None else self._cut
        step = max(1, int(self._rate / _DRIPS)) if self._rate else _CHUNK
        with self._file.path.open("rb") as source:
            source.seek(self._start)
            while chunk := source.read(min(step, left)):
                left -= len(chunk)
                yield chunk
                if self._rate:
                    await self._world.pause(len(chunk) / self._rate)


def etag_of(file: StoredFile) -> str:
    """A strong one: other bytes, another tag."""
    return f'"{file.sha256}"'


def _start(file: StoredFile, asked: Headers) -> int:
    """Where to begin. Of ranges only the open one is known, which is all that resuming takes."""
    wanted = re.fullmatch(r"bytes=(\d+)-", asked.get("range", ""))
    if wanted is None or asked.get("if-range", etag_of(file)) != etag_of(file):
        return 0
    start = int(wanted[1])
    if start >= file.bytes:
        unsatisfied = {"content-range": f"bytes */{file.bytes}"}
        raise ApiError(416, "The requested range is not there.", headers=unsatisfied)
    return start


def _cut(length: int, world: World) -> int | None:
    """After how many bytes this download breaks off."""
    cut = world.faults.cut_after_bytes
    if cut is None or cut >= length:
        return None
    happens, world.faults.cut_times = use_one(world.faults.cut_times)
    return cut if happens else None


def refuse_at_first(file: StoredFile, world: World) -> None:
    """The id is known, the content is not there yet."""
    if file.withheld < world.faults.not_found_times:
        file.withheld += 1
        raise ApiError(404, f"No such File object: {file.id}", param="id")
