"""The one reason of a job: what a person must see to comes first, then what takes longest."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any

import pytest

from batchd.control.jobs import ORDER, Room, reason_of_job, reason_of_shard
from batchd.control.ledger import Part
from batchd.core.model import BatchStatus, Counts, JobState, ShardState
from batchd.core.reasons import TOLD, Standing
from batchd.core.rows import RowSet
from batchd.core.subjects import Job, Shard
from batchd.settings import Batches

NOW = 1_800_000_000.0


def blank(kind: type[Any], **values: Any) -> Any:
    """A subject of which only these fields matter."""
    return kind(**{field.name: None for field in fields(kind)} | values)


JOB: Job = blank(Job, id="0tqe86", state=JobState.ACTIVE, name=b"a.jsonl", round=1, summary={})
SHARD: Shard = blank(
    Shard,
    id="0tqe86-1",
    job="0tqe86",
    state=ShardState.PLANNED,
    model="m",
    rows=RowSet(),
    requests=5,
    tokens=100,
    counts=Counts(),
    due_at=NOW,
)
OPEN = replace(
    SHARD, state=ShardState.OPEN, batch="batch_1", opened_at=NOW - 60, status=BatchStatus.VALIDATING
)


def room(*parts: Part, **batches: Any) -> Room:
    return Room.of(parts, Batches(**batches))


def of_shard(shard: Shard, *, text: str | None = None, where: Room | None = None) -> str:
    reason = reason_of_shard(Part(shard, text), room=where or room(), now=NOW)
    assert "?" not in reason.sentence
    return str(reason.code)


@pytest.mark.parametrize(
    ("job", "code", "standing"),
    [
        (replace(JOB, state=JobState.CLAIMED), "reading", Standing.CLAIMED),
        (replace(JOB, joined="0tqe85"), "joined", Standing.CLAIMED),
        (JOB, "planning-again", Standing.CLAIMED),
        (replace(JOB, state=JobState.SETTLED), "building", Standing.CLAIMED),
        (replace(JOB, state=JobState.REJECTED, reason="not_utf8"), "rejected", Standing.REJECTED),
        (replace(JOB, state=JobState.PUBLISHING, folder="a--1"), "publishing", Standing.CLAIMED),
        (
            replace(JOB, state=JobState.DELIVERED, folder="a--1", outcome="partial"),
            "delivered",
            Standing.DONE,
        ),
        (
            replace(JOB, state=JobState.DELIVERED, folder="a--1", outcome="rejected", reason="x"),
            "rejected",
            Standing.REJECTED,
        ),
    ],
)
def test_each_state_of_a_job_has_its_reason(job, code, standing):
    reason = reason_of_job(job, [], room=room(), now=NOW)

    assert (reason.code, reason.standing) == (code, standing)
    assert "?" not in reason.sentence


@pytest.mark.parametrize("state", JobState)
def test_no_state_is_without_one(state):
    assert reason_of_job(replace(JOB, state=state), [], room=room(), now=NOW).code in TOLD


def test_each_state_of_a_shard_has_its_reason():
    assert of_shard(SHARD) == "uploading"
    assert of_shard(replace(SHARD, state=ShardState.SUBMITTING)) == "submitting"
    assert of_shard(OPEN) == "at-the-provider"
    assert of_shard(replace(OPEN, state=ShardState.ENDED)) == "collecting"


def test_what_finds_no_room_says_which():
    there = Part(OPEN, None)

    assert of_shard(SHARD, where=room(there, max_open=1)) == "waiting-for-room"
    limits = {"m": 150}
    assert of_shard(SHARD, where=room(there, enqueued_tokens=limits)) == "waiting-for-tokens"
    assert of_shard(SHARD, where=room(there, enqueued_tokens={"other": 1})) == "uploading"


@pytest.mark.parametrize("code", ["provider-unavailable", "no-room", "file-unseen", "denied"])
def test_a_recorded_reason_holds_until_its_time_has_come(code):
    waiting = replace(SHARD, reason=code, due_at=NOW + 5)

    assert of_shard(waiting, text="words") == code


def test_afterwards_it_may_be_on_its_way_but_for_what_a_person_must_mend():
    assert of_shard(replace(SHARD, reason="provider-unavailable")) == "uploading"
    assert of_shard(replace(SHARD, reason="denied"), text="no") == "denied"


@pytest.mark.parametrize("code", ["doubt", "doubt-unsettled"])
def test_doubt_stays_until_it_is_settled(code):
    doubted = replace(SHARD, state=ShardState.SUBMITTING, reason=code, due_at=NOW - 5)

    assert of_shard(doubted, text="the connection broke") == code


def test_a_batch_that_vanished_holds_its_job_whatever_the_others_do():
    vanished = Part(replace(OPEN, reason="batch-vanished"), "404")
    parts = [Part(SHARD, None), vanished, Part(OPEN, None), Part(OPEN, None)]

    reason = reason_of_job(JOB, parts, room=room(*parts), now=NOW)

    assert (reason.code, reason.standing) == ("batch-vanished", Standing.HELD)
    assert reason.facts["shards"] == {"uploading": 1, "batch-vanished": 1, "at-the-provider": 2}


def test_answers_that_are_not_found_are_told_while_they_are_asked_for():
    ended = replace(OPEN, state=ShardState.ENDED, reason="answers-missing", due_at=NOW + 60)
    reason = reason_of_job(JOB, [Part(ended, "No such File")], room=room(), now=NOW)

    assert (reason.code, reason.standing) == ("answers-missing", Standing.HELD)
    assert "(No such File)" in reason.sentence
    assert "given up as lost after a day" in reason.sentence


def test_a_reason_of_another_version_gives_way_to_the_state():
    assert of_shard(replace(OPEN, reason="of-tomorrow")) == "at-the-provider"


def test_every_reason_that_a_shard_can_have_has_its_place_in_the_order():
    assert len(set(ORDER)) == len(ORDER)
    assert {TOLD[code].standing for code in ORDER} == {Standing.CLAIMED, Standing.HELD}
