"""Batches that end otherwise: what exists is delivered, and nothing answered is bought again."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from batchd.core.events import JobCancelled, JobConcluded
from batchd.core.model import BatchError, CancelWhy, ShardState
from batchd.runtime.services import Services
from batchd.stages import claim, collect, plan, poll, submit
from tests.fakes.clock import FakeClock
from tests.fakes.remote import FakeRemote, answer_for
from tests.houses import (
    delivered,
    drop,
    live,
    open_services,
    read_lines,
    read_receipt,
    requests,
    turn,
)
from tests.stages.steps import ended, opened, step, until

DAY = 86_400.0


def fake() -> tuple[FakeRemote, FakeClock]:
    clock = FakeClock()
    return FakeRemote(clock), clock


def checked(root: Path, name: str, count: int) -> tuple[Path, dict[str, Any], dict[str, Any]]:
    """A finished folder, its receipt and its lines by id; each line of the input is there once."""
    folder = delivered(root)[name]
    lines = read_lines(folder / "results.jsonl")
    assert [line["custom_id"] for line in lines] == [f"r-{n}" for n in range(1, count + 1)]
    bill = read_receipt(folder)
    counts = dict(bill["requests"])
    assert counts.pop("total") == sum(counts.values()) == count
    assert sum(seen["count"] for seen in bill["errors"].values()) == count - counts["succeeded"]
    for path in (folder / "errors.jsonl", folder / "retry.jsonl"):
        listed = read_lines(path) if path.exists() else []
        failed = [line["custom_id"] for line in lines if not line["ok"]]
        assert [line["custom_id"] for line in listed] == failed
    return folder, bill, {line["custom_id"]: line for line in lines}


async def test_a_batch_that_expires_at_half_three_times_sends_nothing_answered_again(tmp_path):
    remote, clock = fake()
    remote.expire(fraction=0.5, times=3)
    async with open_services(tmp_path, remote=remote, clock=clock) as services:
        drop(tmp_path, "a.jsonl", requests(16))
        await live(services, deliveries=1)
        _, bill, lines = checked(tmp_path, "a", 16)
        assert (bill["outcome"], bill["rounds"]) == ("partial", 3)
        assert [batch["requests"] for batch in bill["batches"]] == [16, 8, 4]
        assert bill["requests"]["expired"] == 2
        assert bill["errors"]["batch_expired"]["first_lines"] == [15, 16]
        assert set(remote.executions.values()) == {1}, "what was answered was sent once"
        assert lines["r-16"]["attempts"] == 3, "an expiry is an attempt"


async def test_with_one_attempt_more_it_is_completed(tmp_path):
    remote, clock = fake()
    remote.expire(fraction=0.5, times=3)
    async with open_services(
        tmp_path, remote=remote, clock=clock, retries={"max_attempts": 4}
    ) as services:
        drop(tmp_path, "a.jsonl", requests(16))
        await live(services, deliveries=1)
        _, bill, lines = checked(tmp_path, "a", 16)
        assert bill["outcome"] == "completed"
        assert set(remote.executions.values()) == {1}
        attempts = Counter(line["attempts"] for line in lines.values())
        assert attempts == {1: 8, 2: 4, 3: 2, 4: 2}


async def test_what_expired_early_comes_back_in_halves_by_model(tmp_path):
    remote, clock = fake()
    remote.expire(fraction=0.2, times=2)
    async with open_services(tmp_path, remote=remote, clock=clock) as services:
        lines = requests(10) + requests(3, prefix="n", model="gpt-4.1")
        remote.verdicts = {"n-1": [500]}
        drop(tmp_path, "a.jsonl", lines)
        await live(services, deliveries=1)
        bill = read_receipt(delivered(tmp_path)["a"])
        assert bill["outcome"] == "completed"
        sizes = [(batch["round"], batch["model"], batch["requests"]) for batch in bill["batches"]]
        assert sizes == [
            (1, "gpt-4o-mini", 10),
            (1, "gpt-4.1", 3),
            (2, "gpt-4o-mini", 5),
            (2, "gpt-4o-mini", 3),
            (2, "gpt-4.1", 1),
            (2, "gpt-4.1", 1),
            (2, "gpt-4.1", 1),
        ]


async def test_a_batch_that_expires_at_sixty_percent_is_completed_by_the_rest(tmp_path):
    remote, clock = fake()
    remote.expire(fraction=0.6)
    async with open_services(tmp_path, remote=remote, clock=clock) as services:
        drop(tmp_path, "a.jsonl", requests(10))
        await live(services, deliveries=1)
        folder, bill, _ = checked(tmp_path, "a", 10)
        assert bill["outcome"] == "completed"
        told = [(b["requests"], b["status"], b["answered"], b["again"]) for b in bill["batches"]]
        assert told == [(10, "expired", 6, 4), (4, "completed", 4, 0)]
        text = (folder / "RECEIPT.txt").read_text()
        assert "10 x gpt-4o-mini  expired, 6 answered, 4 tried again" in text
        assert set(remote.executions.values()) == {1}


async def test_one_bad_line_fails_with_its_code_and_the_others_travel_again_uncounted(tmp_path):
    remote, clock = fake()
    message = "The provided model 'x' is not supported by the Batch API."
    remote.fail_batches_with(BatchError("model_not_found", message, "body.model", line=3))
    async with open_services(tmp_path, remote=remote, clock=clock) as services:
        drop(tmp_path, "a.jsonl", requests(5))
        await live(services, deliveries=1)
        folder, bill, lines = checked(tmp_path, "a", 5)
        assert bill["outcome"] == "partial"
        assert bill["errors"] == {
            "model_not_found": {"count": 1, "first_lines": [3], "message": message}
        }
        assert "1  model_not_found: The provided" in (folder / "RECEIPT.txt").read_text()
        assert [lines[f"r-{n}"]["attempts"] for n in range(1, 6)] == [1, 1, 0, 1, 1]
        assert [batch["status"] for batch in bill["batches"]] == ["failed", "completed"]


async def test_a_batch_cancelled_by_somebody_else_delivers_what_it_has(tmp_path):
    remote, clock = fake()
    remote.cancel_after(5.0, fraction=0.4)
    async with open_services(tmp_path, remote=remote, clock=clock) as services:
        drop(tmp_path, "a.jsonl", requests(5))
        await live(services, deliveries=1)
        folder, bill, _ = checked(tmp_path, "a", 5)
        assert (bill["outcome"], bill["requests"]["cancelled"]) == ("partial", 3)
        assert bill["cancelled"] is None, "it was nobody here"
        assert not folder.name.endswith(".cancelled")
        assert len(remote.opened) == 1


async def test_one_cancelled_before_it_began_has_nothing_and_says_so(tmp_path):
    remote, clock = fake()
    remote.cancel_after(5.0, fraction=0.0)
    async with open_services(tmp_path, remote=remote, clock=clock) as services:
        drop(tmp_path, "a.jsonl", requests(2))
        await live(services, deliveries=1)
        folder, bill, _ = checked(tmp_path, "a", 2)
        assert bill["outcome"] == "cancelled"
        assert folder.name.endswith(".cancelled")


async def test_a_batch_that_vanishes_is_held_and_delivered_once_it_is_found_again(tmp_path):
    remote, clock = fake()
    remote.batch_seconds = 1000.0
    async with open_services(tmp_path, remote=remote, clock=clock) as services:
        shard = await opened(services, tmp_path, lines=requests(3))
        batch = remote._batches.pop(shard.batch)
        await _pass(services, 2000)
        shard = await services.ledger.shard(shard.id)
        assert (shard.state, shard.reason) == (ShardState.OPEN, "batch-vanished")
        remote._batches[shard.batch] = batch
        await live(services, deliveries=1)
        _, bill, _ = checked(tmp_path, "a", 3)
        assert (bill["outcome"], len(remote.opened)) == ("completed", 1)


async def test_a_cancelled_round_leaves_the_error_of_the_one_before(tmp_path):
    remote, clock = fake()
    remote.verdicts = {"r-2": [429]}
    async with open_services(tmp_path, remote=remote, clock=clock) as services:
        await ended(services, tmp_path, lines=requests(2))
        remote.cancel_after(5.0, fraction=0.0)
        await live(services, deliveries=1)
        _, bill, lines = checked(tmp_path, "a", 2)
        assert lines["r-2"]["error"]["code"] == "rate_limit_exceeded"
        assert lines["r-2"]["attempts"] == 1
        assert bill["requests"]["failed"] == 1


async def test_a_job_that_is_cancelled_delivers_what_it_has_with_each_last_error(tmp_path):
    remote, clock = fake()
    remote.verdicts = {"r-1": [429]}
    remote.expire(fraction=0.5)
    async with open_services(tmp_path, remote=remote, clock=clock) as services:
        shard = await ended(services, tmp_path, lines=requests(4))
        cancelled = JobCancelled(job=shard.job, why=CancelWhy.ASKED, text="by anna")
        await services.ledger.record(cancelled, at=clock.now())
        await live(services, deliveries=1)
        folder, bill, lines = checked(tmp_path, "a", 4)
        assert (bill["outcome"], bill["rounds"]) == ("cancelled", 1)
        assert folder.name.endswith(".cancelled")
        codes = [(line["error"] or {}).get("code") for line in lines.values()]
        assert codes == ["rate_limit_exceeded", None, "batch_expired", "batch_expired"]
        assert len(remote.opened) == 1


async def test_a_batch_that_never_began_is_cancelled_with_its_job(tmp_path):
    remote, clock = fake()
    full = BatchError("token_limit_exceeded", "Enqueued token limit reached for gpt-4o-mini.")
    remote.fail_batches_with(full)
    async with open_services(tmp_path, remote=remote, clock=clock) as services:
        shard = await ended(services, tmp_path, lines=requests(2))
        cancelled = JobCancelled(job=shard.job, why=CancelWhy.ASKED)
        await services.ledger.record(cancelled, at=clock.now())
        await live(services, deliveries=1)
        _, bill, _ = checked(tmp_path, "a", 2)
        assert bill["requests"]["cancelled"] == 2
        assert remote.executions == {}


async def test_a_job_that_is_cancelled_between_its_rounds_has_a_word_for_every_request(tmp_path):
    remote, clock = fake()
    text = "Enqueued token limit reached for gpt-4o-mini. Limit: 5 enqueued tokens."
    remote.fail_batches_with(BatchError("token_limit_exceeded", text))
    async with open_services(tmp_path, remote=remote, clock=clock) as services:
        shard = await ended(services, tmp_path, lines=requests(4))
        await step(services, collect)
        shard = await services.ledger.shard(shard.id)
        assert shard.again == shard.uncounted == shard.rows
        cancelled = JobCancelled(job=shard.job, why=CancelWhy.ASKED)
        await services.ledger.record(cancelled, JobConcluded(job=shard.job), at=clock.now())
        await live(services, deliveries=1)
        _, bill, _ = checked(tmp_path, "a", 4)
        assert (bill["outcome"], bill["requests"]["cancelled"]) == ("cancelled", 4)


async def test_quota_waits_and_is_no_failure_of_the_requests(tmp_path):
    remote, clock = fake()
    unpaid = BatchError("insufficient_quota", "You exceeded your current quota.")
    remote.fail_batches_with(unpaid, times=5)
    async with open_services(tmp_path, remote=remote, clock=clock) as services:
        drop(tmp_path, "a.jsonl", requests(2))
        await live(services, deliveries=1)
        _, bill, lines = checked(tmp_path, "a", 2)
        assert bill["outcome"] == "completed"
        assert {line["attempts"] for line in lines.values()} == {1}
        assert len(remote.uploads) == 1


async def test_a_retry_file_does_just_the_rest_after_every_kind_of_end(tmp_path):
    remote, clock = fake()
    remote.verdicts = {"r-1": [400, 200], "r-2": [500, 200]}
    remote.drop("r-3")
    remote.cancel_after(5.0, fraction=0.5)
    async with open_services(
        tmp_path, remote=remote, clock=clock, retries={"max_attempts": 1}
    ) as services:
        drop(tmp_path, "a.jsonl", requests(8))
        await live(services, deliveries=1)
        folder, bill, _ = checked(tmp_path, "a", 8)
        codes = {code: seen["count"] for code, seen in bill["errors"].items()}
        # Of a batch that was cancelled nobody can know that r-3 was executed and not told.
        assert codes == {"batch_cancelled": 5, "invalid_request_error": 1, "server_error": 1}
        rest = read_lines(folder / "retry.jsonl")
        assert [line["custom_id"] for line in rest] == [f"r-{n}" for n in (1, 2, 3, 5, 6, 7, 8)]
        (folder / "retry.jsonl").rename(tmp_path / "inbox" / "again.jsonl")
        await live(services, deliveries=2)
        again = delivered(tmp_path)["again"]
        assert read_receipt(again)["outcome"] == "completed"
        assert not (again / "retry.jsonl").exists()
        assert remote.executions["r-4"] == 1, "it was answered, and not sent again"


def cut_off(asked: dict[str, Any]) -> tuple[int, dict[str, Any]]:
    status, body = answer_for(asked)
    choice = body["choices"][0]
    match asked["custom_id"]:
        case "r-1":
            choice["finish_reason"] = "length"
        case "r-2":
            choice["message"] = {"content": None, "refusal": "I can't."}
        case "r-3":
            choice["finish_reason"] = "content_filter"
    return status, body


@pytest.mark.parametrize(
    ("on_truncated", "ok"),
    [("keep", [True, False, True, True]), ("fail", [False, False, True, True])],
)
async def test_soft_failures_are_told_and_a_cut_answer_fails_where_it_shall(
    tmp_path, on_truncated, ok
):
    remote, clock = fake()
    remote.answers = cut_off
    async with open_services(
        tmp_path, remote=remote, clock=clock, retries={"on_truncated": on_truncated}
    ) as services:
        drop(tmp_path, "a.jsonl", requests(4))
        await live(services, deliveries=1)
        folder, bill, lines = checked(tmp_path, "a", 4)
        assert [line["ok"] for line in lines.values()] == ok
        assert bill["soft"] == {"truncated": 1, "filtered": 1, "refusal": 1}
        assert lines["r-1"]["finish_reason"] == "length"
        assert lines["r-2"]["error"] == {"code": "refusal", "message": "I can't."}
        assert len(remote.opened) == 1, "none of them is tried again"
        assert bill["usage"]["by_model"]["gpt-4o-mini"]["requests"] == 4, "all were paid for"
        assert bill["cost"] is not None
        assert "1  truncated: cut off" in (folder / "RECEIPT.txt").read_text()
        if on_truncated == "fail":
            assert lines["r-1"]["error"]["code"] == "truncated"


# Answers that are gone


async def _pass(services: Services, seconds: float) -> None:
    until_then = services.clock.now() + seconds
    while services.clock.now() < until_then:
        if not await turn(services):
            due = await collect.next_look(services) or 60.0
            services.clock.advance(min(max(due, 0.01), until_then - services.clock.now()))  # type: ignore[attr-defined]


async def test_answers_that_the_provider_has_lost_are_given_up_after_a_day_and_not_bought_again(
    tmp_path,
):
    remote, clock = fake()
    remote.verdicts = {"r-1": [400]}
    async with open_services(tmp_path, remote=remote, clock=clock) as services:
        shard = await ended(services, tmp_path, lines=requests(3))
        remote.vanish(shard.output_file)
        await _pass(services, DAY - 600)
        shard = await services.ledger.shard(shard.id)
        assert (shard.state, shard.reason) == (ShardState.ENDED, "answers-missing")
        await _pass(services, 1200)
        _, bill, lines = checked(tmp_path, "a", 3)
        assert lines["r-1"]["error"]["code"] == "invalid_request_error", "this one is here"
        assert lines["r-2"]["error"]["code"] == "answers_lost"
        assert bill["errors"]["answers_lost"]["count"] == 2
        assert bill["oddities"] == {"lost_answers": 2}
        assert len(remote.opened) == 1
        asked = remote.calls["download"]
        assert asked < 120, "it is asked less and less often"


async def test_a_file_that_comes_back_within_the_day_is_no_loss(tmp_path):
    remote, clock = fake()
    async with open_services(tmp_path, remote=remote, clock=clock) as services:
        shard = await ended(services, tmp_path, lines=requests(3))
        kept = remote.files.pop(shard.output_file)
        await _pass(services, DAY / 2)
        remote.files[shard.output_file] = kept
        await live(services, deliveries=1)
        _, bill, _ = checked(tmp_path, "a", 3)
        assert (bill["outcome"], bill["oddities"]) == ("completed", None)


async def test_a_key_that_finds_neither_file_nor_batch_loses_nothing(tmp_path):
    """Another project's key finds nothing of ours; the answers are where they were."""
    remote, clock = fake()
    async with open_services(tmp_path, remote=remote, clock=clock) as services:
        shard = await ended(services, tmp_path, lines=requests(3))
        batch = remote._batches.pop(shard.batch)
        kept = remote.files.pop(shard.output_file)
        await _pass(services, 3 * DAY)
        assert (await services.ledger.shard(shard.id)).state is ShardState.ENDED
        remote._batches[shard.batch], remote.files[shard.output_file] = batch, kept
        await live(services, deliveries=1)
        assert checked(tmp_path, "a", 3)[1]["outcome"] == "completed"


async def test_a_cancelled_job_does_not_wait_for_another_key_for_ever(tmp_path):
    remote, clock = fake()
    async with open_services(tmp_path, remote=remote, clock=clock) as services:
        shard = await ended(services, tmp_path, lines=requests(3))
        remote.vanish(shard.batch)
        remote.vanish(shard.output_file)
        cancelled = JobCancelled(job=shard.job, why=CancelWhy.ASKED)
        await services.ledger.record(cancelled, at=clock.now())
        await _pass(services, DAY + 3600)
        _, bill, _ = checked(tmp_path, "a", 3)
        assert bill["outcome"] == "cancelled"
        assert bill["errors"]["answers_lost"]["count"] == 3


async def test_a_day_that_a_clock_was_set_forward_is_no_day_of_asking(tmp_path):
    remote, clock = fake()
    async with open_services(tmp_path, remote=remote, clock=clock) as services:
        shard = await ended(services, tmp_path, lines=requests(3))
        kept = remote.files.pop(shard.output_file)
        await _pass(services, 600)
    clock.advance(3 * DAY)
    async with open_services(tmp_path, remote=remote, clock=clock) as services:
        await step(services, collect)
        assert (await services.ledger.shard(shard.id)).state is ShardState.ENDED
        remote.files[shard.output_file] = kept
        await live(services, deliveries=1)
        assert checked(tmp_path, "a", 3)[1]["outcome"] == "completed"


@pytest.mark.parametrize(
    "taken", [("index",), ("index", "output"), ("output",), ("notes",), ("index", "error")]
)
@pytest.mark.parametrize("cut", [True, False])
async def test_answers_taken_out_of_the_work_folder_are_found_again(tmp_path, taken, cut):
    remote, clock = fake()
    remote.verdicts = {"r-1": [400]}
    remote.drop("r-2", times=9)
    async with open_services(
        tmp_path, remote=remote, clock=clock, retries={"max_attempts": 1}
    ) as services:
        shard = await ended(services, tmp_path, lines=requests(4))
        await step(services, collect)
        for kind in taken:
            path = services.work.answers(shard.job, shard.id, kind)
            content = path.read_bytes()
            path.unlink()
            if cut and (kind != "error"):
                path.write_bytes(content[:-9])
        await live(services, deliveries=1)
        _, bill, lines = checked(tmp_path, "a", 4)
        codes = [(line["error"] or {}).get("code") for line in lines.values()]
        assert codes == ["invalid_request_error", "missing_answer", None, None]
        assert set(remote.executions.values()) == {1}
        assert bill["requests"]["succeeded"] == 2


async def test_one_that_joined_finds_the_answers_again_with_its_own_copy_of_the_file(tmp_path):
    remote, clock = fake()
    async with open_services(tmp_path, remote=remote, clock=clock) as services:
        drop(tmp_path, "a.jsonl", requests(3))
        drop(tmp_path, "b.jsonl", requests(3))

        async def come() -> Any:
            return await services.ledger.shards_in(ShardState.COLLECTED)

        (shard,) = await until(services, come, claim, plan, submit, poll, collect)
        services.work.answers(shard.job, shard.id, "index").unlink()
        services.work.input(shard.job).rename(tmp_path / "elsewhere")
        for _ in range(5):
            await turn(services)
        (name,) = delivered(tmp_path)
        assert checked(tmp_path, name, 3)[1]["joined"] == shard.job
