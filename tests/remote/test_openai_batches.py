"""What only the real client has: the wire, and everything that can happen on it."""

from __future__ import annotations

import asyncio
import gc
import gzip
import json
import os
import time
import tracemalloc
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import anyio
import pytest

from batchd.core.errors import ConfigError, RemoteDenied, RemoteRefused, RemoteUnavailable
from batchd.core.model import BatchOrder
from batchd.remote.openai_batches import OpenAIBatches
from tests.remote.raw_server import Handler, RawServer, answer, hang, hang_up, head, serving

KEY = "batchd-very-secret-1234567890"
ORDER = BatchOrder("file-1", "/v1/chat/completions", "24h", {"batchd_shard": "s1"})
BATCH = '{"id": "batch_1", "status": "validating", "metadata": {"batchd_shard": "s1"}}'
LINES = b'{"custom_id": "a"}\n{"custom_id": "b"}\n'
JSONL = "application/octet-stream"


@asynccontextmanager
async def client_of(url: str, **changes: Any) -> AsyncIterator[OpenAIBatches]:
    settings = {"api_key": KEY, "timeout_seconds": 5.0, "stall_seconds": 5.0} | changes
    client = OpenAIBatches(base_url=url, **settings)
    try:
        yield client
    finally:
        await client.close()


@asynccontextmanager
async def talking(
    *script: bytes | Handler, **changes: Any
) -> AsyncIterator[tuple[OpenAIBatches, RawServer]]:
    async with serving(*script) as server, client_of(server.url, **changes) as client:
        yield client, server


async def in_pieces(*pieces: bytes, writer: asyncio.StreamWriter, pause: float) -> None:
    for piece in pieces:
        writer.write(piece)
        await writer.drain()
        await asyncio.sleep(pause)


# Creating: once, and what is known afterwards. ---------------------------------------------------


async def test_a_creation_says_what_it_was_told_and_nothing_about_retries():
    async with talking(answer(BATCH)) as (client, server):
        batch = await client.create_batch(ORDER)
    assert (batch.id, batch.metadata) == ("batch_1", {"batchd_shard": "s1"})
    assert server.heads[0].startswith("POST /v1/batches HTTP/1.1")
    assert "idempotency-key" not in server.heads[0].lower()


HTML = answer("<html>Please log in</html>", kind="text/html")


@pytest.mark.parametrize(
    "reply",
    [
        pytest.param(hang_up, id="the connection ends"),
        pytest.param(b"SSH-2.0-OpenSSH_9.2\r\n", id="not HTTP"),
        pytest.param(HTML, id="a page"),
        pytest.param(answer("<html>", kind="application/json"), id="a page that says it is JSON"),
        pytest.param(answer('{"id": "batch_1", "sta'), id="half a JSON"),
        pytest.param(answer(BATCH, length=1000), id="half a body"),
        pytest.param(answer(""), id="nothing"),
        pytest.param(answer("null"), id="null"),
        pytest.param(answer("[]"), id="a list"),
        pytest.param(answer('{"error": {"message": "sorry"}}'), id="an error with 200"),
        pytest.param(answer('{"id": "file-1", "object": "file"}'), id="something else"),
        pytest.param(answer("no gzip", "Content-Encoding: gzip"), id="not what it says"),
        pytest.param(answer("", status="204 No Content"), id="204"),
        pytest.param(answer("{}", status="408 Request Timeout"), id="408"),
        pytest.param(answer("{}", status="409 Conflict"), id="409"),
        pytest.param(answer("oops", status="500 Oops"), id="500"),
        pytest.param(answer("{}", "x-should-retry: true", status="503 Busy"), id="503"),
        pytest.param(answer("", "Location: http://127.0.0.1:1/", status="304 No"), id="304"),
    ],
)
async def test_a_creation_without_a_clear_answer_is_in_doubt_and_is_sent_once(reply):
    async with talking(reply) as (client, server):
        with pytest.raises(RemoteUnavailable, match=r"^create batch: ") as caught:
            await client.create_batch(ORDER)
    assert caught.value.may_have_happened
    assert len(server.heads) == 1


@pytest.mark.parametrize("status", ["429 Slow Down", "400 Bad Request", "401 Who?"])
async def test_a_refused_creation_is_sent_once_too(status):
    reply = answer("{}", "x-should-retry: true", "Retry-After: 0", status=status)
    async with talking(reply) as (client, server):
        with pytest.raises((RemoteUnavailable, RemoteRefused, RemoteDenied)):
            await client.create_batch(ORDER)
    assert len(server.heads) == 1


async def test_a_creation_ends_in_doubt_when_its_time_is_over():
    async with talking(hang, timeout_seconds=0.2) as (client, _):
        with pytest.raises(RemoteUnavailable, match="no answer in time") as caught:
            await client.create_batch(ORDER)
    assert caught.value.may_have_happened


async def test_a_dripping_answer_does_not_outlast_the_limit_of_the_call():
    """Every wait for a byte is short; only the call as a whole is long."""

    async def drip(writer: asyncio.StreamWriter) -> None:
        await in_pieces(head("Content-Length: 100"), *[b" "] * 100, writer=writer, pause=0.05)

    async with talking(drip, timeout_seconds=0.3) as (client, _):
        with pytest.raises(RemoteUnavailable, match="no answer in time") as caught:
            await client.create_batch(ORDER)
    assert caught.value.may_have_happened


async def test_nothing_happened_where_nobody_listens():
    async with serving(hang) as server:
        url = server.url  # a port that was free a moment ago, and is again
    async with client_of(url) as client:
        with pytest.raises(RemoteUnavailable, match="no connection") as caught:
            await client.create_batch(ORDER)
    assert not caught.value.may_have_happened


async def test_nothing_happened_where_no_name_leads():
    async with client_of("http://batchd.invalid/v1") as client:
        with pytest.raises(RemoteUnavailable) as caught:
            await client.create_batch(ORDER)
    assert not caught.value.may_have_happened


async def test_a_server_that_breaks_off_the_greeting_is_unavailable():
    """Of TLS failures the SDK and httpx2 each let some through as they are."""

    async def leave(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        writer.close()

    server = await asyncio.start_server(leave, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with server, client_of(f"https://127.0.0.1:{port}/v1") as client:
        with pytest.raises(RemoteUnavailable):
            await client.create_batch(ORDER)


@pytest.mark.parametrize(
    ("header", "seconds"),
    [("Retry-After: 1", 1.0), ("Retry-After: 3600", 3600.0), ("Retry-After-Ms: 250", 0.25)],
)
@pytest.mark.parametrize("method", ["create_batch", "list_batches"])
async def test_the_providers_wish_arrives_at_once_however_long(method, header, seconds):
    """Neither slept through here (the SDK would, up to 120 s) nor lost (it would, above)."""
    reply = answer("{}", header, status="429 Slow Down")
    async with talking(reply) as (client, server):
        with pytest.raises(RemoteUnavailable) as caught:
            await getattr(client, method)(*[ORDER][: method == "create_batch"])
    assert (caught.value.retry_after_seconds, caught.value.may_have_happened) == (seconds, False)
    assert len(server.heads) == 1


async def test_a_denial_shows_no_piece_of_the_key():
    said = f"Incorrect API key provided: {KEY[:8]}*******{KEY[-4:]}. See https://platform."
    body = json.dumps({"error": {"message": said, "code": "invalid_api_key"}})
    reply = answer(body, "x-request-id: req_9", status="401 Unauthorized")
    async with talking(reply) as (client, _):
        with pytest.raises(RemoteDenied) as caught:
            await client.list_batches()
    error = caught.value
    assert str(error) == (
        "list batches: the provider answered 401 (Unauthorized), "
        '"Incorrect API key provided: [key]. See https://platform.", request req_9'
    )
    assert (error.status, error.code) == (401, "invalid_api_key")
    # A traceback in the log would show what is chained to it.
    assert error.__cause__ is None
    assert error.__suppress_context__


@pytest.mark.parametrize("key", ["", "  ", "two words", "umläut", "line\nbreak"])
def test_a_key_that_cannot_be_sent_is_the_operators(key):
    with pytest.raises(ConfigError):
        OpenAIBatches(base_url=None, api_key=key, timeout_seconds=1, stall_seconds=1)


@pytest.mark.parametrize("url", ["localhost:8000/v1", "ftp://host/v1", "http://[::1/v1"])
def test_an_address_that_cannot_be_called_is_the_operators(url):
    with pytest.raises(ConfigError):
        OpenAIBatches(base_url=url, api_key=KEY, timeout_seconds=1, stall_seconds=1)


# Looking. ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("reply", [HTML, answer("[]"), answer("{}"), answer('{"data": null}')])
async def test_a_page_that_is_no_page_is_unavailable(reply):
    async with talking(reply) as (client, _):
        with pytest.raises(RemoteUnavailable, match="is no list of batches"):
            await client.list_batches()


async def test_a_page_is_asked_for_by_its_predecessor():
    first_page = {"data": [json.loads(BATCH)], "has_more": True}
    pages = answer(json.dumps(first_page)), answer('{"data": []}')
    async with talking(*pages) as (client, server):
        first = await client.list_batches()
        second = await client.list_batches(after="batch_1")
    assert ([batch.id for batch in first.batches], first.has_more) == (["batch_1"], True)
    assert (second.batches, second.has_more) == ((), False)
    assert "GET /v1/batches?limit=100 " in server.heads[0]
    assert "after=batch_1" in server.heads[1]


@pytest.mark.parametrize("method", ["retrieve_batch", "file_exists"])
async def test_a_login_page_is_no_news_of_a_batch_or_a_file(method):
    async with talking(HTML) as (client, _):
        with pytest.raises(RemoteUnavailable):
            await getattr(client, method)("id_1")


async def test_a_server_that_fails_is_no_file_that_is_gone():
    async with talking(answer("{}", status="500 Oops")) as (client, _):
        with pytest.raises(RemoteUnavailable):
            await client.file_exists("file-1")


# Uploading. --------------------------------------------------------------------------------------


async def test_an_upload_streams_with_its_length_known(tmp_path):
    path = tmp_path / "requests"
    path.write_bytes(LINES)
    async with talking(answer('{"id": "file-1"}')) as (client, server):
        assert await client.upload(path, name="root-shard.jsonl") == "file-1"
    assert server.bodies[0] > len(LINES)
    assert "transfer-encoding" not in server.heads[0].lower()


@pytest.mark.parametrize("reply", [HTML, answer("{}"), answer('{"id": null}'), hang_up])
async def test_an_upload_without_an_id_is_unavailable(reply, tmp_path):
    path = tmp_path / "requests"
    path.write_bytes(LINES)
    async with talking(reply) as (client, server):
        with pytest.raises(RemoteUnavailable, match=r"^upload file: "):
            await client.upload(path, name="a.jsonl")
    assert len(server.heads) == 1


async def test_an_upload_is_given_up_when_no_byte_moves(tmp_path):
    """The server takes the connection and reads nothing: the kernel's buffers fill, and that is it."""
    path = tmp_path / "requests"
    path.write_bytes(LINES * 1_000_000)
    stuck, over = asyncio.Event(), asyncio.Event()

    async def deaf(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.transport.pause_reading()
        stuck.set()
        await over.wait()
        writer.transport.abort()

    server = await asyncio.start_server(deaf, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with server, client_of(f"http://127.0.0.1:{port}/v1", stall_seconds=0.2) as client:
        with pytest.raises(RemoteUnavailable, match="no answer in time") as caught:
            await client.upload(path, name="a.jsonl")
        over.set()
    assert stuck.is_set()
    assert caught.value.may_have_happened


async def test_an_early_no_to_an_upload_is_heard(tmp_path):
    """A proxy refuses a large body before it has all of it, and closes."""
    path = tmp_path / "requests"
    path.write_bytes(LINES * 500_000)

    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer("<html>too large</html>", status="413 Too Large", kind="text/html"))
        await writer.drain()
        while await reader.read(65_536):
            pass
        writer.close()

    server = await asyncio.start_server(refuse, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with server, client_of(f"http://127.0.0.1:{port}/v1") as client:
        with pytest.raises(RemoteRefused) as caught:
            await client.upload(path, name="a.jsonl")
    assert caught.value.status == 413


MUCH = 120_000_000  # bytes


async def much(writer: asyncio.StreamWriter) -> None:
    start = head(f"Content-Type: {JSONL}", f"Content-Length: {MUCH}")
    piece = b"x" * 99_999 + b"\n"
    await in_pieces(start, *[piece] * (MUCH // len(piece)), writer=writer, pause=0)


async def longest_turn(turns: list[float]) -> None:
    while True:
        before = time.perf_counter()
        await asyncio.sleep(0)
        turns.append(time.perf_counter() - before)


async def test_transfers_take_no_memory_and_leave_the_loop_its_turns(tmp_path):
    """Measured by itself a turn is below 10 ms; the limit leaves room for a busy machine."""
    (tmp_path / "out").touch()
    os.truncate(tmp_path / "out", MUCH)
    async with talking(answer('{"id": "file-1"}'), much) as (client, server):
        turns: list[float] = []
        watching = asyncio.create_task(longest_turn(turns))
        tracemalloc.start()
        try:
            await client.upload(tmp_path / "out", name="a.jsonl")
            assert await client.download("file-1", tmp_path / "out") == MUCH
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
            watching.cancel()
    assert server.bodies[0] > MUCH
    assert peak < 20_000_000
    assert max(turns) < 0.5


@pytest.mark.parametrize("method", ["upload", "download"])
async def test_a_transfer_that_is_called_off_leaves_nothing_open(method, tmp_path):
    """The daemon is stopped in the middle of one. A file or a connection that was left to the
    garbage collector would be a warning, and here an error."""
    path = tmp_path / "file"
    path.write_bytes(LINES)

    async def stop_halfway(writer: asyncio.StreamWriter) -> None:
        await in_pieces(head("Content-Length: 100"), b"{", writer=writer, pause=0)
        await hang(writer)

    async with talking(stop_halfway) as (client, _):
        with anyio.move_on_after(0.2) as stopped:
            if method == "upload":
                await client.upload(path, name="a.jsonl")
            else:
                await client.download("file-1", path)
        gc.collect()
    assert stopped.cancelled_caught


# Downloading. ------------------------------------------------------------------------------------


def chunked(*chunks: bytes, end: bool = True) -> bytes:
    body = b"".join(b"%x\r\n%s\r\n" % (len(chunk), chunk) for chunk in chunks)
    return head(f"Content-Type: {JSONL}", "Transfer-Encoding: chunked") + body + b"0\r\n\r\n" * end


def size(number: int | None) -> bytes:
    """What `files.retrieve` says."""
    return answer(json.dumps({"id": "file-1", "bytes": number}))


NO_SIZE = answer("{}", status="404 Not Found")
UNFRAMED = head(f"Content-Type: {JSONL}")
WHOLE = answer(LINES, kind=JSONL)
ZIPPED = gzip.compress(LINES)


@pytest.mark.parametrize(
    ("script", "calls"),
    [
        pytest.param([WHOLE], 1, id="framed by its length"),
        pytest.param([chunked(LINES[:5], LINES[5:])], 1, id="framed by chunks"),
        pytest.param([UNFRAMED + LINES, size(len(LINES))], 2, id="unframed, of the right size"),
        pytest.param([UNFRAMED + LINES, NO_SIZE], 2, id="unframed, size unknown, whole lines"),
        pytest.param(
            [answer(ZIPPED, "Content-Encoding: gzip", kind=JSONL), size(len(LINES))],
            2,
            id="compressed without being asked",
        ),
        pytest.param([answer(LINES), size(len(LINES))], 2, id="called JSON"),
    ],
)
async def test_a_whole_body_is_kept_and_its_length_returned(script, calls, tmp_path):
    async with talking(*script) as (client, server):
        assert await client.download("file-1", tmp_path / "out") == len(LINES)
    assert (tmp_path / "out").read_bytes() == LINES
    assert len(server.heads) == calls
    assert "accept-encoding: identity" in server.heads[0].lower()


@pytest.mark.parametrize("known", [size(len(LINES) - 1), size(None), size(0), NO_SIZE])
async def test_a_framed_body_may_lack_the_last_newline(known, tmp_path):
    async with talking(answer(LINES[:-1], kind=JSONL), known) as (client, _):
        assert await client.download("file-1", tmp_path / "out") == len(LINES) - 1


@pytest.mark.parametrize("known", [size(0), size(None), NO_SIZE])
@pytest.mark.parametrize("empty", [answer(b"", kind=JSONL), chunked()])
async def test_an_empty_file_is_a_file(empty, known, tmp_path):
    async with talking(empty, known) as (client, _):
        assert await client.download("file-1", tmp_path / "out") == 0
    assert (tmp_path / "out").read_bytes() == b""


@pytest.mark.parametrize(
    "script",
    [
        pytest.param([answer(LINES, kind=JSONL, length=1000)], id="length announced"),
        pytest.param([chunked(LINES, end=False)], id="chunks without the last one"),
        pytest.param([UNFRAMED + LINES, size(1000)], id="no frame, size known"),
        pytest.param([UNFRAMED + LINES[:-9], NO_SIZE], id="no frame, size unknown, half a line"),
        pytest.param([UNFRAMED, size(1000)], id="no frame, nothing came"),
        pytest.param([answer(LINES[:-9], kind=JSONL), size(len(LINES))], id="cut by a proxy"),
        pytest.param([answer(b"", kind=JSONL), size(len(LINES))], id="emptied by a proxy"),
        pytest.param([answer('{"error": {}}\n'), size(1000)], id="an error with 200"),
        pytest.param(
            [answer(ZIPPED[:-12], "Content-Encoding: gzip", kind=JSONL), size(len(LINES))],
            id="half of a compressed body",
        ),
        pytest.param([answer(LINES[:-9], kind=JSONL), answer("", status="500 Oops")], id="no word"),
    ],
)
async def test_a_short_body_is_never_a_result(script, tmp_path):
    async with talking(*script) as (client, _):
        with pytest.raises(RemoteUnavailable, match=r"^download file"):
            await client.download("file-1", tmp_path / "out")


@pytest.mark.parametrize(
    ("kind", "page"),
    [("text/html; charset=utf-8", "Please log in.\n"), (JSONL, "\n<!doctype html>\n")],
)
async def test_a_web_page_is_no_file(kind, page, tmp_path):
    async with talking(answer(page, kind=kind)) as (client, _):
        with pytest.raises(RemoteUnavailable, match="a web page came"):
            await client.download("file-1", tmp_path / "out")


async def test_a_download_is_given_up_when_no_byte_comes(tmp_path):
    async def stop(writer: asyncio.StreamWriter) -> None:
        await in_pieces(head("Content-Length: 100"), b"{", writer=writer, pause=0)
        await hang(writer)

    async with talking(stop, stall_seconds=0.2) as (client, _):
        with pytest.raises(RemoteUnavailable, match="no answer in time"):
            await client.download("file-1", tmp_path / "out")


async def test_a_slow_download_that_moves_is_not_given_up(tmp_path):
    """Neither the stall limit nor the limit of a call counts the whole of a transfer."""

    async def drip(writer: asyncio.StreamWriter) -> None:
        pieces = [LINES[i : i + 4] for i in range(0, len(LINES), 4)]
        start = head(f"Content-Type: {JSONL}", f"Content-Length: {len(LINES)}")
        await in_pieces(start, *pieces, writer=writer, pause=0.06)

    async with talking(drip, stall_seconds=0.3, timeout_seconds=0.3) as (client, _):
        assert await client.download("file-1", tmp_path / "out") == len(LINES)


async def test_a_failing_download_is_asked_for_once(tmp_path):
    async with talking(answer("", status="503 Busy"), WHOLE) as (client, server):
        with pytest.raises(RemoteUnavailable):
            await client.download("file-1", tmp_path / "out")
    assert len(server.heads) == 1


async def test_a_longer_earlier_try_leaves_nothing_behind(tmp_path):
    (tmp_path / "out").write_bytes(LINES * 10)
    async with talking(WHOLE) as (client, _):
        await client.download("file-1", tmp_path / "out")
    assert (tmp_path / "out").read_bytes() == LINES
