"""Files up and down on the wire: flat memory, no limit but a stall, never a short result."""

from __future__ import annotations

import asyncio
import gc
import gzip
import json
import os
import time
import tracemalloc

import anyio
import pytest

from batchd.core.errors import RemoteRefused, RemoteUnavailable
from tests.remote.raw_server import answer, hang, hang_up, head
from tests.remote.wire import HTML, JSONL, LINES, client_of, in_pieces, talking

# Uploading. --------------------------------------------------------------------------------------


async def test_an_upload_streams_with_its_length_known(tmp_path):
    path = tmp_path / "requests"
    path.write_bytes(LINES)
    async with talking(answer('{"id": "file-1"}')) as (client, server):
        assert await client.upload(path, name="root-shard.jsonl") == "file-1"
    assert server.bodies[0] > len(LINES)
    assert "transfer-encoding" not in server.heads[0].lower()


@pytest.mark.parametrize(
    ("days", "expiry"),
    [(7.0, b"604800"), (0.001, b"3600"), (365.0, b"2592000"), (0.0, None)],
    ids=["a week", "a minute", "a year", "nothing said"],
)
async def test_an_upload_says_what_it_is_for_and_when_it_may_go(days, expiry, tmp_path):
    path = tmp_path / "requests"
    path.write_bytes(LINES)
    settings = {"keep_files_days": days, "purpose": "batch-api"}
    async with talking(answer('{"id": "file-1"}'), **settings) as (client, server):
        await client.upload(path, name="a.jsonl")
    form = server.contents[0].replace(b"\r\n", b"|")
    assert b'name="purpose"||batch-api|' in form
    if expiry is None:
        assert b"expires_after" not in form
    else:
        assert b'name="expires_after[anchor]"||created_at|' in form
        assert b'name="expires_after[seconds]"||%s|' % expiry in form


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
        try:
            while await reader.read(65_536):
                pass
        except ConnectionError:
            pass  # it heard the no in the middle of a piece
        finally:
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
