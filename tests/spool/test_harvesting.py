"""Answer files become an index and notes, and twice the same ones."""

from __future__ import annotations

import json
from array import array
from dataclasses import replace

import pytest

from batchd.core.harvest import Harvest
from batchd.core.index import AnswerIndex, Source
from batchd.core.model import BatchStatus
from batchd.core.notes import notes_for
from batchd.core.rows import RowSet
from batchd.core.subjects import Shard
from batchd.core.usage import UNKNOWN
from batchd.spool.harvesting import bring_in
from batchd.spool.work import Work
from tests.core.test_receipt import SHARD


def nothing() -> None:
    """Nobody wants us to stop."""


def good(custom_id: str) -> bytes:
    body = {"choices": [{"message": {"content": "hi"}}]}
    line = {"custom_id": custom_id, "response": {"status_code": 200, "body": body}}
    return json.dumps(line).encode()


@pytest.fixture
def work(tmp_path) -> Work:
    work = Work(tmp_path)
    work.answers("0aaaaa", SHARD.id, "index").parent.mkdir(parents=True)
    return work


def brought_in(work: Work, shard: Shard = SHARD, **words: bool) -> Harvest:
    harvest = Harvest.again({"a": 1, "b": 2, "c": 3}, endpoint="/v1/chat/completions")
    bring_in(work, shard, harvest, notes_for(shard, **words), pause=nothing)
    return harvest


def content(work: Work, kind: str) -> bytes:
    return work.answers("0aaaaa", SHARD.id, kind).read_bytes()


def test_every_request_has_its_place_and_twice_writes_the_same(work):
    work.answers("0aaaaa", SHARD.id, "output").write_bytes(
        b"\n" + good("c") + b"  \r\n" + good("a")
    )
    first = brought_in(work)
    index = AnswerIndex.decode(content(work, "index"))
    assert [(entry.row, entry.source) for entry in index] == [
        (1, Source.OUTPUT), (2, Source.NOTES), (3, Source.OUTPUT),
    ]  # fmt: skip
    entry = index.entry(2)
    assert content(work, "output")[entry.offset :][: entry.length] == good("c")
    entry = index.entry(1)
    assert json.loads(content(work, "notes")[entry.offset :][: entry.length])["custom_id"] == "b"
    assert first.tally().oddities == {"missing_answers": 1}
    before = content(work, "index"), content(work, "notes")
    brought_in(work)
    assert (content(work, "index"), content(work, "notes")) == before


def test_no_files_at_all_are_notes_only(work):
    brought_in(work, replace(SHARD, status=BatchStatus.CANCELLED))
    assert len(content(work, "notes").splitlines()) == 3


def test_notes_that_are_not_needed_any_more_go(work):
    brought_in(work)
    files = b"\n".join(map(good, "abc"))
    work.answers("0aaaaa", SHARD.id, "output").write_bytes(files)
    assert brought_in(work).tally().kept == 3
    assert not work.answers("0aaaaa", SHARD.id, "notes").exists()


class Stopped(Exception):
    """Nobody waits any more."""


def test_long_work_can_be_stopped(work):
    work.answers("0aaaaa", SHARD.id, "output").write_bytes(good("a"))
    harvest = Harvest.again({"a": 1}, endpoint="/v1/chat/completions")

    def stop() -> None:
        raise Stopped

    with pytest.raises(Stopped):
        bring_in(work, SHARD, harvest, notes_for(SHARD), pause=stop)


def test_the_index_tells_whose_request_asked_for_json(work):
    never = array("H", [0] * 4)
    harvest = Harvest(
        {"a": 1, "b": 2, "c": 3},
        endpoint="/v1/chat/completions",
        attempts_before=never,
        max_attempts=1,
        price=lambda model, usage: UNKNOWN,
        as_json=RowSet.of([2]),
    )
    work.answers("0aaaaa", SHARD.id, "output").write_bytes(b"\n".join(map(good, "abc")))
    bring_in(work, SHARD, harvest, notes_for(SHARD), pause=nothing)
    asked = [entry.as_json for entry in AnswerIndex.decode(content(work, "index"))]
    assert asked == [False, True, False]

    brought_in(work)
    unknown = [entry.as_json for entry in AnswerIndex.decode(content(work, "index"))]
    assert unknown == [None, None, None]
