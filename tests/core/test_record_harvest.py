"""Each record of a request has its own verdict, and what the request took is counted once."""

import json
import tracemalloc
from array import array
from typing import Any

from batchd.core.chunks import Chunks
from batchd.core.index import Entry, Source
from batchd.core.record_harvest import RecordHarvest
from batchd.core.rows import RowSet
from batchd.core.taking import Taker
from batchd.core.tasks import Task
from batchd.core.usage import Charge, ModelUsage, Usage

ROWS = RowSet(((2, 6), (9, 9)))  # two requests of three records: 2 3 4, and 5 6 9
TASK = Task(name="t", model="m", prompt="p", records_per_request=3)
TERMS = {"endpoint": TASK.endpoint, "max_attempts": 3}


def harvest(**terms: Any) -> RecordHarvest:
    return RecordHarvest(
        Chunks(ROWS, 3),
        lambda row: f"id{row}",
        Taker(TASK),
        attempts_before=array("H", [0] * 10),
        price=lambda model, usage: Charge(usage.output_tokens / 4, usage.output_tokens / 2),
        **{**TERMS, **terms},
    )


def answered(custom_id: str, *rows: int) -> bytes:
    entries = [{"id": f"id{row}", "answer": f"of {row}"} for row in rows]
    body: dict[str, Any] = {
        "model": "m",
        "choices": [{"message": {"content": json.dumps({"records": entries})}}],
        "usage": {"prompt_tokens": 10, "completion_tokens": 2},
    }
    line = {"custom_id": custom_id, "response": {"status_code": 200, "body": body}}
    return json.dumps(line).encode()


def failed(custom_id: str, code: str) -> bytes:
    return json.dumps({"custom_id": custom_id, "error": {"code": code, "message": "no"}}).encode()


def test_each_record_is_found_in_the_line_of_its_request():
    crop, first, second = harvest(), answered("2", 2, 3, 4), answered("5", 9, 6, 5)
    crop.take(Source.OUTPUT, 0, second)
    crop.take(Source.OUTPUT, 700, first)
    assert list(crop.missing()) == []
    places = [(2, 700, first), (3, 700, first), (4, 700, first)]
    places += [(5, 0, second), (6, 0, second), (9, 0, second)]
    assert list(crop.index()) == [Entry(r, Source.OUTPUT, at, len(line)) for r, at, line in places]
    tally = crop.tally()
    assert (tally.kept, tally.failed, tally.again) == (6, 0, RowSet())
    assert tally.usage == {"m": ModelUsage(Usage(20, 4), 2, 1.0, 2.0)}, "once per request"


def test_only_the_records_without_an_entry_are_tried_again():
    crop = harvest()
    crop.take(Source.OUTPUT, 0, answered("2", 2, 4, 7))
    crop.take(Source.OUTPUT, 500, answered("5", 5, 6, 9))
    tally = crop.tally()
    assert (tally.again, tally.kept, tally.failed) == (RowSet.of([3]), 5, 0)
    assert tally.oddities == {"invented_ids": 1}


def test_a_request_that_failed_fails_all_its_records():
    crop = harvest()
    crop.take(Source.ERROR, 0, failed("2", "invalid_prompt"))
    crop.take(Source.ERROR, 90, failed("5", "server_error"))
    tally = crop.tally()
    assert (tally.failed, tally.again) == (3, RowSet.of([5, 6, 9]))


def test_what_nothing_answers_is_missing_by_the_request():
    crop = harvest()
    crop.take(Source.OUTPUT, 0, answered("5", 5, 6, 9))
    assert list(crop.missing()) == [("2", 2)]
    crop.take(Source.NOTES, 0, failed("2", "not_executed"), executed=False)
    assert list(crop.missing()) == []
    assert crop.tally().uncounted == RowSet.of([2, 3, 4])


def test_an_id_that_begins_no_request_of_the_shard_is_nobodys():
    crop = harvest()
    for custom_id in ("3", "9", "1", "id2", "02"):
        crop.take(Source.OUTPUT, 0, answered(custom_id, 2, 3, 4))
    assert crop.tally().oddities == {"unknown_ids": 5}


def test_a_second_line_counts_for_the_records_that_the_first_had_nothing_for():
    crop, better = harvest(), answered("2", 2, 3, 4)
    crop.take(Source.OUTPUT, 0, answered("2", 2))
    crop.take(Source.OUTPUT, 300, better)
    crop.take(Source.OUTPUT, 900, failed("2", "server_error"))
    tally = crop.tally()
    assert (tally.kept, tally.again, tally.oddities) == (3, RowSet(), {"repeated_ids": 2})
    assert [entry.offset for entry in crop.index()] == [0, 300, 300]
    assert tally.usage["m"].requests == 2, "both were paid for"


def test_where_answers_lie_is_found_again_without_judging_them():
    crop = RecordHarvest.to_find(
        Chunks(ROWS, 3), lambda row: f"id{row}", Taker(TASK), endpoint=TASK.endpoint
    )
    crop.take(Source.OUTPUT, 0, answered("2", 2, 3, 4))
    assert [entry.row for entry in crop.index()] == [2, 3, 4]
    assert crop.tally().kept == 3


def test_a_record_takes_little_more_than_its_row():
    """A shard of 50,000 requests may have a million records: what their line says is kept once."""
    count, size = 20_000, 20
    task = Task(name="t", model="m", prompt="p", records_per_request=size)
    chunks = Chunks(RowSet(((1, count),)), size)
    crop = RecordHarvest.to_find(chunks, str, Taker(task), endpoint=task.endpoint)
    tracemalloc.start()
    try:
        for first in range(1, count + 1, size):
            crop.take(Source.OUTPUT, first * 1000, failed(str(first), "server_error"))
        taken, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert len(crop.index()) == count
    assert taken / count < 40
