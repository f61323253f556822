"""Calls that go wrong: status codes, lost responses, broken and slow downloads."""

from __future__ import annotations

import time

import httpx2
import openai
import pytest

from tests.sandbox.support import Talk, chat_lines, jsonl, talking

CREATE = "POST /v1/batches"
LOST = (httpx2.RemoteProtocolError, httpx2.ReadError)


def rule(**fields) -> dict:
    return {"http": [{"route": CREATE} | fields]}


async def until_it_breaks(talk: Talk, path: str) -> tuple[bytes, httpx2.Headers]:
    received = b""
    async with talk.http.stream("GET", path) as answer:
        try:
            async for chunk in answer.aiter_bytes():
                received += chunk
        except LOST:
            return received, answer.headers
    raise AssertionError("the download did not break off")


async def test_a_refusal_before_acting_has_no_effect_and_happens_so_many_times():
    fault = rule(status=503, times=2, retry_after=1, x_should_retry=False)
    async with talking(faults=fault) as talk:
        file_id = await talk.upload(chat_lines(1))
        answers = [await talk.try_create(file_id) for _ in range(3)]
        ledger = talk.sandbox.ledger()

    assert [answer.status_code for answer in answers] == [503, 503, 200]
    assert answers[0].headers["retry-after"] == "1"
    assert answers[0].headers["x-should-retry"] == "false"
    assert answers[0].json()["error"]["type"] == "server_error"
    assert len(ledger["batches"]) == 1
    assert ledger["calls"][CREATE] == 3


async def test_a_refusal_after_acting_loses_the_answer_and_not_the_effect():
    async with talking(faults=rule(status=500, times=1, before=False)) as talk:
        answer = await talk.try_create(await talk.upload(chat_lines(1)))
        ledger = talk.sandbox.ledger()

    assert answer.status_code == 500
    assert len(ledger["batches"]) == 1


@pytest.mark.parametrize(("moment", "made"), [("before", 0), ("after", 1)])
async def test_a_dropped_connection_leaves_the_effect_in_doubt(moment, made):
    async with talking(faults=rule(disconnect=moment, times=1)) as talk:
        file_id = await talk.upload(chat_lines(1))
        with pytest.raises(LOST):
            await talk.try_create(file_id)
        ledger = talk.sandbox.ledger()
        again = await talk.try_create(file_id)

    assert len(ledger["batches"]) == made
    assert again.status_code == 200


async def test_the_sdk_repeats_a_lost_creation_and_so_makes_two_batches():
    async with talking(faults=rule(disconnect="after", times=1)) as talk, talk.sdk() as sdk:
        file_id = await talk.upload(chat_lines(1))
        await sdk.batches.create(
            input_file_id=file_id, endpoint="/v1/chat/completions", completion_window="24h"
        )
        assert len(talk.sandbox.ledger()["batches"]) == 2

        talk.sandbox.set_faults(**rule(disconnect="after", times=1))
        with pytest.raises(openai.APIConnectionError):
            await sdk.with_options(max_retries=0).batches.create(
                input_file_id=file_id, endpoint="/v1/chat/completions", completion_window="24h"
            )
        assert len(talk.sandbox.ledger()["batches"]) == 3


async def test_the_first_calls_can_be_spared():
    async with talking(faults=rule(status=429, times=1, skip=1)) as talk:
        file_id = await talk.upload(chat_lines(1))
        answers = [(await talk.try_create(file_id)).status_code for _ in range(3)]

    assert answers == [200, 429, 200]


async def test_a_rate_hits_some_calls():
    async with talking(faults={"http": [{"route": "GET *", "status": 502, "rate": 0.3}]}) as talk:
        statuses = [(await talk.http.get("/v1/batches")).status_code for _ in range(60)]

    assert 5 < statuses.count(502) < 35


async def test_a_proxys_page_may_come_with_any_status():
    async with talking(faults=rule(html=True, status=200, times=1)) as talk:
        answer = await talk.try_create("file-x")
        talk.sandbox.set_faults(**rule(html=True, status=502))
        bad = await talk.try_create("file-x")

    assert answer.status_code == 200
    assert answer.text.startswith("<html>")
    assert bad.status_code == 502
    assert bad.headers["content-type"].startswith("text/html")


async def test_a_call_may_be_slow():
    async with talking(faults={"http": [{"delay_seconds": 0.1, "times": 1}]}) as talk:
        started = time.monotonic()
        answer = await talk.http.get("/v1/batches")

    assert answer.status_code == 200
    assert time.monotonic() - started >= 0.1


async def test_a_slow_call_does_not_keep_the_sandbox_from_ending():
    started = time.monotonic()
    async with talking(faults={"http": [{"delay_seconds": 60}]}) as talk:
        with pytest.raises(httpx2.TimeoutException):
            await talk.http.get("/v1/batches", timeout=0.05)

    assert time.monotonic() - started < 5


async def test_an_upload_may_be_refused_or_lost_too():
    async with talking(
        faults={"http": [{"route": "POST /v1/files", "status": 503, "times": 1}]}
    ) as t:
        refused = await t.send_file(jsonl(chat_lines(20_000)))
        t.sandbox.set_faults(http=[{"route": "POST /v1/files", "disconnect": "after", "times": 1}])
        with pytest.raises(LOST):
            await t.send_file(jsonl(chat_lines(10)))
        files = t.sandbox.ledger()["files"]

    assert refused.status_code == 503
    assert len(files) == 1


@pytest.mark.parametrize("chunked", [False, True], ids=["content-length", "chunked"])
async def test_a_download_may_break_off(chunked):
    content = jsonl(chat_lines(2000))
    faults = {"cut_after_bytes": 100_000, "cut_times": 1, "chunked_content": chunked}
    async with talking(faults=faults) as talk:
        file_id = (await talk.send_file(content)).json()["id"]
        received, headers = await until_it_breaks(talk, f"/v1/files/{file_id}/content")
        again = await talk.http.get(f"/v1/files/{file_id}/content")

    assert received == content[:100_000]
    assert ("content-length" in headers) is not chunked
    assert again.content == content


async def test_a_download_may_drip():
    content = jsonl(chat_lines(20))
    async with talking(faults={"bytes_per_second": len(content) * 5}) as talk:
        file_id = (await talk.send_file(content)).json()["id"]
        started = time.monotonic()
        answer = await talk.http.get(f"/v1/files/{file_id}/content")

    assert answer.content == content
    assert time.monotonic() - started > 0.15


async def test_a_dripping_download_does_not_keep_the_sandbox_from_ending():
    started = time.monotonic()
    async with talking(faults={"bytes_per_second": 10}) as talk:
        file_id = await talk.upload(chat_lines(500))
        with pytest.raises(httpx2.TimeoutException):
            await talk.http.get(f"/v1/files/{file_id}/content", timeout=0.02)

    assert time.monotonic() - started < 5


async def test_content_may_be_late():
    async with talking(faults={"not_found_times": 2}) as talk:
        file_id = await talk.upload(chat_lines(1))
        statuses = [
            (await talk.http.get(f"/v1/files/{file_id}/content")).status_code for _ in range(3)
        ]
        known = await talk.http.get(f"/v1/files/{file_id}")

    assert statuses == [404, 404, 200]
    assert known.status_code == 200


async def test_faults_are_shown_changed_and_cleared_over_http():
    async with talking() as talk:
        put = await talk.http.put("/sandbox/faults", json={"listing_lag_seconds": 5})
        await talk.http.post("/sandbox/faults", json={"in_output_file": True})
        shown = (await talk.http.get("/sandbox/faults")).json()
        null = await talk.http.put("/sandbox/faults", json={"listing_lag_seconds": None})
        cleared = await talk.http.delete("/sandbox/faults")

    assert put.json()["listing_lag_seconds"] == 5
    assert (shown["listing_lag_seconds"], shown["in_output_file"]) == (5, True)
    assert (null.json()["listing_lag_seconds"], null.json()["in_output_file"]) == (0, True)
    assert cleared.json()["in_output_file"] is False


@pytest.mark.parametrize(
    "fault", [{"nonsense": 1}, {"nonsense": None}, {"http": [{"rout": "x"}]}, {"http": 3}]
)
async def test_an_unknown_fault_is_refused_and_changes_nothing(fault):
    async with talking() as talk:
        answer = await talk.http.put("/sandbox/faults", json=fault)
        shown = (await talk.http.get("/sandbox/faults")).json()

    assert answer.status_code == 400
    assert shown["http"] == []
