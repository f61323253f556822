"""Files up and down: flat memory, no limit but a stall, never a short result.

Neither direction retries. The stage that asked does, with a back-off that is written down. Only
a download that broke off in the middle goes on, where the server offers that.
"""

from __future__ import annotations

import io
import os
from collections.abc import AsyncIterator, Mapping
from http import HTTPStatus
from pathlib import Path
from typing import Any, Self, cast

import httpx2
import openai
from anyio import to_thread
from openai import omit

from batchd.core.errors import RemoteUnavailable
from batchd.remote.failures import clean, not_the_api
from batchd.remote.resuming import Part
from batchd.remote.translating import decoded, whole
from batchd.settings import OpenAI

CHUNK = 1024 * 1024  # bytes per hand-over to the writing thread
#: A server (or a proxy that swallowed the file whole) looks through an upload before it answers.
#: No byte moves then, and giving up too soon would mean sending it all again, for ever.
PROCESSING_BYTES_PER_SECOND = 1_000_000
NO_SIZE_STATUSES = (404, 405, 501)  # a server that serves a file, but knows nothing about it


async def send(
    client: openai.AsyncOpenAI,
    path: Path,
    *,
    name: str,
    settings: OpenAI,
    patience: httpx2.Timeout,
) -> str:
    """Upload `path` for batches; return the file's id.

    The SDK gets an open file: a `Path` it would read whole (+600 MB for 200 MB). httpx2 then reads
    it on the event loop, a piece at a time, which keeps the loop waiting for no longer than that.
    """
    with _InPieces(path) as file:  # on the loop: to open it takes less than to hand that over
        size = os.fstat(file.fileno()).st_size
        answer = await client.files.with_raw_response.create(
            file=(name, file, "application/jsonl"),
            purpose=cast("Any", settings.purpose),  # others know words that the SDK's Literal lacks
            expires_after=lifetime(settings.keep_files_seconds),
            timeout=_patience_for(size, patience),
        )
    file_id = _member(answer.http_response, "id")
    if not isinstance(file_id, str) or not file_id:
        raise not_the_api(answer.http_response, doing="upload file", wanted="file")
    return file_id


class _InPieces(io.FileIO):
    """A file that is read in larger pieces than httpx2 asks for.

    Each goes through six layers of Python: 198 MB in its own 64 KiB took 0.19 s of CPU, in these
    0.12 s. Larger ones bring no more, and one must have left within `stall_seconds`.
    """

    PIECE = 256 * 1024

    def read(self, size: int | None = -1) -> bytes:
        return super().read(self.PIECE if size and 0 < size < self.PIECE else size)


def lifetime(seconds: int | None) -> Any:
    """`expires_after` and its like, as the API wants it; nothing at all where nothing is said."""
    return omit if seconds is None else {"anchor": "created_at", "seconds": seconds}


async def fetch(
    client: openai.AsyncOpenAI, file_id: str, to: Path, *, part: Part, patience: httpx2.Timeout
) -> int:
    """Stream a file into `to`, fsync it, and return its length once that is believed.

    `part` is what an earlier call left in `to`. Where the server lets one go on, this goes on by
    itself as long as each piece brings something; a small one is left to the caller's patience.
    """
    while True:
        if part.length:
            await to_thread.run_sync(part.check, to)
        else:
            part.forget()
        before = part.length
        try:
            headers = await _stream(client, file_id, to, part, patience)
        except _NotTheRest:
            part.forget()
        except httpx2.TransportError:
            if not part.can_go_on or part.length - before < CHUNK:
                raise
        else:
            return await _believed(client, file_id, part, headers)


class _NotTheRest(Exception):
    """What came is not the rest of what we have. Never leaves this module."""


async def _stream(
    client: openai.AsyncOpenAI, file_id: str, to: Path, part: Part, patience: httpx2.Timeout
) -> Mapping[str, str]:
    """All of a file, or its rest; returns the headers it came with.

    Asks for no compression: a length counted in compressed bytes proves little, and a chunk that
    unfolds to a thousand times its size would block the loop. One that comes is understood.
    """
    wish = {"Accept-Encoding": "identity", **part.wish()}
    streamed = client.files.with_streaming_response.content(
        file_id, extra_headers=wish, timeout=patience
    )
    try:
        async with streamed as answer:
            _check_kind(answer.status_code, answer.headers, part)
            await _write(answer.iter_bytes(), to, part, answer.headers)
            return answer.headers
    except openai.APIStatusError as error:
        if error.status_code == HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE and part.can_go_on:
            raise _NotTheRest from None
        raise


def _check_kind(status: int, headers: Mapping[str, str], part: Part) -> None:
    """Whether what comes now can be taken: a whole file, or the rest of ours."""
    if _kind(headers) == "text/html":
        raise _a_page(headers)
    if status != HTTPStatus.PARTIAL_CONTENT:
        part.begin(headers)
    elif not part.can_go_on:
        raise RemoteUnavailable(
            "download file: a piece came where all of it was asked for", may_have_happened=True
        )
    elif not part.is_continued_by(headers):
        raise _NotTheRest


async def _believed(
    client: openai.AsyncOpenAI, file_id: str, part: Part, headers: Mapping[str, str]
) -> int:
    """The length of what came to its end, once it is sure that it is all."""
    part.etag = None  # nothing to go on with: it is all there, or it is wrong
    if part.total is not None and part.length != part.total:
        raise _short(part.length, part.total)
    if not _is_plainly_whole(headers, part.end):
        expected = await _size_of(client, file_id)
        can_be_cut = not _is_framed(headers) and part.end != b"\n"
        _compare(part.length, expected, can_be_cut=can_be_cut)
    return part.length


def _patience_for(size: int, patience: httpx2.Timeout) -> httpx2.Timeout:
    answer_within = (patience.read or 0.0) + size / PROCESSING_BYTES_PER_SECOND
    return httpx2.Timeout(
        connect=patience.connect, read=answer_within, write=patience.write, pool=patience.pool
    )


async def _write(
    chunks: AsyncIterator[bytes], to: Path, part: Part, headers: Mapping[str, str]
) -> None:
    """Everything into the file, behind what is there of it; in a thread, and a small one at once."""
    pending = bytearray()
    with _Sink(to, part, headers) as sink:
        try:
            async for chunk in chunks:
                pending += chunk
                if len(pending) >= CHUNK:
                    await to_thread.run_sync(sink.put, pending)
        except httpx2.TransportError:
            await to_thread.run_sync(sink.put, pending)  # it came, and need not come again
            raise
        await to_thread.run_sync(sink.finish, pending)


class _Sink:
    """The file that a download goes to, opened when something has come."""

    def __init__(self, to: Path, part: Part, headers: Mapping[str, str]) -> None:
        self._to = to
        self._part = part
        self._headers = headers
        self._file: io.FileIO | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._file is not None:
            self._file.close()

    def put(self, pending: bytearray) -> None:
        """Write what is pending."""
        if self._part.length == 0 and pending.lstrip().startswith(b"<"):
            raise _a_page(self._headers)
        file, left = self._opened(), memoryview(pending)
        while left:
            left = left[file.write(left) :]
        self._part.take(pending)
        del left
        pending.clear()

    def finish(self, pending: bytearray) -> None:
        """Write the last of it, and make all of it durable."""
        self.put(pending)
        os.fsync(self._opened().fileno())

    def _opened(self) -> io.FileIO:
        if self._file is None:
            self._file = io.FileIO(self._to, "r+" if self._part.length else "w")
            self._file.seek(self._part.length)
        return self._file


def _a_page(headers: Mapping[str, str]) -> RemoteUnavailable:
    """A hotel's login page, say, which comes with status 200."""
    kind = clean(headers.get("content-type", "no content type"))
    return RemoteUnavailable(
        f"download file: a web page came instead of the file ({kind})", may_have_happened=True
    )


def _kind(headers: Mapping[str, str]) -> str:
    return headers.get("content-type", "").partition(";")[0].strip().lower()


def _is_framed(headers: Mapping[str, str]) -> bool:
    """Whether httpx2 noticed a body that ended early: it does, where the end is announced."""
    return "content-length" in headers or "chunked" in headers.get("transfer-encoding", "")


def _is_plainly_whole(headers: Mapping[str, str], end: bytes) -> bool:
    """Framed, ends with a line, and is what it should be: nothing more to ask.

    A proxy can frame what it got, though it got only half: then the last line is rarely whole.
    And an error object in JSON can come with 200, too.
    """
    is_plain = "content-encoding" not in headers and _kind(headers) != "application/json"
    return _is_framed(headers) and is_plain and end == b"\n"


async def _size_of(client: openai.AsyncOpenAI, file_id: str) -> int | None:
    """What the provider says the file's size is; None or 0 where it doesn't know."""
    try:
        answer = await client.files.with_raw_response.retrieve(file_id)
    except openai.APIStatusError as error:
        if error.status_code in NO_SIZE_STATUSES:
            return None
        raise
    return whole(_member(answer.http_response, "bytes"))


def _compare(length: int, expected: int | None, *, can_be_cut: bool) -> None:
    if length == expected or (not expected and not can_be_cut):
        return
    raise _short(length, expected)


def _short(length: int, expected: int | None) -> RemoteUnavailable:
    return RemoteUnavailable(
        f"download file: short, {length} bytes came of {expected or 'an unknown number'}",
        may_have_happened=True,
    )


def _member(answer: httpx2.Response, name: str) -> object:
    data = decoded(answer.content)
    return data.get(name) if isinstance(data, Mapping) else None
