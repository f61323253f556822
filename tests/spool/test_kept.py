"""Row by row, the last answer among what all shards of a job brought."""

from __future__ import annotations

import resource
import tracemalloc
from dataclasses import replace

import pytest

from batchd.core.errors import BrokenInvariant
from batchd.core.index import AnswerIndex, Source
from batchd.core.model import Counts, ShardState
from batchd.core.rows import RowSet
from batchd.core.subjects import Shard
from batchd.spool.kept import AnswersGone, kept_answers
from batchd.spool.work import Work

KINDS = {Source.OUTPUT: "output", Source.ERROR: "error", Source.NOTES: "notes"}
PLAIN = Shard(
    id="0aaaaa-1", job="0aaaaa", number=1, round=1, state=ShardState.COLLECTED, endpoint="/v1/x",
    model="m", rows=RowSet(), requests=0, size=0, tokens=0, tries=0, due_at=0.0, file_id=None,
    batch=None, status=None, counts=Counts(), output_file=None, error_file=None, errors=(),
    planned_at=0.0, submit_started_at=None, opened_at=None, ended_at=None, completed_at=None,
    collected_at=None, again=RowSet(), uncounted=RowSet(), kept=1, failed=0, usage={}, oddities={},
    reason=None,
)  # fmt: skip


@pytest.fixture
def work(tmp_path) -> Work:
    return Work(tmp_path)


def brought(
    work: Work,
    number: int,
    answers: dict[int, tuple[Source, bytes]],
    unsent: set[int] | None = None,
) -> Shard:
    """A collected shard with one line per row."""
    shard = replace(PLAIN, id=f"0aaaaa-{number}", number=number, rows=RowSet.of(answers))
    index, files = AnswerIndex(), dict.fromkeys(Source, b"")
    for row, (source, line) in answers.items():
        index.add(row, source, len(files[source]), len(line), unsent=row in (unsent or ()))
        files[source] += line + b"\n"
    work.answers("0aaaaa", shard.id, "index").parent.mkdir(parents=True, exist_ok=True)
    for source, content in files.items():
        if content:
            work.answers("0aaaaa", shard.id, KINDS[source]).write_bytes(content)
    work.answers("0aaaaa", shard.id, "index").write_bytes(index.encode())
    return shard


def test_each_row_has_its_line_wherever_it_came_from(work):
    shard = brought(
        work,
        1,
        {1: (Source.OUTPUT, b"one"), 2: (Source.ERROR, b"two"), 5: (Source.NOTES, b"five")},
    )
    with kept_answers(work, [shard]) as kept:
        assert kept.of(1).line == b"one"
        assert kept.of(2).line == b"two"
        assert kept.of(5).line == b"five"
        assert kept.of(5).endpoint == "/v1/x"
        assert [kept.of(row).from_provider for row in (1, 2, 5)] == [True, True, False]
        with pytest.raises(BrokenInvariant, match="row 3 has no answer"):
            kept.of(3)


def test_the_last_round_counts(work):
    first = brought(work, 1, {1: (Source.ERROR, b"429"), 2: (Source.OUTPUT, b"fine")})
    second = brought(work, 2, {1: (Source.OUTPUT, b"at last")})
    with kept_answers(work, [first, second]) as kept:
        assert kept.of(1).line == b"at last"
        assert kept.of(2).line == b"fine"


def test_that_a_request_never_ran_is_no_word_against_an_earlier_one(work):
    first = brought(work, 1, {1: (Source.ERROR, b"429"), 2: (Source.ERROR, b"500")})
    second = brought(
        work, 2, {1: (Source.NOTES, b"cancelled"), 3: (Source.NOTES, b"cancelled")}, unsent={1, 3}
    )
    with kept_answers(work, [first, second]) as kept:
        assert [kept.of(row).line for row in (1, 2, 3)] == [b"429", b"500", b"cancelled"]


@pytest.mark.parametrize("kind", ["index", "output", "error"])
@pytest.mark.parametrize("cut", [True, False])
def test_answers_that_somebody_took_out_are_missed(work, kind, cut):
    whole = brought(work, 1, {1: (Source.OUTPUT, b"one"), 2: (Source.ERROR, b"two")})
    shard = brought(work, 2, {3: (Source.OUTPUT, b"three"), 4: (Source.ERROR, b"four")})
    path = work.answers("0aaaaa", shard.id, kind)
    path.write_bytes(path.read_bytes()[:-3]) if cut else path.unlink()
    with pytest.raises(AnswersGone) as gone, kept_answers(work, [whole, shard]):
        pass
    assert gone.value.shard == shard


def test_an_index_of_rows_that_are_not_there_is_no_index(work):
    shard = brought(work, 1, {1: (Source.OUTPUT, b"one")})
    index = AnswerIndex()
    index.add(7, Source.OUTPUT, 0, 3)
    work.answers("0aaaaa", shard.id, "index").write_bytes(index.encode())
    with pytest.raises(AnswersGone), kept_answers(work, [shard]):
        pass


def test_a_shard_that_was_replaced_has_nothing_to_read(work):
    replaced = replace(PLAIN, id="0aaaaa-9", kept=0, rows=RowSet.of([1]))
    heir = brought(work, 2, {1: (Source.OUTPUT, b"one")})
    with kept_answers(work, [replaced, heir]) as kept:
        assert kept.of(1).line == b"one"


def test_a_thousand_shards_do_not_need_a_thousand_open_files(work):
    shards = [brought(work, n, {n: (Source.OUTPUT, b"%d" % n)}) for n in range(1, 301)]
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (128, limits[1]))
    try:
        with kept_answers(work, shards) as kept:
            assert [int(kept.of(row).line) for row in range(1, 301)] == list(range(1, 301))
            assert int(kept.of(1).line) == 1
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)


def test_rows_of_many_shards_and_pages_are_found_in_whatever_order(work):
    """Rows of a job may lie in turn in the shards of many models, each longer than a page."""
    count, number = 1500, 80
    shards = [
        brought(
            work,
            n + 1,
            {row: (Source.OUTPUT, b"%d" % row) for row in range(n + 1, number * count + 1, number)},
        )
        for n in range(number)
    ]
    rows = [*range(1, 400), *range(number * count, number * (count - 3), -1)]
    with kept_answers(work, shards) as kept:
        assert [kept.of(row).line for row in rows] == [b"%d" % row for row in rows]


def test_an_index_that_is_taken_away_while_it_is_read_is_told(work):
    shard = brought(work, 1, dict.fromkeys(range(1, 2000), (Source.OUTPUT, b"x")))
    with kept_answers(work, [shard]) as kept:
        kept.of(1)
        work.answers("0aaaaa", shard.id, "index").unlink()
        with pytest.raises(AnswersGone):
            kept.of(1999)


def test_answers_take_little_memory(work):
    count = 200_000
    shard = brought(work, 1, dict.fromkeys(range(1, count + 1), (Source.OUTPUT, b"x")))
    tracemalloc.start()
    try:
        with kept_answers(work, [shard]) as kept:
            assert all(kept.of(row).line == b"x" for row in range(1, count + 1, 100))
            _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert most / count < 16
