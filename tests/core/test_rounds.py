"""What is left to try, and how often it was tried, over all rounds of a job."""

from dataclasses import replace

import pytest

from batchd.core.model import BatchStatus, Counts, ShardState
from batchd.core.rounds import (
    all_rows,
    attempts_before,
    bytes_before,
    executions,
    is_final,
    left_to_try,
    size_learned,
)
from batchd.core.rows import RowSet
from batchd.core.subjects import Shard
from tests.core.test_receipt import JOB

PLANNED = Shard(
    id="0aaaaa-1",
    job="0aaaaa",
    number=1,
    round=1,
    state=ShardState.COLLECTED,
    endpoint="/v1/responses",
    model="m",
    rows=RowSet(),
    requests=0,
    size=0,
    tokens=0,
    tries=0,
    due_at=0.0,
    file_id=None,
    batch=None,
    status=None,
    counts=Counts(),
    output_file=None,
    error_file=None,
    errors=(),
    planned_at=0.0,
    submit_started_at=None,
    opened_at=None,
    ended_at=None,
    completed_at=None,
    collected_at=None,
    again=RowSet(),
    uncounted=RowSet(),
    kept=0,
    failed=0,
    usage={},
    oddities={},
    reason=None,
)


def shard(number: int, generation: int, rows: range, *, again=(), uncounted=()) -> Shard:
    return replace(
        PLANNED,
        number=number,
        round=generation,
        rows=RowSet.of(rows),
        again=RowSet.of(again),
        uncounted=RowSet.of(uncounted),
    )


FIRST = shard(1, 1, range(1, 6), again=(2, 4), uncounted=(4,))
SECOND = shard(2, 1, range(6, 9), again=(7,))
THIRD = shard(3, 2, range(2, 8, 2), again=(4,))


def test_only_the_current_round_leaves_something():
    shards = [FIRST, SECOND, THIRD]
    assert left_to_try(shards, 1) == RowSet.of([2, 4, 7])
    assert left_to_try(shards, 2) == RowSet.of([4])
    assert left_to_try(shards, 3) == RowSet()


def test_what_was_never_executed_is_not_counted():
    assert list(executions([FIRST, SECOND, THIRD], last_row=8)) == [0, 1, 2, 1, 1, 1, 2, 1, 1]


def test_rows_beyond_the_last_are_nobodys_business():
    assert list(executions([FIRST, SECOND], last_row=3)) == [0, 1, 1, 1]


def test_in_the_first_round_nobody_was_executed_before():
    assert list(attempts_before(SECOND, [FIRST, SECOND])) == [0] * 9


def test_before_a_shard_count_the_shards_before_it():
    assert list(attempts_before(THIRD, [FIRST, SECOND, THIRD])) == [0, 1, 1, 1, 0, 1, 1]


def test_a_replaced_shard_counts_no_attempt_for_its_heir():
    replaced = shard(3, 2, range(2, 5), uncounted=range(2, 5))
    heir = shard(4, 2, range(2, 5))
    assert list(attempts_before(heir, [FIRST, replaced, heir])) == [0, 1, 1, 1, 0]


def test_all_rows_are_those_of_every_round_once():
    assert all_rows([FIRST, SECOND, THIRD]) == RowSet.of(range(1, 9))
    assert all_rows([]) == RowSet()


def expired(number: int, requests: int, left: int, *, generation: int = 1, model: str = "m"):
    rows = range(1, requests + 1)
    one = shard(number, generation, rows, again=range(requests - left + 1, requests + 1))
    return replace(one, status=BatchStatus.EXPIRED, requests=requests, model=model)


@pytest.mark.parametrize(
    ("requests", "left", "size"),
    [(10, 10, 5), (10, 5, 5), (10, 4, 6), (10, 1, 9), (3, 3, 1), (2, 1, 1), (1, 1, 1)],
)
def test_what_expired_comes_back_half_as_large_or_as_large_as_it_managed(
    requests: int, left: int, size: int
):
    assert size_learned([expired(1, requests, left)], 1) == {"m": size}


def test_sizes_are_learned_by_model_in_this_round_from_what_expired_and_is_left():
    shards = [
        expired(1, 10, 10),
        expired(2, 8, 8),
        expired(3, 4, 4, model="n"),
        expired(4, 2, 2, generation=2),
        expired(5, 4, 0),  # no attempt is left for any of it
        replace(expired(6, 2, 2), status=BatchStatus.COMPLETED),
    ]
    assert size_learned(shards, 1) == {"m": 4, "n": 2}
    assert size_learned(shards, 2) == {"m": 1}
    assert size_learned(shards, 3) == {}


def test_a_job_that_was_cancelled_gets_no_further_round():
    assert not is_final(JOB)
    assert is_final(replace(JOB, cancelled_at=1.0))


def test_of_several_records_in_a_request_what_was_managed_is_counted_in_requests():
    """Ten records each: three hundred unanswered records are thirty requests."""
    shard = replace(
        expired(1, 100, 0), rows=RowSet(((1, 1000),)), requests=100, again=RowSet(((701, 1000),))
    )
    assert size_learned([shard], 1) == {"m": 70}


def test_the_bytes_before_a_shard_are_those_of_its_round_with_replaced_ones_once():
    first, heir = shard(1, 1, range(1, 6)), shard(4, 1, range(1, 6))
    second, third = shard(2, 1, range(6, 9)), shard(3, 1, range(9, 10))
    later = shard(5, 2, range(1, 3))
    shards = [replace(one, size=10**n) for n, one in enumerate((third, first, second, heir, later))]
    third, first, second, heir, later = shards
    shards[3] = heir = replace(heir, size=first.size)
    assert [bytes_before(one, shards) for one in (first, heir, second, third, later)] == [
        0,
        0,
        10,
        110,
        0,
    ]
