"""A request is known by its first record, and nobody keeps which others travel with it."""

import random

import pytest

from batchd.core.chunks import Chunks, chunks_of, custom_id_of, lines_within
from batchd.core.rows import RowSet

ROWS = RowSet(((2, 4), (7, 7), (9, 13)))  # nine rows


def test_rows_travel_together_in_order_and_only_the_last_request_has_fewer():
    assert list(chunks_of(ROWS, 4)) == [(2, 3, 4, 7), (9, 10, 11, 12), (13,)]
    assert list(chunks_of(ROWS, 1)) == [(row,) for row in ROWS]
    assert list(chunks_of(RowSet(), 3)) == []


def test_a_request_is_known_by_its_first_row():
    chunks = Chunks(ROWS, 4)
    assert len(chunks) == 3
    for chunk in chunks:
        assert chunks.of(custom_id_of(chunk)) == chunk


@pytest.mark.parametrize("size", [1, 2, 3, 5, 100])
def test_of_every_request_the_rows_are_found_again(size: int):
    chunks = Chunks(ROWS, size)
    assert [chunks.of(custom_id_of(chunk)) for chunk in chunks_of(ROWS, size)] == list(chunks)
    assert len(list(chunks)) == len(chunks)


@pytest.mark.parametrize("custom_id", ["3", "8", "1", "14", "0", "02", "-2", "2.0", "", "r", "²"])
def test_an_id_that_is_no_request_of_the_shard_has_no_rows(custom_id: str):
    assert Chunks(ROWS, 4).of(custom_id) is None


def test_an_id_far_too_long_to_be_a_row_has_none():
    assert Chunks(ROWS, 4).of("9" * 5000) is None


def test_the_lines_of_a_shard_follow_from_its_rows_and_those_of_its_round():
    whole = RowSet(((1, 10), (20, 29)))
    assert lines_within(RowSet(((1, 6),)), whole, 3) == RowSet(((1, 2),))
    assert lines_within(RowSet(((7, 10), (20, 21))), whole, 3) == RowSet(((3, 4),))
    assert lines_within(RowSet(((22, 29),)), whole, 3) == RowSet(((5, 7),))
    assert lines_within(whole, whole, 3) == RowSet(((1, 7),))


@pytest.mark.parametrize(
    "rows",
    [
        RowSet(((2, 4),)),  # begins in the middle of a request
        RowSet(((1, 4),)),  # ends in the middle of one, and is not the last
        RowSet(((1, 3), (7, 9))),  # what lies between travels elsewhere
        RowSet(((22, 30),)),  # a row too many
        RowSet(((11, 19),)),  # rows of another round
    ],
)
def test_what_was_not_cut_out_of_the_round_has_no_lines_in_its_file(rows: RowSet):
    assert lines_within(rows, RowSet(((1, 10), (20, 29))), 3) is None


def test_any_cut_between_requests_is_found_again():
    dice = random.Random(5)
    for _ in range(200):
        whole = RowSet.of(dice.sample(range(1, 400), dice.randint(1, 200)))
        size = dice.randint(1, 12)
        requests = list(chunks_of(whole, size))
        first = dice.randrange(len(requests))
        last = dice.randrange(first, len(requests))
        rows = RowSet.of(row for chunk in requests[first : last + 1] for row in chunk)
        assert lines_within(rows, whole, size) == RowSet(((first + 1, last + 1),))
