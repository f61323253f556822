"""What every `Remote` does: the fake, and the real client over real HTTP against the sandbox, in
each of its dialects.

A third implementation is done when it passes this, too.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from batchd.core.errors import RemoteDenied, RemoteRefused, RemoteUnavailable
from batchd.core.model import Batch, BatchOrder, BatchStatus, Counts
from batchd.sandbox.options import DIALECTS
from tests.remote.providers import (
    CHAT,
    EMBEDDINGS,
    RESPONSES,
    RETRY_AFTER,
    Provider,
    fake_provider,
    sandbox_provider,
)

Opened = Callable[[], AbstractAsyncContextManager[Provider]]

BODIES: dict[str, dict[str, Any]] = {
    CHAT: {"model": "gpt-4.1-mini", "messages": [{"role": "user", "content": "Hello"}]},
    RESPONSES: {"model": "gpt-4.1-mini", "input": "Hello"},
    EMBEDDINGS: {"model": "text-embedding-3-small", "input": ["Hello", "Goodbye"]},
}


SANDBOXES = [partial(sandbox_provider, dialect) for dialect in DIALECTS]


@pytest.fixture(params=[fake_provider, *SANDBOXES], ids=["fake", *DIALECTS])
def provider(request: pytest.FixtureRequest) -> Any:
    return request.param


def lines(*custom_ids: str, url: str = CHAT) -> bytes:
    fixed = {"method": "POST", "url": url, "body": BODIES[url]}
    requests = [{"custom_id": custom_id, **fixed} for custom_id in custom_ids]
    return b"".join(json.dumps(request).encode() + b"\n" for request in requests)


def order(p: Provider, file_id: str, **changes: Any) -> BatchOrder:
    """What the daemon would say to this server."""
    settings = p.habits.settings
    given = {
        "endpoint": p.habits.endpoints[CHAT],
        "completion_window": settings.completion_window,
        "metadata": {"batchd_shard": "s1"},
        "output_expires_seconds": settings.keep_files_seconds,
    }
    return BatchOrder(input_file_id=file_id, **given | changes)


def counted(p: Provider, *counts: int) -> Counts:
    return Counts(*counts) if p.habits.has_counts else Counts()


def stopping(p: Provider) -> tuple[BatchStatus, ...]:
    """What a batch may be once it was told to stop."""
    on_its_way = "CANCELLING" if p.habits.has_cancelling else "IN_PROGRESS"
    return BatchStatus[on_its_way], BatchStatus.CANCELLED


def skip_unless(it_can: bool, what: str) -> None:
    if not it_can:
        pytest.skip(f"this server {what}")


async def uploaded(p: Provider, content: bytes, tmp_path: Path) -> str:
    (tmp_path / "requests").write_bytes(p.habits.spelled(content))
    return await p.remote.upload(tmp_path / "requests", name="root-shard.jsonl")


async def ended(p: Provider, content: bytes, tmp_path: Path, **changes: Any) -> Batch:
    """A batch of this content, from upload to its end."""
    file_id = await uploaded(p, content, tmp_path)
    batch = await p.remote.create_batch(order(p, file_id, **changes))
    return await p.ended(batch.id)


async def answers(p: Provider, file_id: str | None, tmp_path: Path) -> dict[str, Any]:
    """The lines of an output or error file, by custom_id; none twice."""
    if file_id is None:
        return {}
    length = await p.remote.download(file_id, tmp_path / "answers")
    content = (tmp_path / "answers").read_bytes()
    assert (length, content[-1:]) == (len(content), b"\n" if content else b"")
    parsed = [json.loads(line) for line in content.splitlines()]
    by_id = {line["custom_id"]: _as_usual(line) for line in parsed}
    assert len(by_id) == len(parsed)
    return by_id


def _as_usual(line: dict[str, Any]) -> dict[str, Any]:
    """Without the accents that `core/answers.py` understands: bodies as text, no `error`."""
    response = line["response"]
    if response and isinstance(response["body"], str):
        response["body"] = json.loads(response["body"])
    return {"error": None} | line


# The ordinary way. -------------------------------------------------------------------------------


async def test_an_uploaded_file_can_be_made_into_a_batch(provider: Opened, tmp_path: Path):
    async with provider() as p:
        file_id = await uploaded(p, lines("a", "b"), tmp_path)
        batch = await p.remote.create_batch(order(p, file_id))
        assert (batch.input_file_id, batch.status.is_end) == (file_id, False)
        assert (batch.output_file_id, batch.error_file_id) == (None, None)
        assert p.made() == [batch.id]


async def test_an_upload_keeps_its_name_and_its_length(provider: Opened, tmp_path: Path):
    content = lines("a", "ä", "💡")
    async with provider() as p:
        await uploaded(p, content, tmp_path)
        assert p.uploaded() == [("root-shard.jsonl", len(p.habits.spelled(content)))]


async def test_a_created_batch_is_listed_with_its_metadata(provider: Opened, tmp_path: Path):
    metadata = {"batchd_root": "r", "batchd_job": "j", "batchd_shard": "s1", "description": "ä 1/2"}
    async with provider() as p:
        file_id = await uploaded(p, lines("a"), tmp_path)
        batch = await p.remote.create_batch(order(p, file_id, metadata=metadata))
        (listed,) = (await p.remote.list_batches()).batches
        kept = metadata if p.habits.keeps_metadata else {}
        assert (listed.id, dict(listed.metadata)) == (batch.id, kept)
        assert listed.input_file_id == file_id
        assert listed.created_at is not None


async def test_a_batch_without_metadata_has_none(provider: Opened, tmp_path: Path):
    async with provider() as p:
        file_id = await uploaded(p, lines("a"), tmp_path)
        batch = await p.remote.create_batch(order(p, file_id, metadata={}))
        assert dict(batch.metadata) == {}


async def test_a_created_batch_can_be_looked_at(provider: Opened, tmp_path: Path):
    async with provider() as p:
        file_id = await uploaded(p, lines("a"), tmp_path)
        batch = await p.remote.create_batch(order(p, file_id))
        seen = await p.remote.retrieve_batch(batch.id)
        assert (seen.id, seen.metadata) == (batch.id, batch.metadata)
        assert seen.created_at == batch.created_at


async def test_a_finished_batch_has_an_output_that_downloads_whole(
    provider: Opened, tmp_path: Path
):
    names = [f"request-{number}" for number in range(50)]
    async with provider() as p:
        batch = await ended(p, lines(*names), tmp_path)
        assert batch.status is BatchStatus.COMPLETED
        assert (batch.error_file_id is not None) == p.habits.has_error_file
        assert await answers(p, batch.error_file_id, tmp_path) == {}
        assert batch.counts == counted(p, 50, 50, 0)
        assert batch.completed_at is not None
        output = await answers(p, batch.output_file_id, tmp_path)
        assert set(output) == set(names)


@pytest.mark.parametrize("url", BODIES)
async def test_every_endpoint_answers_in_its_shape(provider: Opened, url: str, tmp_path: Path):
    async with provider() as p:
        skip_unless(url in p.habits.endpoints, "has no such endpoint")
        endpoint = p.habits.endpoints[url]
        batch = await ended(p, lines("a", url=url), tmp_path, endpoint=endpoint)
        line = (await answers(p, batch.output_file_id, tmp_path))["a"]
    assert line["error"] is None
    assert line["response"]["status_code"] == 200
    body = line["response"]["body"]
    assert body["model"]
    assert body["usage"]["total_tokens"] > 0
    if url == CHAT:
        assert isinstance(body["choices"][0]["message"]["content"], str)
        assert body["choices"][0]["finish_reason"] == "stop"
    elif url == RESPONSES:
        assert (body["status"], body["output"][-1]["content"][0]["type"]) == (
            "completed",
            "output_text",
        )
    else:
        assert [item["index"] for item in body["data"]] == [0, 1]


async def test_the_output_is_not_in_the_order_of_the_input(provider: Opened, tmp_path: Path):
    names = [f"request-{number}" for number in range(50)]
    async with provider() as p:
        batch = await ended(p, lines(*names), tmp_path)
        assert list(await answers(p, batch.output_file_id, tmp_path)) != names


# Endings. ----------------------------------------------------------------------------------------


async def test_failed_requests_are_in_the_error_file(provider: Opened, tmp_path: Path):
    async with provider() as p:
        p.fail_request("b", 400)
        p.fail_request("c", 500)
        batch = await ended(p, lines("a", "b", "c"), tmp_path)
        assert (batch.status, batch.counts) == (BatchStatus.COMPLETED, counted(p, 3, 1, 2))
        assert set(await answers(p, batch.output_file_id, tmp_path)) == {"a"}
        failed = await answers(p, batch.error_file_id, tmp_path)
        statuses = {name: line["response"]["status_code"] for name, line in failed.items()}
        assert statuses == {"b": 400, "c": 500}
        assert all(line["response"]["body"]["error"]["message"] for line in failed.values())
        assert all(line["error"] is None for line in failed.values())


async def test_a_batch_whose_requests_all_fail_is_completed_without_output(
    provider: Opened, tmp_path: Path
):
    async with provider() as p:
        p.fail_request("a", 500)
        batch = await ended(p, lines("a"), tmp_path)
        assert (batch.status, batch.output_file_id) == (BatchStatus.COMPLETED, None)
        assert set(await answers(p, batch.error_file_id, tmp_path)) == {"a"}


async def test_an_expired_batch_has_what_was_finished_and_names_the_rest(
    provider: Opened, tmp_path: Path
):
    async with provider() as p:
        p.expire_half()
        batch = await ended(p, lines("a", "b", "c", "d"), tmp_path)
        # What expired is neither completed nor failed (reference C.5).
        assert (batch.status, batch.counts) == (BatchStatus.EXPIRED, counted(p, 4, 2, 0))
        done = await answers(p, batch.output_file_id, tmp_path)
        left = await answers(p, batch.error_file_id, tmp_path)
        assert (len(done), len(left)) == (2, 2)
        assert {*done, *left} == {"a", "b", "c", "d"}
        assert {line["error"]["code"] for line in left.values()} == {"batch_expired"}
        assert {line["response"] for line in left.values()} == {None}


async def test_a_batch_of_a_file_that_is_not_there_fails_and_says_so(provider: Opened):
    async with provider() as p:
        batch = await p.remote.create_batch(order(p, "file-nowhere"))
        batch = await p.ended(batch.id)
        assert (batch.status, batch.output_file_id) == (BatchStatus.FAILED, None)
        (error,) = batch.errors
        told = ("invalid_request", "file_id") if p.habits.has_codes else (None, None)
        assert (error.code, error.param) == told
        assert "Cannot find file file-nowhere" in batch.errors[0].message


async def test_a_bad_line_fails_the_batch_by_its_number(provider: Opened, tmp_path: Path):
    async with provider() as p:
        content = lines("a") + b"{not json}\n" + lines("b", url=EMBEDDINGS)
        batch = await ended(p, content, tmp_path)
        assert batch.status is BatchStatus.FAILED
        if p.habits.has_codes:
            found = [(error.code, error.line) for error in batch.errors]
            assert found == [("invalid_json_line", 2), (p.habits.wrong_url, 3)]
        else:
            (error,) = batch.errors
            assert "line 2" in error.message


# Cancelling. -------------------------------------------------------------------------------------


async def test_a_cancelled_batch_has_what_was_finished_and_may_name_the_rest(
    provider: Opened, tmp_path: Path
):
    names = {f"request-{number}" for number in range(40)}
    async with provider() as p:
        p.take_long()
        batch = await p.remote.create_batch(
            order(p, await uploaded(p, lines(*sorted(names)), tmp_path))
        )
        await p.running(batch.id)
        asked = await p.remote.cancel_batch(batch.id)
        assert asked.id == batch.id
        assert asked.status in stopping(p)
        batch = await p.ended(batch.id)
        assert batch.status is BatchStatus.CANCELLED
        done = await answers(p, batch.output_file_id, tmp_path)
        left = await answers(p, batch.error_file_id, tmp_path)
        assert 0 < len(done) < len(names)
        assert (done.keys() & left.keys(), done.keys() | left.keys()) == (set(), names)
        assert all(line["error"]["code"] for line in left.values())


async def test_a_batch_can_be_cancelled_twice_and_before_it_began(provider: Opened, tmp_path: Path):
    async with provider() as p:
        p.take_long()
        batch = await p.remote.create_batch(order(p, await uploaded(p, lines("a"), tmp_path)))
        for _ in range(2):
            again = await p.remote.cancel_batch(batch.id)
            assert again.status in stopping(p)
        over = await p.ended(batch.id)
        assert (over.status, over.output_file_id) == (BatchStatus.CANCELLED, None)
        assert (await p.remote.cancel_batch(batch.id)).status is BatchStatus.CANCELLED


async def test_too_late_to_cancel_changes_nothing(provider: Opened, tmp_path: Path):
    async with provider() as p:
        batch = await ended(p, lines("a"), tmp_path)
        assert await p.remote.cancel_batch(batch.id) == batch


# Lists. ------------------------------------------------------------------------------------------


async def test_an_account_without_batches_has_one_empty_page(provider: Opened):
    async with provider() as p:
        page = await p.remote.list_batches()
        assert (page.batches, page.has_more) == ((), False)


async def created(p: Provider, count: int, tmp_path: Path) -> list[str]:
    """The ids of so many batches, all made at once."""
    file_id = await uploaded(p, lines("a"), tmp_path)
    making = (p.remote.create_batch(order(p, file_id)) for _ in range(count))
    return [batch.id for batch in await asyncio.gather(*making)]


async def test_pages_do_not_overlap_and_leave_nothing_out(provider: Opened, tmp_path: Path):
    async with provider() as p:
        made = await created(p, 103, tmp_path)
        if not p.habits.has_pages:
            page = await p.remote.list_batches()
            assert ([batch.id for batch in page.batches[::-1]], page.has_more) == (made, False)
            return
        first = await p.remote.list_batches()
        second = await p.remote.list_batches(after=first.batches[-1].id)
        assert (len(first.batches), first.has_more) == (100, True)
        assert (len(second.batches), second.has_more) == (3, False)
        assert {batch.id for batch in first.batches + second.batches} == set(made)


async def test_the_newest_batch_is_the_first_of_the_list(provider: Opened, tmp_path: Path):
    async with provider() as p:
        made = [(await created(p, 1, tmp_path))[0] for _ in range(3)]
        assert [batch.id for batch in (await p.remote.list_batches()).batches] == made[::-1]


async def test_a_page_that_is_full_and_the_last_says_so(provider: Opened, tmp_path: Path):
    async with provider() as p:
        await created(p, 100, tmp_path)
        page = await p.remote.list_batches()
        assert (len(page.batches), page.has_more) == (100, False)
        if p.habits.has_pages:
            assert (await p.remote.list_batches(after=page.batches[-1].id)).batches == ()


async def test_a_batch_can_be_missing_from_the_list_and_be_there(provider: Opened, tmp_path: Path):
    async with provider() as p:
        p.hide_new_batches()
        file_id = await uploaded(p, lines("a"), tmp_path)
        batch = await p.remote.create_batch(order(p, file_id))
        assert (await p.remote.list_batches()).batches == ()
        assert (await p.remote.retrieve_batch(batch.id)).id == batch.id


# What is not there. ------------------------------------------------------------------------------


async def test_an_unknown_batch_is_a_refusal_with_404(provider: Opened):
    async with provider() as p:
        with pytest.raises(RemoteRefused) as caught:
            await p.remote.retrieve_batch("batch_nobody_made")
        assert caught.value.status == 404
        with pytest.raises(RemoteRefused) as caught:
            await p.remote.cancel_batch("batch_nobody_made")
        assert caught.value.status == 404


async def test_a_page_after_an_unknown_batch_is_a_refusal(provider: Opened):
    async with provider() as p:
        with pytest.raises(RemoteRefused):
            await p.remote.list_batches(after="batch_nobody_made")


async def test_a_vanished_batch_is_404_and_in_no_list(provider: Opened, tmp_path: Path):
    async with provider() as p:
        file_id = await uploaded(p, lines("a"), tmp_path)
        batch = await p.remote.create_batch(order(p, file_id))
        p.vanish(batch.id)
        with pytest.raises(RemoteRefused) as caught:
            await p.remote.retrieve_batch(batch.id)
        assert caught.value.status == 404
        assert (await p.remote.list_batches()).batches == ()
        assert await p.remote.file_exists(file_id)


async def test_a_file_exists_or_it_does_not(provider: Opened, tmp_path: Path):
    async with provider() as p:
        file_id = await uploaded(p, lines("a"), tmp_path)
        assert await p.remote.file_exists(file_id)
        assert not await p.remote.file_exists("file-nobody-uploaded")


async def test_missing_content_is_refused_with_404(provider: Opened, tmp_path: Path):
    async with provider() as p:
        with pytest.raises(RemoteRefused) as caught:
            await p.remote.download("file-nobody-uploaded", tmp_path / "out")
        assert caught.value.status == 404


# Tidying. ----------------------------------------------------------------------------------------


async def test_uploads_are_listed_newest_first_and_outputs_are_not(
    provider: Opened, tmp_path: Path
):
    async with provider() as p:
        made = [await uploaded(p, lines("a"), tmp_path) for _ in range(3)]
        await p.ended((await p.remote.create_batch(order(p, made[0]))).id)
        page = await p.remote.list_files()
        there = made if p.habits.keeps_input else made[1:]
        assert ([file.id for file in page.files], page.has_more) == (there[::-1], False)
        length = len(p.habits.spelled(lines("a")))
        assert {(file.name, file.bytes) for file in page.files} == {("root-shard.jsonl", length)}
        assert all(file.created_at is not None for file in page.files)
        after = await p.remote.list_files(after=made[1])
        assert [file.id for file in after.files] == [id for id in made[:1] if id in there]


async def test_a_deleted_file_is_gone_and_can_be_deleted_again(provider: Opened, tmp_path: Path):
    async with provider() as p:
        file_id, other = [await uploaded(p, lines("a"), tmp_path) for _ in range(2)]
        assert await p.remote.delete_file(file_id)
        assert not await p.remote.delete_file(file_id)
        assert not await p.remote.file_exists(file_id)
        assert [file.id for file in (await p.remote.list_files()).files] == [other]
        with pytest.raises(RemoteRefused) as caught:
            await p.remote.download(file_id, tmp_path / "out")
        assert caught.value.status == 404


async def test_the_files_of_a_batch_can_be_deleted(provider: Opened, tmp_path: Path):
    async with provider() as p:
        batch = await ended(p, lines("a"), tmp_path)
        assert await p.remote.delete_file(batch.input_file_id or "") == p.habits.keeps_input
        assert await p.remote.delete_file(batch.output_file_id or "")
        assert (await p.remote.retrieve_batch(batch.id)).status is BatchStatus.COMPLETED


async def test_files_are_gone_when_their_time_is_over(provider: Opened, tmp_path: Path):
    async with provider() as p:
        batch = await ended(p, lines("a"), tmp_path)
        output = batch.output_file_id or ""
        assert await p.remote.file_exists(output)
        p.let_files_expire()
        assert not await p.remote.file_exists(output)
        assert not await p.remote.delete_file(batch.input_file_id or "")
        assert (await p.remote.list_files()).files == ()
        with pytest.raises(RemoteRefused) as caught:
            await p.remote.download(output, tmp_path / "out")
        assert caught.value.status == 404


async def test_a_full_queue_is_known_by_its_code(provider: Opened, tmp_path: Path):
    """Whether the creation is refused, or the batch fails; nothing is executed either way."""
    async with provider() as p:
        p.leave_no_room()
        file_id = await uploaded(p, lines("a", "b"), tmp_path)
        try:
            batch = await p.ended((await p.remote.create_batch(order(p, file_id))).id)
        except RemoteRefused as refusal:
            code, text = refusal.code, str(refusal)
        else:
            assert batch.status is BatchStatus.FAILED
            ((code, text),) = {(error.code, error.message) for error in batch.errors}
        assert code == "token_limit_exceeded"
        assert "Limit: 10 enqueued tokens" in text


# Files. ------------------------------------------------------------------------------------------


async def test_an_uploaded_file_comes_back_byte_for_byte(provider: Opened, tmp_path: Path):
    content = lines(*[f"request-{number}" for number in range(20_000)])
    async with provider() as p:
        file_id, content = await uploaded(p, content, tmp_path), p.habits.spelled(content)
        assert await p.remote.download(file_id, tmp_path / "out") == len(content)
        assert (tmp_path / "out").read_bytes() == content


async def test_an_empty_file_downloads_as_one(provider: Opened, tmp_path: Path):
    async with provider() as p:
        file_id = await p.kept(b"", tmp_path)
        (tmp_path / "out").write_bytes(b"an earlier try")
        assert await p.remote.download(file_id, tmp_path / "out") == 0
        assert (tmp_path / "out").read_bytes() == b""


async def test_a_file_without_a_last_newline_downloads_whole(provider: Opened, tmp_path: Path):
    async with provider() as p:
        file_id = await p.kept(b'{"a": 1}\n{"b"', tmp_path)
        assert await p.remote.download(file_id, tmp_path / "out") == 13


async def test_an_empty_upload_is_refused(provider: Opened, tmp_path: Path):
    async with provider() as p:
        with pytest.raises(RemoteRefused) as caught:
            await uploaded(p, b"", tmp_path)
        assert caught.value.status == 400


async def test_a_cut_download_is_unavailable_and_the_next_is_whole(
    provider: Opened, tmp_path: Path
):
    async with provider() as p:
        file_id = await uploaded(p, lines("a", "b"), tmp_path)
        p.cut_next_download()
        with pytest.raises(RemoteUnavailable):
            await p.remote.download(file_id, tmp_path / "out")
        await p.remote.download(file_id, tmp_path / "out")
        assert (tmp_path / "out").read_bytes() == p.habits.spelled(lines("a", "b"))


# Creating: refusal, doubt, denial. ---------------------------------------------------------------


@pytest.mark.parametrize(
    "wrong",
    [
        {"endpoint": "/v1/nowhere"},
        {"completion_window": "soon"},
        {"metadata": {str(number): "" for number in range(17)}},
        {"output_expires_seconds": 60},
    ],
    ids=["endpoint", "window", "metadata", "expiry"],
)
async def test_a_bad_order_is_refused_and_nothing_was_made(
    provider: Opened, wrong: dict[str, Any], tmp_path: Path
):
    async with provider() as p:
        file_id = await uploaded(p, lines("a"), tmp_path)
        with pytest.raises(RemoteRefused) as caught:
            await p.remote.create_batch(order(p, file_id, **wrong))
        assert caught.value.status == 400
        assert caught.value.code
        assert p.made() == []


async def test_after_a_lost_answer_it_may_have_happened_and_one_batch_exists(
    provider: Opened, tmp_path: Path
):
    async with provider() as p:
        file_id = await uploaded(p, lines("a"), tmp_path)
        p.lose_next_creation(acting=True)
        with pytest.raises(RemoteUnavailable) as caught:
            await p.remote.create_batch(order(p, file_id))
        assert caught.value.may_have_happened
        assert p.creations() == 1
        (found,) = (await p.remote.list_batches()).batches
        assert found.input_file_id == file_id
        assert found.metadata.get("batchd_shard") == ("s1" if p.habits.keeps_metadata else None)


async def test_after_a_lost_question_it_may_have_happened_but_no_batch_exists(
    provider: Opened, tmp_path: Path
):
    """The same from here; only the list can tell."""
    async with provider() as p:
        file_id = await uploaded(p, lines("a"), tmp_path)
        p.lose_next_creation(acting=False)
        with pytest.raises(RemoteUnavailable) as caught:
            await p.remote.create_batch(order(p, file_id))
        assert caught.value.may_have_happened
        assert (p.creations(), p.made()) == (1, [])


async def test_a_server_error_leaves_doubt_and_is_not_tried_again(provider: Opened, tmp_path: Path):
    async with provider() as p:
        file_id = await uploaded(p, lines("a"), tmp_path)
        p.break_next_creation()
        with pytest.raises(RemoteUnavailable) as caught:
            await p.remote.create_batch(order(p, file_id))
        assert (caught.value.status, caught.value.may_have_happened) == (503, True)
        assert (p.creations(), p.made()) == (1, [])


async def test_too_many_creations_did_not_happen_and_wait_as_long_as_asked(
    provider: Opened, tmp_path: Path
):
    async with provider() as p:
        file_id = await uploaded(p, lines("a"), tmp_path)
        p.refuse_next_creation_for_a_while()
        with pytest.raises(RemoteUnavailable) as caught:
            await p.remote.create_batch(order(p, file_id))
        assert (caught.value.status, caught.value.may_have_happened) == (429, False)
        assert caught.value.retry_after_seconds == RETRY_AFTER
        assert (p.creations(), p.made()) == (1, [])
        assert (await p.remote.create_batch(order(p, file_id))).id == p.made()[0]


async def test_a_bad_key_is_denied_in_every_call(provider: Opened, tmp_path: Path):
    async with provider() as p:
        file_id = await uploaded(p, lines("a"), tmp_path)
        batch = await p.remote.create_batch(order(p, file_id))
        p.forget_the_key()
        remote = p.remote
        for call in (
            lambda: remote.upload(tmp_path / "requests", name="again.jsonl"),
            lambda: remote.create_batch(order(p, file_id)),
            lambda: remote.list_batches(),
            lambda: remote.retrieve_batch(batch.id),
            lambda: remote.cancel_batch(batch.id),
            lambda: remote.list_files(),
            lambda: remote.delete_file(file_id),
            lambda: remote.file_exists(file_id),
            lambda: remote.download(file_id, tmp_path / "out"),
        ):
            with pytest.raises(RemoteDenied) as caught:
                await call()
            assert (caught.value.status, caught.value.code) == (401, "invalid_api_key")
        assert p.made() == [batch.id]


async def test_a_closed_remote_can_be_closed_again(provider: Opened):
    async with provider() as p:
        await p.remote.close()
        await p.remote.close()
