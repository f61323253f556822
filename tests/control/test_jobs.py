"""The one reason of a job: what a person must see to comes first, then what takes longest."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any

import pytest

from batchd.control.jobs import ORDER, Room, reason_of_job, reason_of_shard
from batchd.control.ledger import Part
from batchd.core.admission import Created
from batchd.core.model import BatchStatus, CancelWhy, Counts, JobState, Pause, ShardState
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
    number=1,
    endpoint="/v1/chat/completions",
    planned_at=NOW,
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
    return Room.of(parts, Batches(**batches), now=NOW)


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
    there, waits = Part(replace(OPEN, id="x-1", job="x"), None), Part(SHARD, None)

    def told(**said: Any) -> str:
        return of_shard(SHARD, where=room(there, waits, **said))

    assert told() == "uploading"
    assert told(max_open=1) == "waiting-for-room"
    assert told(enqueued_tokens={"m": 150}) == "waiting-for-tokens"
    assert told(enqueued_tokens={"other": 1}) == "uploading"


def test_what_the_provider_named_is_a_limit_too():
    there, waits = Part(replace(OPEN, id="x-1", job="x"), None), Part(SHARD, None)
    where = Room.of([there, waits], Batches(), now=NOW, learned={"m": 150})

    reason = reason_of_shard(waits, room=where, now=NOW)

    assert reason.code == "waiting-for-tokens"
    assert "100 tokens of m are queued and 150 are allowed" in reason.sentence


def test_who_paused_submission_is_told():
    waits = Part(SHARD, None)
    where = Room.of([waits], Batches(), now=NOW, pauses={Pause.SUBMISSION: "anna"})

    reason = reason_of_shard(waits, room=where, now=NOW)

    assert reason.sentence.startswith("anna paused submission; batchd resume")


def test_the_hour_says_when_it_is_over():
    waits = Part(SHARD, None)
    created = Created(7, NOW - 1800)
    where = Room.of([waits], Batches(max_per_hour=7), now=NOW, created=created)

    reason = reason_of_shard(waits, room=where, now=NOW)

    assert reason.code == "waiting-for-the-hour"
    assert "7 batches were created" in reason.sentence
    assert "in 30 min" in reason.sentence


def test_embeddings_have_a_queue_of_their_own():
    texts = {"endpoint": "/v1/embeddings", "requests": 60}
    there, waits = (Part(replace(one, **texts), None) for one in (OPEN, SHARD))
    there = Part(replace(there.shard, id="x-1", job="x"), None)
    where = room(there, waits, enqueued_embeddings=100)

    assert of_shard(waits.shard, where=where) == "waiting-for-embeddings"


def test_what_is_held_waits_for_a_word_and_what_is_cancelled_for_its_end():
    held = replace(JOB, hold="held", hold_text="anna said so")
    called_off = replace(JOB, cancelled_at=NOW, cancel_why=CancelWhy.ASKED)

    assert reason_of_job(held, [Part(SHARD, None)], room=room(), now=NOW).code == "held"
    assert reason_of_job(called_off, [Part(SHARD, None)], room=room(), now=NOW).code == "cancelling"
    where = Room.of([Part(SHARD, None)], Batches(), now=NOW, jobs=[held])
    assert of_shard(SHARD, text="anna", where=where) == "held"


def test_a_batch_that_takes_far_too_long_is_stuck_and_says_what_helps():
    late = replace(OPEN, opened_at=NOW - 30 * 3600)

    reason = reason_of_job(JOB, [Part(OPEN, None), Part(late, None)], room=room(), now=NOW)

    assert (reason.code, reason.standing) == ("stuck", Standing.HELD)
    assert "batchd cancel 0tqe86" in reason.sentence


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
