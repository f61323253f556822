"""The stages ask in the same way for the lines of a file and for those that are made of a table."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from batchd.core.index import Source
from batchd.core.rows import RowSet
from batchd.rounds.lines import NativeLines, RenderedLines, lines_of
from batchd.spool.signature import signature
from batchd.spool.work import InputChanged, Work, digest
from tests.core.test_receipt import JOB as SOME_JOB
from tests.core.test_record_harvest import answered
from tests.houses import recipes, requests
from tests.rounds.rounds import JOB, TASK, a_task, lines_in, nothing, planned, shard

NO_TASKS = recipes(Path("nowhere"))
TERMS = {"max_attempts": 3, "price": lambda model, usage: None}


@pytest.fixture
def work(tmp_path: Path) -> Work:
    return Work(tmp_path)


def native(work: Work, count: int = 4) -> NativeLines:
    path = work.dropped_at(JOB, b"a.jsonl")
    path.parent.mkdir(parents=True)
    path.write_text("".join(json.dumps(line) + "\n" for line in requests(count)))
    job = replace(
        SOME_JOB,
        id=JOB,
        task="",
        requests=count,
        signature=signature(path).as_text(),
        sha256=digest(path, pause=nothing),
        verbatim=True,
    )
    lines = lines_of(job, work, NO_TASKS, pause=nothing)
    assert isinstance(lines, NativeLines)
    return lines


def of_table(work: Work, **given: object) -> RenderedLines:
    lines = lines_of(planned(work, **given), work, NO_TASKS, pause=nothing)  # type: ignore[arg-type]
    assert isinstance(lines, RenderedLines)
    return lines


def test_a_file_of_request_lines_travels_as_it_lies_or_cut(work: Work):
    lines = native(work)
    dropped = work.dropped_at(JOB, b"a.jsonl")
    whole = shard(1, 1, 2, 3, 4, per_request=1)
    assert lines.file_of(whole, ()) == dropped
    later = shard(2, 2, 3, generation=2, per_request=1)
    assert lines_in(lines.file_of(later, ())) == lines_in(dropped)[1:3]
    assert [rows for rows, _ in lines.requests(RowSet.of([2, 4]), 2)] == [(2,), (4,)]
    assert (lines.per_request, lines.metadata) == (1, {})


def test_a_file_of_request_lines_that_was_changed_is_noticed(work: Work):
    lines = native(work)
    lines.must_be_unchanged()
    work.dropped_at(JOB, b"a.jsonl").write_text("{}\n")
    for ask in (lines.must_be_unchanged, lambda: lines.harvest_again(shard(1, 1))):
        with pytest.raises(InputChanged):
            ask()


def test_a_later_round_is_written_once_and_cut_by_its_own_rows(work: Work):
    lines = of_table(work)
    left = RowSet.of([2, 3, 5, 8, 9])
    assert [rows for rows, _ in lines.requests(left, 2)] == [(2, 3, 5), (8, 9)]
    parts = [shard(2, 2, 3, 5, generation=2), shard(3, 8, 9, generation=2)]
    written = lines_in(work.round_file(JOB, 2))
    assert [lines_in(lines.file_of(part, parts)) for part in parts] == [written[:1], written[1:]]


def test_a_table_that_was_changed_is_noticed_where_it_is_needed(work: Work):
    lines = of_table(work)
    lines.must_be_unchanged()
    work.dropped_at(JOB, b"a.csv", "judge").write_text("key,text\n1,x\n")
    with pytest.raises(InputChanged):
        list(lines.requests(RowSet.of([1]), 2))


def test_answers_are_matched_by_the_ids_in_their_column(work: Work):
    """And those are made anew where somebody removed them."""
    harvest = of_table(work).harvest_again(shard(1, 4, 5, 6))
    line = answered("4", 4, 5, 6).replace(b'id\\": \\"id', b'id\\": \\"k')
    harvest.take(Source.OUTPUT, 0, line)
    assert harvest.tally().kept == 3
    assert lines_in(work.ids_file(JOB))[3:5] == [b'"k4"', b'"k5"']


def test_without_such_a_column_the_row_is_the_id_and_nothing_is_read(work: Work):
    lines = of_table(work, task=TASK)
    work.dropped_at(JOB, b"a.csv", "judge").unlink()
    assert list(lines.harvest_again(shard(1, 1, 2, per_request=1)).missing()) == [
        ("1", 1),
        ("2", 2),
    ]


def test_the_batches_bear_what_the_task_says(work: Work):
    lines = of_table(work, task=a_task(metadata={"project": "reviews"}, records_per_request=2))
    assert (lines.metadata, lines.per_request) == ({"project": "reviews"}, 2)
