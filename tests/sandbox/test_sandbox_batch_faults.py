"""Batches and requests that go wrong on demand."""

from __future__ import annotations

from collections import Counter

import pytest

from tests.sandbox.support import chat_line, chat_lines, talking


def statuses(lines: list[dict]) -> dict[str, int]:
    return {line["custom_id"]: line["response"]["status_code"] for line in lines}


async def test_a_rate_of_requests_fails_so_many_times_and_then_succeeds():
    rules = [{"rate": 0.2, "status": 429, "times": 1}]
    async with talking(faults={"request_faults": rules}) as talk:
        first = await talk.run(chat_lines(200))
        failed = statuses(await talk.lines_of(first["error_file_id"]))
        second = await talk.run([chat_line(name) for name in failed])

    assert 20 < len(failed) < 60
    assert set(failed.values()) == {429}
    assert first["request_counts"]["failed"] == len(failed)
    assert second["request_counts"]["completed"] == len(failed)


async def test_the_same_requests_fail_in_every_sandbox():
    faults = {"request_faults": [{"rate": 0.2, "status": 400}]}
    failed = []
    for _ in range(2):
        async with talking(faults=faults) as talk:
            batch = await talk.run(chat_lines(100))
            failed.append(set(statuses(await talk.lines_of(batch["error_file_id"]))))

    assert failed[0] == failed[1]


async def test_the_first_rule_that_matches_decides():
    rules = [
        {"custom_ids": ["r1"], "status": 400, "code": "content_policy", "message": "No."},
        {"custom_ids": ["r1", "r2"], "status": 500},
    ]
    async with talking(faults={"request_faults": rules}) as talk:
        batch = await talk.run(chat_lines(4))
        errors = await talk.lines_of(batch["error_file_id"])

    assert statuses(errors) == {"r1": 400, "r2": 500}
    bodies = {line["custom_id"]: line["response"]["body"]["error"] for line in errors}
    assert (bodies["r1"]["code"], bodies["r1"]["message"]) == ("content_policy", "No.")


@pytest.mark.parametrize(
    ("status", "code"),
    [(400, "context_length_exceeded"), (429, "rate_limit_exceeded"), (500, "server_error")],
)
async def test_a_failed_request_carries_the_apis_body(status, code):
    async with talking(faults={"request_faults": [{"rate": 1, "status": status}]}) as talk:
        batch = await talk.run(chat_lines(1))
        (line,) = await talk.lines_of(batch["error_file_id"])

    assert line["error"] is None
    assert line["response"]["body"]["error"]["code"] == code
    assert set(line["response"]["body"]["error"]) == {"message", "type", "param", "code"}


async def test_failed_requests_may_be_in_the_output_file():
    faults = {"request_faults": [{"custom_ids": ["r0"]}], "in_output_file": True}
    async with talking(faults=faults) as talk:
        batch = await talk.run(chat_lines(2))
        output = await talk.lines_of(batch["output_file_id"])

    assert statuses(output) == {"r0": 500, "r1": 200}
    assert batch["error_file_id"] is None
    assert batch["request_counts"] == {"total": 2, "completed": 1, "failed": 1}


async def test_answers_may_be_missing_doubled_or_nobodys():
    faults = {
        "drop_lines_rate": 0.3,
        "duplicate_lines_rate": 0.3,
        "unknown_lines_rate": 0.3,
    }
    async with talking(faults=faults) as talk:
        batch = await talk.run(chat_lines(100))
        output = await talk.lines_of(batch["output_file_id"])
        executed = talk.sandbox.ledger()["executions"]

    names = Counter(line["custom_id"] for line in output)
    known = {f"r{number}" for number in range(100)}
    assert 10 < len(known - set(names)) < 60
    assert 5 < sum(count == 2 for count in names.values()) < 60
    assert 5 < len(set(names) - known) < 60
    assert batch["request_counts"]["completed"] == 100
    assert len(executed) == 100


async def test_a_file_may_not_be_found_by_the_batch():
    fault = {"cannot_find_file": {"mode": "batch", "times": 1}}
    async with talking(faults=fault) as talk:
        file_id = await talk.upload(chat_lines(1))
        failed = await talk.until((await talk.create(file_id))["id"], "failed", "completed")
        again = await talk.until((await talk.create(file_id))["id"], "failed", "completed")

    (error,) = failed["errors"]["data"]
    assert (error["code"], error["param"]) == ("invalid_request", "file_id")
    assert error["message"].startswith(f"Cannot find file {file_id}, or organization ")
    assert again["status"] == "completed"


async def test_a_file_may_not_be_found_by_the_call():
    async with talking(faults={"cannot_find_file": "http"}) as talk:
        file_id = await talk.upload(chat_lines(1))
        answer = await talk.try_create(file_id)
        ledger = talk.sandbox.ledger()

    assert answer.status_code == 400
    assert answer.json()["error"] == {
        "message": f"Cannot find file {file_id}, or project proj_sandbox does not have access to it.",
        "type": "invalid_request_error",
        "param": "file_id",
        "code": None,
    }
    assert ledger["batches"] == []


async def test_more_enqueued_tokens_than_the_limit_fail_the_batch():
    async with talking(batch_seconds=1, faults={"enqueued_token_limit": 1_000}) as talk:
        file_id = await talk.upload(chat_lines(20))
        first = await talk.create(file_id)
        await talk.until(first["id"], "in_progress")
        second = await talk.until((await talk.create(file_id))["id"], "failed", "completed")
        await talk.until(first["id"], "completed")
        third = await talk.create(file_id, metadata={"sandbox_seconds": "0.1"})
        third = await talk.until(third["id"], "failed", "completed")
        ledger = talk.sandbox.ledger()

    assert second["errors"]["data"] == [
        {
            "code": "token_limit_exceeded",
            "message": "Enqueued token limit reached for gpt-4o-mini in organization org-sandbox. "
            "Limit: 1,000 enqueued tokens. "
            "Please try again once some in_progress batches have been completed.",
            "param": None,
            "line": None,
        }
    ]
    assert third["status"] == "completed"
    peak = ledger["peak_enqueued_tokens"]["gpt-4o-mini"]
    assert peak == ledger["batches"][0]["tokens"] == -(-ledger["files"][0]["bytes"] // 4)


async def test_the_token_limit_may_differ_by_model():
    async with talking(faults={"enqueued_token_limit": {"gpt-4o": 1}}) as talk:
        other = await talk.run(chat_lines(3))
        limited = await talk.run([chat_line("a", model="gpt-4o")])

    assert other["status"] == "completed"
    assert limited["status"] == "failed"


async def test_a_batch_may_fail_with_any_code():
    fault = {"fail_with": {"code": "billing_hard_limit_reached", "message": "No.", "line": 3}}
    async with talking(faults=fault) as talk:
        errors = await talk.errors_of(chat_lines(1))

    assert errors == [
        {"code": "billing_hard_limit_reached", "message": "No.", "param": None, "line": 3}
    ]


async def test_a_batch_may_be_stuck_finalizing():
    async with talking(faults={"stuck_finalizing_seconds": 60}) as talk:
        batch = await talk.create(await talk.upload(chat_lines(2)))
        batch = await talk.until(batch["id"], "finalizing")
        await talk.sandbox.world.pause(0.1)
        later = await talk.retrieve(batch["id"])

    assert later["status"] == "finalizing"
    assert later["output_file_id"] is None
    assert later["request_counts"]["completed"] == 2


async def test_a_status_may_be_a_word_nobody_knows():
    async with talking(faults={"status_word": {"word": "ON_HOLD", "seconds": 0.15}}) as talk:
        batch = await talk.create(await talk.upload(chat_lines(1)))
        over = await talk.until(batch["id"], "completed")

    assert batch["status"] == "ON_HOLD"
    assert over["completed_at"]


async def test_the_id_of_a_file_that_is_none_may_be_empty():
    async with talking(faults={"empty_file_ids": True}) as talk:
        batch = await talk.run(chat_lines(1))

    assert batch["error_file_id"] == ""
    assert batch["output_file_id"].startswith("file-")


async def test_models_may_be_unknown():
    async with talking(faults={"unknown_models": ["gpt-4o-mini"]}) as talk:
        (error,) = await talk.errors_of(chat_lines(1))

    assert error["code"] == "model_not_found"
