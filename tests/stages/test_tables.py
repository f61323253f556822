"""A dropped table through all stages: back comes the table, with the answers beside each row."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from batchd.core.events import JobCancelled, JobHeld, JobReleased
from batchd.core.model import BatchError, CancelWhy, JobState, ShardState
from batchd.runtime.services import Services
from batchd.stages import claim, collect, plan, poll, submit
from tests.dropped_tables import (
    GROUPED,
    NAMED,
    PLAIN,
    SCHEMA,
    Careless,
    as_asked,
    csv_of,
    judged,
    rows_of_csv,
    table,
)
from tests.fakes.remote import Request
from tests.houses import delivered, live, read_lines, read_receipt, write_task
from tests.stages.steps import step, until
from tests.stages.table_house import JOB, OTHER, House, checked


def attempts(lines: dict[str, dict[str, Any]]) -> list[int]:
    return [line["attempts"] for line in lines.values()]


@pytest.mark.parametrize("task", [SCHEMA, GROUPED, NAMED.format(GROUPED)])
async def test_a_table_comes_back_with_its_answers_beside_each_row(tmp_path: Path, task: str):
    house = House(tmp_path, task)
    folder = await house.lives(table(7))
    lines = checked(folder, 7)

    is_named, is_grouped = "id =" in task, "records_per" in task
    assert list(lines) == [f"k{n}" if is_named else str(n) for n in range(1, 8)]
    assert [line["output"] for line in lines.values()] == [judged(id) for id in lines]
    rows = rows_of_csv(folder / "results.csv")
    assert list(rows[0]) == ["key", "text", "verdict", "score", "batchd_error"]
    assert [row["verdict"] for row in rows] == [judged(id)["verdict"] for id in lines]
    assert (folder / "input" / "a.csv").read_text() == table(7)
    assert not (folder / "responses.jsonl").exists()
    bill = read_receipt(folder)
    assert (bill["task"], bill["batches"][0]["records"]) == ("judge", 7)
    assert bill["batches"][0]["requests"] == (3 if is_grouped else 7)
    assert (bill["usage"]["by_model"]["gpt-4o-mini"]["requests"]) == (3 if is_grouped else 7)
    assert bill["cost"]["amount"] > 0
    assert "All 7 records were answered." in (folder / "RECEIPT.txt").read_text()


async def test_a_plain_text_stands_in_its_column(tmp_path: Path):
    folder = await House(tmp_path, PLAIN).lives(table(2))
    lines = checked(folder, 2)
    rows = rows_of_csv(folder / "results.csv")
    assert [row["translation"] for row in rows] == [line["output"] for line in lines.values()]
    assert list(rows[0]) == ["key", "text", "translation", "batchd_error"]


async def test_the_providers_lines_come_once_per_request_where_they_are_asked_for(tmp_path: Path):
    house = House(tmp_path, GROUPED, results={"task_responses": True})
    folder = await house.lives(table(7))
    lines = read_lines(folder / "responses.jsonl")
    assert [line["custom_id"] for line in lines] == ["1", "4", "7"]


async def test_the_batch_bears_what_the_task_says_of_it(tmp_path: Path):
    house = House(tmp_path, SCHEMA + '[metadata]\nproject = "reviews"\n')
    await house.lives(table(2))
    (order,) = house.remote.orders
    assert order.metadata["project"] == "reviews"
    assert order.metadata["batchd_job"] == JOB


async def test_what_fails_is_tried_again_or_told_beside_its_row(tmp_path: Path):
    house = House(tmp_path, SCHEMA)
    house.remote.verdicts = {"2": [429, 200], "4": [400], "5": [500, 500, 500]}
    folder = await house.lives(table(6))
    lines = checked(folder, 6)
    assert attempts(lines) == [1, 2, 1, 1, 3, 1]
    assert [id for id, line in lines.items() if not line["ok"]] == ["4", "5"]
    errors = read_lines(folder / "errors.jsonl")
    assert [(one["custom_id"], one["row"]) for one in errors] == [("4", 4), ("5", 5)]
    assert read_receipt(folder)["errors"]["server_error"]["first_rows"] == [5]
    text = (folder / "RECEIPT.txt").read_text()
    assert "4 of 6 records were answered, 2 were not." in text
    assert "(first in row 5)" in text
    assert "drop retry.csv into inbox/judge/" in text


async def test_of_several_records_only_those_without_an_answer_travel_again(tmp_path: Path):
    house = House(tmp_path, GROUPED)
    house.remote.answers = careless = Careless("2", "6", "7", "8", "10")
    folder = await house.lives(table(10))
    lines = checked(folder, 10)

    first, second = careless.asked[:4], careless.asked[4:]
    assert first == [["1", "2", "3"], ["4", "5", "6"], ["7", "8", "9"], ["10"]]
    assert second == [["2", "6", "7"], ["8", "10"]], "five are left, three in a request"
    assert attempts(lines) == [1, 2, 1, 1, 1, 2, 2, 2, 1, 2]
    assert [line["output"] for line in lines.values()] == [judged(id) for id in lines]
    bill = read_receipt(folder)
    assert bill["oddities"] == {"invented_ids": 2}
    assert bill["usage"]["by_model"]["gpt-4o-mini"]["requests"] == 6, "each line is paid once"
    assert [(b["requests"], b["records"], b["answered"]) for b in bill["batches"]] == [
        (4, 10, 5),
        (2, 5, 5),
    ]


async def test_one_that_never_has_an_answer_says_so_in_the_end(tmp_path: Path):
    house = House(tmp_path, GROUPED)

    def never(request: Request) -> tuple[int, dict[str, Any]]:
        return Careless("2")(request)

    house.remote.answers = never
    folder = await house.lives(table(4))
    lines = checked(folder, 4)
    assert attempts(lines) == [1, 3, 1, 1]
    assert lines["2"]["error"]["code"] == "missing_record"
    assert rows_of_csv(folder / "results.csv")[1]["batchd_error"].startswith("missing_record: ")


async def test_an_answer_that_does_not_fit_is_tried_again_and_its_text_is_kept(tmp_path: Path):
    house, said = House(tmp_path, SCHEMA), Counter[str]()

    def wrong(request: Request) -> tuple[int, dict[str, Any]]:
        status, body = as_asked(request)
        said[request["custom_id"]] += 1
        if request["custom_id"] == "1" and said["1"] < 3:
            body["choices"][0]["message"]["content"] = '{"verdict": '
        if request["custom_id"] == "2":
            body["choices"][0]["message"]["content"] = '{"verdict": 1, "score": 2}'
        return status, body

    house.remote.answers = wrong
    folder = await house.lives(table(3))
    lines = checked(folder, 3)
    assert attempts(lines) == [3, 3, 1]
    assert [line["ok"] for line in lines.values()] == [True, False, True]
    (error,) = read_lines(folder / "errors.jsonl")
    assert (error["error"]["code"], error["raw"]) == (
        "invalid_output",
        '{"verdict": 1, "score": 2}',
    )


@pytest.mark.parametrize("task", [SCHEMA, GROUPED])
async def test_what_expired_travels_again_and_nothing_answered_does(tmp_path: Path, task: str):
    house = House(tmp_path, task, retries={"max_attempts": 4})
    house.remote.expire(fraction=0.5, times=2)
    folder = await house.lives(table(16))
    lines = checked(folder, 16)
    assert read_receipt(folder)["outcome"] == "completed"
    assert all(line["ok"] for line in lines.values())
    assert set(house.remote.executions.values()) == {1}
    assert [line["output"] for line in lines.values()] == [judged(id) for id in lines]


@pytest.mark.parametrize("task", [SCHEMA, GROUPED])
async def test_a_line_that_validation_names_fails_its_records_and_no_others(
    tmp_path: Path, task: str
):
    house = House(tmp_path, task)
    message = "The provided model 'x' is not supported by the Batch API."
    house.remote.fail_batches_with(BatchError("invalid_url", message, "url", line=2))
    folder = await house.lives(table(8))
    lines = checked(folder, 8)
    failed = ["4", "5", "6"] if "records_per" in task else ["2"]
    assert [id for id, line in lines.items() if not line["ok"]] == failed
    assert attempts(lines) == [0 if id in failed else 1 for id in lines]


async def test_a_shard_that_finds_no_room_is_created_again_from_the_same_upload(tmp_path: Path):
    house = House(tmp_path, GROUPED)
    full = BatchError("token_limit_exceeded", "Limit: 2,000,000 enqueued tokens.")
    house.remote.fail_batches_with(full, times=3)
    folder = await house.lives(table(7))
    assert attempts(checked(folder, 7)) == [1] * 7
    assert len(house.remote.uploads) == 1


async def test_a_shard_larger_than_the_queue_is_planned_again_smaller(tmp_path: Path):
    house = House(tmp_path, GROUPED)
    house.remote.fail_batches_with(
        BatchError("token_limit_exceeded", "Limit: 400 enqueued tokens.")
    )
    folder = await house.lives(table(20))
    lines = checked(folder, 20)
    assert attempts(lines) == [1] * 20
    assert [line["output"] for line in lines.values()] == [judged(id) for id in lines]
    batches = read_receipt(folder)["batches"]
    assert len(batches) > 2
    assert sum(batch["records"] for batch in batches[1:]) == 20


async def test_a_table_of_many_shards_comes_back_in_its_order(tmp_path: Path):
    house = House(tmp_path, NAMED.format(GROUPED), batches={"max_requests": 2})
    house.remote.verdicts = {"4": [500], "13": [500, 500]}
    folder = await house.lives(table(20))
    lines = checked(folder, 20)
    assert list(lines) == [f"k{n}" for n in range(1, 21)]
    assert [line["output"] for line in lines.values()] == [judged(id) for id in lines]
    uploaded = [content.splitlines() for _, content in sorted(house.remote.uploads)]
    assert [len(lines) for lines in uploaded] == [2, 2, 2, 1, 2, 1]


@pytest.mark.parametrize("task", [SCHEMA, GROUPED])
async def test_what_is_cancelled_delivers_what_was_answered(tmp_path: Path, task: str):
    house = House(tmp_path, task)

    async def person(services: Services) -> None:
        for shard in await services.ledger.shards_in(ShardState.OPEN):
            if shard.counts.total and (await services.ledger.job(JOB)).cancelled_at is None:
                why = JobCancelled(job=shard.job, why=CancelWhy.ASKED, text="enough")
                await services.ledger.wish(why, at=services.clock.now())

    folder = await house.lives(table(9), person)
    lines = checked(folder, 9)
    assert read_receipt(folder)["outcome"] == "cancelled"
    assert folder.name.endswith(".cancelled")
    answered = [line["ok"] for line in lines.values()]
    assert any(answered)
    assert not all(answered)


async def test_what_is_cancelled_before_it_was_sent_comes_back_unanswered(tmp_path: Path):
    house = House(tmp_path, GROUPED)

    async def person(services: Services) -> None:
        for job in await services.ledger.jobs_in(JobState.CLAIMED):
            why = JobCancelled(job=job.id, why=CancelWhy.ASKED, text="a mistake")
            await services.ledger.wish(why, at=services.clock.now())

    async with house.open() as services:
        house.table(table(4))
        await claim.run_once(services)
        await live(services, deliveries=1, person=person)
    (folder,) = delivered(tmp_path).values()
    lines = checked(folder, 4)
    assert {line["error"]["code"] for line in lines.values()} == {"batch_cancelled"}
    assert house.remote.uploads == []


async def test_what_is_held_waits_and_goes_on(tmp_path: Path):
    house, held = House(tmp_path, SCHEMA), list[str]()

    async def person(services: Services) -> None:
        for job in await services.ledger.jobs_in(JobState.CLAIMED):
            if not held:
                held.append(job.id)
                hold = JobHeld(job=job.id, reason="held", text="a person said so")
                assert await services.ledger.wish(hold, at=services.clock.now())
                assert await services.ledger.wish(
                    JobReleased(job=job.id), at=services.clock.now() + 1.0
                )

    async with house.open() as services:
        house.table(table(3))
        await claim.run_once(services)
        await live(services, deliveries=1, person=person)
    (folder,) = delivered(tmp_path).values()
    checked(folder, 3)
    assert held == [JOB]


# What is wrong with a table, or with its task


async def rejected(house: House, content: str) -> tuple[dict[str, Any], str]:
    folder = await house.lives(content)
    assert folder.name.endswith(".rejected")
    assert house.remote.uploads == []
    assert (folder / "input" / "a.csv").read_text() == content
    return json.loads((folder / "error.json").read_bytes()), (folder / "error.txt").read_text()


async def test_a_prompt_that_names_a_column_the_table_lacks_is_said_once(tmp_path: Path):
    content = csv_of({"key": n, "Text": "x"} for n in range(30))
    told, text = await rejected(House(tmp_path, SCHEMA), content)
    assert [error["row"] for error in told["errors"]] == [1]
    assert text.startswith("row 1: ")


async def test_of_many_rows_that_are_wrong_the_first_twenty_are_listed(tmp_path: Path):
    content = csv_of({"key": n % 30, "text": "x"} for n in range(60))
    told, text = await rejected(House(tmp_path, NAMED.format(SCHEMA)), content)
    assert (told["total"], len(told["errors"])) == (30, 20)
    assert [error["row"] for error in told["errors"]] == list(range(31, 51))
    assert text.startswith("row 31: ")


async def test_ids_that_come_twice_or_are_missing_are_said_with_their_rows(tmp_path: Path):
    keys = ["a", "b", "", "a", "c", "b"]
    content = csv_of({"key": key, "text": "x"} for key in keys)
    told, _ = await rejected(House(tmp_path, NAMED.format(SCHEMA)), content)
    found = [(error["code"], error["row"]) for error in told["errors"]]
    assert found == [("missing_id", 3), ("duplicate_id", 4), ("duplicate_id", 6)]
    assert "row 1" in told["errors"][1]["message"]


async def test_a_table_without_the_column_of_its_ids_is_not_for_this_task(tmp_path: Path):
    house = House(tmp_path, NAMED.format(SCHEMA))
    told, text = await rejected(house, "id,text\n1,x\n")
    assert [error["code"] for error in told["errors"]] == ["missing_column"]
    assert "key" in text
    assert "id, text" in text


async def test_a_row_that_cannot_be_read_is_said(tmp_path: Path):
    told, text = await rejected(House(tmp_path, SCHEMA), "key,text\n1,x\n2,y,z\n")
    assert told["errors"][0]["row"] == 2
    assert text.startswith("row 2: ")


async def test_a_table_with_nothing_below_its_header_is_empty(tmp_path: Path):
    told, _ = await rejected(House(tmp_path, SCHEMA), "key,text\n")
    assert [error["code"] for error in told["errors"]] == ["empty_file"]


# What a job keeps


async def test_a_job_keeps_its_task_as_it_was_when_its_file_was_planned(tmp_path: Path):
    house = House(tmp_path, GROUPED)
    house.remote.answers = Careless("2")
    async with house.open() as services:
        house.table(table(4))
        await step(services, claim, plan)
        write_task(tmp_path, "judge", PLAIN)
        await live(services, deliveries=1)
    lines = checked(*delivered(tmp_path).values(), 4)
    assert attempts(lines) == [1, 2, 1, 1]
    assert lines["2"]["output"] == judged("2")


async def test_the_same_table_joins_where_its_task_is_the_same(tmp_path: Path):
    house = House(tmp_path, GROUPED)
    async with house.open() as services:
        house.table(table(4))
        await step(services, claim, plan)
        house.table(table(4), name="b.csv", job=OTHER)
        await step(services, claim, plan)
        write_task(tmp_path, "judge", SCHEMA)
        house.table(table(4), name="c.csv", job="0ccccc")
        await live(services, deliveries=3)
    folders = delivered(tmp_path)
    assert [read_receipt(folders[name])["joined"] for name in "abc"] == [None, JOB, None]
    assert len(house.remote.uploads) == 2
    for name in "abc":
        checked(folders[name], 4)


@pytest.mark.parametrize("task", [GROUPED, NAMED.format(GROUPED)])
async def test_requests_and_ids_that_somebody_removed_are_made_anew(tmp_path: Path, task: str):
    house = House(tmp_path, task, batches={"max_requests": 2})
    async with house.open() as services:
        house.table(table(10))
        await step(services, claim, plan)
        rounds = services.work.round_file(JOB, 1)
        expected = rounds.read_bytes()
        for path in rounds.parent.iterdir():
            path.unlink()
        await live(services, deliveries=1)
    parts = sorted(house.remote.uploads)  # by the names of their shards
    assert b"".join(content for _, content in parts) == expected
    lines = checked(*delivered(tmp_path).values(), 10)
    assert [line["output"] for line in lines.values()] == [judged(id) for id in lines]


async def test_answers_that_somebody_removed_are_brought_again(tmp_path: Path):
    house = House(tmp_path, NAMED.format(GROUPED))
    async with house.open() as services:
        house.table(table(5))

        async def settled() -> list[Any]:
            return list(await services.ledger.jobs_in(JobState.SETTLED))

        await until(services, settled, claim, plan, submit, poll, collect)
        for path in services.work.answers(JOB, f"{JOB}-1", "x").parent.iterdir():
            path.unlink()
        await live(services, deliveries=1)
    lines = checked(*delivered(tmp_path).values(), 5)
    assert [line["output"] for line in lines.values()] == [judged(id) for id in lines]


async def test_one_that_the_budget_holds_is_planned_by_the_task_as_it_is_when_it_fits(
    tmp_path: Path,
):
    """So the operator may choose a cheaper model, and the file goes on by itself."""
    dear = {"input": {"m": 0.0}, "output": {"m": 1_000.0}}
    task = SCHEMA.replace("gpt-4o-mini", "m")
    house = House(tmp_path, task, prices=dear, budget={"per_job": 0.5, "per_day": 100.0})
    async with house.open() as services:
        house.table(table(3))
        await step(services, claim, plan)
        job = await services.ledger.job(JOB)
        assert (job.state, job.recipe) == (JobState.HELD, None)
        write_task(tmp_path, "judge", SCHEMA)
        assert await services.ledger.wish(JobReleased(job=JOB), at=services.clock.now())
        await live(services, deliveries=1)
    (folder,) = delivered(tmp_path).values()
    checked(folder, 3)
    assert {batch["model"] for batch in read_receipt(folder)["batches"]} == {"gpt-4o-mini"}
