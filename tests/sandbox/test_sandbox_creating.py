"""What `POST /v1/batches` refuses at once (API reference A.2, B.4)."""

from __future__ import annotations

import pytest

from tests.sandbox.support import chat_lines, talking


async def test_a_batch_begins_validating_with_everything_else_empty():
    async with talking() as talk:
        file_id = await talk.upload(chat_lines(2))
        batch = await talk.create(file_id, metadata={"batchd_job": "7k3c"})

    assert batch.pop("id").startswith("batch_")
    created_at = batch.pop("created_at")
    assert batch.pop("expires_at") == created_at + 86_400
    assert batch == {
        "object": "batch",
        "endpoint": "/v1/chat/completions",
        "model": None,
        "errors": None,
        "input_file_id": file_id,
        "completion_window": "24h",
        "status": "validating",
        "output_file_id": None,
        "error_file_id": None,
        "in_progress_at": None,
        "finalizing_at": None,
        "completed_at": None,
        "failed_at": None,
        "expired_at": None,
        "cancelling_at": None,
        "cancelled_at": None,
        "request_counts": {"total": 0, "completed": 0, "failed": 0},
        "usage": {
            "input_tokens": 0,
            "input_tokens_details": {"cached_tokens": 0},
            "output_tokens": 0,
            "output_tokens_details": {"reasoning_tokens": 0},
            "total_tokens": 0,
        },
        "metadata": {"batchd_job": "7k3c"},
    }


@pytest.mark.parametrize(
    ("fields", "code", "param", "message"),
    [
        (
            {"input_file_id": None},
            "missing_required_parameter",
            "input_file_id",
            "Missing required parameter: 'input_file_id'.",
        ),
        (
            {"endpoint": "/v1/invalid/endpoint"},
            "invalid_value",
            "endpoint",
            "Invalid value: '/v1/invalid/endpoint'. Supported values are: '/v1/chat/completions', ",
        ),
        (
            {"completion_window": "1h"},
            "invalid_value",
            "completion_window",
            "Invalid value: '1h'. Supported values are: '24h'.",
        ),
        (
            {"metadata": {"tags": ["a"]}},
            "invalid_type",
            "metadata.tags",
            "Invalid type for 'metadata.tags': expected a string, but got an array instead.",
        ),
        ({"metadata": "x"}, "invalid_type", "metadata", "Invalid type for 'metadata'"),
        (
            {"metadata": {f"k{n}": "v" for n in range(17)}},
            "object_above_max_properties",
            "metadata",
            "Invalid 'metadata': too many properties.",
        ),
        (
            {"metadata": {"k" * 65: "v"}},
            "string_above_max_length",
            "metadata",
            "Invalid 'metadata': key too long.",
        ),
        (
            {"metadata": {"k": "v" * 513}},
            "string_above_max_length",
            "metadata.k",
            "Invalid 'metadata.k': string too long.",
        ),
        (
            {"output_expires_after": {"anchor": "created_at", "seconds": 10}},
            "integer_below_min_value",
            "output_expires_after.seconds",
            "Invalid 'output_expires_after.seconds'",
        ),
        ({"input_file_id": 7}, "invalid_type", "input_file_id", "Invalid type"),
        ({"surprise": 1}, "unknown_parameter", "surprise", "Unknown parameter: 'surprise'."),
    ],
)
async def test_a_bad_field_is_refused_at_once(fields, code, param, message):
    async with talking() as talk:
        answer = await talk.try_create("file-x", **fields)
        ledger = talk.sandbox.ledger()

    error = answer.json()["error"]
    assert answer.status_code == 400
    assert error["type"] == "invalid_request_error"
    assert (error["code"], error["param"]) == (code, param)
    assert error["message"].startswith(message)
    assert ledger["batches"] == []


async def test_the_first_thing_wrong_is_the_answer():
    async with talking() as talk:
        answer = await talk.http.post("/v1/batches", json={"endpoint": "x", "metadata": 1})

    assert answer.json()["error"]["param"] == "input_file_id"


@pytest.mark.parametrize("body", [b"{nonsense", b"[1]", b""])
async def test_a_body_that_is_no_object_is_refused(body):
    async with talking() as talk:
        answer = await talk.http.post("/v1/batches", content=body)

    assert answer.status_code == 400


async def test_an_unknown_file_fails_the_batch_and_not_the_call():
    async with talking() as talk:
        batch = await talk.create("file-none")
        batch = await talk.until(batch["id"], "failed")

    assert batch["errors"]["data"] == [
        {
            "code": "invalid_request",
            "message": "Cannot find file file-none, or organization org-sandbox does not have "
            "access to it.",
            "param": "file_id",
            "line": None,
        }
    ]


async def test_a_file_of_another_purpose_is_no_input():
    async with talking() as talk:
        file = (await talk.send_file(b"{}", purpose="user_data")).json()
        answer = await talk.try_create(file["id"])

    assert answer.status_code == 400


async def test_every_creation_makes_a_batch_whatever_its_idempotency_key():
    async with talking() as talk:
        file_id = await talk.upload(chat_lines(1))
        body = {
            "input_file_id": file_id,
            "endpoint": "/v1/chat/completions",
            "completion_window": "24h",
        }
        headers = {"idempotency-key": "the-same"}
        ids = {
            (await talk.http.post("/v1/batches", json=body, headers=headers)).json()["id"]
            for _ in range(2)
        }
        ledger = talk.sandbox.ledger()

    assert len(ids) == 2
    assert ledger["idempotency_keys"] == ["the-same", "the-same"]


async def test_the_outputs_lifetime_is_set_by_the_batch():
    async with talking() as talk:
        after = {"anchor": "created_at", "seconds": 7200}
        batch = await talk.run(chat_lines(1), output_expires_after=after)
        file = (await talk.http.get(f"/v1/files/{batch['output_file_id']}")).json()

    assert file["expires_at"] == file["created_at"] + 7200


async def test_more_batches_an_hour_than_allowed_are_answered_429():
    async with talking(faults={"creates_per_hour": 1, "creates_retry_after": 30}) as talk:
        file_id = await talk.upload(chat_lines(1))
        await talk.create(file_id)
        answer = await talk.try_create(file_id)

    assert answer.status_code == 429
    assert answer.headers["retry-after"] == "30"
    assert answer.json()["error"]["code"] == "rate_limit_exceeded"
