"""A download that breaks off goes on where it may, begins anew where not, and is never mixed."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import pytest

from batchd.core.errors import RemoteUnavailable
from batchd.remote.openai_batches import OpenAIBatches
from batchd.remote.resuming import Part
from batchd.remote.transfers import CHUNK
from batchd.sandbox.options import Options
from batchd.sandbox.serving import Sandbox, running_sandbox
from batchd.settings import OpenAI
from tests.remote.raw_server import Handler, answer, head
from tests.remote.wire import JSONL, LINES, talking

CONTENT = b"".join(b'{"custom_id": "%08d"}\n' % number for number in range(8000))  # 192,000 bytes
OTHER = CONTENT.replace(b"0", b"1")
TAG = 'ETag: "one"'


async def put(sandbox: Sandbox, client: OpenAIBatches, content: bytes, tmp_path: Path) -> str:
    (tmp_path / "sent").write_bytes(content)
    sandbox.set_faults(lenient_uploads=True)
    return await client.upload(tmp_path / "sent", name="a.jsonl")


def replace_content(sandbox: Sandbox, file_id: str, content: bytes) -> None:
    """Other bytes under the same id, as no provider should have."""
    file = sandbox.world.shelf.get(file_id)
    file.path.write_bytes(content)
    file.bytes, file.sha256 = len(content), hashlib.sha256(content).hexdigest()


async def tries(client: OpenAIBatches, file_id: str, to: Path) -> int:
    """How often it has to be asked for until it is all there; what broke off is unavailable."""
    for attempt in range(1, 50):
        try:
            assert await client.download(file_id, to) == to.stat().st_size
        except RemoteUnavailable:
            continue
        else:
            return attempt
    raise AssertionError("it never came to an end")


def sandbox_client(sandbox: Sandbox) -> OpenAIBatches:
    settings = OpenAI(timeout_seconds=10.0, stall_seconds=10.0)
    return OpenAIBatches(settings, base_url=sandbox.base_url, api_key="sk-test")


@pytest.mark.parametrize("chunked", [False, True], ids=["with a length", "in chunks"])
@pytest.mark.parametrize("cut", [1, 24, 1000, 100_000, len(CONTENT) - 1])
async def test_a_download_that_breaks_off_goes_on_where_it_stopped(cut, chunked, tmp_path):
    """Every piece is as long as the server lets it be: what came is not asked for again."""
    faults = {"ranges": True, "chunked_content": chunked}
    async with running_sandbox(Options(faults=faults)) as sandbox:
        client = sandbox_client(sandbox)
        content = CONTENT[: 40 * cut] or CONTENT
        file_id = await put(sandbox, client, content, tmp_path)
        sandbox.set_faults(cut_after_bytes=cut)
        needed = await tries(client, file_id, tmp_path / "out")
        await client.close()
    assert (tmp_path / "out").read_bytes() == content
    assert needed == -(-len(content) // cut)


@pytest.mark.parametrize("cut", [1, 24, 1000, 100_000, len(CONTENT) - 1])
async def test_where_no_ranges_are_offered_it_begins_anew(cut, tmp_path):
    async with running_sandbox(Options()) as sandbox:
        client = sandbox_client(sandbox)
        file_id = await put(sandbox, client, CONTENT, tmp_path)
        sandbox.set_faults(cut_after_bytes=cut, cut_times=2)
        assert await tries(client, file_id, tmp_path / "out") == 3
        await client.close()
    assert (tmp_path / "out").read_bytes() == CONTENT


@pytest.mark.parametrize("other", [OTHER, OTHER + b"{}\n", OTHER[:2400], OTHER[:24]])
async def test_a_file_that_changed_meanwhile_is_taken_anew_and_whole(other, tmp_path):
    async with running_sandbox(Options(faults={"ranges": True})) as sandbox:
        client = sandbox_client(sandbox)
        file_id = await put(sandbox, client, CONTENT, tmp_path)
        sandbox.set_faults(cut_after_bytes=100_000, cut_times=1)
        with pytest.raises(RemoteUnavailable):
            await client.download(file_id, tmp_path / "out")
        replace_content(sandbox, file_id, other)
        await tries(client, file_id, tmp_path / "out")
        await client.close()
    assert (tmp_path / "out").read_bytes() == other


async def test_a_large_download_goes_on_by_itself_as_long_as_something_comes(tmp_path):
    content = CONTENT * 30
    async with running_sandbox(Options(faults={"ranges": True})) as sandbox:
        client = sandbox_client(sandbox)
        file_id = await put(sandbox, client, content, tmp_path)
        sandbox.set_faults(cut_after_bytes=CHUNK + CHUNK // 2)
        assert await tries(client, file_id, tmp_path / "out") == 1
        calls = sandbox.world.calls["GET /v1/files/{id}/content"]
        await client.close()
    assert (tmp_path / "out").read_bytes() == content
    assert calls == -(-len(content) // (CHUNK + CHUNK // 2))


@pytest.mark.parametrize(
    "spoil",
    [
        lambda path: path.write_bytes(b"x" * 5),
        lambda path: path.unlink(),
        lambda path: path.write_bytes(path.read_bytes() + b"x"),
    ],
    ids=["shorter", "gone", "longer"],
)
async def test_what_does_not_lie_there_as_it_was_left_is_not_trusted(spoil, tmp_path):
    async with running_sandbox(Options(faults={"ranges": True})) as sandbox:
        client = sandbox_client(sandbox)
        file_id = await put(sandbox, client, CONTENT, tmp_path)
        sandbox.set_faults(cut_after_bytes=100_000, cut_times=1)
        with pytest.raises(RemoteUnavailable):
            await client.download(file_id, tmp_path / "out")
        spoil(tmp_path / "out")
        assert await client.download(file_id, tmp_path / "out") == len(CONTENT)
        await client.close()
    assert (tmp_path / "out").read_bytes() == CONTENT


async def test_another_client_begins_anew(tmp_path):
    """As after a restart: nothing is written down."""
    async with running_sandbox(Options(faults={"ranges": True})) as sandbox:
        client = sandbox_client(sandbox)
        file_id = await put(sandbox, client, CONTENT, tmp_path)
        sandbox.set_faults(cut_after_bytes=100_000, cut_times=1)
        with pytest.raises(RemoteUnavailable):
            await client.download(file_id, tmp_path / "out")
        await client.close()
        (tmp_path / "out").write_bytes(b"x" * 100_000)  # what a power cut can leave
        client = sandbox_client(sandbox)
        assert await client.download(file_id, tmp_path / "out") == len(CONTENT)
        await client.close()
    assert (tmp_path / "out").read_bytes() == CONTENT


# Servers that offer it and do something else. ----------------------------------------------------

WHOLE = answer(LINES, "Accept-Ranges: bytes", TAG, kind=JSONL)
HALF, REST = LINES[:10], LINES[10:]
LAST, TOTAL = len(LINES) - 1, len(LINES)


def half(*headers: str) -> bytes:
    """A connection that ends after the first bytes."""
    return answer(HALF, *(headers or ("Accept-Ranges: bytes", TAG)), kind=JSONL, length=TOTAL)


def piece(body: bytes, where: str, *headers: str, tag: str = TAG) -> bytes:
    """A 206 that says it is this piece."""
    named = (f"Content-Range: {where}", *([tag] if tag else []), *headers)
    return answer(body, *named, status="206 Partial Content", kind=JSONL)


async def second_try(*script: bytes | Handler, tmp_path: Path) -> tuple[bytes, list[str]]:
    """What is there after a first try that broke off, and the heads of the calls."""
    async with talking(*script) as (client, server):
        with pytest.raises(RemoteUnavailable):
            await client.download("file-1", tmp_path / "out")
        assert await client.download("file-1", tmp_path / "out") == TOTAL
    return (tmp_path / "out").read_bytes(), [head.lower() for head in server.heads]


async def test_the_rest_is_asked_for_by_its_tag(tmp_path):
    rest = piece(REST, f"bytes 10-{LAST}/{TOTAL}")
    content, heads = await second_try(half(), rest, tmp_path=tmp_path)
    assert content == LINES
    assert "\r\nrange: bytes=10-\r\n" in heads[1]
    assert '\r\nif-range: "one"\r\n' in heads[1]
    assert "range:" not in heads[0]


@pytest.mark.parametrize(
    "headers",
    [
        ("Accept-Ranges: bytes",),
        ("Accept-Ranges: bytes", 'ETag: W/"one"'),
        ("Accept-Ranges: none", TAG),
        (TAG,),
        ("Accept-Ranges: bytes", TAG, "Content-Encoding: identity"),
    ],
    ids=["no tag", "a weak tag", "no ranges", "nothing about ranges", "an encoding"],
)
async def test_who_does_not_offer_it_clearly_is_not_asked(headers, tmp_path):
    content, heads = await second_try(half(*headers), WHOLE, tmp_path=tmp_path)
    assert content == LINES
    assert "range:" not in heads[1]


@pytest.mark.parametrize(
    "wrong",
    [
        piece(LINES, f"bytes 0-{LAST}/{TOTAL}"),
        piece(LINES[9:], f"bytes 9-{LAST}/{TOTAL}"),
        piece(REST[:5], f"bytes 10-14/{TOTAL}"),
        piece(REST, f"bytes 10-{LAST + 1}/{TOTAL + 1}"),
        piece(REST, f"bytes 10-{LAST}/*"),
        piece(REST, "lines 1-2/2"),
        piece(REST, f"bytes 10-{LAST}/{TOTAL}", tag='ETag: "two"'),
        piece(REST, f"bytes 10-{LAST}/{TOTAL}", tag=""),
        piece(REST, f"bytes 10-{LAST}/{TOTAL}", "Content-Encoding: identity"),
        answer(REST, TAG, status="206 Partial Content", kind=JSONL),
        answer("{}", f"Content-Range: bytes */{TOTAL}", status="416 Not Satisfiable"),
    ],
    ids=[
        "from the start",
        "from another place",
        "not to the end",
        "of a longer file",
        "of an unknown length",
        "in other units",
        "of another file",
        "of no named file",
        "encoded",
        "unnamed",
        "none",
    ],
)
async def test_another_piece_than_the_rest_is_not_trusted(wrong, tmp_path):
    content, heads = await second_try(half(), wrong, WHOLE, tmp_path=tmp_path)
    assert content == LINES
    assert "range: bytes=10-" in heads[1]
    assert "range:" not in heads[2]


async def test_all_of_it_where_the_rest_was_asked_for_is_all_of_it(tmp_path):
    content, heads = await second_try(half(), WHOLE, tmp_path=tmp_path)
    assert (content, len(heads)) == (LINES, 2)


async def test_a_piece_that_nobody_asked_for_is_no_file(tmp_path):
    async with talking(piece(REST, f"bytes 10-{LAST}/{TOTAL}")) as (client, server):
        with pytest.raises(RemoteUnavailable, match="a piece came"):
            await client.download("file-1", tmp_path / "out")
    assert len(server.heads) == 1


async def test_a_rest_that_is_longer_than_it_says_is_never_a_result(tmp_path):
    """Unframed, so that only the sum can tell."""
    named = head(f"Content-Type: {JSONL}", f"Content-Range: bytes 10-{LAST}/{TOTAL}", TAG)
    too_long = named.replace(b"200 OK", b"206 Partial Content") + REST + b"{}\n"
    async with talking(half(), too_long, WHOLE) as (client, _):
        for _ in range(2):
            with pytest.raises(RemoteUnavailable):
                await client.download("file-1", tmp_path / "out")
        assert await client.download("file-1", tmp_path / "out") == TOTAL
    assert (tmp_path / "out").read_bytes() == LINES


async def test_a_login_page_in_between_spoils_nothing(tmp_path):
    page = answer("<html>", kind="text/html")
    rest = piece(REST, f"bytes 10-{LAST}/{TOTAL}")
    async with talking(half(), page, rest) as (client, _):
        for _ in range(2):
            with pytest.raises(RemoteUnavailable):
                await client.download("file-1", tmp_path / "out")
        assert await client.download("file-1", tmp_path / "out") == TOTAL
    assert (tmp_path / "out").read_bytes() == LINES


async def test_a_rest_that_breaks_off_is_gone_on_with(tmp_path):
    named = (f"Content-Range: bytes 10-{LAST}/{TOTAL}", TAG)
    cut = answer(REST[:5], *named, status="206 Partial Content", kind=JSONL, length=len(REST))
    rest = piece(REST[5:], f"bytes 15-{LAST}/{TOTAL}")
    async with talking(half(), cut, rest) as (client, server):
        for _ in range(2):
            with pytest.raises(RemoteUnavailable):
                await client.download("file-1", tmp_path / "out")
        assert await client.download("file-1", tmp_path / "out") == TOTAL
    assert (tmp_path / "out").read_bytes() == LINES
    assert "range: bytes=15-" in server.heads[2].lower()


async def test_two_downloads_do_not_know_of_each_other(tmp_path):
    """The same file to another place, another file to the same place: both from the start."""
    async with talking(half(), WHOLE, WHOLE) as (client, server):
        with pytest.raises(RemoteUnavailable):
            await client.download("file-1", tmp_path / "out")
        await client.download("file-1", tmp_path / "elsewhere")
        await client.download("file-2", tmp_path / "out")
    assert not any("range:" in head.lower() for head in server.heads)


def test_a_part_knows_nothing_at_first():
    part, headers = Part(), {"content-range": "bytes 0-9/10"}
    assert (part.can_go_on, part.wish(), part.is_continued_by(headers)) == (False, {}, False)


@pytest.mark.parametrize(
    ("headers", "total", "etag"),
    [
        ({}, None, None),
        ({"content-length": "7"}, 7, None),
        ({"content-length": "7", "accept-ranges": "Bytes", "etag": '"a"'}, 7, '"a"'),
        ({"content-length": "many", "accept-ranges": "bytes", "etag": "a"}, None, None),
        ({"content-length": "7", "content-encoding": "gzip", "etag": '"a"'}, None, None),
    ],
)
def test_a_part_learns_from_the_headers_of_a_whole_file(
    headers: dict[str, Any], total: int | None, etag: str | None
):
    part = Part(5, b"x", 99, '"old"')
    part.begin(headers)
    assert part == Part(0, b"", total, etag)
