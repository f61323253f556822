"""The life of a batch: its states, its counts, its files (API reference A.4, C)."""

from __future__ import annotations

import asyncio

import pytest

from batchd.sandbox.answers import answer_for
from tests.sandbox.support import CHAT, chat_line, chat_lines, talking

FAIL_R1 = {"request_faults": [{"custom_ids": ["r1"], "status": 500}]}


def names(lines: list[dict]) -> list[str]:
    return [line["custom_id"] for line in lines]


async def test_a_batch_goes_through_its_states_while_its_counts_grow():
    seen, counts = [], []
    async with talking(batch_seconds=0.4, validate_seconds=0.05) as talk:
        batch = await talk.create(await talk.upload(chat_lines(50)))
        while batch["status"] != "completed":
            seen.append(batch["status"])
            counts.append(batch["request_counts"]["completed"])
            await asyncio.sleep(0.005)
            batch = await talk.retrieve(batch["id"])

    # A poller may miss a state on a busy machine; it never sees them in another order.
    order = ["validating", "in_progress", "finalizing"]
    assert list(dict.fromkeys(seen)) == [status for status in order if status in seen]
    assert "in_progress" in seen
    assert counts == sorted(counts)
    assert len(set(counts)) > 2
    assert batch["request_counts"] == {"total": 50, "completed": 50, "failed": 0}
    assert batch["model"] == "gpt-4o-mini-2024-07-18"
    stamps = ["created_at", "in_progress_at", "finalizing_at", "completed_at"]
    assert [batch[stamp] for stamp in stamps] == sorted(batch[stamp] for stamp in stamps)


async def test_every_line_is_answered_once_and_belongs_to_its_request():
    lines = chat_lines(40)
    async with talking() as talk:
        batch = await talk.run(lines)
        output = await talk.lines_of(batch["output_file_id"])

    bodies = {line["custom_id"]: line["body"] for line in lines}
    assert sorted(names(output)) == sorted(bodies)
    for line in output:
        assert line["error"] is None
        assert line["response"]["status_code"] == 200
        assert line["response"]["body"] == answer_for(CHAT, bodies[line["custom_id"]])
    assert len({line["id"] for line in output}) == 40
    assert batch["error_file_id"] is None


async def test_the_output_is_shuffled_the_same_way_each_time():
    async with talking() as talk:
        orders = []
        for _ in range(2):
            batch = await talk.run(chat_lines(30))
            orders.append(names(await talk.lines_of(batch["output_file_id"])))
    async with talking(seed="other") as talk:
        batch = await talk.run(chat_lines(30))
        other = names(await talk.lines_of(batch["output_file_id"]))

    assert orders[0] == orders[1] != names(chat_lines(30))
    assert other != orders[0]


async def test_the_output_is_a_file_of_its_own_kind():
    async with talking() as talk:
        batch = await talk.run(chat_lines(2))
        file = (await talk.http.get(f"/v1/files/{batch['output_file_id']}")).json()
        content = (await talk.http.get(f"/v1/files/{file['id']}/content")).content

    assert file["filename"] == f"{batch['id']}_output.jsonl"
    assert file["purpose"] == "batch_output"
    assert file["bytes"] == len(content)
    assert content.endswith(b"\n")


async def test_usage_is_the_sum_of_the_answers():
    async with talking() as talk:
        batch = await talk.run(chat_lines(5))
        output = await talk.lines_of(batch["output_file_id"])

    usages = [line["response"]["body"]["usage"] for line in output]
    assert batch["usage"]["input_tokens"] == sum(usage["prompt_tokens"] for usage in usages)
    assert batch["usage"]["output_tokens"] == sum(usage["completion_tokens"] for usage in usages)
    assert batch["usage"]["total_tokens"] == sum(usage["total_tokens"] for usage in usages) > 0


async def test_failed_requests_go_to_the_error_file():
    async with talking(faults=FAIL_R1) as talk:
        batch = await talk.run(chat_lines(3))
        output = await talk.lines_of(batch["output_file_id"])
        (failed,) = await talk.lines_of(batch["error_file_id"])
        file = (await talk.http.get(f"/v1/files/{batch['error_file_id']}")).json()

    assert batch["request_counts"] == {"total": 3, "completed": 2, "failed": 1}
    assert sorted(names(output)) == ["r0", "r2"]
    assert failed["error"] is None
    assert failed["response"]["status_code"] == 500
    assert failed["response"]["body"]["error"]["code"] == "server_error"
    assert file["filename"] == f"{batch['id']}_error.jsonl"


async def test_a_batch_of_nothing_but_failures_is_completed_without_an_output_file():
    async with talking(faults={"request_faults": [{"rate": 1.0, "status": 400}]}) as talk:
        batch = await talk.run(chat_lines(3))

    assert batch["status"] == "completed"
    assert batch["output_file_id"] is None
    assert batch["error_file_id"]
    assert batch["request_counts"] == {"total": 3, "completed": 0, "failed": 3}


async def test_a_request_the_model_refuses_is_a_line_in_the_error_file():
    async with talking() as talk:
        batch = await talk.run([chat_line("a"), chat_line("b", max_tokens="many")])
        (line,) = await talk.lines_of(batch["error_file_id"])

    assert line["custom_id"] == "b"
    assert line["response"]["status_code"] == 400
    assert line["response"]["body"]["error"]["param"] == "max_tokens"


async def test_an_expired_batch_keeps_what_was_executed():
    async with talking(faults={"expire_after_fraction": 0.6, "expire_times": 1}) as talk:
        batch = await talk.run(chat_lines(10))
        output = await talk.lines_of(batch["output_file_id"])
        errors = await talk.lines_of(batch["error_file_id"])
        ledger = talk.sandbox.ledger()
        second = await talk.run(chat_lines(10))

    assert batch["status"] == "expired"
    assert batch["expired_at"]
    assert batch["completed_at"] is None
    assert batch["request_counts"] == {"total": 10, "completed": 6, "failed": 0}
    assert sorted(names(output) + names(errors)) == sorted(names(chat_lines(10)))
    for line in errors:
        assert line["response"] is None
        assert line["error"] == {
            "code": "batch_expired",
            "message": "This request could not be executed before the completion window expired.",
        }
    assert sorted(ledger["executions"]) == sorted(names(output))
    assert second["status"] == "completed"


async def test_a_batch_that_expires_at_once_has_no_output():
    async with talking(faults={"expire_after_fraction": 0}) as talk:
        batch = await talk.run(chat_lines(4))

    assert batch["status"] == "expired"
    assert batch["output_file_id"] is None
    assert batch["request_counts"] == {"total": 4, "completed": 0, "failed": 0}


async def test_a_cancelled_batch_keeps_what_was_executed():
    async with talking(batch_seconds=2.0) as talk:
        batch = await talk.create(await talk.upload(chat_lines(400)))
        await talk.until_counted(batch["id"], 20)
        answer = await talk.cancel(batch["id"])
        batch = await talk.until(batch["id"], "cancelled")
        output = await talk.lines_of(batch["output_file_id"])
        errors = await talk.lines_of(batch["error_file_id"])
        ledger = talk.sandbox.ledger()

    assert answer.status_code == 200
    assert answer.json()["status"] == "cancelling"
    assert answer.json()["cancelling_at"]
    assert batch["cancelled_at"]
    counts = batch["request_counts"]
    assert counts == {"total": 400, "completed": len(output), "failed": 0}
    assert 20 <= len(output) < 400
    assert sorted(names(output) + names(errors)) == sorted(names(chat_lines(400)))
    assert {line["error"]["code"] for line in errors} == {"batch_cancelled"}
    assert ledger["executions"] == dict.fromkeys(names(output), 1)
    assert batch["usage"]["total_tokens"] > 0


async def test_a_batch_cancelled_while_validating_has_no_files_and_no_counts():
    async with talking(batch_seconds=5, validate_seconds=1) as talk:
        batch = await talk.create(await talk.upload(chat_lines(3)))
        assert (await talk.cancel(batch["id"])).json()["status"] == "cancelling"
        batch = await talk.until(batch["id"], "cancelled")

    assert batch["request_counts"] == {"total": 0, "completed": 0, "failed": 0}
    assert batch["output_file_id"] is batch["error_file_id"] is None


async def test_a_batch_cancelled_while_finalizing_has_all_its_answers():
    async with talking(faults={"stuck_finalizing_seconds": 60}) as talk:
        batch = await talk.create(await talk.upload(chat_lines(3)))
        await talk.until(batch["id"], "finalizing")
        await talk.cancel(batch["id"])
        batch = await talk.until(batch["id"], "cancelled")
        output = await talk.lines_of(batch["output_file_id"])

    assert len(output) == 3
    assert batch["error_file_id"] is None


async def test_cancelling_twice_changes_nothing():
    async with talking(batch_seconds=5, cancel_seconds=0.2) as talk:
        batch = await talk.create(await talk.upload(chat_lines(3)))
        first = await talk.cancel(batch["id"])
        second = await talk.cancel(batch["id"])
        over = await talk.until(batch["id"], "cancelled")
        third = await talk.cancel(batch["id"])

    assert [first.status_code, second.status_code, third.status_code] == [200, 200, 200]
    assert second.json() == first.json()
    assert third.json() == over


@pytest.mark.parametrize(
    ("status", "faults"),
    [
        ("completed", {}),
        ("failed", {"fail_with": {"code": "boom"}}),
        ("expired", {"expire_after_fraction": 0.5}),
    ],
)
async def test_a_batch_that_is_over_cannot_be_cancelled(status, faults):
    async with talking(faults=faults) as talk:
        batch = await talk.run(chat_lines(2))
        answer = await talk.cancel(batch["id"])

    assert batch["status"] == status
    assert answer.status_code == 409
    message = f"Cannot cancel a batch with status '{status}'."
    assert answer.json()["error"]["message"] == message


async def test_an_unknown_batch_is_404():
    async with talking() as talk:
        answers = [await talk.http.get("/v1/batches/batch_x"), await talk.cancel("batch_x")]

    for answer in answers:
        assert answer.status_code == 404
        assert answer.json()["error"]["message"] == "No batch found with id 'batch_x'."


async def test_a_batchs_metadata_may_set_its_duration():
    async with talking(batch_seconds=60) as talk:
        batch = await talk.run(chat_lines(1), metadata={"sandbox_seconds": "0.05"})

    assert batch["status"] == "completed"


async def test_a_model_may_take_longer_than_others():
    async with talking(faults={"batch_seconds_by_model": {"slow-model": 60}}) as talk:
        slow = await talk.create(await talk.upload([chat_line("a", model="slow-model")]))
        quick = await talk.run(chat_lines(1))
        slow = await talk.retrieve(slow["id"])

    assert quick["status"] == "completed"
    assert slow["status"] == "in_progress"


async def test_the_ledger_tells_how_often_each_request_was_executed():
    async with talking(faults=FAIL_R1) as talk:
        first = await talk.run(chat_lines(3))
        second = await talk.run([chat_line("r1")])
        ledger = talk.sandbox.ledger()
        over_http = (await talk.http.get("/sandbox/ledger")).json()
        short = (await talk.http.get("/sandbox/ledger?executions=0")).json()

    assert ledger["executions"] == {"r0": 1, "r1": 2, "r2": 1}
    assert ledger["executions_by_batch"] == {
        first["id"]: {"r0": 1, "r1": 1, "r2": 1},
        second["id"]: {"r1": 1},
    }
    assert ledger["calls"]["POST /v1/batches"] == 2
    assert ledger["calls"]["POST /v1/files"] == 2
    assert ledger["calls"]["GET /v1/batches/{id}"] > 2
    assert ledger["batches"][0]["status"] == "completed"
    assert ledger["batches"][0]["counts"] == {"total": 3, "completed": 2, "failed": 1}
    assert ledger["batches"][0]["model"] == "gpt-4o-mini"
    assert over_http["executions"] == ledger["executions"]
    assert "executions" not in short


async def test_executions_of_a_running_batch_follow_its_counts():
    async with talking(batch_seconds=60) as talk:
        batch = await talk.create(await talk.upload(chat_lines(10)))
        await talk.until(batch["id"], "in_progress")
        ledger = talk.sandbox.ledger()

    assert ledger["executions"] == {}


async def test_nothing_is_left_behind():
    async with talking(batch_seconds=60) as talk:
        folder = talk.sandbox.world.folder
        for _ in range(3):
            await talk.create(await talk.upload(chat_lines(10)))
        assert folder.exists()

    assert not folder.exists()
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_a_folder_that_was_asked_for_is_kept(tmp_path):
    async with talking(folder=tmp_path / "kept") as talk:
        batch = await talk.run(chat_lines(2))

    assert (tmp_path / "kept" / batch["output_file_id"]).read_bytes().count(b"\n") == 2
