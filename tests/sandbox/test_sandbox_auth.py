"""Keys, headers, and routes that are none (API reference A.6, L.1)."""

from __future__ import annotations

import re

import pytest

from tests.sandbox.support import talking


@pytest.mark.parametrize("header", ["", "Bearer", "Basic abc"])
async def test_without_a_key_nothing_is_answered(header):
    async with talking() as talk:
        answer = await talk.http.get("/v1/batches", headers={"authorization": header})

    assert answer.status_code == 401
    assert answer.json()["error"]["code"] == "invalid_api_key"


async def test_any_key_will_do_unless_one_is_set():
    async with talking() as talk:
        assert (await talk.http.get("/v1/batches")).status_code == 200
    async with talking(api_key="sk-the-right-one") as talk:
        wrong = await talk.http.get("/v1/batches")
        headers = {"authorization": "Bearer sk-the-right-one"}
        right = await talk.http.get("/v1/batches", headers=headers)

    assert wrong.status_code == 401
    assert wrong.json()["error"]["message"].startswith("Incorrect API key provided: ")
    assert "sk-test" not in wrong.text
    assert right.status_code == 200


async def test_every_answer_carries_the_apis_headers():
    async with talking() as talk:
        answers = [
            await talk.http.get("/v1/batches"),
            await talk.http.get("/v1/batches/batch_x"),
            await talk.http.get("/v1/batches", headers={"authorization": ""}),
            await talk.http.get("/v1/nowhere"),
        ]

    for answer in answers:
        assert re.fullmatch(r"req_[0-9a-f]{32}", answer.headers["x-request-id"])
        assert answer.headers["openai-version"] == "2020-10-01"
        assert int(answer.headers["openai-processing-ms"]) > 0
    assert len({answer.headers["x-request-id"] for answer in answers}) == 4


async def test_a_route_that_is_none_is_404_in_the_apis_form():
    async with talking() as talk:
        answer = await talk.http.post("/v1/nowhere")

    assert answer.status_code == 404
    assert answer.json()["error"]["message"] == "Invalid URL (POST /v1/nowhere)"


async def test_the_sandboxs_own_routes_need_no_key():
    async with talking(api_key="sk-the-right-one") as talk:
        answer = await talk.http.get("/sandbox/ledger", headers={"authorization": ""})

    assert answer.status_code == 200
