"""What only the real client has: calls on the wire, and everything that can happen to them."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from dataclasses import replace

import pytest
from structlog.testing import capture_logs

from batchd.core.errors import ConfigError, RemoteDenied, RemoteRefused, RemoteUnavailable
from batchd.core.model import BatchStatus, FilePage, RemoteFile
from batchd.remote.openai_batches import OpenAIBatches
from batchd.settings import OpenAI
from tests.remote.raw_server import answer, hang, hang_up, head, serving
from tests.remote.wire import BATCH, HTML, KEY, ORDER, client_of, in_pieces, talking


async def test_warming_up_imports_what_the_first_call_needs_and_calls_nobody():
    async with talking(answer(BATCH)) as (client, server):
        program = (
            "import sys; from batchd.remote.openai_batches import OpenAIBatches;"
            " from batchd.settings import OpenAI;"
            " client = OpenAIBatches(OpenAI(), base_url='http://127.0.0.1:9', api_key='k');"
            " assert 'openai.resources.batches' not in sys.modules; client.warm_up();"
            " assert 'openai.resources.batches' in sys.modules"
        )
        await asyncio.to_thread(subprocess.run, [sys.executable, "-c", program], check=True)
        client.warm_up()
        assert server.heads == []


# Creating: once, and what is known afterwards. ---------------------------------------------------


async def test_a_creation_says_what_it_was_told_and_nothing_about_retries():
    async with talking(answer(BATCH)) as (client, server):
        batch = await client.create_batch(ORDER)
    assert (batch.id, batch.metadata) == ("batch_1", {"batchd_shard": "s1"})
    assert server.heads[0].startswith("POST /v1/batches HTTP/1.1")
    assert "idempotency-key" not in server.heads[0].lower()


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
        OpenAIBatches(OpenAI(), base_url=None, api_key=key)


@pytest.mark.parametrize("url", ["localhost:8000/v1", "ftp://host/v1", "http://[::1/v1"])
def test_an_address_that_cannot_be_called_is_the_operators(url):
    with pytest.raises(ConfigError):
        OpenAIBatches(OpenAI(), base_url=url, api_key=KEY)


async def test_what_is_created_carries_its_expiry_and_its_metadata():
    order = replace(ORDER, output_expires_seconds=7200)
    async with talking(answer(BATCH)) as (client, server):
        await client.create_batch(order)
        await client.create_batch(ORDER)
    sent, plain = map(json.loads, server.contents)
    assert sent["output_expires_after"] == {"anchor": "created_at", "seconds": 7200}
    assert sent["metadata"] == {"batchd_shard": "s1"}
    assert "output_expires_after" not in plain


async def test_a_server_without_metadata_is_sent_none():
    async with talking(answer(BATCH), metadata=False) as (client, server):
        await client.create_batch(ORDER)
    assert set(json.loads(server.contents[0])) == {
        "input_file_id",
        "endpoint",
        "completion_window",
    }


# Stopping and removing. --------------------------------------------------------------------------


async def test_too_late_to_cancel_is_the_batch_as_it_is_and_asked_only_once():
    too_late = answer('{"error": {"message": "Cannot cancel"}}', status="409 Conflict")
    over = answer(BATCH.replace("validating", "completed"))
    async with talking(too_late, over) as (client, server):
        assert (await client.cancel_batch("batch_1")).status is BatchStatus.COMPLETED
    first_lines = [head.splitlines()[0].rpartition(" ")[0] for head in server.heads]
    assert first_lines == ["POST /v1/batches/batch_1/cancel", "GET /v1/batches/batch_1"]


async def test_a_cancellation_that_a_server_does_not_know_is_refused():
    async with talking(answer("{}", status="405 Not Allowed")) as (client, _):
        with pytest.raises(RemoteRefused):
            await client.cancel_batch("batch_1")


async def test_a_cancellation_without_an_answer_may_have_happened():
    async with talking(hang_up) as (client, server):
        with pytest.raises(RemoteUnavailable) as caught:
            await client.cancel_batch("batch_1")
    assert caught.value.may_have_happened
    assert len(server.heads) == 1


@pytest.mark.parametrize("reply", [HTML, answer("[]"), answer('{"deleted": false}')])
async def test_a_deletion_is_believed_only_where_it_is_said(reply):
    async with talking(reply) as (client, _):
        with pytest.raises(RemoteUnavailable, match=r"^delete file file-1: "):
            await client.delete_file("file-1")


async def test_files_are_listed_by_their_purpose():
    page = answer('{"data": [{"id": "f", "filename": "a.jsonl", "bytes": 3}], "has_more": true}')
    async with talking(page, purpose="batch-api") as (client, server):
        files = await client.list_files(after="file-0")
    assert files == FilePage((RemoteFile("f", "a.jsonl", 3),), has_more=True)
    assert "purpose=batch-api" in server.heads[0]
    assert "after=file-0" in server.heads[0]


# Looking. ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("reply", [HTML, answer("{}"), answer('{"data": null}')])
async def test_a_page_that_is_no_page_is_unavailable(reply):
    async with talking(reply) as (client, _):
        with pytest.raises(RemoteUnavailable, match="is no list of batches"):
            await client.list_batches()
        with pytest.raises(RemoteUnavailable, match="is no list of files"):
            await client.list_files()


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


async def test_a_word_nobody_told_us_is_no_end_and_is_wondered_at_once():
    strange = BATCH.replace("validating", "exploding")
    listed = answer(f'{{"data": [{strange}]}}')
    async with talking(answer(strange), listed) as (client, _):
        with capture_logs() as logs:
            batch = await client.retrieve_batch("batch_1")
            await client.list_batches()
    assert (batch.status, batch.raw_status) == (BatchStatus.UNKNOWN, "exploding")
    assert [(entry["event"], entry["status"]) for entry in logs] == [
        ("batch.unknown_status", "exploding")
    ]


async def test_an_empty_list_may_be_a_bare_array():
    async with talking(answer("[]")) as (client, _):
        assert (await client.list_batches()).batches == ()


async def test_a_window_that_is_empty_is_not_sent():
    """Zhipu knows none."""
    async with talking(answer(BATCH)) as (client, server):
        await client.create_batch(replace(ORDER, completion_window=""))
    assert "completion_window" not in json.loads(server.contents[0])


@pytest.mark.parametrize("method", ["retrieve_batch", "file_exists"])
async def test_a_login_page_is_no_news_of_a_batch_or_a_file(method):
    async with talking(HTML) as (client, _):
        with pytest.raises(RemoteUnavailable):
            await getattr(client, method)("id_1")


async def test_a_server_that_fails_is_no_file_that_is_gone():
    async with talking(answer("{}", status="500 Oops")) as (client, _):
        with pytest.raises(RemoteUnavailable):
            await client.file_exists("file-1")
